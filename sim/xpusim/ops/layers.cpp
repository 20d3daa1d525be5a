#include <algorithm>

#include "xpusim/ops/moe.h"
#include "xpusim/ops/training.h"

/// The operators of one micro-batch on one chunk of layers.
namespace xpusim::ops {
namespace {

/// Writes the sections of a pass, one layer kind after the other.
class PassBuilder {
 public:
  PassBuilder(const ModelSpec& m, const TrainingPlan& plan, const StackSpec& stack)
      : m_(m),
        plan_(plan),
        stack_(stack),
        type_(size_of(plan.precision.weights) == 2 ? plan.precision.weights : Dtype::Bf16),
        tp_(plan.groups.tensor),
        sequence_(plan.sequence / plan.groups.context) {
    tokens_ = plan.micro_batch * sequence_;
    own_tokens_ = plan.sequence_parallel ? ceil_div(tokens_, tp_) : tokens_;
    heads_ = ceil_div(m.heads, tp_);
    kv_heads_ = std::max<std::int64_t>(1, m.kv_heads / tp_);
    ffn_ = ceil_div(m.ffn, tp_);
    vocab_ = ceil_div(m.vocab, tp_);
  }

  Graph take() {
    Graph g = std::move(graph_);
    std::erase_if(g.sections, [](const Section& s) { return s.operators.empty() || s.repeat == 0; });
    g.groups = plan_.groups;
    graph_ = {};
    return g;
  }

  void embedding() {
    begin("embedding", 1);
    rowwise("embed", RowwiseKind::Embedding, tokens_, m_.hidden);
    if (m_.position == PositionKind::Learned) rowwise("add_positions", RowwiseKind::Add, tokens_, m_.hidden);
    sum_up("reduce_embedding");
  }
  void embedding_backward() {
    begin("embedding_backward", 1);
    gather("gather_embedding_gradient", false);
    rowwise("embed_backward", RowwiseKind::Embedding, tokens_, m_.hidden, Pass::Backward);
  }

  void layers_forward(LayerKind kind, std::int64_t count) {
    begin(kind == LayerKind::Dense ? "layer" : "expert_layer", count);
    prefetch(kind);
    layer_forward(kind);
  }

  /// Layers of the chunk that are computed again first, then those that are not.
  void layers_backward(LayerKind kind, std::int64_t count, bool with_weights) {
    const bool full = plan_.recompute == Recompute::Full;
    const std::int64_t again =
        full ? (plan_.recompute_layers > 0 ? std::min(plan_.recompute_layers, count) : count) : 0;
    for (const bool recomputes : {true, false}) {
      begin(recomputes ? "recomputed_layer_backward" : "layer_backward", recomputes ? again : count - again);
      if (section().repeat == 0) continue;
      prefetch(kind);
      if (recomputes) {
        layer_forward(kind);
      } else if (plan_.recompute == Recompute::Selective) {
        attention_again();
      }
      layer_backward(kind, with_weights);
      reduce_shard(kind);
    }
  }
  void layers_weight(LayerKind kind, std::int64_t count) {
    begin("layer_weight_gradients", count);
    feed_forward_weight(kind);
    attention_weight();
  }

  /// One more layer that joins the hidden state with a later token's embedding, and its head.
  void head(std::int64_t predictions, bool backward) {
    begin(backward ? "head_backward" : "head", predictions);
    if (!backward) {
      norm("final_norm", false);
      gather("gather_head", false);
      product("lm_head", tokens_, vocab_, m_.hidden);
      loss(Pass::Forward);
      if (tp_ > 1)
        collective("reduce_loss", CollectiveKind::AllReduce, d(tokens_) * 8);  // maximum and sum of each row
      return;
    }
    loss(Pass::Backward);
    input_gradient("lm_head", tokens_, vocab_, m_.hidden);
    const bool beside = !plan_.splits_backward && plan_.overlap.tensor_backward;
    sum_up("reduce_head_gradient", beside);
    weight_gradient("lm_head", tokens_, vocab_, m_.hidden);
    join_with("reduce_head_gradient", beside);
    norm("final_norm_backward", false, Pass::Backward);
  }

  void convolutions(Pass pass) {
    for (const ConvolutionSpec& c : m_.convolutions) {
      begin(c.name, c.repeat);
      convolution(c, pass);
    }
  }

