#pragma once
#include <string>

#include "support/shipped.h"
#include "xpusim/network/collective.h"

/// Networks of tests, and calls on them.
namespace xpusim::test {

/// A network of tests/networks.
inline SystemSpec network(const std::string& id) {
  return library().system(std::string(XPUSIM_SOURCE_ROOT) + "/tests/networks/" + id + ".yaml").value;
}

/// A shipped system with the level inside its packages.
inline SystemSpec joined(const std::string& id) {
  const SystemSpec s = system(id);
  return s.chip.empty() ? s : with_package_level(s, chip(s.chip));
}

inline network::Call call(CollectiveKind kind, std::int64_t bytes, std::int64_t ranks,
                          Algorithm algorithm = Algorithm::None) {
  network::Call c;
  c.kind = kind;
  c.size = Bytes(bytes);
  c.group.ranks = ranks;
  c.algorithm = algorithm;
  return c;
}

/// One level with round numbers: 100 GB/s, of which 80 are achieved; 1 us; a library of 5 us and 0.5 us a
/// step.
inline SystemSpec round_node(LevelKind kind = LevelKind::Switch, std::int64_t endpoints = 8) {
  SystemSpec s;
  s.id = "node";
  s.chips = endpoints;
  LevelSpec level;
  level.name = "node";
  level.kind = kind;
  level.endpoints = endpoints;
  level.bandwidth = BytesPerSecond(100e9);
  level.achieved_fraction = 0.8;
  level.latency = Seconds(1e-6);
  s.levels = {level};
  LibrarySpec library;
  library.name = "library";
  library.launch = Seconds(5e-6);
  ProtocolSpec protocol;
  protocol.name = "wire";
  protocol.step = Seconds(0.5e-6);
  library.protocols = {protocol};
  s.libraries = {library};
  return s;
}

/// The same with nodes of 8 behind a switch of 10 GB/s per device.
inline SystemSpec round_cluster(std::int64_t endpoints = 64, std::int64_t rails = 8) {
  SystemSpec s = round_node();
  s.id = "cluster";
  s.chips = endpoints;
  LevelSpec outer = s.levels[0];
  outer.name = "cluster";
  outer.kind = LevelKind::FatTree;
  outer.endpoints = endpoints;
  outer.bandwidth = BytesPerSecond(10e9);
  outer.latency = Seconds(5e-6);
  outer.rails = rails;
  s.levels.push_back(outer);
  return s;
}

}  // namespace xpusim::test
