#include "xpusim/spec/scenario.h"

namespace xpusim {

void describe(Fields& f, PrecisionSpec& c) {
  f.optional("weights", c.weights, "type of the weights in memory");
  f.optional("activations", c.activations,
             "operand type of the matrix products; an 8-bit one adds the kernels that quantise");
  f.optional("kv_cache", c.kv_cache, "type of the KV cache in memory");
}

void describe(Fields& f, ParallelismSpec& c) {
  const Range ranks = between(1, 1 << 20);
  f.optional("tp", c.tp, "tensor: devices that share every layer", ranks);
  f.optional("sequence_parallel", c.sequence_parallel,
             "training: norms and residuals on 1/tp of the tokens; auto: on where tp > 1");
  f.optional("pp", c.pp, "training: pipeline stages", ranks);
  f.optional("vpp", c.vpp, "training: chunks of layers of each stage", ranks);
  f.optional("cp", c.cp, "training: devices that share a sequence", ranks);
  f.optional("dp", c.dp, "replicas; 0: all devices / (tp pp cp)", between(0, 1 << 24));
  f.optional("ep", c.ep, "training: devices that a layer's experts are spread over", ranks);
  f.optional("etp", c.etp, "training: devices that share every expert; 0: as tp", between(0, 1 << 20));
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

void describe(Fields& f, ScenarioSpec& c) {
  const Range tokens = between(1, 1 << 24);
  f.label("name", c.name, "name in print", true);
  f.label("notes", c.notes, "free text");
  f.label("model", c.model, "id of a model, or path of its file", true);
  f.label("system", c.system, "id of a system, or path of its file", true);
  f.required("phase", c.phase, "what runs");
  f.optional("chips", c.chips, "packages used; 0: all of the system", between(0, 1 << 24));
  f.required("batch", c.batch, "sequences over the whole system (training: of one optimizer step)", tokens);
  f.optional("micro_batch", c.micro_batch, "training: sequences of one pass of one replica", tokens);
  f.optional("sequence", c.sequence, "new tokens per sequence: prompt or training sequence (decode: 1)",
             tokens);
  f.optional("context", c.context, "decode: tokens already in the KV cache", between(0, 1 << 24));
  f.optional("precision", c.precision, "element types");
  f.optional("parallelism", c.parallelism, "how the work is spread over devices");
  f.optional("training", c.training, "how a training step is carried out");
  f.optional("failures", c.failures, "training: how often chips fail, and what that costs over days");
  f.optional(
      "recompute", c.recompute,
      "training: what is computed again: nothing, the attention core (selective), whole layers (full), "
      "the least that fits (auto)");
  f.optional("launch", c.launch, "kernels captured in a graph, or launched one by one");
}

}  // namespace xpusim
