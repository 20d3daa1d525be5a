#include "xpusim/graph/experts.h"

#include <algorithm>
#include <cmath>

namespace xpusim::graph {
namespace {

Operator rowwise(std::string name, RowwiseKind kind, std::int64_t rows, std::int64_t cols, Dtype dtype) {
  return {std::move(name), RowwiseShape{.kind = kind, .rows = rows, .cols = cols, .dtype = dtype}, {}};
}

/// `copies`: launches until the weights come round, counted in their own bytes.
Operator product(std::string name, const MoeLayer& l, std::int64_t n, std::int64_t k, std::int64_t copies) {
  const GroupedGemmShape g{
      .groups = std::max<std::int64_t>(l.local_experts, 2),  // a lone expert runs the grouped kernel, too
      .m = l.rows,
      .n = n,
      .k = k,
      .active = l.active,
      .imbalance = l.imbalance,
      .dtype = l.dtype,
      .weight_dtype = l.weight_dtype,
      .weight_copies = l.weights_return ? copies : 0};
  return {std::move(name), g, {}};
}

/// A kernel of the routing: over the router's scores or over the pairs.
Operator routing(std::string name, RowwiseKind kind, const MoeLayer& l) {
  Operator o = rowwise(std::move(name), kind, l.tokens, l.experts, Dtype::Bf16);
  o.as<RowwiseShape>().pairs = l.tokens * l.topk;
  return o;
}

/// Up to so many tokens, one kernel of a block of threads a token finds the places of all pairs; more are
/// counted by blocks, summed up over the blocks, and placed, in three.
constexpr std::int64_t kTokensOfOneSort = 256;
/// Experts of a token that one routing kernel keeps in registers; more take a library's general selection.
constexpr std::int64_t kExpertsOfOneSelection = 8;

/// From the router's scores to the places of each expert's rows. Beside the selection and the sort, a serving
/// library converts types and clears counters in small kernels of their own (TensorRT-LLM's flow, recalled).
void add_routing(std::vector<Operator>& list, const MoeLayer& l) {
  const auto small = [&](std::string name, RowwiseKind kind, std::int64_t rows, std::int64_t cols) {
    list.push_back(rowwise(std::move(name), kind, rows, cols, Dtype::Fp32));
  };
  list.push_back(rowwise("convert_scores", RowwiseKind::Copy, l.tokens, l.experts, Dtype::Bf16));
  list.push_back(routing("route", RowwiseKind::MoeRoute, l));
  if (l.topk > kExpertsOfOneSelection) {
    list.push_back(routing("select", RowwiseKind::MoeRoute, l));
    for (const char* name : {"sort_selected", "scale_selected", "convert_selected"})
      list.push_back(routing(name, RowwiseKind::MoeSort, l));
  }
  small("renormalize", RowwiseKind::Softmax, l.tokens, l.topk);
  small("convert_experts", RowwiseKind::Copy, l.tokens, l.topk);
  small("convert_weights", RowwiseKind::Copy, l.tokens, l.topk);
  small("clear_counts", RowwiseKind::Copy, 1, l.experts);
  list.push_back(routing("sort", RowwiseKind::MoeSort, l));
  if (l.tokens > kTokensOfOneSort) {
    list.push_back(routing("sum_counts", RowwiseKind::MoeSort, l));
    list.push_back(routing("place", RowwiseKind::MoeSort, l));
  }
}

/// Places of this rank's routed experts that some of `tokens` tokens go to, where each picks at random.
std::int64_t expected_active(const ExpertShare& e, std::int64_t routed_places, std::int64_t per_token,
                             std::int64_t tokens) {
  const double missed = std::pow(1 - d(per_token) / d(std::max(routed_places, per_token)), d(tokens));
  return std::clamp<std::int64_t>(std::llround(d(e.local) * (1 - missed)), 1, std::min(e.rows, e.local));
}

}  // namespace

std::int64_t tokens_of_rank(const Plan& plan) {
  std::int64_t sum = 0;
  for (const SequenceGroup& g : plan.shape) {
    sum += g.sequences * ceil_div(g.new_tokens, plan.shares_tokens(g) ? plan.groups.context : 1);
  }
  return sum;
}

std::int64_t own_tokens_of_rank(const Plan& plan) {
  const std::int64_t tokens = tokens_of_rank(plan);
  return plan.sequence_parallel ? ceil_div(tokens, plan.groups.tensor) : tokens;
}

/// Tokens of all ranks that share this rank's experts meet them; training takes them as evenly spread.
ExpertShare::ExpertShare(const ModelSpec& m, const Plan& plan) {
  if (!m.experts) return;
  const ExpertsSpec& e = *m.experts;
  const RankGroups& g = plan.groups;
  const std::int64_t routed = e.count + plan.experts.redundant, apart = plan.experts.shared_replicas;
  shared_apart = apart > 0;
  tokens = own_tokens_of_rank(plan);
  local = (routed + apart) / g.expert;
  per_token = e.per_token + (shared_apart ? e.shared : 0);
  ffn = e.ffn / g.expert_tensor;
  const bool shares_rows = plan.sequence_parallel;  // else tensor ranks have the same rows
  double load = d(shares_rows ? tokens * g.expert_tensor : tokens) * d(per_token);
  const std::int64_t met =
      plan.exchanges_experts() ? tokens * g.expert * (shares_rows ? g.expert_tensor : 1) : tokens;
  if (!plan.exchanges_experts()) load /= d(g.expert);
  if (shared_apart && local == 1)  // the fuller of a routed and a shared place
    load = std::max(d(met) * d(e.per_token) / d(routed), d(met) * d(e.shared) / d(apart));
  load *= plan.experts.imbalance;
  // A served step ends with the fullest rank.
  rows = std::max<std::int64_t>(
      1, plan.trains ? std::llround(load) : static_cast<std::int64_t>(std::ceil(load - 1e-9)));
  active = plan.trains ? std::min(rows, local) : expected_active(*this, routed, e.per_token, met);
}

std::vector<Operator> moe_layer(const MoeLayer& l) {
  const std::int64_t up = l.gated ? 2 : 1;
  std::vector<Operator> list;
  const auto add = [&](std::string name, RowwiseKind kind, std::int64_t rows, std::int64_t cols,
                       Dtype dtype) { list.push_back(rowwise(std::move(name), kind, rows, cols, dtype)); };
  add_routing(list, l);
  if (size_of(l.dtype) < 2) {
    add("combine_scales", RowwiseKind::Copy, 1, l.local_experts, Dtype::Fp32);
    add("quantize", RowwiseKind::Quantize, l.tokens, l.hidden, Dtype::Bf16);
  }
  add("permute", RowwiseKind::MoePermute, l.rows, l.hidden, l.dtype);
  // Where each group's operands lie: 128 B of addresses and extents.
  add("describe_groups", RowwiseKind::MoeDescribe, l.active, 64, Dtype::Bf16);
  // Both products' weights pass through L2 between two uses of either.
  list.push_back(product("up", l, up * l.inter, l.hidden, 2));
  add("activation", l.gated ? RowwiseKind::SwiGlu : RowwiseKind::Gelu, l.rows, l.inter, Dtype::Bf16);
  list.push_back(product("down", l, l.hidden, l.inter, 1 + up));
  add("finalize", RowwiseKind::MoeFinalize, l.tokens, l.hidden, Dtype::Bf16);
  list.back().as<RowwiseShape>().pairs = l.rows;
  return list;
}

}  // namespace xpusim::graph
