#pragma once
#include <string>
#include <vector>

/// The commands. Each prints its result on stdout, notes on stderr, and throws what goes wrong.
namespace xpusim::app {

/// Options that the running commands share.
struct Common {
  std::string data;
  std::vector<std::string> set;
  std::string fidelity = "tile";
  std::string json, trace, export_graph;  ///< files to write; "-" is stdout, empty none
};

inline constexpr const char *kAutoAlone = "true", *kAutoAll = "all";
struct RunArguments {
  std::string automatic;  ///< search the plan of a training scenario: empty: no; see --auto
  std::string workload;
  std::vector<std::string> on;  ///< columns; none: the scenario's own system
};
void run(const Common&, const RunArguments&);

struct OpArguments {
  std::string chip, kind;
  std::vector<std::string> parameters;
  bool eager = false;
};
void op(const Common&, const OpArguments&);

void list(const Common&, const std::string& kind);

struct ConfigArguments {
  std::string kind, name;
  std::vector<std::string> files;
  bool origin = false;
};
void config_check(const Common&, const ConfigArguments&);
void config_show(const Common&, const ConfigArguments&);
void config_schema(const ConfigArguments&);
void config_docs();

}  // namespace xpusim::app