 private:
  Section& section() { return graph_.sections.back(); }
  void begin(std::string name, std::int64_t repeat) {
    graph_.sections.push_back({});
    section().name = std::move(name);
    section().repeat = repeat;
  }
  Operator& add(std::string name, Work work) {
    section().operators.push_back({});
    Operator& o = section().operators.back();
    o.name = std::move(name);
    o.work = std::move(work);
    o.after = std::exchange(joined_, {});
    return o;
  }
  void rowwise(std::string name, RowwiseKind kind, std::int64_t rows, std::int64_t cols,
               Pass pass = Pass::Forward, bool residual = false, Dtype dtype = Dtype::Bf16) {
    add(std::move(name), RowwiseShape{kind, rows, cols, pass, size_of(dtype) == 2 ? type_ : dtype, residual});
  }
  CollectiveShape& collective(std::string name, CollectiveKind kind, double bytes,
                              RankGroup group = RankGroup::Tensor, bool overlap = false) {
    const std::vector<std::string> joined = joined_;
    CollectiveShape c{.kind = kind,
                      .bytes = Bytes(std::max<std::int64_t>(1, static_cast<std::int64_t>(bytes))),
                      .group = group,
                      .overlap = overlap,
                      .library = {}};
    Operator& o = add(std::move(name), c);
    if (overlap) joined_ = joined;  // what follows waits for it all the same
    return o.as<CollectiveShape>();
  }
  /// The next operator also waits for an overlapped one.
  void join_with(const std::string& name, bool overlapped) {
    if (!overlapped || tp_ == 1) return;
    joined_ = {section().operators.back().name, name};
  }

  // ---- tensor parallelism
  [[nodiscard]] double hidden_bytes() const { return d(tokens_) * d(m_.hidden) * 2; }
  /// Every rank gets all tokens of the group: before products whose columns are spread.
  void gather(std::string name, bool overlap) {
    if (tp_ > 1 && plan_.sequence_parallel)
      collective(std::move(name), CollectiveKind::AllGather, hidden_bytes(), RankGroup::Tensor, overlap);
  }
  /// Sums partial results over the group: to all ranks, or to each its own tokens.
  void sum_up(std::string name, bool overlap = false) {
    if (tp_ > 1)
      collective(std::move(name),
                 plan_.sequence_parallel ? CollectiveKind::ReduceScatter : CollectiveKind::AllReduce,
                 hidden_bytes(), RankGroup::Tensor, overlap);
  }

  // ---- products
  [[nodiscard]] bool is_8bit() const { return size_of(plan_.precision.activations) < 2; }
  void quantize(const std::string& name, std::int64_t rows, std::int64_t cols) {
    if (is_8bit()) rowwise(name, RowwiseKind::Quantize, rows, cols);
  }
  GemmShape& multiply(std::string name, std::int64_t m, std::int64_t n, std::int64_t k, bool b_is_weight,
                      bool in_8bit) {
    GemmShape g;
    g.m = m;
    g.n = n;
    g.k = k;
    g.dtype = in_8bit && is_8bit() ? plan_.precision.activations : type_;
    g.weight_dtype = g.dtype;
    g.b_is_weight = b_is_weight;
    return add(std::move(name), g).as<GemmShape>();
  }
  /// Y = X W with n columns. The head stays in 16 bits, as do attention and routers.
  void product(const std::string& name, std::int64_t rows, std::int64_t n, std::int64_t k) {
    const bool in_8bit = name != "lm_head" && name != "router";
    if (in_8bit) quantize("quantize_" + name, rows, k);
    multiply(name, rows, n, k, true, in_8bit);
  }
  /// dX = dY W.
  void input_gradient(const std::string& name, std::int64_t rows, std::int64_t n, std::int64_t k) {
    const bool in_8bit = name != "lm_head" && name != "router";
    if (in_8bit) quantize("quantize_" + name + "_gradient", rows, n);
    multiply(name + "_dgrad", rows, k, n, true, in_8bit);
  }
  void quantize_again(const std::string& name, std::int64_t rows, std::int64_t n, std::int64_t k) {
    if (!stack_.kernels.block_scales) return;
    quantize("quantize_" + name + "_input_again", rows, k);
    quantize("quantize_" + name + "_gradient_again", rows, n);
  }
  /// dW = dY^T X, added to the sum over micro-batches.
  void weight_gradient(const std::string& name, std::int64_t rows, std::int64_t n, std::int64_t k) {
    quantize_again(name, rows, n, k);
    multiply(name + "_wgrad", n, k, rows, false, name != "lm_head" && name != "router").accumulate =
        stack_.kernels.fused_accumulation;
    if (!stack_.kernels.fused_accumulation)
      rowwise("accumulate_" + name, RowwiseKind::Add, n, k, Pass::Forward, false, stack_.gradients);
  }

