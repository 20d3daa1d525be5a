#include "unit/mistakes.h"

#include <fmt/format.h>

/// Whole messages: file:line:column: path: message (hint). A user must know from each what to write instead.
namespace xpusim::config {
namespace {

using test::replaced;

TEST_F(Mistakes, NoneInTheExamples) {
  EXPECT_EQ(in(FileKind::Model, kModel), "no mistake");
  EXPECT_EQ(in(FileKind::Scenario, kScenario), "no mistake");
  EXPECT_EQ(in(FileKind::Trace, kTrace), "no mistake");
  EXPECT_EQ(in(FileKind::Chip, kChip), "no mistake");
  EXPECT_EQ(in(FileKind::Stack, kStack), "no mistake");
}

TEST_F(Mistakes, AnUnknownKeyGetsTheNearestKnownOne) {
  EXPECT_EQ(in(FileKind::Model, kModel + "tie_embedings: true\n"),
            "test.yaml:15:1: model.tie_embedings: unknown key (did you mean 'tie_embeddings'?)");
  EXPECT_EQ(in(FileKind::Chip, kChip + "hbm:\n  bandwith: {value: 3 TB/s, basis: estimate, source: me}\n"),
            "test.yaml:5:3: chip.hbm.bandwith: unknown key (did you mean 'bandwidth'?)");
}

TEST_F(Mistakes, AnUnknownKeyUnlikeAllOthersGetsTheList) {
  EXPECT_EQ(in(FileKind::Scenario, replaced(kScenario, "{weights: bf16}", "{colour: red}")),
            "test.yaml:7:13: scenario.precision.colour: unknown key (known: weights, activations, kv_cache, "
            "experts)");
}

TEST_F(Mistakes, ABareNumberNeedsItsUnit) {
  EXPECT_EQ(
      in(FileKind::Chip, kChip + "power:\n  cap: {value: 700, basis: estimate, source: me}\n"),
      "test.yaml:5:16: chip.power.cap: cannot read '700' as power (write a number with its unit, e.g. 700 W; "
      "units: W, mW, kW, MW)");
}

TEST_F(Mistakes, AWrongUnitGetsTheRightOnes) {
  EXPECT_EQ(in(FileKind::Chip, kChip + "clock:\n  max: {value: 1.8 GB/s, basis: estimate, source: me}\n"),
            "test.yaml:5:16: chip.clock.max: cannot read '1.8 GB/s' as frequency (write a number with its "
            "unit, e.g. "
            "1.8 GHz; units: Hz, kHz, MHz, GHz)");
}

TEST_F(Mistakes, AValueOutOfRangeGetsTheRange) {
  EXPECT_EQ(
      in(FileKind::Chip, kChip + "hbm:\n  achieved_fraction: {value: 1.2, basis: estimate, source: me}\n"),
      "test.yaml:5:30: chip.hbm.achieved_fraction: '1.2' is out of range (at least 1e-06, at most 1)");
  EXPECT_EQ(in(FileKind::Chip, kChip + "hbm:\n  capacity: {value: 80e12 TiB, basis: estimate, source: me}\n"),
            "test.yaml:5:21: chip.hbm.capacity: '80e12 TiB' is out of range (at least 1 B, at most 1024 TiB; "
            "is the unit right?)");
}

TEST_F(Mistakes, AMissingKeyIsReportedAtTheKeyOfTheMapThatLacksIt) {
  const std::string lacking =
      in(FileKind::Chip, kChip +
                             "die_to_die:\n  bandwidth: {value: 1 TB/s, basis: estimate, source: me}\n  "
                             "achieved_fraction: {value: 1, basis: estimate, source: me}\n");
  EXPECT_NE(
      lacking.find("test.yaml:4:1: chip.die_to_die.latency: missing required key (latency between the dies)"),
      std::string::npos)
      << lacking;
  EXPECT_EQ(in(FileKind::Model, replaced(kModel, "heads: 8\nkv", "kv")),
            "test.yaml:1:1: model.heads: missing required key (query heads)");
  EXPECT_EQ(in(FileKind::Trace, replaced(kTrace, "m: 16, n", "n")),
            "test.yaml:5:9: trace.sections[0].operators[0].m: missing required key (rows of A and C)");
}

TEST_F(Mistakes, AKeyWithNothingBehindItHasNoValue) {
  EXPECT_EQ(in(FileKind::Model, replaced(kModel, "layers: 2", "layers:")),
            "test.yaml:4:1: model.layers: has no value (transformer layers)");
  EXPECT_EQ(in(FileKind::Trace, "name: x\nsections: [~]\n"),
            "test.yaml:2:12: trace.sections[0]: has no value (sections, run one after the other)");
}

TEST_F(Mistakes, ADuplicateKeyGetsTheLineOfTheFirst) {
  EXPECT_EQ(in(FileKind::Model, replaced(kModel, "vocab: 100", "vocab: 100\nlayers: 3")),
            "test.yaml:12:1: model.layers: duplicate key (first at line 4)");
  EXPECT_EQ(in(FileKind::Chip, kChip + "clock:\n  max: {value: 1 GHz, basis: paper, source: a, source: b}\n"),
            "test.yaml:5:48: chip.clock.max.source: duplicate key (first at line 5)");
  EXPECT_EQ(in(FileKind::Chip, kChip + "clock: {}\nnotes: a\nnotes: b\n"),
            "test.yaml:6:1: chip.notes: duplicate key (first at line 5)");
}

TEST_F(Mistakes, ANumberOfAChipNeedsItsSource) {
  EXPECT_EQ(
      in(FileKind::Chip, kChip + "clock:\n  max: 1.8 GHz\n"),
      "test.yaml:5:8: chip.clock.max: '1.8 GHz' has no source (write {value: ..., basis: datasheet, source: "
      "...})");
  EXPECT_EQ(in(FileKind::Chip, kChip + "clock:\n  max: {value: 1.8 GHz, basis: datasheet}\n"),
            "test.yaml:5:8: chip.clock.max: missing source (where was the number read?)");
  EXPECT_EQ(in(FileKind::Chip, kChip + "clock:\n  max: {value: 1.8 GHz, source: data sheet}\n"),
            "test.yaml:5:8: chip.clock.max: missing basis (one of datasheet, measured, paper, press, "
            "derived, fitted, "
            "estimate, recalled)");
  EXPECT_EQ(
      in(FileKind::Chip, kChip + "clock:\n  max: {basis: paper, source: data sheet}\n"),
      "test.yaml:5:8: chip.clock.max: missing value (write {value: ..., basis: datasheet, source: ...})");
}

TEST_F(Mistakes, AWrongBasisGetsTheNearestOrAll) {
  EXPECT_EQ(in(FileKind::Chip, kChip + "clock:\n  max: {value: 1.8 GHz, basis: datashet, source: me}\n"),
            "test.yaml:5:32: chip.clock.max.basis: unknown basis 'datashet' (did you mean 'datasheet'?)");
  EXPECT_EQ(in(FileKind::Chip, kChip + "clock:\n  max: {value: 1.8 GHz, basis: rumour, source: me}\n"),
            "test.yaml:5:32: chip.clock.max.basis: unknown basis 'rumour' (one of datasheet, measured, "
            "paper, press, "
            "derived, fitted, estimate, recalled)");
}

TEST_F(Mistakes, ABasisAndASourceAreText) {
  EXPECT_EQ(in(FileKind::Chip, kChip + "clock:\n  max: {value: 1.8 GHz, basis: [paper], source: {a: b}}\n"),
            "test.yaml:5:32: chip.clock.max.basis: expected text, found a list\n"
            "test.yaml:5:49: chip.clock.max.source: expected text, found a map");
  EXPECT_EQ(
      in(FileKind::Chip, kChip + "clock:\n  max: {value: 1.8 GHz, basis: paper, source: '', note: ''}\n"),
      "test.yaml:5:8: chip.clock.max: missing source (where was the number read?)");
}

TEST_F(Mistakes, ARangeIsTwoValuesInOrder) {
  const std::string clock = kChip + "clock:\n  max: {value: 1.8 GHz, basis: paper, source: me, range: ";
  EXPECT_EQ(in(FileKind::Chip, clock + "1 GHz}\n"),
            "test.yaml:5:58: chip.clock.max.range: expected two values (write [low, high])");
  EXPECT_EQ(in(FileKind::Chip, clock + "[2 GHz, 1 GHz]}\n"),
            "test.yaml:5:58: chip.clock.max.range: the low end is above the high end (write [low, high])");
  EXPECT_EQ(
      in(FileKind::Chip, clock + "[1, 2 GHz]}\n"),
      "test.yaml:5:59: chip.clock.max.range[0]: cannot read '1' as frequency (write a number with its unit, "
      "e.g. 1.8 GHz; units: Hz, kHz, MHz, GHz)");
}

TEST_F(Mistakes, AWrongChoiceGetsTheNearestAndAll) {
  EXPECT_EQ(in(FileKind::Model, replaced(kModel, "norm: rmsnorm", "norm: rms_norm")),
            "test.yaml:12:7: model.norm: cannot read 'rms_norm' (did you mean 'rmsnorm'? one of rmsnorm, "
            "layernorm)");
  EXPECT_EQ(in(FileKind::Model, replaced(kModel, "gated: true", "gated: yes")),
            "test.yaml:10:12: model.ffn_gated: cannot read 'yes' (write true or false)");
}

TEST_F(Mistakes, AWordThatEndsSeveralChoicesGetsThese) {
  EXPECT_EQ(in(FileKind::Scenario, replaced(kScenario, "{weights: bf16}", "{weights: fp4}")),
            "test.yaml:7:22: scenario.precision.weights: cannot read 'fp4' (one of mxfp4, nvfp4)");
  EXPECT_EQ(in(FileKind::Chip, kChip + "matrix:\n  flops_per_cycle:\n    fp4: 1\n"),
            "test.yaml:6:5: chip.matrix.flops_per_cycle.fp4: unknown key (one of mxfp4, nvfp4)");
}

TEST_F(Mistakes, AnUnknownOperatorIsOneMistakeWhateverItsKeys) {
  EXPECT_EQ(
      in(FileKind::Trace, replaced(kTrace, "op: gemm, m", "op: matmul, mm")),
      "test.yaml:5:29: trace.sections[0].operators[0].op: cannot read 'matmul' (one of gemm, attention, "
      "grouped_gemm, linear_scan, softmax, rmsnorm, layernorm, swiglu, gelu, add, rope, embedding, "
      "cross_entropy, "
      "optimizer, quantize, moe_route, moe_sort, moe_finalize, moe_permute, moe_describe, top_k, short_conv, "
      "gate, copy, all_reduce, "
      "all_gather, reduce_scatter, all_to_all, broadcast, send_recv, dispatch, combine)");
}

TEST_F(Mistakes, ListsMapsAndValuesAreToldApart) {
  EXPECT_EQ(in(FileKind::Scenario, replaced(kScenario, "{weights: bf16}", "[bf16]")),
            "test.yaml:7:12: scenario.precision: expected a map of keys, found a list");
  EXPECT_EQ(
      in(FileKind::Trace, "name: x\nsections: {name: block}\n"),
      "test.yaml:2:11: trace.sections: expected a list, found a map (write [...], or lines that begin with a "
      "dash)");
  EXPECT_EQ(in(FileKind::Model, replaced(kModel, "layers: 2", "layers: [2]")),
            "test.yaml:4:9: model.layers: expected a value, found a list (write a whole number)");
  EXPECT_EQ(in(FileKind::Trace, "- name: x\n"),
            "test.yaml:1:1: expected a trace file: a map of keys (see docs/reference.md)");
  EXPECT_EQ(in(FileKind::Trace, ""),
            "test.yaml: expected a trace file: a map of keys (see docs/reference.md)");
}

TEST_F(Mistakes, AnIdIsTheFilesName) {
  EXPECT_EQ(in(FileKind::Model, replaced(kModel, "id: test", "id: other")),
            "test.yaml:1:5: model.id: 'other' is not the file's name (write test)");
  EXPECT_EQ(in(FileKind::Chip, "base: h100_sxm\nname: Test\n"),
            "test.yaml:1:1: chip.id: missing required key (the file's name without .yaml)");
}

TEST_F(Mistakes, ABaseMustBeThere) {
  EXPECT_EQ(
      in(FileKind::Chip, replaced(kChip, "h100_sxm", "h100_smx")),
      "test.yaml:1:7: chip.base: no file 'h100_smx.yaml' beside this one (did you mean 'h100_sxm'? known: "
      "a100_sxm, a100_sxm_40gb, ascend_910a, ascend_910b1, ascend_910b2, ascend_910b3, ascend_910b4, "
      "ascend_910c, "
      "ascend_950pr, b200_sxm, h100_sxm, h20, h200_sxm, h800, test)");
  EXPECT_NE(in(FileKind::Chip, replaced(kChip, "h100_sxm", "../chips/h100_sxm"))
                .find("no file '../chips/h100_sxm.yaml'"),
            std::string::npos);
}

TEST_F(Mistakes, ABaseMayNotInheritFromItsHeir) {
  EXPECT_EQ(in(FileKind::Chip, "base: test\nid: test\n"),
            "test.yaml:1:7: chip.base: 'test' inherits from itself (test -> test)");
  write(FileKind::Chip, "base: test\nid: heir\n", "heir");
  EXPECT_EQ(in(FileKind::Chip, "base: heir\nid: test\n"),
            "heir.yaml:1:7: chip.base: 'test' inherits from itself (test -> heir -> test)");
}

/// A system of one level with these keys beside the required ones.
std::string network(const std::string& kind, int endpoints, const std::string& keys,
                    const std::string& bandwidth = "100 GB/s") {
  const std::string source = ", basis: estimate, source: me}\n";
  return "id: test\nname: Test\nchips: {value: 8" + source +
         "levels:\n  - name: net\n    kind: {value: " + kind + source +
         "    endpoints: {value: " + std::to_string(endpoints) + source +
         "    bandwidth: {value: " + bandwidth + source + "    latency: {value: 1 us" + source +
         "    achieved_fraction: {value: 1" + source + keys +
         "libraries:\n  - name: library\n    launch: {value: 1 us" + source +
         "    protocols:\n      - name: wire\n        step: {value: 1 us" + source +
         "        bandwidth_fraction: {value: 1" + source;
}

TEST_F(Mistakes, OfALibraryThatCallsAnotherNameTheKey) {
  const auto with = [](const std::string& framework) {
    return network("switch", 8, "") +
           "  - name: framework\n    launch: {value: 1 us, basis: estimate, source: me}\n" + framework;
  };
  EXPECT_EQ(in(FileKind::System, with("    calls: library\n")), "no mistake");
  EXPECT_NE(in(FileKind::System, with("    calls: libary\n"))
                .find("system.libraries[1].calls: no library 'libary' that has protocols"),
            std::string::npos);
  EXPECT_NE(in(FileKind::System, with("")).find("system.libraries[1].protocols: neither"), std::string::npos)
      << in(FileKind::System, with(""));
}

TEST_F(Mistakes, OfATopologyNameTheKey) {
  const auto expect = [&](const std::string& text, const std::string& part) {
    EXPECT_NE(in(FileKind::System, text).find(part), std::string::npos) << in(FileKind::System, text);
  };
  const std::string value = ", basis: estimate, source: me}";
  EXPECT_EQ(in(FileKind::System, network("switch", 8, "")), "no mistake");
  expect(network("torus", 64, "    dims:\n      - {value: 4" + value + "\n      - {value: 4" + value + "\n"),
         "system.levels[0].dims: the dims multiply out to 16 (64 nodes are joined)");
  expect(network("torus", 64, ""), "system.levels[0].dims: the dims multiply out to 0");
  expect(network("switch", 8, "    dims:\n      - {value: 8" + value + "\n"),
         "system.levels[0].dims: a switch has no dims (kind: torus)");
  expect(
      network("dragonfly", 64,
              "    router_endpoints: {value: 4" + value + "\n    group_endpoints: {value: 16" + value + "\n"),
      "system.levels[0].global_bandwidth: no links between the groups: they are disconnected (above 0)");
  expect(network("fat_tree", 64,
                 "    tiers:\n      - name: leaf\n        endpoints: {value: 24" + value +
                     "\n        oversubscription: {value: 1" + value + "\n        latency: {value: 0 us" +
                     value + "\n"),
         "system.levels[0].tiers[0].endpoints: 24 between 1 below and 64 above");
  expect(network("switch", 8, "", "0 GB/s"), "system.levels[0].bandwidth: '0 GB/s' is out of range");
  expect(network("full_mesh", 8, "    rails: {value: 8" + value + "\n"),
         "system.levels[0].rails: a full_mesh has no rails");
}

TEST_F(Mistakes, OnlyDescriptionsInherit) {
  EXPECT_EQ(in(FileKind::Scenario, kScenario + "base: other\n").substr(0, 42),
            "test.yaml:8:1: scenario.base: unknown key ");
}

TEST_F(Mistakes, SizesArePositive) {
  EXPECT_EQ(
      in(FileKind::Model, replaced(replaced(kModel, "layers: 2", "layers: 0"), "hidden: 64", "hidden: -64")),
      "test.yaml:4:9: model.layers: '0' is out of range (at least 1, at most 16777216)\n"
      "test.yaml:5:9: model.hidden: '-64' is out of range (at least 1, at most 16777216)");
  EXPECT_EQ(in(FileKind::Chip, kChip + "staging:\n  capacity: {value: 0.3 B, basis: estimate, source: me}\n"),
            "test.yaml:5:21: chip.staging.capacity: '0.3 B' is out of range (at least 1 B, at most 1024 TiB; "
            "is the unit right?)");
}

TEST_F(Mistakes, HeadsDivideIntoGroups) {
  EXPECT_EQ(in(FileKind::Model, replaced(kModel, "kv_heads: 2", "kv_heads: 3")),
            "test.yaml:7:11: model.kv_heads: 3 does not divide 8 heads (heads = kv_heads x group)");
}

TEST_F(Mistakes, AnOperatorComesAfterOneAboveIt) {
  EXPECT_EQ(
      in(FileKind::Trace, replaced(kTrace, "[product]", "[produkt]")),
      "test.yaml:6:58: trace.sections[0].operators[1].after[0]: no operator 'produkt' above (did you mean "
      "'product'?)");
  EXPECT_EQ(
      in(FileKind::Trace, replaced(kTrace, "[product]", "[sum]")),
      "test.yaml:6:58: trace.sections[0].operators[1].after[0]: no operator 'sum' above (name one of this "
      "section that stands before)");
  EXPECT_EQ(in(FileKind::Trace, replaced(kTrace, "name: sum", "name: product")),
            "test.yaml:6:16: trace.sections[0].operators[1].name: 'product' is there already in this section "
            "(names "
            "are unique)");
}

TEST_F(Mistakes, WhatASectionAwaitsIsAnOverlappedCollectiveOfIt) {
  const std::string text =
      "name: x\nsections:\n- name: s\n  operators:\n  - {name: a, op: copy, rows: 1, cols: 1}\n"
      "  - {name: c, op: all_reduce, bytes: 8 B, overlap: true}\n  awaited: [";
  EXPECT_EQ(in(FileKind::Trace, text + "c]\n"), "no mistake");
  EXPECT_EQ(in(FileKind::Trace, text + "c, d]\n"),
            "test.yaml:7:16: trace.sections[0].awaited[1]: no overlapped collective 'd' in this section (did "
            "you mean 'c'?)");
  EXPECT_EQ(in(FileKind::Trace, text + "a]\n"),
            "test.yaml:7:13: trace.sections[0].awaited[0]: no overlapped collective 'a' in this section (did "
            "you mean 'c'?)");
}

TEST_F(Mistakes, OfAStackAreNamedLikeThoseOfAChip) {
  EXPECT_EQ(in(FileKind::Stack, replaced(kStack, "{value: fp32, basis: recalled, source: nowhere}", "fp32")),
            "test.yaml:3:12: stack.gradients: 'fp32' has no source (write {value: ..., basis: datasheet, "
            "source: ...})");
  EXPECT_EQ(in(FileKind::Stack, kStack + "core_share: {value: 1.5, basis: fitted, source: me}\n"),
            "test.yaml:4:21: stack.core_share: '1.5' is out of range (at least 0, at most 0.9)");
  EXPECT_EQ(in(FileKind::Stack, kStack + "overlap: {gradient: {value: true, basis: fitted, source: me}}\n"),
            "test.yaml:4:11: stack.overlap.gradient: unknown key (did you mean 'gradients'?)");
  EXPECT_EQ(in(FileKind::Stack, "base: megatron_core\nid: test\nname: Test\n"), "no mistake");
  EXPECT_EQ(in(FileKind::Stack, replaced(kStack, "id: test", "id: other")),
            "test.yaml:1:5: stack.id: 'other' is not the file's name (write test)");
}

TEST_F(Mistakes, ATimelineHasAnEnd) {
  EXPECT_EQ(in(FileKind::Trace, replaced(kTrace, "name: block", "name: block\n    repeat: 1048576")),
            "no mistake");
  std::string text = "name: x\nsections:\n";
  for (int i = 0; i < 17; ++i)
    text += fmt::format(
        "- {{name: s{}, repeat: 1048576, operators: [{{name: a, op: copy, rows: 1, cols: 1}}]}}\n", i);
  EXPECT_EQ(
      in(FileKind::Trace, text),
      "test.yaml:3:10: trace.sections: 17825792 runs of operators (at most 16777216; time a part of them and "
      "scale)");
}

TEST_F(Mistakes, AFileOfAnotherKindIsOneMistake) {
  EXPECT_EQ(in(FileKind::Scenario, replaced(kModel, "id: test\n", "")),
            "test.yaml:1:1: this is a model file, not a scenario (its keys are those of workloads/models)");
  EXPECT_EQ(
      in(FileKind::Trace, kScenario),
      "test.yaml:1:1: this is a scenario file, not a trace (its keys are those of workloads/scenarios)");
}

TEST_F(Mistakes, AllOfAFileComeAtOnceByLine) {
  std::string text = replaced(kModel, "layers: 2", "layers: two");
  text = replaced(text, "kv_heads: 2", "kv_heads: 3");
  text = replaced(text, "vocab: 100", "vocab: 0\nvocabulary: 100\nlayers: 3");
  text = replaced(text, "position: rope\n", "");
  EXPECT_EQ(
      in(FileKind::Model, text),
      "test.yaml:1:1: model.position: missing required key (position encoding)\n"
      "test.yaml:4:9: model.layers: cannot read 'two' (write a whole number)\n"
      "test.yaml:7:11: model.kv_heads: 3 does not divide 8 heads (heads = kv_heads x group)\n"
      "test.yaml:11:8: model.vocab: '0' is out of range (at least 1, at most 16777216)\n"
      "test.yaml:12:1: model.vocabulary: unknown key (known: id, name, source, layers, hidden, heads, "
      "kv_heads, "
      "head_dim, ffn, ffn_gated, vocab, tie_embeddings, qk_norm, norm, position, rotary_dim, max_position, "
      "causal, parallel_block, output_gate, sinks, patch, cross_tokens, mtp_layers, attention_layers, "
      "latent, linear, sparse, experts, joint_text, convolutions, recommender)\n"
      "test.yaml:13:1: model.layers: duplicate key (first at line 4)");
}

TEST_F(Mistakes, OneIsNotFollowedByOthersThatItCauses) {
  EXPECT_EQ(in(FileKind::Chip, kChip + "power:\n  cap: {value: 700 V, basis: estimate, source: me}\n"),
            "test.yaml:5:16: chip.power.cap: cannot read '700 V' as power (write a number with its unit, "
            "e.g. 700 W; "
            "units: W, mW, kW, MW)")
      << "idle below cap cannot be judged";
  EXPECT_EQ(in(FileKind::Scenario,
               replaced(replaced(kScenario, "phase: decode", "phase: trainig"), "context: 100\n", "")),
            "test.yaml:4:8: scenario.phase: cannot read 'trainig' (did you mean 'training'? one of prefill, "
            "decode, step, "
            "generate, denoise, training)")
      << "whether a context is due depends on the phase";
}

TEST_F(Mistakes, ThousandsAreCutShort) {
  std::string text = kModel;
  for (int i = 0; i < 5000; ++i) text += fmt::format("unknown_{}: {}\n", i, i);
  const std::string message = in(FileKind::Model, text);
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 100);
  EXPECT_TRUE(message.ends_with("\ntest.yaml: and 4,900 more mistakes"))
      << message.substr(message.size() - 100);
}

TEST_F(Mistakes, TheContradictionsOfAScenarioAreNamed) {
  EXPECT_EQ(in(FileKind::Scenario, replaced(kScenario, "context: 100\n", "")),
            "test.yaml:1:1: scenario.context: a decode scenario needs the tokens already cached (e.g. "
            "context: 4096)");
  EXPECT_EQ(in(FileKind::Scenario, kScenario + "sequence: 7\n"),
            "test.yaml:8:1: scenario.sequence: not read here (a key of phase: prefill)");
  EXPECT_EQ(in(FileKind::Scenario, kScenario + "micro_batch: 2\n"),
            "test.yaml:8:1: scenario.micro_batch: not read here (a key of phase: training)");
}

TEST_F(Mistakes, OnlyTrainingHasFailures) {
  const std::string failures = "failures: {mtbf_per_chip: 5e4 h, checkpoint_write: 10 s, restart: 300 s}\n";
  EXPECT_EQ(in(FileKind::Scenario, kScenario + failures),
            "test.yaml:8:1: scenario.failures: not read here (a key of phase: training)");
}

TEST_F(Mistakes, TheContradictionsOfAChipAreNamed) {
  EXPECT_EQ(in(FileKind::Chip, kChip + "power:\n  idle: {value: 9 kW, basis: estimate, source: me}\n"),
            "test.yaml:5:9: chip.power.idle: not below the cap (idle < cap)");
  EXPECT_EQ(in(FileKind::Chip, kChip + "dies: {value: 2, basis: estimate, source: me}\n"),
            "test.yaml:4:7: chip.dies: several dies and no die_to_die link (describe die_to_die)");
}

}  // namespace
}  // namespace xpusim::config
