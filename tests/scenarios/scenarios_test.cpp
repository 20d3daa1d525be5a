#include <fmt/format.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "support/shipped.h"
#include "xpusim/chip/kernel.h"
#include "xpusim/core/text.h"
#include "xpusim/simulate.h"

/// Runs every scenarios/*.yaml: an operator on a chip, or a workload on a system, and what is expected of it.
/// README.md beside the files says how they are written.
namespace xpusim::test {
namespace {

namespace fs = std::filesystem;

fs::path folder() { return fs::path(XPUSIM_SOURCE_ROOT) / "tests" / "scenarios"; }

std::vector<std::string> all_scenarios() {
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(folder()))
    if (file.path().extension() == ".yaml") names.push_back(file.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// A mistyped key would silently expect nothing.
void refuse_other_keys(const YAML::Node& node, const std::set<std::string>& known) {
  for (const auto& entry : node) {
    const auto key = entry.first.as<std::string>();
    if (!known.contains(key)) throw std::runtime_error("unknown key '" + key + "'");
  }
}

config::Overrides overrides(const YAML::Node& set) {
  config::Overrides list;
  for (const auto& entry : set)
    list.push_back({entry.first.as<std::string>(), entry.second.as<std::string>()});
  return list;
}

template <class E>
E choice(const YAML::Node& node, E by_default) {
  if (!node) return by_default;
  const auto value = enum_from<E>(node.as<std::string>());
  if (!value) throw std::runtime_error("unknown choice '" + node.as<std::string>() + "'");
  return *value;
}

Operator parse_operator(const YAML::Node& node) {
  YAML::Emitter text;
  text << YAML::BeginMap << YAML::Key << "name" << YAML::Value << "op" << YAML::Key << "sections"
       << YAML::Value << YAML::BeginSeq << YAML::BeginMap << YAML::Key << "name" << YAML::Value << "op"
       << YAML::Key << "operators" << YAML::Value << YAML::BeginSeq << YAML::BeginMap << YAML::Key << "name"
       << YAML::Value << "op";
  for (const auto& entry : node) text << YAML::Key << entry.first << YAML::Value << entry.second;
  text << YAML::EndMap << YAML::EndSeq << YAML::EndMap << YAML::EndSeq << YAML::EndMap;
  return config::read<Graph>(config::parse_yaml(text.c_str(), "op"), "op")
      .value.sections.at(0)
      .operators.at(0);
}

struct Outcome {
  result::Result result;
  double lower_bound = 0;  ///< s; of an operator
};

Outcome run(const YAML::Node& n) {
  Options options;
  if (n["fidelity"] && n["fidelity"].as<std::string>() == "bound") options.fidelity = Fidelity::Bound;
  const config::Overrides set = overrides(n["set"]);
  const config::Library& files = library();
  if (n["op"]) {
    const ChipSpec c = files.chip(n["chip"].as<std::string>(), set).value;
    const Operator o = parse_operator(n["op"]);
    return {simulate(o, c, choice(n["launch"], Launch::Graph), options), chip::lower_bound(o, c).count()};
  }
  Request q;
  q.system = files.system(n["system"].as<std::string>(), set).value;
  q.chip = files.chip(q.system.chip, set).value;
  if (n["trace"])
    return {
        simulate(files.trace(n["trace"].as<std::string>()).value, q.chip, q.system, Launch::Graph, options)};
  q.scenario = files.scenario(n["workload"].as<std::string>(), set).value;
  q.model = files.model(q.scenario.model, set).value;
  if (q.scenario.phase == Phase::Training) q.stack = files.stack(q.scenario.training.stack, set).value;
  return {simulate(q, options)};
}

/// Sum of the breakdown's parts of these names, "matrix+vector", over the total.
double share(const result::Result& r, const std::string& names) {
  double sum = 0;
  std::size_t begin = 0;
  while (begin <= names.size()) {
    const std::size_t end = std::min(names.find('+', begin), names.size());
    const std::string name = names.substr(begin, end - begin);
    const auto found = std::find(kBoundNames.begin(), kBoundNames.end(), name);
    if (found == kBoundNames.end()) throw std::runtime_error("no part '" + name + "' in the breakdown");
    sum += r.breakdown.seconds[static_cast<std::size_t>(found - kBoundNames.begin())];
    begin = end + 1;
  }
  return sum / r.total.count();
}

double metric(const std::string& name, const Outcome& o, const Outcome* versus) {
  const result::Result& r = o.result;
  if (name == "time_us") return r.total.count() * 1e6;
  if (name == "time_ms") return r.total.count() * 1e3;
  if (name == "time_over_lower_bound" && o.lower_bound > 0) return r.total.count() / o.lower_bound;
  if (name == "speedup" && versus != nullptr) return versus->result.total.count() / r.total.count();
  if (name == "tflops") return r.flops_per_s_per_device().count() * 1e-12;
  if (name == "clock_ghz") return r.operators.at(0).clock.count() * 1e-9;
  if (name == "matrix_utilisation") return r.matrix_utilisation;
  if (name == "hbm_utilisation") return r.hbm_utilisation;
  if (name == "memory_gb") return r.memory.total() * 1e-9;
  if (name.starts_with("share.")) return share(r, name.substr(6));
  throw std::runtime_error("unknown metric '" + name + "'");
}

class Scenario : public testing::TestWithParam<std::string> {};

TEST_P(Scenario, IsAsExpected) {
  const YAML::Node n = YAML::LoadFile((folder() / (GetParam() + ".yaml")).string());
  refuse_other_keys(n, {"why", "source", "chip", "op", "launch", "system", "workload", "trace", "fidelity",
                        "set", "versus", "expect"});
  ASSERT_TRUE(n["why"] && n["source"]) << "say why, and where the figures come from";
  ASSERT_TRUE(n["expect"].IsSequence() && n["expect"].size() > 0);
  const Outcome outcome = run(n);
  std::optional<Outcome> versus;
  if (n["versus"]) {  // the same run but for the keys that differ
    refuse_other_keys(n["versus"], {"chip", "op", "launch", "system", "workload", "fidelity", "set"});
    YAML::Node other = YAML::Clone(n);
    other.remove("set");
    for (const auto& entry : n["versus"]) other[entry.first.as<std::string>()] = entry.second;
    versus = run(other);
  }
  for (const YAML::Node& e : n["expect"]) {
    refuse_other_keys(e, {"metric", "value", "tolerance_pct", "min", "max"});
    const auto name = e["metric"].as<std::string>();
    const double is = metric(name, outcome, versus ? &*versus : nullptr);
    RecordProperty(name, fmt::format("{:.6g}", is));
    ASSERT_TRUE(e["value"] || e["min"] || e["max"]) << name << " expects nothing";
    if (e["value"]) {
      const double should = e["value"].as<double>();
      EXPECT_NEAR(is, should, std::abs(should) * e["tolerance_pct"].as<double>() / 100) << name;
    }
    EXPECT_GE(is, e["min"].as<double>(is)) << name;
    EXPECT_LE(is, e["max"].as<double>(is)) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Scenario, testing::ValuesIn(all_scenarios()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace xpusim::test