  // ---- norms and residuals
  void norm(std::string name, bool residual, Pass pass = Pass::Forward) {
    rowwise(std::move(name), m_.norm == NormKind::RmsNorm ? RowwiseKind::RmsNorm : RowwiseKind::LayerNorm,
            own_tokens_, m_.hidden, pass, residual);
  }
  /// Bias, dropout and the residual addition after a block; in one kernel, several, or in the next norm's.
  void residual(const std::string& name) {
    if (stack_.kernels.fused_norm) return;
    rowwise(name, RowwiseKind::Add, own_tokens_, m_.hidden);
    if (stack_.kernels.fused_residual) return;
    if (m_.norm == NormKind::LayerNorm) rowwise(name + "_bias", RowwiseKind::Add, own_tokens_, m_.hidden);
    if (stack_.kernels.dropout) rowwise(name + "_dropout", RowwiseKind::Add, own_tokens_, m_.hidden);
  }
  void residual_backward(const std::string& name) {
    if (stack_.kernels.dropout) rowwise(name + "_dropout_backward", RowwiseKind::Add, own_tokens_, m_.hidden);
  }

  // ---- attention
  [[nodiscard]] std::int64_t query_dim() const {
    return m_.latent ? m_.latent->nope_dim + m_.latent->rope_dim : m_.head_dim;
  }
  [[nodiscard]] std::int64_t value_dim() const { return m_.latent ? m_.latent->value_dim : m_.head_dim; }
  [[nodiscard]] std::int64_t qkv() const { return (heads_ + 2 * kv_heads_) * m_.head_dim; }

  void attend(const std::string& name, Pass pass, std::int64_t kv_len, bool causal) {
    AttentionShape a;
    a.pass = pass;
    a.batch = plan_.micro_batch;
    a.q_len = sequence_;
    a.kv_len = kv_len;
    a.heads = heads_;
    a.kv_heads = m_.latent ? heads_ : kv_heads_;
    a.head_dim = query_dim();
    a.value_dim = m_.latent ? value_dim() : 0;
    a.causal = causal;
    a.dtype = a.kv_dtype = type_;
    add(name, a);
  }
  /// Over ranks that share a sequence, keys and values go round: each rank attends to its own part, and half
  /// of its tokens to each of the others' (causal masks are balanced by giving every rank an early and a late
  /// piece).
  void attention(const std::string& name, Pass pass) {
    const std::int64_t ranks = plan_.groups.context;
    if (ranks == 1 && stack_.kernels.attention == AttentionKernel::Unfused) {
      if (pass == Pass::Forward) return scores("");
      return scores_backward();
    }
    const double keys = d(plan_.micro_batch) * d(plan_.sequence) * d(m_.latent ? heads_ : kv_heads_) *
                        d(query_dim() + value_dim()) * 2;
    if (ranks > 1) collective("ring_" + name, CollectiveKind::AllGather, keys, RankGroup::Context, true);
    attend(name, pass, sequence_, m_.causal);
    if (ranks == 1) return;
    attend(name + "_of_others", pass, (ranks - 1) * sequence_, false);
    if (m_.causal) section().operators.back().as<AttentionShape>().q_len = ceil_div(sequence_, 2);
    joined_ = {name + "_of_others", "ring_" + name};
    if (pass == Pass::Forward) return;
    collective("ring_gradients_" + name, CollectiveKind::ReduceScatter, keys, RankGroup::Context);
  }
  void batched(const std::string& name, std::int64_t m, std::int64_t n, std::int64_t k) {
    multiply(name, m, n, k, false, false).batch = plan_.micro_batch * heads_;
  }
  /// Scores, softmax and their product with the values, as kernels that pass the scores through memory.
  void scores(const std::string& prefix) {
    const std::int64_t rows = plan_.micro_batch * heads_ * sequence_;
    batched(prefix + "scores", sequence_, plan_.sequence, query_dim());
    if (!stack_.kernels.fused_softmax) {
      rowwise(prefix + "scale_scores", RowwiseKind::Copy, rows, plan_.sequence);
      rowwise(prefix + "mask_scores", RowwiseKind::Copy, rows, plan_.sequence);
    }
    rowwise(prefix + "softmax", RowwiseKind::Softmax, rows, plan_.sequence);
    if (stack_.kernels.dropout) rowwise(prefix + "score_dropout", RowwiseKind::Copy, rows, plan_.sequence);
    batched(prefix + "weigh_values", sequence_, value_dim(), plan_.sequence);
  }
  /// Selective recomputation: the scores, where a kernel leaves them in memory (arXiv 2205.05198); of latent
  /// attention the norms and what the latents expand to (arXiv 2412.19437, section 3.2.3).
  void attention_again() {
    if (m_.latent) {
      norm("attention_norm_again", false);
      norm("ffn_norm_again", false);
      for (const Projection& p : projections())
        if (p.k != m_.hidden) product(std::string(p.name) + "_again", tokens_, p.n, p.k);
    }
    if (stack_.kernels.attention == AttentionKernel::Unfused && plan_.groups.context == 1) scores("again_");
  }
  void scores_backward() {
    const std::int64_t rows = plan_.micro_batch * heads_ * sequence_;
    batched("values_gradient", plan_.sequence, value_dim(), sequence_);
    batched("probabilities_gradient", sequence_, plan_.sequence, value_dim());
    if (stack_.kernels.dropout) rowwise("score_dropout_backward", RowwiseKind::Copy, rows, plan_.sequence);
    rowwise("softmax_backward", RowwiseKind::Softmax, rows, plan_.sequence, Pass::Backward);
    if (!stack_.kernels.fused_softmax)
      rowwise("scale_scores_backward", RowwiseKind::Copy, rows, plan_.sequence);
    batched("query_gradient", sequence_, query_dim(), plan_.sequence);
    batched("key_gradient", plan_.sequence, query_dim(), sequence_);
  }
  void rope(const std::string& name, Pass pass) {
    if (m_.position != PositionKind::Rope) return;
    const std::int64_t turned = m_.latent ? m_.latent->rope_dim : m_.head_dim;
    const std::int64_t width = (heads_ + (m_.latent ? 1 : kv_heads_)) * turned;
    rowwise(name, RowwiseKind::Rope, tokens_, width, pass);
    if (stack_.kernels.fused_rope) return;  // else: products with cosines and sines, halves swapped, a sum
    rowwise(name + "_swap", RowwiseKind::Copy, tokens_, width, pass);
    rowwise(name + "_sum", RowwiseKind::Add, tokens_, width, pass);
  }

