#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "xpusim/spec/system.h"

/// The links of a system and the ways over them. Devices have numbers; neighbours in number share the inner
/// levels.
namespace xpusim::network {

enum class LinkKind : std::uint8_t { Out, In, Up, Down, Pair, Dimension, Local, Global };
inline constexpr std::array<std::string_view, 8> kLinkKindNames = {"out",  "in",        "up",    "down",
                                                                   "pair", "dimension", "local", "global"};
[[nodiscard]] constexpr std::string_view kind_name(LinkKind k) {
  return kLinkKindNames[static_cast<std::size_t>(k)];
}

/// A link in one direction.
struct Link {
  std::int32_t level = 0;
  LinkKind kind = LinkKind::Out;
  std::int32_t part = 0;   ///< tier; dimension x 2 + direction; how far apart the two ends of a pair are
  std::int64_t owner = 0;  ///< which of them: device, switch, router
  double bandwidth = 0;    ///< bytes/s, what long messages reach
  friend bool operator==(const Link& a, const Link& b) {
    return a.level == b.level && a.kind == b.kind && a.part == b.part && a.owner == b.owner;
  }
};

/// One way from device to device. The links carry a message at the same time where the devices between pass
/// it on before it is whole (cut-through), else one after the other.
struct Route {
  std::vector<Link> links;
  double latency = 0;            ///< seconds, without the message's length
  std::int32_t level = 0;        ///< the outermost that it takes
  std::int32_t host_driven = 0;  ///< hops that a thread of the host posts
  bool store_and_forward = false;
};

class Topology {
 public:
  /// The levels of one plane of the system, and those that belong to all planes (an empty name).
  Topology(const SystemSpec&, const std::string& plane);

  [[nodiscard]] const std::vector<LevelSpec>& levels() const { return levels_; }
  [[nodiscard]] std::int64_t devices() const { return levels_.empty() ? 1 : levels_.back().endpoints; }
  /// The innermost level that joins two devices. Throws InfeasibleError when none does.
  [[nodiscard]] std::int32_t joining_level(std::int64_t a, std::int64_t b) const;
  [[nodiscard]] Route route(std::int64_t from, std::int64_t to) const;
  /// For messages, e.g. "node: out of device 3".
  [[nodiscard]] std::string name(const Link&) const;
  /// Devices that a link carries traffic for: all below it.
  [[nodiscard]] std::int64_t block(const Link&) const;
  /// May two devices' messages meet on a link of this kind with this owner?
  [[nodiscard]] bool serves(const Link&, std::int64_t device) const;

 private:
  void cross(std::int32_t level, std::int64_t from, std::int64_t to, Route&) const;
  void cross_switch(std::int32_t level, std::int64_t from, std::int64_t to, Route&) const;
  void cross_mesh(std::int32_t level, std::int64_t from, std::int64_t to, Route&) const;
  void cross_torus(std::int32_t level, std::int64_t from, std::int64_t to, Route&) const;
  void cross_dragonfly(std::int32_t level, std::int64_t from, std::int64_t to, Route&) const;
  [[nodiscard]] std::int64_t node_size(std::int32_t level) const;

  std::string system_;
  std::vector<LevelSpec> levels_;
};

/// The planes of a system by name; one empty name where it has none.
[[nodiscard]] std::vector<std::string> planes_of(const SystemSpec&);

}  // namespace xpusim::network
