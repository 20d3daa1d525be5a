#include "xpusim/spec/system.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/spec/chip.h"

namespace xpusim {
namespace {

const Range kDevices = between(1, 1 << 24);

void describe_shape(Fields& f, LevelSpec& c) {
  f.optional("rails", c.rails, "switch, fat_tree: separate networks, one per device of a node", kDevices);
  f.optional("tiers", c.tiers, "fat_tree: tiers of switches below the top, innermost first");
  f.optional("dims", c.dims, "torus: nodes along each dimension", between(1, 1 << 24));
  f.optional("router_endpoints", c.router_endpoints, "dragonfly: devices of one router", kDevices);
  f.optional("group_endpoints", c.group_endpoints, "dragonfly: devices of one group of routers", kDevices);
  f.optional("local_bandwidth", c.local_bandwidth, "dragonfly: one router to the others of its group",
             at_least(0));
  f.optional("global_bandwidth", c.global_bandwidth, "dragonfly: one router to other groups", at_least(0));
}

/// Collects what does not fit in one level.
class LevelCheck {
 public:
  LevelCheck(const LevelSpec& level, std::string path, std::int64_t inner,
             std::vector<TopologyMistake>& found)
      : l_(level), path_(std::move(path)), inner_(inner), found_(found) {}

  void run() {
    check_tiers();
    check_dims();
    check_dragonfly();
    if (l_.rails > 1 && l_.kind != LevelKind::FatTree && l_.kind != LevelKind::Switch)
      wrong("rails", fmt::format("a {} has no rails", enum_name(l_.kind)), "leave it out");
    if (l_.rails > 1 && inner_ % l_.rails != 0)
      wrong("rails", fmt::format("{} rails do not divide the {} devices of a node", l_.rails, inner_),
            "one rail per device of a node, or a divisor");
  }

 private:
  void wrong(const std::string& key, std::string message, std::string hint) {
    found_.push_back({path_ + "." + key, std::move(message), std::move(hint)});
  }
  void check_tiers() {
    if (l_.tiers.empty()) return;
    if (l_.kind != LevelKind::FatTree)
      wrong("tiers", fmt::format("a {} has no tiers", enum_name(l_.kind)), "kind: fat_tree");
    std::int64_t below = std::max<std::int64_t>(inner_, 1);
    for (std::size_t i = 0; i < l_.tiers.size(); ++i) {
      const std::int64_t e = l_.tiers[i].endpoints;
      if (e % below != 0 || l_.endpoints % e != 0 || e >= l_.endpoints)
        wrong(fmt::format("tiers[{}].endpoints", i),
              fmt::format("{} between {} below and {} above", e, below, l_.endpoints),
              "a multiple of those below that divides those above");
      else
        below = e;
    }
  }
  void check_dims() {
    if (l_.kind != LevelKind::Torus) {
      if (!l_.dims.empty()) wrong("dims", fmt::format("a {} has no dims", enum_name(l_.kind)), "kind: torus");
      return;
    }
    std::int64_t nodes = 1;
    for (const std::int64_t d : l_.dims) nodes = std::min<std::int64_t>(nodes * d, 1LL << 40);
    const std::int64_t want = l_.endpoints / std::max<std::int64_t>(inner_, 1);
    if (l_.dims.empty() || nodes != want)
      wrong("dims", fmt::format("the dims multiply out to {}", l_.dims.empty() ? 0 : nodes),
            fmt::format("{} nodes are joined", want));
  }
  void check_dragonfly() {
    if (l_.kind != LevelKind::Dragonfly) return;
    if (l_.router_endpoints < 1 || l_.group_endpoints % l_.router_endpoints != 0 ||
        l_.endpoints % l_.group_endpoints != 0)
      wrong("group_endpoints",
            fmt::format("routers of {}, groups of {}, {} in all", l_.router_endpoints, l_.group_endpoints,
                        l_.endpoints),
            "each a multiple of the one before");
    const bool several_routers = l_.group_endpoints > l_.router_endpoints;
    const bool several_groups = l_.endpoints > l_.group_endpoints;
    if (several_routers && l_.local_bandwidth.count() <= 0)
      wrong("local_bandwidth", "no links between the routers of a group: it is disconnected", "above 0");
    if (several_groups && l_.global_bandwidth.count() <= 0)
      wrong("global_bandwidth", "no links between the groups: they are disconnected", "above 0");
  }