  /// A product of the attention block: name, columns, depth.
  struct Projection {
    const char* name;
    std::int64_t n, k;
  };
  [[nodiscard]] std::vector<Projection> projections() const {
    if (!m_.latent) return {{"qkv", qkv(), m_.hidden}};
    const LatentAttentionSpec& l = *m_.latent;
    std::vector<Projection> list;
    if (l.q_rank > 0) list.push_back({"query_down", l.q_rank, m_.hidden});
    list.push_back({"query_up", heads_ * query_dim(), l.q_rank > 0 ? l.q_rank : m_.hidden});
    list.push_back({"latent_down", l.kv_rank + l.rope_dim, m_.hidden});
    list.push_back({"latent_up", heads_ * (l.nope_dim + l.value_dim), l.kv_rank});
    return list;
  }

  void attention_forward() {
    norm("attention_norm", stack_.kernels.fused_norm);
    gather_beside("gather_attention", [&] {
      for (const Projection& p : projections()) product(p.name, tokens_, p.n, p.k);
    });
    if (m_.qk_norm) rowwise("qk_norm", RowwiseKind::RmsNorm, tokens_ * (heads_ + kv_heads_), m_.head_dim);
    rope("rope", Pass::Forward);
    attention("attention", Pass::Forward);
    sum_beside("reduce_attention",
               [&] { product("attention_out", tokens_, m_.hidden, heads_ * value_dim()); });
    residual("attention_residual");
    if (m_.cross_tokens > 0) cross_attention();
  }
  /// To the text: queries of all tokens, keys and values of the text's.
  void cross_attention() {
    norm("cross_norm", false);
    product("cross_query", tokens_, heads_ * m_.head_dim, m_.hidden);
    attend("cross_attention", Pass::Forward, std::max(sequence_, m_.cross_tokens), false);
    section().operators.back().as<AttentionShape>().q_len = std::min(sequence_, m_.cross_tokens);
    section().operators.back().as<AttentionShape>().kv_len = std::max(sequence_, m_.cross_tokens);
    product("cross_out", tokens_, m_.hidden, heads_ * m_.head_dim);
    residual("cross_residual");
  }

