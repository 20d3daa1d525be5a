#include "cli/command.h"

/// What served scenarios are refused for, as a user reads it.
namespace xpusim::test {
namespace {

class ServingCommand : public Command {
 protected:
  /// Runs a scenario with these keys.
  [[nodiscard]] Outcome of(const std::string& model, const std::string& keys) const {
    write("s.yaml", "name: test\nsystem: superpod_h100\nmodel: " + model + "\n" + keys);
    return run({"run", "s.yaml", "--fidelity", "bound"});
  }
  void expect_refused(const std::string& model, const std::string& keys, int code,
                      const std::string& message) const {
    const Outcome o = of(model, keys);
    EXPECT_EQ(o.code, code) << keys << o.err;
    EXPECT_EQ(o.out, "");
    EXPECT_NE(o.err.find(message), std::string::npos) << keys << o.err;
  }
};

const std::string kDecode = "phase: decode\ncontext: 100\n";

TEST_F(ServingCommand, ExpertsDivideOverTheirRanks) {
  expect_refused("deepseek_v3", kDecode + "chips: 24\nbatch: 48\nparallelism: {ep: 24, etp: 1}\n",
                 kInfeasible,
                 "scenario.parallelism.ep: 24 does not divide 256 experts (nearest that does: 16 or 32)");
  expect_refused("mixtral_8x7b", kDecode + "chips: 16\nbatch: 48\nparallelism: {ep: 16, etp: 1}\n",
                 kInfeasible, "scenario.parallelism.ep: 16 does not divide 8 experts (nearest that does: 8)");
  expect_refused("deepseek_v3",
                 kDecode +
                     "chips: 320\nbatch: 640\nprecision: {weights: int8}\n"
                     "parallelism: {ep: 320, etp: 1}\nexperts: {redundant: 32}\n",
                 kInfeasible,
                 "320 does not divide 288 places of experts (256 routed, 32 redundant, 0 shared) (nearest "
                 "that does: 288)");
  const Outcome places = of(
      "deepseek_v3", kDecode +
                         "chips: 320\nbatch: 640\nprecision: {weights: int8}\n"
                         "parallelism: {ep: 320, etp: 1}\nexperts: {redundant: 32, shared_replicas: 32}\n");
  EXPECT_EQ(places.code, kOk) << places.err;
  expect_refused("mixtral_8x7b",
                 kDecode + "chips: 4\nbatch: 8\nparallelism: {tp: 4}\nexperts: {shared_replicas: 4}\n",
                 kInfeasible, "scenario.experts.shared_replicas: 4, but mixtral_8x7b has no shared experts");
  expect_refused("llama31_8b", kDecode + "chips: 1\nbatch: 8\nexperts: {redundant: 4}\n", kInfeasible,
                 "scenario.experts: llama31_8b has no experts (leave it out)");
}

TEST_F(ServingCommand, DraftsNeedAnAcceptanceAndSomeoneWhoMakesThem) {
  expect_refused("deepseek_v3", kDecode + "chips: 16\nbatch: 48\nspeculation: {drafts: 1}\n", kUsage,
                 "s.yaml:8:1: scenario.speculation.acceptance: missing required key");
  expect_refused("llama31_8b", kDecode + "chips: 1\nbatch: 8\nspeculation: {drafts: 1, acceptance: 0.7}\n",
                 kInfeasible, "scenario.speculation: llama31_8b has no MTP layers (drafter: none");
  expect_refused("llama31_8b",
                 kDecode + "chips: 1\nbatch: 8\nspeculation: {drafts: 1, acceptance: 1.5, drafter: none}\n",
                 kUsage, "scenario.speculation.acceptance: '1.5' is out of range (at least 0, at most 1)");
}

TEST_F(ServingCommand, AWindowHasKeys) {
  write("m.yaml",
        "id: m\nname: m\nsource: test\nlayers: 4\nhidden: 512\nheads: 8\nkv_heads: 8\nhead_dim: 64\n"
        "ffn: 1024\nffn_gated: true\nvocab: 1000\nnorm: rmsnorm\nposition: rope\nmax_position: 4096\n"
        "attention_layers: [{window: 0}]\n");
  expect_refused("m.yaml", kDecode + "chips: 1\nbatch: 8\n", kUsage,
                 "m.yaml:15:29: model.attention_layers[0].window: not one way to attend (give one of window "
                 "(1 or more)");
}

TEST_F(ServingCommand, ProductsNeedARateOfTheChip) {
  expect_refused("llama31_8b", kDecode + "chips: 1\nbatch: 8\nprecision: {activations: nvfp4}\n", kInfeasible,
                 "h100_sxm has no nvfp4 matrix rate (it has ");
}

TEST_F(ServingCommand, AModelRunsTheStepsThatItHas) {
  expect_refused("bert_large", kDecode + "chips: 1\nbatch: 8\n", kInfeasible,
                 "bert_large: decode needs causal attention");
  expect_refused("bert_large", "phase: generate\nchips: 1\nbatch: 8\nsequence: 100\noutput: 10\n",
                 kInfeasible, " needs causal attention, of which earlier tokens' keys can be kept");
  expect_refused("resnet50", kDecode + "chips: 1\nbatch: 8\n", kInfeasible,
                 "resnet50: decode needs layers that remember tokens; phase: prefill runs it once");
  expect_refused("llama31_8b", "phase: denoise\nchips: 1\nbatch: 1\nsequence: 100\nsteps: 2\n", kInfeasible,
                 "llama31_8b: denoise takes a diffusion transformer: layers with causal: false");
  expect_refused("llama31_8b", "phase: decode\nchips: 1\nbatch: 1\ncontext: 200000\n", kInfeasible,
                 "200001 tokens per sequence, llama31_8b takes 131072");
}

TEST_F(ServingCommand, APhaseReadsItsOwnKeys) {
  expect_refused("llama31_8b", kDecode + "chips: 1\nbatch: 8\nsequence: 100\n", kUsage,
                 "s.yaml:8:1: scenario.sequence: not read here (a key of phase: prefill)");
  expect_refused("llama31_8b", "phase: step\nchips: 1\nbatch: 8\ngroups: [{sequences: 1, new_tokens: 1}]\n",
                 kUsage, "s.yaml:6:1: scenario.batch: not read here (a key of phase: prefill)");
  expect_refused("llama31_8b", "phase: step\nchips: 1\ngroups: []\n", kUsage,
                 "scenario.groups: the list is empty (at least one element)");
  expect_refused("wan21_14b",
                 "phase: denoise\nchips: 1\nbatch: 1\nsequence: 100\nsteps: 2\nparallelism: {pp: 2}\n",
                 kUsage, "scenario.parallelism.pp: unknown key");
  expect_refused("llama31_8b", "phase: generate\nchips: 1\nbatch: 1\nsequence: 100\noutput: 0\n", kUsage,
                 "scenario.output: '0' is out of range (at least 1");
  expect_refused("llama31_8b", "phase: step\nchips: 1\ngroups: [{sequences: 1, new_tokens: 2, sampled: 3}]\n",
                 kInfeasible, "scenario.groups: 3 sampled of 2 new tokens");
}

}  // namespace
}  // namespace xpusim::test
