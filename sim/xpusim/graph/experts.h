#pragma once
#include <vector>

#include "xpusim/graph/plan.h"

/// The experts of a mixture-of-experts layer.
namespace xpusim::graph {

/// Tokens of a step that a rank computes, and those that it holds between blocks (tensor ranks may share
/// them).
[[nodiscard]] std::int64_t tokens_of_rank(const Plan&);
[[nodiscard]] std::int64_t own_tokens_of_rank(const Plan&);

/// What one rank does of a layer's experts.
struct ExpertShare {
  std::int64_t tokens = 1;     ///< that the rank routes
  std::int64_t local = 1;      ///< places of experts that it holds
  std::int64_t per_token = 1;  ///< experts of a token that lie on such places
  std::int64_t rows = 1;       ///< pairs of a token and an expert that it computes
  std::int64_t active = 1;     ///< of its places, that have a row
  std::int64_t ffn = 1;        ///< columns of an expert that it computes
  bool shared_apart = false;   ///< shared experts are on places of their own
  ExpertShare() = default;
  ExpertShare(const ModelSpec&, const Plan&);
};

/// What one rank of tensor x expert parallelism does of a layer. The communication between ranks is not part
/// of it.
struct MoeLayer {
  std::int64_t tokens = 1;  ///< that the router sees
  std::int64_t hidden = 1;
  std::int64_t inter = 1;  ///< of one expert, on this rank
  std::int64_t topk = 1;
  std::int64_t experts = 1;        ///< of the layer
  std::int64_t local_experts = 1;  ///< whose weights this rank holds
  std::int64_t rows = 1;           ///< pairs of a token and an expert of this rank
  std::int64_t active = 1;         ///< of this rank's experts, that have a row
  double imbalance = 1;            ///< as of GroupedGemmShape
  bool gated = true;
  Dtype dtype = Dtype::Bf16;         ///< operand type of the products
  Dtype weight_dtype = Dtype::Bf16;  ///< of the weights in memory
  bool weights_return = false;       ///< the same weights again at the next launch: they may still be in L2
};

/// The kernels of the layer in launch order: route, sort, gather, product, activation, product, weighted sum.
[[nodiscard]] std::vector<Operator> moe_layer(const MoeLayer&);

}  // namespace xpusim::graph