  /// A gather that the products after it overlap with piece by piece: they end when both have ended.
  template <class F>
  void gather_beside(const std::string& name, const F& products) {
    const bool exists = tp_ > 1 && plan_.sequence_parallel;
    const bool beside = exists && plan_.overlap.tensor;
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
    sum_up(name, true);
    Operator last = section().operators.back();
    const double share = 1 - 1 / d(tp_);
    const auto bytes = last.as<CollectiveShape>().bytes.count();
    section().operators.back().as<CollectiveShape>().bytes =
        Bytes(std::max<std::int64_t>(1, static_cast<std::int64_t>(d(bytes) * share)));
    products();
    last.name += "_last";
    last.after = {section().operators.back().name, name};
    last.as<CollectiveShape>().bytes = Bytes(std::max<std::int64_t>(1, bytes - section_bytes(name)));
    last.as<CollectiveShape>().overlap = false;
    section().operators.push_back(std::move(last));
  }
  [[nodiscard]] std::int64_t section_bytes(const std::string& name) {
    for (const Operator& o : section().operators)
      if (o.name == name) return o.as<CollectiveShape>().bytes.count();
    return 0;
  }

  void attention_backward(bool with_weights) {
    residual_backward("attention_residual");
    gather("gather_attention_gradient", false);
    const std::int64_t width = heads_ * value_dim();
    input_gradient("attention_out", tokens_, m_.hidden, width);
    if (with_weights) weight_gradient("attention_out", tokens_, m_.hidden, width);
    attention("attention_backward", Pass::Backward);
    rope("rope_backward", Pass::Backward);
    if (m_.qk_norm)
      rowwise("qk_norm_backward", RowwiseKind::RmsNorm, tokens_ * (heads_ + kv_heads_), m_.head_dim,
              Pass::Backward);
    column_backward("attention", projections(), with_weights);
    norm("attention_norm_backward", true, Pass::Backward);
  }
  void attention_weight() {
    weight_gradient("attention_out", tokens_, m_.hidden, heads_ * value_dim());
    for (const Projection& p : projections()) weight_gradient(p.name, tokens_, p.n, p.k);
  }
  /// Products whose columns are spread: the input is gathered anew beside the input's gradient, whose sum
  /// over the group runs beside the weights'.
  void column_backward(const std::string& block, const std::vector<Projection>& list, bool with_weights) {
    const bool beside = with_weights && plan_.overlap.tensor_backward && tp_ > 1;
    const std::string gathered = "gather_" + block + "_again", summed = "reduce_" + block + "_gradient";
    const bool gathers = with_weights && tp_ > 1 && plan_.sequence_parallel;
    if (gathers) gather(gathered, beside);
    for (const Projection& p : list) input_gradient(p.name, tokens_, p.n, p.k);
    const std::string last = section().operators.back().name;
    sum_up(summed, beside);
    if (!with_weights) return;
    if (gathers && beside) joined_ = {last, gathered};
    for (const Projection& p : list) weight_gradient(p.name, tokens_, p.n, p.k);
    join_with(summed, beside);
  }

  // ---- feed-forward
  [[nodiscard]] std::int64_t up() const { return m_.ffn_gated ? 2 : 1; }
  [[nodiscard]] RowwiseKind activation_kind() const {
    return m_.ffn_gated ? RowwiseKind::SwiGlu : RowwiseKind::Gelu;
  }
  void activation(const std::string& name, std::int64_t cols, Pass pass) {
    rowwise(name, activation_kind(), tokens_, cols, pass);
    if (!stack_.kernels.fused_activation)
      rowwise(name + "_bias", RowwiseKind::Copy, tokens_, cols * up(), pass);
  }
  void feed_forward(LayerKind kind) {
    norm("ffn_norm", stack_.kernels.fused_norm);
    if (kind == LayerKind::Experts) return experts_forward();
    gather_beside("gather_ffn", [&] { product("gate_up", tokens_, up() * ffn_, m_.hidden); });
    activation("activation", ffn_, Pass::Forward);
    sum_beside("reduce_ffn", [&] { product("down", tokens_, m_.hidden, ffn_); });
    residual("ffn_residual");
  }
  void feed_forward_backward(LayerKind kind, bool with_weights) {
    residual_backward("ffn_residual");
    if (kind == LayerKind::Experts) {
      experts_backward(with_weights);
    } else {
      gather("gather_ffn_gradient", false);
      input_gradient("down", tokens_, m_.hidden, ffn_);
      if (with_weights) weight_gradient("down", tokens_, m_.hidden, ffn_);
      activation("activation_backward", ffn_, Pass::Backward);
      column_backward("ffn", {{"gate_up", up() * ffn_, m_.hidden}}, with_weights);
    }
    norm("ffn_norm_backward", true, Pass::Backward);
  }
  void feed_forward_weight(LayerKind kind) {
    if (kind == LayerKind::Experts) return experts_weight();
    weight_gradient("down", tokens_, m_.hidden, ffn_);
    weight_gradient("gate_up", tokens_, up() * ffn_, m_.hidden);
  }

