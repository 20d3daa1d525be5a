#include "xpusim/spec/scenario.h"

namespace xpusim {

void describe(Fields& f, PrecisionSpec& c) {
  f.optional("weights", c.weights, "type of the weights in memory");
  f.optional("activations", c.activations,
             "operand type of the matrix products; an 8-bit one adds the kernels that quantise");
  f.optional("kv_cache", c.kv_cache, "type of the KV cache in memory");
}

void describe(Fields& f, ParallelSpec& c) {
  f.optional("tensor", c.tensor, "devices that share every layer", between(1, 1 << 20));
  f.optional("data", c.data, "replicas; 0: all devices / tensor", between(0, 1 << 24));
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
  f.optional("parallel", c.parallel, "how the work is spread over devices");
  f.optional("recompute", c.recompute, "training: activations kept (none) or computed again (full)");
  f.optional("launch", c.launch, "kernels captured in a graph, or launched one by one");
}

}  // namespace xpusim
