#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/shipped.h"
#include "xpusim/config/describe.h"
#include "xpusim/graph/passes.h"
#include "xpusim/simulate.h"

/// What is written out reads back as the same.
namespace xpusim::config {
namespace {

template <class T>
T read_back(T& value, std::string_view root) {
  const std::string text = to_yaml(describer(value), std::string(root), nullptr);
  const Node node = parse_yaml(text, "written");
  T read;
  Reader reader(node, std::string(root), Provenance::Plain);
  describe(reader, read);
  reader.finish();
  return read;
}

template <class T>
void expect_round_trip(T value, std::string_view root) {
  T read = read_back(value, root);
  EXPECT_EQ(to_json(describer(read)), to_json(describer(value)));
  EXPECT_EQ(to_yaml(describer(read), std::string(root), nullptr),
            to_yaml(describer(value), std::string(root), nullptr));
}

std::vector<std::string> ids(FileKind kind) { return test::library().list(kind); }

Graph graph_of(const std::string& scenario_id) {
  const ScenarioSpec s = test::scenario(scenario_id);
  const ModelSpec m = test::model(s.model);
  const SystemSpec y = test::system(s.system);
  const std::int64_t devices = chips_of(s, y.chips) * test::chip(y.chip).dies;
  const StackSpec stack = s.phase == Phase::Training ? test::stack(s.training.stack) : StackSpec{};
  const graph::Plan plan = graph::resolve(m, s, stack, devices);
  const graph::ChunkPasses passes = graph::passes_of(graph::chunks_of(m, plan).front(), m, plan, stack);
  Graph graph = passes.forward;
  graph.name = scenario_id;
  for (const Graph* more : {&passes.backward, &passes.weight})
    graph.sections.insert(graph.sections.end(), more->sections.begin(), more->sections.end());
  return graph;
}

TEST(RoundTrip, OfEveryShippedFile) {
  for (const auto& id : ids(FileKind::Chip)) expect_round_trip(test::chip(id), "chip");
  for (const auto& id : ids(FileKind::System)) expect_round_trip(test::system(id), "system");
  for (const auto& id : ids(FileKind::Stack)) expect_round_trip(test::stack(id), "stack");
  for (const auto& id : ids(FileKind::Model)) expect_round_trip(test::model(id), "model");
  for (const auto& id : ids(FileKind::Scenario)) expect_round_trip(test::scenario(id), "scenario");
  for (const auto& id : ids(FileKind::Trace)) expect_round_trip(test::library().trace(id).value, "trace");
}

TEST(RoundTrip, OfEveryScenariosGraph) {
  for (const auto& id : ids(FileKind::Scenario)) expect_round_trip(graph_of(id), "trace");
}

TEST(RoundTrip, OfEveryScenariosGraphTakesTheSameTime) {
  for (const auto& id : ids(FileKind::Scenario)) {
    const ScenarioSpec s = test::scenario(id);
    if (s.phase == Phase::Training) continue;                               // a step is more than its passes
    if (s.phase == Phase::Generate || s.phase == Phase::Denoise) continue;  // many steps
    const SystemSpec y = test::system(s.system);
    const ChipSpec c = test::chip(y.chip);
    Graph graph = graph_of(id);
    const Loaded<Graph> trace =
        read<Graph>(parse_yaml(to_yaml(describer(graph), "trace", nullptr), "written"), "written");
    Options options;
    options.fidelity = Fidelity::Bound;
    EXPECT_EQ(simulate(trace.value, c, y, s.launch, options).total,
              simulate({c, y, test::model(s.model), s, {}}, options).total)
        << id;
  }
}

TEST(RoundTrip, OfAnOperatorOfEachKind) {
  for (const std::string_view kind : kOpKindNames) {
    Graph graph;
    graph.name = "x";
    Operator o;
    o.name = "first";
    o.work = work_of(*enum_from<OpKind>(kind));
    graph.sections.push_back({"s", 1, true, {o, o}, {}});
    graph.sections[0].operators[1].name = "second: '#1'";
    graph.sections[0].operators[1].after = {"first"};
    expect_round_trip(graph, "trace");
  }
}

TEST(Origin, IsWrittenBesideEachValue) {
  auto trace = test::library().trace("mlp_block");
  const std::string text = to_yaml(describer(trace.value), "trace", &trace.leaves);
  EXPECT_NE(text.find("          - reduce "), std::string::npos) << text;
  EXPECT_NE(text.find("workloads/traces/mlp_block.yaml:"), std::string::npos);
  EXPECT_NE(text.find("# default"), std::string::npos);
  auto chip = test::library().chip("h100_sxm", {parse_override("chip.cores.count=7")});
  const std::string chip_text = to_yaml(describer(chip.value), "chip", &chip.leaves);
  EXPECT_NE(chip_text.find("  count: 7                                    # --set chip.cores.count=7\n"),
            std::string::npos);
  EXPECT_NE(chip_text.find("datasheet: "), std::string::npos);
  EXPECT_EQ(to_json(describer(trace.value))["sections"][0]["operators"][5]["after"][0], "reduce");
}

TEST(Schema, RequiresWhatTheReaderRequires) {
  const auto model = nlohmann::json::parse(schema(FileKind::Model));
  EXPECT_EQ(model["additionalProperties"], false);
  const auto& required = model["required"];
  EXPECT_NE(std::find(required.begin(), required.end(), "kv_heads"), required.end());
  EXPECT_EQ(std::find(required.begin(), required.end(), "qk_norm"), required.end());
  const auto chip = nlohmann::json::parse(schema(FileKind::Chip));
  EXPECT_FALSE(chip.contains("required")) << "a chip may inherit all";
  EXPECT_TRUE(chip["properties"].contains("base"));
  EXPECT_EQ(chip["properties"]["hbm"]["properties"]["bandwidth"]["required"],
            nlohmann::json({"value", "basis", "source"}));
}

TEST(Reference, ListsEveryKey) {
  const std::string text = reference();
  for (const char* row :
       {"| `hbm.bandwidth` | bandwidth, e.g. 1.6 TB/s; at least 1 MB/s, at most 1e+18 B/s; devices have 300 "
        "GB/s to "
        "25 TB/s | **required** |",
        "| `sections[i].operators[i].name` | text | **required** |",
        "| `precision.weights` | fp32, tf32, fp16, bf16, fp8, int8, int4, mxfp8, mxfp4, nvfp4 | `bf16` |"})
    EXPECT_NE(text.find(row), std::string::npos) << row;
}

}  // namespace
}  // namespace xpusim::config