  // ---- experts: each whole on its rank; every rank brings its own tokens
  [[nodiscard]] std::int64_t local_experts() const { return m_.experts->count / plan_.groups.expert; }
  [[nodiscard]] std::int64_t etp() const { return plan_.groups.expert_tensor; }
  [[nodiscard]] std::int64_t expert_ffn() const { return m_.experts->ffn / etp(); }
  /// Pairs of a token and an expert that this rank computes: its own, and those of the ranks that share its
  /// experts.
  [[nodiscard]] std::int64_t expert_rows() const {
    const std::int64_t tokens = plan_.sequence_parallel ? own_tokens_ * etp() : own_tokens_;
    return std::max<std::int64_t>(
        1, std::llround(d(tokens) * d(m_.experts->per_token) * plan_.expert_imbalance));
  }
  /// Ranks that share experts gather each other's rows, and sum their parts of the results.
  void share_rows(const std::string& name, CollectiveKind kind) {
    if (etp() == 1) return;
    collective(name, plan_.sequence_parallel ? kind : CollectiveKind::AllReduce,
               d(expert_rows()) * d(m_.hidden) * 2, RankGroup::Tensor);
  }
  void exchange(const std::string& name, CollectiveKind kind) {
    if (plan_.groups.expert == 1) return;
    const double element = kind == CollectiveKind::Dispatch && is_8bit() && name == "dispatch" ? 1 : 2;
    const double bytes = d(own_tokens_) * d(m_.experts->per_token) * d(m_.hidden) * element;
    CollectiveShape& c =
        collective(name, kind, bytes * plan_.expert_imbalance, RankGroup::Expert, plan_.overlap.experts);
    c.library = stack_.expert_library;
    c.copies = m_.experts->per_token;
    c.max_nodes = m_.experts->max_nodes;
  }
  [[nodiscard]] MoeLayer expert_layer() const {
    MoeLayer l;
    l.tokens = own_tokens_;
    l.hidden = m_.hidden;
    l.inter = expert_ffn();
    l.topk = m_.experts->per_token;
    l.experts = m_.experts->count;
    l.local_experts = local_experts();
    l.rows = expert_rows();
    l.active = std::min(l.rows, l.local_experts);
    l.gated = m_.ffn_gated;
    l.dtype = is_8bit() ? plan_.precision.activations : type_;
    return l;
  }
  [[nodiscard]] std::int64_t shared_ffn() const {
    return m_.experts->shared > 0 ? ceil_div(m_.experts->shared * m_.experts->ffn, tp_) : 0;
  }
  void experts_forward() {
    product("router", own_tokens_, m_.experts->count, m_.hidden);
    exchange("dispatch", CollectiveKind::Dispatch);
    if (plan_.sequence_parallel) share_rows("gather_rows", CollectiveKind::AllGather);
    for (Operator o : moe_layer(expert_layer())) {
      o.after = std::exchange(joined_, {});
      section().operators.push_back(std::move(o));
    }
    share_rows("sum_rows", CollectiveKind::ReduceScatter);
    exchange("combine", CollectiveKind::Combine);
    if (shared_ffn() > 0) {
      product("shared_up", tokens_, up() * shared_ffn(), m_.hidden);
      activation("shared_activation", shared_ffn(), Pass::Forward);
      product("shared_down", tokens_, m_.hidden, shared_ffn());
    }
    residual("ffn_residual");
  }
  void grouped(const std::string& name, std::int64_t n, std::int64_t k) {
    GroupedGemmShape g;
    g.groups = std::max<std::int64_t>(local_experts(), 2);
    g.m = expert_rows();
    g.n = n;
    g.k = k;
    g.active = std::min(g.m, local_experts());
    g.dtype = g.weight_dtype = is_8bit() ? plan_.precision.activations : type_;
    add(name, g);
  }
  void experts_backward(bool with_weights) {
    exchange("combine_backward", CollectiveKind::Dispatch);
    if (plan_.sequence_parallel) share_rows("gather_row_gradients", CollectiveKind::AllGather);
    const std::int64_t inter = expert_ffn();
    quantize("quantize_expert_gradient", expert_rows(), m_.hidden);
    grouped("expert_down_dgrad", inter, m_.hidden);
    rowwise("expert_activation_backward", activation_kind(), expert_rows(), inter, Pass::Backward);
    quantize("quantize_expert_activation", expert_rows(), up() * inter);
    grouped("expert_up_dgrad", m_.hidden, up() * inter);
    if (with_weights) routed_weight();
    rowwise("permute_backward", RowwiseKind::MoePermute, expert_rows(), m_.hidden);
    share_rows("sum_row_gradients", CollectiveKind::ReduceScatter);
    exchange("dispatch_backward", CollectiveKind::Combine);
    input_gradient("router", own_tokens_, m_.experts->count, m_.hidden);
    if (with_weights) weight_gradient("router", own_tokens_, m_.experts->count, m_.hidden);
    if (shared_ffn() == 0) return;
    input_gradient("shared_down", tokens_, m_.hidden, shared_ffn());
    activation("shared_activation_backward", shared_ffn(), Pass::Backward);
    input_gradient("shared_up", tokens_, up() * shared_ffn(), m_.hidden);
    if (with_weights) shared_weight();
  }
  void routed_weight() {
    const std::int64_t rows = ceil_div(expert_rows(), local_experts());
    const std::size_t first = section().operators.size();
    weight_gradient("expert_down", rows, m_.hidden, expert_ffn());
    weight_gradient("expert_up", rows, up() * expert_ffn(), m_.hidden);
    as_one_of_each_expert(first);
  }
  /// The weight gradient just added, with what belongs to it, of all experts of this rank.
  void as_one_of_each_expert(std::size_t first) {
    for (std::size_t i = first; i < section().operators.size(); ++i) {
      Operator& o = section().operators[i];
      if (o.is<GemmShape>())
        o.as<GemmShape>().batch = local_experts();
      else
        o.as<RowwiseShape>().rows *= local_experts();
    }
  }
  void shared_weight() {
    weight_gradient("shared_down", tokens_, m_.hidden, shared_ffn());
    weight_gradient("shared_up", tokens_, up() * shared_ffn(), m_.hidden);
  }
  void experts_weight() {
    routed_weight();
    weight_gradient("router", own_tokens_, m_.experts->count, m_.hidden);
    if (shared_ffn() > 0) shared_weight();
  }

