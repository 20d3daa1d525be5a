#pragma once
#include "xpusim/graph/experts.h"
#include "xpusim/graph/plan.h"

/// Writes the operators of a rank, layer by layer. The one place that knows what a layer is made of: forward
/// passes of training and of serving, and the backward passes of the products that they are made of.
namespace xpusim::graph {

/// A product with a weight: name, columns, depth.
struct Projection {
  std::string name;
  std::int64_t n, k;
  bool wide = false;  ///< in 16 bits whatever the others are in
};

class Emitter {
 public:
  Emitter(const ModelSpec&, const Plan&, const StackSpec&);

  /// What was written since the last call, without what is empty.
  [[nodiscard]] Graph take();

  void embedding();
  void layers(const LayerType&, std::int64_t count);
  /// `predictions`: heads of as many tokens ahead.
  void head(std::int64_t predictions);
  void convolutions(Pass);
  void recommender();
  /// A pass of the layers that draft tokens, with its head.
  void draft();

  // Of training (backward.cpp).
  void embedding_backward();
  /// Layers of the chunk that are computed again first, then those that are not. `again`: how many are.
  void layers_backward(const LayerType&, std::int64_t count, std::int64_t again, bool with_weights);
  void layers_weight(const LayerType&, std::int64_t count);
  void head_backward(std::int64_t predictions);

 private:
  // ---- sections and operators (emitter.cpp)
  Section& section() { return graph_.sections.back(); }
  void begin(std::string name, std::int64_t repeat);
  Operator& add(std::string name, Work);
  void rowwise(std::string name, RowwiseKind, std::int64_t rows, std::int64_t cols, Pass = Pass::Forward,
               bool residual = false, Dtype = Dtype::Bf16);
  CollectiveShape& collective(std::string name, CollectiveKind, double bytes, RankGroup = RankGroup::Tensor,
                              bool overlap = false);
  /// The next operator also waits for an overlapped one.
  void join_with(const std::string& name, bool overlapped);

  // ---- tensor parallelism
  [[nodiscard]] double hidden_bytes() const;
  /// Every rank gets all tokens of the group: before products whose columns are spread.
  void gather(std::string name, bool overlap);
  /// Sums partial results over the group: to all ranks, or to each its own tokens.
  void sum_up(std::string name, bool overlap = false);
  /// A gather that the products after it overlap with piece by piece: they end when both have ended.
  template <class F>
  void gather_beside(const std::string& name, const F& products) {
    const bool beside = tp_ > 1 && plan_.sequence_parallel && plan_.overlap.tensor;
    gather(name, beside);
    products();
    if (beside) joined_ = {section().operators.back().name, name};
  }
  /// The sum of a product's partial results, piece by piece as they come: all but the last piece beside it.
  template <class F>
  void sum_beside(const std::string& name, const F& products) {
    if (tp_ == 1 || !plan_.overlap.tensor) {
      products();
      return sum_up(name);
    }
    const std::int64_t place = begin_sum(name);
    products();
    end_sum(name, place);
  }
  [[nodiscard]] std::int64_t begin_sum(const std::string& name);
  void end_sum(const std::string& name, std::int64_t whole_bytes);

  // ---- products
  [[nodiscard]] bool is_8bit() const { return size_of(plan_.precision.activations) < 2; }
  void quantize(const std::string& name, std::int64_t rows, std::int64_t cols);
  GemmShape& multiply(std::string name, std::int64_t m, std::int64_t n, std::int64_t k, bool b_is_weight,
                      bool wide);
  /// Y = X W.
  void product(const Projection&, std::int64_t rows);
  void input_gradient(const Projection&, std::int64_t rows);
  void weight_gradient(const Projection&, std::int64_t rows);
  [[nodiscard]] Projection head_projection() const;
  [[nodiscard]] Projection patch_projection() const { return {"embed", m_.hidden, m_.patch, true}; }
  [[nodiscard]] Projection router() const;

  // ---- norms and residuals
  void norm(std::string name, bool residual, Pass = Pass::Forward);
  void residual(const std::string& name);
  void residual_backward(const std::string& name);