  const LevelSpec& l_;
  std::string path_;
  std::int64_t inner_;
  std::vector<TopologyMistake>& found_;
};

}  // namespace

void describe(Fields& f, TierSpec& c) {
  f.label("name", c.name, "name of the tier, e.g. leaf", true);
  f.required("endpoints", c.endpoints, "devices below one of its switches, of all rails together", kDevices);
  f.required("oversubscription", c.oversubscription, "bandwidth from below over bandwidth to above",
             between(1, 1000));
  f.required("latency", c.latency, "added to a way over the tier above", at_least(0).known(50e-9, 100e-6));
}

void describe(Fields& f, LevelSpec& c) {
  f.label("name", c.name, "name of the level, e.g. package, node", true);
  f.label("plane", c.plane, "plane of the level; each plane joins the devices by a way of its own");
  f.required("kind", c.kind, "how the endpoints are joined");
  f.required("endpoints", c.endpoints, "devices that one instance of this level joins", between(2, 1 << 24));
  f.required("bandwidth", c.bandwidth, "of one device, per direction, all its links of this level",
             positive().known(1e9, 5e12));
  f.required("latency", c.latency, "device to device; of a torus or ring, per hop",
             at_least(0).known(50e-9, 100e-6));
  f.required("achieved_fraction", c.achieved_fraction, "part of bandwidth that long messages reach",
             fraction());
  f.optional("in_switch_reduction", c.in_switch_reduction, "the switch adds up what passes through it");
  f.optional("in_switch_fraction", c.in_switch_fraction, "part of bandwidth that in-switch reductions reach",
             fraction());
  f.optional("host_driven", c.host_driven, "a thread of the host posts the messages");
  f.optional("forwarding", c.forwarding, "whether a message is passed on before it is there as a whole");
  f.optional("links", c.links, "links of one device into this level", between(1, 4096));
  f.optional("medium", c.medium, "copper, or optical with a module at each end");
  f.optional("module_power", c.module_power, "one optical module", at_least(0).known(1, 100));
  describe_shape(f, c);
}

void describe(Fields& f, ProtocolSpec& c) {
  f.label("name", c.name, "name of the protocol", true);
  f.optional("transfers", c.transfers, "what it carries");
  f.optional("startup", c.startup, "once per collective", at_least(0).known(10e-9, 10e-3));
  f.required("step", c.step, "cost of each step besides the wire's latency", at_least(0).known(10e-9, 1e-3));
  f.required("bandwidth_fraction", c.bandwidth_fraction, "part of the rate that the level achieves",
             fraction());
  f.optional("rate", c.rate, "that a rank's kernels move at most, over all levels; 0: any",
             at_least(0).known(1e9, 20e12));
  f.optional("chunk", c.chunk, "bytes that are staged before the receiver begins", at_least(0));
  f.optional("largest_message", c.largest_message, "to one peer; 0: any", at_least(0));
  f.optional("copy_bandwidth", c.copy_bandwidth, "copy of the own share by channels of its own; 0: library's",
             at_least(0).known(1e9, 50e12));
}

void describe(Fields& f, LibrarySpec& c) {
  f.label("name", c.name, "collective library", true);
  f.label("measured_as", c.measured_as, "sources of measured sets that ran this one, not the first");
  f.label("calls", c.calls, "library that does the work: this one is a framework that calls it, and adds");
  f.required("launch", c.launch, "cost of one collective in a graph before data moves",
             at_least(0).known(10e-9, 1e-3));
  f.optional("exchange_launch", c.exchange_launch, "the same besides, of an all_to_all",
             at_least(0).known(10e-9, 1e-3));
  f.optional("eager_launch", c.eager_launch, "least time of a collective that the host launches by itself",
             at_least(0).known(10e-9, 1e-3));
  f.optional("eager_copy", c.eager_copy, "copy of an all_reduce's message outside a graph; 0: none",
             at_least(0).known(1e9, 50e12));
  f.optional("message", c.message, "cost of each peer of a step after the first",
             at_least(0).known(10e-9, 1e-3));
  f.optional("proxy", c.proxy, "cost of each step over a level that the host drives",
             at_least(0).known(10e-9, 1e-3));
  f.optional("in_place", c.in_place, "an all_reduce leaves the sum where its input was");
  f.optional("copy_bandwidth", c.copy_bandwidth, "copy of a rank's own share to the output; 0: none",
             at_least(0).known(1e9, 50e12));
  f.optional("reduce_bandwidth", c.reduce_bandwidth, "sums that transfers do not hide; 0: hidden",
             at_least(0).known(1e9, 50e12));
  f.optional("in_switch_startup", c.in_switch_startup, "once per collective that the switch reduces",
             at_least(0).known(10e-9, 10e-3));
  f.optional("in_switch_chunk", c.in_switch_chunk,
             "of a rank's share, that goes up to the switch before any comes down", at_least(0));
  f.optional("node", c.node, "devices that it takes for one node; 0: those of the inner levels",
             between(0, 1 << 24));
  f.optional("largest", c.largest, "message that it takes; 0: any", at_least(0));
  f.optional("algorithms", c.algorithms, "that it has; default: all");
  f.optional("exchanges", c.exchanges, "the same for all_to_all, send_recv, dispatch and combine");
  f.optional("protocols", c.protocols, "how it hands bytes on; of one that calls another: that one's");
}

void describe(Fields& f, SystemSpec& c) {
  f.label("id", c.id, "the file's name without .yaml", true);
  f.label("name", c.name, "name in print", true);
  f.label("notes", c.notes, "free text");
  f.label("chip", c.chip, "id of the chip; without one, the system serves collectives only");
  f.label("measured_as", c.measured_as, "names of the system, or of its chip, in measured sets");
  f.required("chips", c.chips, "packages in the system", between(1, 1 << 24));
  f.required("levels", c.levels, "interconnect levels, innermost first; each plane from its innermost");
  f.required("libraries", c.libraries, "collective libraries, the default first");
}

SystemSpec with_package_level(const SystemSpec& system, const ChipSpec& chip) {
  SystemSpec joined = system;
  if (chip.dies > 1 && chip.die_to_die) {
    LevelSpec package;
    package.name = "package";
    package.kind = LevelKind::FullMesh;
    package.endpoints = chip.dies;
    package.bandwidth = chip.die_to_die->bandwidth;
    package.latency = chip.die_to_die->latency;
    package.achieved_fraction = chip.die_to_die->achieved_fraction;
    joined.levels.insert(joined.levels.begin(), package);
  }
  return joined;
}

SystemSpec with_chips(const SystemSpec& system, std::int64_t chips, std::int64_t dies_per_chip) {
  SystemSpec s = system;
  s.chips = chips;
  LevelSpec& outermost = s.levels.back();
  const std::int64_t devices = chips * dies_per_chip;
  if (devices <= outermost.endpoints) return s;
  if (outermost.kind != LevelKind::Switch && outermost.kind != LevelKind::FatTree)
    throw InfeasibleError(fmt::format("{}: its {} of {} devices does not grow to {}", system.id,
                                      outermost.name, outermost.endpoints, devices));
  // Whole numbers of the largest tier below.
  const std::int64_t whole = outermost.tiers.empty()
                                 ? (s.levels.size() > 1 ? s.levels.rbegin()[1].endpoints : 1)
                                 : outermost.tiers.back().endpoints;
  outermost.endpoints = round_up(devices, whole);
  return s;
}

const LibrarySpec& library_of(const SystemSpec& system, const std::string& name) {
  std::vector<std::string_view> known;
  for (const LibrarySpec& l : system.libraries) {
    if (name.empty() || l.name == name) return l;
    known.push_back(l.name);
  }
  throw InfeasibleError(
      fmt::format("{}: no library {} (known: {})", system.id, in_quotes(name), join(known)));
}

LibrarySpec working_library(const SystemSpec& system, const std::string& name) {
  const LibrarySpec& caller = library_of(system, name);
  if (caller.calls.empty()) return caller;
  LibrarySpec l = library_of(system, caller.calls);
  l.name = caller.name;
  l.launch += caller.launch;
  l.exchange_launch += caller.exchange_launch;
  l.eager_launch = caller.eager_launch;
  l.eager_copy = caller.eager_copy;
  l.in_place = l.in_place || caller.in_place;
  return l;
}

std::vector<TopologyMistake> topology_mistakes(const SystemSpec& s) {
  std::vector<TopologyMistake> found;
  std::map<std::string, std::pair<std::int64_t, std::string>> inner;  // by plane: endpoints below, their path
  for (std::size_t i = 0; i < s.levels.size(); ++i) {
    const LevelSpec& l = s.levels[i];
    const std::string path = fmt::format("levels[{}]", i);
    const auto common = inner.try_emplace("", 1, "levels").first->second;  // to all planes
    auto& below = inner.try_emplace(l.plane, common).first->second;
    if (l.endpoints <= below.first || l.endpoints % below.first != 0)
      found.push_back({path + ".endpoints",
                       fmt::format("{} is not a multiple of the {} below", l.endpoints, below.first),
                       "levels go from inner to outer"});
    else
      LevelCheck(l, path, below.first, found).run();
    below = {std::max<std::int64_t>(l.endpoints, 1), path + ".endpoints"};
  }
  return found;
}

}  // namespace xpusim
