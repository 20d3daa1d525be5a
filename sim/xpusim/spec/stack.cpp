#include "xpusim/spec/stack.h"

namespace xpusim {

void describe(Fields& f, StackKernels& c) {
  f.optional("attention", c.attention, "flash: scores stay on the chip; unfused: products and a softmax");
  f.optional("attention_rate", c.attention_rate,
             "of its attention kernel over the chip's best, by the chip's family; others: 1",
             between(0.05, 4));
  f.optional("rate_8bit", c.rate_8bit, "of its 8-bit products over the chip's best", between(0.05, 2));
  f.optional("rate", c.rate, "of all kernels in a long run over the same in a benchmark", between(0.1, 2));
  f.optional("fused_softmax", c.fused_softmax, "unfused attention: scale, mask and softmax in one kernel");
  f.optional("fused_residual", c.fused_residual, "bias, dropout and residual addition in one kernel");
  f.optional("fused_norm", c.fused_norm, "the norm after a residual addition in the same kernel");
  f.optional("fused_activation", c.fused_activation, "bias and activation in one kernel");
  f.optional("fused_rope", c.fused_rope, "rotation of queries and keys in one pass");
  f.optional("fused_cross_entropy", c.fused_cross_entropy, "loss without fp32 copies of the logits");
  f.optional("fused_accumulation", c.fused_accumulation, "products add weight gradients to their sum");
  f.optional("block_scales", c.block_scales,
             "8-bit products scale blocks: operands of weight gradients are quantised anew, transposed");
  f.optional("dropout", c.dropout, "dropout masks are drawn and stored");
}

void describe(Fields& f, StackOverlaps& c) {
  f.optional("tensor", c.tensor, "a layer's gathers and sums, piece by piece beside its products");
  f.optional("tensor_backward", c.tensor_backward, "those of the backward pass, beside weight gradients");
  f.optional("gradients", c.gradients, "sums of gradients beside the last backward passes");
  f.optional("parameters", c.parameters, "gathers of updated weights beside the next step's first passes");
  f.optional("pipeline", c.pipeline, "transfers between stages beside computation");
  f.optional("experts", c.experts, "dispatch and combine beside another micro-batch's computation");
}

void describe(Fields& f, StackHost& c) {
  f.optional("kernel", c.kernel, "time of the host to launch one kernel", between(0, 1e-3));
  f.optional("step", c.step, "time once a step that nothing hides", between(0, 60));
}

void describe(Fields& f, StackSpec& c) {
  f.label("id", c.id, "the file's name without .yaml", true);
  f.label("name", c.name, "name in print", true);
  f.label("notes", c.notes, "free text");
  f.label("measured_as", c.measured_as,
          "what sources and notes of measured runs with it contain; parts joined by '+' are all needed");
  f.label("default_for", c.default_for,
          "families of chips whose measured runs with unknown software it stands for");
  f.optional("kernels", c.kernels, "what is fused");
  f.optional("gradients", c.gradients, "type of the gradients' sum");
  f.optional("reduction", c.reduction, "type of gradients on the network");
  f.optional("overlap", c.overlap, "communication beside computation");
  f.optional("host", c.host, "what the host costs");
  f.optional("recompute", c.recompute, "what is computed again where the scenario says auto");
  f.optional("broadcasts_weights", c.broadcasts_weights,
             "updated weights go out from each owner in turn, not in one gather");
  f.optional("expert_library", c.expert_library,
             "library of the system for dispatch and combine, where it has it; else an all-to-all");
  f.optional("core_share", c.core_share, "of the cores, that collectives take from kernels beside them",
             between(0, 0.9));
  f.optional("spread", c.spread, "standard deviation of the ranks' speeds; all wait for the slowest",
             between(0, 1));
}

}  // namespace xpusim