  // ---- attention (attention.cpp)
  [[nodiscard]] std::int64_t query_dim() const;
  [[nodiscard]] std::int64_t value_dim() const;
  [[nodiscard]] std::int64_t qkv_columns() const;
  [[nodiscard]] std::vector<Projection> attention_inputs() const;
  [[nodiscard]] Projection attention_output() const;
  void attention_block(const LayerType&);
  void self_attention(const LayerType&);
  void queries_keys_values();
  void latent_inputs();
  void attention_core(const LayerType&);
  void served_attention(const LayerType&, const SequenceGroup&, const std::string& name);
  void linear_attention();
  void chunked_attention(const AttentionShape&, std::int64_t chunk, const SequenceGroup&,
                         const std::string& name);
  void expanded_latent(const SequenceGroup&, const std::string& name);
  void indexer(const SequenceGroup&, const std::string& name);
  void absorbed_latent(const SequenceGroup&, const std::string& name);
  void shared_attention(AttentionShape, const SequenceGroup&, const std::string& name);
  void attend(const std::string& name, Pass, std::int64_t kv_len, bool causal);
  void attention(const std::string& name, Pass);
  void batched(const std::string& name, std::int64_t m, std::int64_t n, std::int64_t k);
  void scores(const std::string& prefix);
  void scores_backward();
  void rope(const std::string& name, Pass);
  void cross_attention();
  void attention_again();
  void attention_backward(bool with_weights);
  void attention_weight();

  // ---- feed-forward (feed_forward.cpp)
  [[nodiscard]] std::int64_t up() const { return m_.ffn_gated ? 2 : 1; }
  [[nodiscard]] RowwiseKind activation_kind() const {
    return m_.ffn_gated ? RowwiseKind::SwiGlu : RowwiseKind::Gelu;
  }
  [[nodiscard]] Projection ffn_input() const { return {"gate_up", up() * ffn_, m_.hidden}; }
  [[nodiscard]] Projection ffn_output() const { return {"down", m_.hidden, ffn_}; }
  void activation(const std::string& name, std::int64_t cols, Pass);
  void feed_forward(const LayerType&);
  void parallel_block();
  void parallel_block_backward(bool with_weights);
  void experts_forward();
  void routed_experts();
  void shared_experts();
  void share_rows(const std::string& name, CollectiveKind);
  void exchange(const std::string& name, CollectiveKind);
  [[nodiscard]] std::int64_t shared_rows() const;
  [[nodiscard]] std::int64_t shared_ffn() const;

  // ---- backward (backward.cpp)
  void column_backward(const std::string& block, const std::vector<Projection>&, bool with_weights);
  void feed_forward_backward(const LayerType&, bool with_weights);
  void feed_forward_weight(const LayerType&);
  void grouped(const std::string& name, std::int64_t n, std::int64_t k);
  void experts_backward(bool with_weights);
  void experts_weight();
  void routed_weight();
  void shared_weight();
  void as_one_of_each_expert(std::size_t first);
  void quantize_again(const Projection&, std::int64_t rows);

  // ---- whole layers
  void layer_forward(const LayerType&);
  /// Shift, scale and gate of a diffusion transformer's blocks, from the time step: one row a sequence.
  void modulation(const LayerType&);
  void layer_backward(const LayerType&, bool with_weights);
  /// Weights that replicas share are gathered beside the computation before, and their gradients summed.
  void prefetch(const LayerType&);
  void reduce_shard(const LayerType&);
  [[nodiscard]] double weight_bytes(const LayerType&) const;
  void loss(Pass);
  void convolution(const ConvolutionSpec&, Pass);

  const ModelSpec& m_;
  const Plan& plan_;
  const StackSpec& stack_;
  StackKernels kernels_;
  ExpertShare experts_;
  Dtype type_;         ///< of what is not in 8 bits
  Dtype weight_type_;  ///< of weights in memory
  std::int64_t tp_, tokens_ = 1, own_tokens_ = 1, sampled_ = 1;
  std::int64_t heads_ = 1, kv_heads_ = 1, ffn_ = 1, vocab_ = 1;
  std::int64_t text_tokens_ = 0;     ///< of tokens_, that this layer's own weights for the text take
  std::vector<std::string> joined_;  ///< what the next operator waits for, besides the usual
  Graph graph_;
};

}  // namespace xpusim::graph
