#include "xpusim/validation/moe.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace xpusim::validation {
namespace {

/// Every pair of a token and an expert is counted.
constexpr std::int64_t kMostTokens = 1 << 20;

/// Rows of the first `local` experts. The sets' "balanced" routing gives token t the experts at t + i stride
/// (fewer tokens than the stride: spread over it), i < topk, modulo their number, with a stride of
/// ceil(experts / topk) (balanced_logits of the collector that measured them, ai-dynamo/aiconfigurator).
std::vector<std::int64_t> balanced_rows(const MoeRow& r, std::int64_t local) {
  const std::int64_t stride = ceil_div(r.experts, r.topk);
  std::vector<std::int64_t> rows(static_cast<std::size_t>(local));
  for (std::int64_t t = 0; t < r.tokens; ++t) {
    const std::int64_t first = r.tokens >= stride ? t : t * stride / r.tokens;
    for (std::int64_t i = 0; i < r.topk; ++i) {
      const std::int64_t expert = (first + i * stride) % r.experts;
      if (expert < local) ++rows[static_cast<std::size_t>(expert)];
    }
  }
  return rows;
}

/// Experts without a gate (squared ReLU), which the sets do not tell: of the models in them those of the
/// Nemotron-3 family, 128 experts of 1856 or 512 experts of which 22 are taken (their config.json files).
bool is_gated(const MoeRow& r) {
  return !(r.experts == 512 && r.topk == 22) && !(r.experts == 128 && r.inter == 1856);
}

}  // namespace

bool is_unmodelled_dtype(std::string_view name) {
  static constexpr std::string_view kNames[] = {"fp8_block", "int4_wo",     "mxfp4",           "nvfp4",
                                                "w4afp8",    "w4a16_mxfp4", "w4a8_mxfp4_mxfp8"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

std::string mistake(const MoeRow& r) {
  if (r.tokens > kMostTokens || r.experts > kMostTokens)
    return fmt::format("at most {} tokens and experts", kMostTokens);
  if (r.topk > r.experts) return fmt::format("{} of {} experts", r.topk, r.experts);
  if (r.experts % r.expert_parallel != 0)
    return fmt::format("{} experts on {} ranks", r.experts, r.expert_parallel);
  if (r.inter % r.tensor != 0) return fmt::format("{} columns on {} ranks", r.inter, r.tensor);
  return {};
}

graph::MoeLayer layer_of(const MoeRow& r) {
  graph::MoeLayer l;
  l.tokens = r.tokens;
  l.hidden = r.hidden;
  l.inter = r.inter / r.tensor;
  l.topk = r.topk;
  l.experts = r.experts;
  l.local_experts = r.experts / r.expert_parallel;
  const std::vector<std::int64_t> rows = balanced_rows(r, l.local_experts);
  l.rows = l.active = 0;
  for (const std::int64_t n : rows) {
    l.rows += n;
    l.active += n > 0 ? 1 : 0;
  }
  l.gated = is_gated(r);
  l.dtype = r.dtype;
  l.weight_dtype = l.dtype;
  l.weights_return = true;  // one layer, replayed
  return l;
}

}  // namespace xpusim::validation
