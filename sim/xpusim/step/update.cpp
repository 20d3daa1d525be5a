#include "xpusim/step/update.h"

#include <algorithm>

namespace xpusim::step {
namespace {

std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

std::int64_t layers_of(const graph::Chunk& c) {
  std::int64_t sum = c.mtp_layers;
  for (const auto& [type, count] : c.layers) sum += count;
  return std::max<std::int64_t>(1, sum);
}

/// Times what replicas do after the passes.
class UpdateTimer {
 public:
  UpdateTimer(const Stages& stages, const PipelineRun& run, const Request& q, OperatorTimer& timer)
      : stages_(stages), run_(run), q_(q), timer_(timer) {}

  Update of_stage(std::int64_t stage) {
    const graph::Plan& plan = stages_.plan;
    Update u;
    graph::ChunkParameters all;
    double stream = 0;
    std::int64_t layers = 0;
    for (const std::int64_t v : stages_.virtual_stages_of(stage)) {
      const graph::Chunk& c = stages_.chunks[index(v)];
      const graph::ChunkParameters p = graph::parameters_of(c, q_.model, plan);
      all.dense += p.dense;
      all.experts += p.experts;
      layers += layers_of(c);
      if (plan.overlap.gradients) stream = overlapped_end(v, p, stream);
    }
    const graph::GradientExchange exchange = graph::gradient_exchange(all, plan, q_.stack);
    u.gradients_end = run_.total;
    if (plan.overlap.gradients)
      u.gradients_end = std::max(u.gradients_end, stream);
    else
      u.gradients_end += time_all(exchange.gradients);
    for (const Section& section : graph::optimizer_graph(all, plan, q_.stack).sections)
      for (const Operator& o : section.operators) {
        u.rows.push_back(time_stream(o));
        u.optimizer += u.rows.back().time.count();
      }
    // Beside the next step's first passes, only the first layer's weights are waited for.
    u.weights = time_all(exchange.weights) / (plan.overlap.parameters ? d(layers) : 1);
    return u;
  }

 private:
  [[nodiscard]] double time_all(const std::vector<Operator>& list) {
    double sum = 0;
    for (const Operator& o : list) sum += timer_.row(o, stages_.plan.groups).time.count();
    return sum;
  }

  /// A kernel over many elements, each on its own: the time of a piece that is long beside its start, as
  /// often as it fits.
  [[nodiscard]] result::OperatorRow time_stream(const Operator& o) {
    constexpr std::int64_t kPiece = 1 << 24;
    Operator piece = o;
    auto& shape = piece.as<RowwiseShape>();
    const std::int64_t cols = shape.cols;
    shape.cols = std::min(cols, kPiece);
    result::OperatorRow row = timer_.row(piece, stages_.plan.groups);
    row.section = "optimizer";
    row.op = o;
    const double pieces = cols > kPiece ? d(cols) / d(kPiece) : 1;
    Breakdown whole;
    row.breakdown = whole.add(row.breakdown, pieces / q_.stack.kernels.rate);
    row.time = Seconds(row.time.count() * pieces / q_.stack.kernels.rate);
    row.hbm_bytes *= pieces;
    return row;
  }

  /// Gradients of a chunk go out layer by layer beside its last backward pass, behind those of other chunks.
  [[nodiscard]] double overlapped_end(std::int64_t v, const graph::ChunkParameters& p, double stream) {
    const double exchange = time_all(graph::gradient_exchange(p, stages_.plan, q_.stack).gradients);
    const double backward = stages_.pipeline.times[index(v)].backward;
    const double layers = d(layers_of(stages_.chunks[index(v)]));
    const double end = run_.last_backward[index(v)];
    const double first_layer = end - backward * (1 - 1 / layers);
    const double taken = q_.stack.core_share * std::min(exchange, backward);
    return std::max(std::max(stream, first_layer) + exchange, end + taken + exchange / layers);
  }

  const Stages& stages_;
  const PipelineRun& run_;
  const Request& q_;
  OperatorTimer& timer_;
};

}  // namespace

std::vector<std::int64_t> Stages::virtual_stages_of(std::int64_t stage) const {
  std::vector<std::int64_t> list;
  for (std::int64_t v = 0; v < pipeline.virtual_stages(); ++v)
    if (pipeline.stage_of(v, 0) == stage || pipeline.stage_of(v, 1) == stage) list.push_back(v);
  return list;
}

std::vector<graph::Chunk> Stages::chunks_on(std::int64_t stage) const {
  std::vector<graph::Chunk> list;
  for (const std::int64_t v : virtual_stages_of(stage)) list.push_back(chunks[index(v)]);
  return list;
}

Update time_update(const Stages& stages, const PipelineRun& run, const Request& q, OperatorTimer& timer) {
  UpdateTimer update(stages, run, q, timer);
  Update longest;
  for (std::int64_t s = 0; s < stages.count(); ++s) {
    Update u = update.of_stage(s);
    longest.gradients_end = std::max(longest.gradients_end, u.gradients_end);
    longest.weights = std::max(longest.weights, u.weights);
    if (longest.rows.empty() || u.optimizer > longest.optimizer) {
      longest.optimizer = u.optimizer;
      longest.rows = std::move(u.rows);
    }
  }
  return longest;
}

}  // namespace xpusim::step