  // ---- whole layers
  void layer_forward(LayerKind kind) {
    attention_forward();
    feed_forward(kind);
  }
  void layer_backward(LayerKind kind, bool with_weights) {
    feed_forward_backward(kind, with_weights);
    attention_backward(with_weights);
  }

  // ---- weights that replicas share
  [[nodiscard]] double weight_bytes(LayerKind kind) const {
    double parameters = layer_parameters(m_, {.experts = kind == LayerKind::Experts}) / d(tp_);
    if (kind == LayerKind::Experts) parameters += expert_parameters(m_) / d(plan_.groups.expert * etp());
    return parameters * 2;
  }
  /// The next layer's weights are gathered beside this layer's computation.
  void prefetch(LayerKind kind) {
    if (plan_.sharding != Sharding::Zero3 || plan_.groups.extent(RankGroup::Shard).ranks == 1) return;
    collective("gather_weights", CollectiveKind::AllGather, weight_bytes(kind), RankGroup::Shard,
               plan_.overlap.parameters);
    if (plan_.overlap.parameters) section().awaited.emplace_back("gather_weights");
  }
  void reduce_shard(LayerKind kind) {
    if (plan_.sharding != Sharding::Zero3 || plan_.groups.extent(RankGroup::Shard).ranks == 1) return;
    const double bytes = weight_bytes(kind) / 2 * d(size_of(stack_.reduction));
    collective("reduce_weight_gradients", CollectiveKind::ReduceScatter, bytes, RankGroup::Shard,
               plan_.overlap.gradients);
  }

