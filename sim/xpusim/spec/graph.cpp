#include "xpusim/spec/graph.h"

namespace xpusim {
namespace {

const Range kExtent = between(1, 1LL << 40);

void describe_shape(Fields& f, Operator& o) {
  if (o.kind == OpKind::Gemm) return describe(f, o.gemm);
  if (o.kind == OpKind::Attention) return describe(f, o.attention);
  if (o.kind == OpKind::GroupedGemm) return describe(f, o.grouped);
  if (is_collective(o.kind)) return describe(f, o.collective);
  describe(f, o.rowwise);
  if (has_pairs(o.kind))
    f.required("pairs", o.rowwise.pairs, "pairs of a row (token) and an expert", kExtent);
}

}  // namespace

void describe(Fields& f, GemmShape& c) {
  f.required("m", c.m, "rows of A and C", kExtent);
  f.required("n", c.n, "columns of B and C", kExtent);
  f.required("k", c.k, "depth of the product", kExtent);
  f.optional("batch", c.batch, "independent products", kExtent);
  f.optional("dtype", c.dtype, "operand type of the product");
  if (f.reads()) c.weight_dtype = c.dtype;
  f.optional("weight_dtype", c.weight_dtype, "type of B in memory; default: dtype");
  f.optional("weight_copies", c.weight_copies, "launches until the same weights come round; 0: never",
             between(0, 1 << 20));
  f.optional("b_is_weight", c.b_is_weight, "B is read from HBM; false: an activation just written");
  f.optional("accumulate", c.accumulate, "adds to an fp32 sum in memory (weight gradients)");
}

void describe(Fields& f, GroupedGemmShape& c) {
  f.required("groups", c.groups, "weights of k x n, one a group (expert)", between(1, 1 << 20));
  f.required("m", c.m, "rows of all groups together", kExtent);
  f.required("n", c.n, "columns of C and of each weight", kExtent);
  f.required("k", c.k, "depth of the products", kExtent);
  f.optional("active", c.active, "groups that have rows; 0: as many as there are rows for",
             between(0, 1 << 20));
  f.optional("imbalance", c.imbalance, "rows of the busiest group over the mean of the active ones",
             between(1, 1 << 20));
  f.optional("dtype", c.dtype, "operand type of the products");
  if (f.reads()) c.weight_dtype = c.dtype;
  f.optional("weight_dtype", c.weight_dtype, "type of the weights in memory; default: dtype");
  f.optional("weight_copies", c.weight_copies, "launches until the same weights come round; 0: never",
             between(0, 1 << 20));
}

void describe(Fields& f, AttentionShape& c) {
  f.optional("pass", c.pass, "forward or backward");
  f.required("batch", c.batch, "sequences", kExtent);
  f.required("q_len", c.q_len, "new tokens per sequence", kExtent);
  f.required("kv_len", c.kv_len, "keys per sequence, the new tokens among them", kExtent);
  f.required("heads", c.heads, "query heads", kExtent);
  f.required("kv_heads", c.kv_heads, "key and value heads", kExtent);
  f.required("head_dim", c.head_dim, "elements of a head", between(1, 1024));
  f.optional("value_dim", c.value_dim, "elements of a value; 0: head_dim", between(0, 1024));
  f.optional("latent", c.latent, "values are the first elements of the keys (multi-head latent attention)");
  f.optional("prompt", c.prompt, "one token that is a whole prompt: prefill's kernel runs it, not decode's");
  f.optional("causal", c.causal, "new token i sees the keys up to its own");
  f.optional("dtype", c.dtype, "operand type of the products");
  if (f.reads()) c.kv_dtype = c.dtype;
  f.optional("kv_dtype", c.kv_dtype, "type of keys and values in memory; default: dtype");
}

void describe(Fields& f, RowwiseShape& c) {
  f.required("rows", c.rows, "rows (tokens)", kExtent);
  f.required("cols", c.cols, "elements of a row (swiglu: of the output)", kExtent);
  f.optional("pass", c.pass, "forward or backward");
  f.optional("dtype", c.dtype, "element type in memory");
  f.optional("residual", c.residual, "norms: a fused residual addition, one more tensor read and written");
  f.optional("cold", c.cold, "inputs come from HBM; false: from L2, if they fit and were just written");
}

void describe(Fields& f, CollectiveShape& c) {
  f.required("bytes", c.bytes, "message, by the nccl-tests size convention", between(1, 1LL << 50));
  f.optional("group", c.group, "ranks that take part");
  f.optional("overlap", c.overlap, "runs on its own stream beside computation");
  f.optional("library", c.library, "library of the system that runs it; default: its first");
  f.optional("copies", c.copies, "dispatch, combine: experts that each token goes to", between(1, 1 << 16));
  f.optional("max_nodes", c.max_nodes,
             "dispatch, combine: nodes that a token's experts are on at most; 0: any", between(0, 1 << 16));
}

void describe(Fields& f, Operator& c) {
  f.label("name", c.name, "name, unique in its section", true);
  f.choose("op", c.kind, "what is computed", [&c](Fields& members) { describe_shape(members, c); });
  f.optional("after", c.after,
             "operators of this section that come before; default: the last that is not overlapped");
}

void describe(Fields& f, Section& c) {
  f.label("name", c.name, "name of the section", true);
  f.optional("repeat", c.repeat, "times that the section runs in a row", between(1, 1 << 20));
  f.optional("barrier", c.barrier, "waits for the overlapped collectives of the sections before");
  f.required("operators", c.operators, "operators in launch order");
  f.optional("awaited", c.awaited, "overlapped collectives that the next run of the section waits for");
}

void describe(Fields& f, RankGroups& c) {
  const Range ranks = between(1, 1 << 24);
  f.optional("tensor", c.tensor, "ranks of the tensor group, neighbours in the system", ranks);
  f.optional("context", c.context, "ranks of the context group, tensor apart", ranks);
  f.optional("data", c.data, "replicas, tensor x context apart", ranks);
  f.optional("pipeline", c.pipeline, "pipeline stages, tensor x context x data apart", ranks);
  f.optional("expert", c.expert, "ranks that a layer's experts are spread over, expert_tensor apart", ranks);
  f.optional("expert_tensor", c.expert_tensor, "ranks that share every expert, neighbours", ranks);
  f.optional("shard", c.shard, "replicas that share one copy of the weights; 0: all", between(0, 1 << 24));
}

RankGroups::Extent RankGroups::extent(RankGroup g) const {
  const std::int64_t replicas = context * data, near = shard > 0 ? std::min(shard, replicas) : replicas;
  switch (g) {
    case RankGroup::Tensor:
      return {tensor, 1};
    case RankGroup::Context:
      return {context, tensor};
    case RankGroup::Data:
      return {replicas, tensor};
    case RankGroup::Expert:
      return {expert, expert_tensor};
    case RankGroup::Pipeline:
      return {pipeline > 1 ? 2 : 1, tensor * replicas};
    case RankGroup::Shard:
      return {near, tensor};
    case RankGroup::Copy:
      return {replicas / near, tensor * near};
    case RankGroup::ExpertData:
      return {std::max<std::int64_t>(1, tensor * replicas / (expert * expert_tensor)),
              expert * expert_tensor};
  }
  return {};
}

void describe(Fields& f, Graph& c) {
  f.label("name", c.name, "name in print", true);
  f.label("notes", c.notes, "free text");
  describe(f, c.groups);
  f.required("sections", c.sections, "sections, run one after the other");
}

}  // namespace xpusim
