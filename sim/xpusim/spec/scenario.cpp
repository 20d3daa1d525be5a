#include "xpusim/spec/scenario.h"

namespace xpusim {

void describe(Fields& f, PrecisionSpec& c) {
  f.optional("weights", c.weights, "type of the weights in memory");
  f.optional("activations", c.activations,
             "operand type of the matrix products; an 8-bit one adds the kernels that quantise");
  f.optional("kv_cache", c.kv_cache, "type of the KV cache in memory");
  Dtype experts = c.expert_weights();
  f.optional("experts", experts, "type of the routed experts' weights; default: weights");
  if (f.reads()) c.experts = experts;
}

namespace {

/// The members of a ParallelismSpec that a phase reads.
template <Phase kPhase>
struct ParallelismOf {
  ParallelismSpec& c;
};
using Served = ParallelismOf<Phase::Decode>;
using Denoised = ParallelismOf<Phase::Denoise>;
using Trained = ParallelismOf<Phase::Training>;

const Range kRanks = between(1, 1 << 20);
const Range kTokens = between(1, 1 << 24);

void describe(Fields& f, Served& s) {
  ParallelismSpec& c = s.c;
  f.optional("tp", c.tp, "tensor: devices that share every layer", kRanks);
  f.optional("pp", c.pp, "pipeline stages; the running sequences take turns as as many micro-batches",
             kRanks);
  f.optional("cp", c.cp, "devices that share a sequence, its keys and values", kRanks);
  f.optional("dp", c.dp, "replicas; 0: all devices / (tp pp cp)", between(0, 1 << 24));
  f.optional("ep", c.ep, "devices that a layer's experts are spread over", kRanks);
  f.optional("etp", c.etp, "devices that share every expert; 0: as tp", between(0, 1 << 20));
}

void describe(Fields& f, Denoised& s) {
  ParallelismSpec& c = s.c;
  f.optional("tp", c.tp, "tensor: devices that share every layer", kRanks);
  f.optional("dp", c.dp, "replicas; 0: all that the others leave", between(0, 1 << 24));
  f.optional("ulysses", c.ulysses, "devices that share a sequence: by heads in attention", kRanks);
  f.optional("ring", c.ring, "devices that share a sequence: keys and values go round", kRanks);
  f.optional("cfg", c.cfg, "devices that share the passes of a step", between(1, 2));
}

void describe(Fields& f, Trained& s) {
  ParallelismSpec& c = s.c;
  f.optional("tp", c.tp, "tensor: devices that share every layer", kRanks);
  f.optional("sequence_parallel", c.sequence_parallel,
             "norms and residuals on 1/tp of the tokens; auto: on where tp > 1");
  f.optional("pp", c.pp, "pipeline stages", kRanks);
  f.optional("vpp", c.vpp, "chunks of layers of each stage", kRanks);
  f.optional("cp", c.cp, "devices that share a sequence", kRanks);
  f.optional("dp", c.dp, "replicas; 0: all devices / (tp pp cp)", between(0, 1 << 24));
  f.optional("ep", c.ep, "devices that a layer's experts are spread over", kRanks);
  f.optional("etp", c.etp, "devices that share every expert; 0: as tp", between(0, 1 << 20));
}

template <Phase kPhase>
void parallelism(Fields& f, ParallelismSpec& c) {
  ParallelismOf<kPhase> members{c};
  f.optional("parallelism", members, "how the work is spread over devices");
}

}  // namespace

double SpeculationSpec::tokens() const {
  double sum = 1, accepted = 1;
  for (std::int64_t i = 0; i < drafts; ++i) sum += accepted *= acceptance;
  return sum;
}

void describe(Fields& f, SequenceGroup& c) {
  f.required("sequences", c.sequences, "equal sequences of one replica", kTokens);
  f.required("new_tokens", c.new_tokens, "tokens of each that this step computes", kTokens);
  f.optional("cached_tokens", c.cached_tokens, "tokens of each that are in the KV cache",
             between(0, 1 << 24));
  f.optional("sampled", c.sampled, "of each's new tokens, that go through the head", between(0, 1 << 24));
}

void describe(Fields& f, ExpertPlacement& c) {
  f.optional("redundant", c.redundant, "second copies of busy experts", between(0, 1 << 20));
  f.optional("shared_replicas", c.shared_replicas,
             "copies of the shared experts on places of their own; 0: on every rank", between(0, 1 << 20));
  f.optional("imbalance", c.imbalance, "rows of the busiest rank's experts over the mean", between(1, 1024));
}

void describe(Fields& f, SpeculationSpec& c) {
  f.required("drafts", c.drafts, "tokens proposed for each sequence and step", between(1, 64));
  f.required("acceptance", c.acceptance, "share of drafts accepted, of those whose predecessors were",
             between(0, 1));
  f.optional("drafter", c.drafter, "mtp: the model's MTP layers; none: takes no time (n-grams)");
}

void describe(Fields& f, OverlapSpec& c) {
  f.optional("tensor", c.tensor, "gathers and sums of a layer, beside its products");
  f.optional("gradients", c.gradients, "sums of gradients, beside the last backward passes");
  f.optional("parameters", c.parameters, "gathers of updated weights, beside the next step's first passes");
  f.optional("pipeline", c.pipeline, "transfers between stages");
  f.optional("experts", c.experts, "dispatch and combine, beside another micro-batch's computation");
}

void describe(Fields& f, TrainingSpec& c) {
  f.optional("stack", c.stack, "id of a software stack, or path of its file");
  f.optional("sharding", c.sharding,
             "zero1: optimizer state; zero2: gradients too; zero3: weights too (FSDP)");
  f.optional("sharding_group", c.sharding_group, "replicas that share one copy; 0: all", between(0, 1 << 24));
  f.optional("schedule", c.schedule,
             "order of the pipeline's passes; auto: 1f1b, or interleaved where vpp > 1");
  f.optional("recompute_layers", c.recompute_layers, "layers of each chunk that are computed again; 0: all",
             between(0, 1 << 16));
  f.optional("overlap", c.overlap, "communication beside computation; auto: as the stack does");
  f.optional("expert_imbalance", c.expert_imbalance, "rows of the busiest rank's experts over the mean",
             between(1, 1024));
  f.optional("speed_spread", c.speed_spread, "how much slower the slowest rank computes than the typical one",
             between(0, 16));
}

namespace {

void chips(Fields& f, ScenarioSpec& c) {
  f.optional("chips", c.chips, "packages used; 0: all of the system", between(0, 1 << 24));
}
void batch(Fields& f, ScenarioSpec& c) {
  f.required("batch", c.batch, "sequences over the whole system", kTokens);
}
void launch(Fields& f, ScenarioSpec& c) {
  f.optional("launch", c.launch, "kernels captured in a graph, or launched one by one");
}
void context(Fields& f, ScenarioSpec& c, std::string_view help) {
  f.optional("context", c.context, help, between(0, 1 << 24));
}

/// What all phases of serving share.
void served(Fields& f, ScenarioSpec& c) {
  f.optional("precision", c.precision, "element types");
  parallelism<Phase::Decode>(f, c.parallelism);
  f.optional("experts", c.experts, "where the experts of a mixture lie");
  launch(f, c);
}

void denoised(Fields& f, ScenarioSpec& c) {
  f.required("batch", c.batch, "images or videos over the whole system", kTokens);
  f.required("sequence", c.sequence, "tokens of one: patches of the latent", kTokens);
  f.required("steps", c.denoise.steps, "denoising steps", kTokens);
  f.optional("passes", c.denoise.passes, "of the model a step; 2: with guidance", between(1, 4));
  f.optional("other_share", c.denoise.other_share,
             "of the whole time, for the text encoder and the VAE, which are not modelled", between(0, 0.9));
  f.optional("precision", c.precision, "element types");
  parallelism<Phase::Denoise>(f, c.parallelism);
  launch(f, c);
}

void trained(Fields& f, ScenarioSpec& c) {
  f.required("batch", c.batch, "sequences of one optimizer step", kTokens);
  f.optional("micro_batch", c.micro_batch, "sequences of one pass of one replica", kTokens);
  f.optional("sequence", c.sequence, "tokens of a sequence", kTokens);
  f.optional("precision", c.precision, "element types");
  parallelism<Phase::Training>(f, c.parallelism);
  f.optional("training", c.training, "how a training step is carried out");
  f.optional("failures", c.failures, "how often chips fail, and what that costs over days");
  f.optional(
      "recompute", c.recompute,
      "what is computed again: nothing, the attention core (selective), whole layers (full), the least that "
      "fits (auto)");
  launch(f, c);
}

void describe_phase(Fields& f, ScenarioSpec& c) {
  chips(f, c);
  switch (c.phase) {
    case Phase::Prefill:
      batch(f, c);
      f.required("sequence", c.sequence, "new tokens per sequence: the prompt, or a piece of it", kTokens);
      context(f, c, "tokens of each that are in the KV cache: a prefix, or pieces before");
      return served(f, c);
    case Phase::Decode:
      batch(f, c);
      context(f, c, "tokens already in the KV cache");
      f.optional("speculation", c.speculation, "drafts that each step verifies");
      return served(f, c);
    case Phase::Step:
      f.required("groups", c.groups, "equal sequences of one replica, each");
      return served(f, c);
    case Phase::Generate:
      batch(f, c);
      f.required("sequence", c.sequence, "tokens of a prompt", kTokens);
      f.required("output", c.output, "tokens that follow; the first comes with the prompt", kTokens);
      f.optional("speculation", c.speculation, "drafts that each step verifies");
      return served(f, c);
    case Phase::Denoise:
      return denoised(f, c);
    case Phase::Training:
      return trained(f, c);
  }
}

}  // namespace

void describe(Fields& f, ScenarioSpec& c) {
  f.label("name", c.name, "name in print", true);
  f.label("notes", c.notes, "free text");
  f.label("model", c.model, "id of a model, or path of its file", true);
  f.label("system", c.system, "id of a system, or path of its file", true);
  f.choose("phase", c.phase, "what runs", [&c](Fields& members) { describe_phase(members, c); });
}

}  // namespace xpusim