  /// Unfused: fp32 copies of the logits, of which the maximum is taken off, and the exponentials over their
  /// sum kept for the backward pass; a kernel each.
  void loss(Pass pass) {
    const auto pass_over = [&](std::string name, RowwiseKind kind) {
      rowwise(std::move(name), kind, tokens_, vocab_, Pass::Forward, false, Dtype::Fp32);
    };
    if (stack_.kernels.fused_cross_entropy) {
      const bool back = pass == Pass::Backward;
      return rowwise(back ? "cross_entropy_backward" : "cross_entropy", RowwiseKind::CrossEntropy, tokens_,
                     vocab_, pass);
    }
    if (pass == Pass::Backward) {
      pass_over("scale_logits_gradient", RowwiseKind::Copy);
      return pass_over("convert_logits_gradient", RowwiseKind::Copy);
    }
    pass_over("convert_logits", RowwiseKind::Copy);
    pass_over("maximum_logits", RowwiseKind::CrossEntropy);
    pass_over("subtract_maximum", RowwiseKind::Copy);
    pass_over("exponentials", RowwiseKind::Softmax);
    pass_over("sum_exponentials", RowwiseKind::CrossEntropy);
    pass_over("divide_exponentials", RowwiseKind::Copy);
  }

  /// As a product of image patches with the kernels, with the normalisation and the rectifier after it.
  void convolution(const ConvolutionSpec& c, Pass pass) {
    const std::int64_t pixels = plan_.micro_batch * c.out_size * c.out_size;
    const std::int64_t depth = c.in_channels * c.kernel * c.kernel;
    if (pass == Pass::Forward) {
      multiply("product", pixels, c.out_channels, depth, true, false);
      rowwise("normalise", RowwiseKind::LayerNorm, pixels, c.out_channels);
      rowwise("rectify", RowwiseKind::Copy, pixels, c.out_channels);
      return;
    }
    rowwise("rectify_backward", RowwiseKind::Add, pixels, c.out_channels);
    rowwise("normalise_backward", RowwiseKind::LayerNorm, pixels, c.out_channels, Pass::Backward);
    multiply("product_dgrad", pixels * c.stride * c.stride, c.in_channels,
             ceil_div(c.out_channels * c.kernel * c.kernel, c.stride * c.stride), true, false);
    multiply("product_wgrad", c.out_channels, depth, pixels, false, false);
  }

  const ModelSpec& m_;
  const TrainingPlan& plan_;
  const StackSpec& stack_;
  Dtype type_;
  std::int64_t tp_, sequence_;
  std::int64_t tokens_ = 1, own_tokens_ = 1, heads_ = 1, kv_heads_ = 1, ffn_ = 1, vocab_ = 1;
  std::vector<std::string> joined_;  ///< what the next operator waits for, besides the usual
  Graph graph_;
};

}  // namespace

ChunkPasses passes_of(const Chunk& c, const ModelSpec& m, const TrainingPlan& plan, const StackSpec& stack) {
  PassBuilder b(m, plan, stack);
  ChunkPasses p;
  const bool with_weights = !plan.splits_backward;
  const std::int64_t expert_layers = c.expert_layers + (m.experts ? c.mtp_layers : 0);
  const std::int64_t dense_layers = c.dense_layers + (m.experts ? 0 : c.mtp_layers);
  if (!m.convolutions.empty()) {
    b.convolutions(Pass::Forward);
    p.forward = b.take();
    b.convolutions(Pass::Backward);
    p.backward = b.take();
    return p;
  }
  if (c.embedding) b.embedding();
  if (dense_layers > 0) b.layers_forward(LayerKind::Dense, dense_layers);
  if (expert_layers > 0) b.layers_forward(LayerKind::Experts, expert_layers);
  if (c.head) b.head(1 + c.mtp_layers, false);
  p.forward = b.take();
  if (c.head) b.head(1 + c.mtp_layers, true);
  if (expert_layers > 0) b.layers_backward(LayerKind::Experts, expert_layers, with_weights);
  if (dense_layers > 0) b.layers_backward(LayerKind::Dense, dense_layers, with_weights);
  if (c.embedding) b.embedding_backward();
  p.backward = b.take();
  if (with_weights) return p;
  if (expert_layers > 0) b.layers_weight(LayerKind::Experts, expert_layers);
  if (dense_layers > 0) b.layers_weight(LayerKind::Dense, dense_layers);
  p.weight = b.take();
  return p;
}

}  // namespace xpusim::ops
