#include <cmath>

#include "laws/deployment.h"
#include "laws/law.h"
#include "support/training.h"
#include "xpusim/graph/experts.h"
#include "xpusim/step/timer.h"

/// Laws of serving steps, on random small models and deployments on shipped systems.
namespace xpusim::test {
namespace {

// ---- random models and deployments

/// Latent attention whose dimensions lie about those of DeepSeek-V3.
void make_latent(Random& r, ModelSpec& m) {
  const auto pick = [&r](std::int64_t a, std::int64_t b) { return r.chance(0.5) ? a : b; };
  m.latent = LatentAttentionSpec{pick(0, 768), pick(256, 512), pick(64, 128), pick(32, 64), pick(64, 128)};
  m.kv_heads = m.heads;
  m.head_dim = m.latent->nope_dim + m.latent->rope_dim;
}

ModelSpec random_dense(Random& r, std::int64_t stages) {
  ModelSpec m = model("llama31_8b");
  m.id = m.name = "random";
  m.layers = stages * r.integer(1, 3) + r.integer(0, 2);
  m.heads = 16;
  m.kv_heads = r.pick(std::vector<std::int64_t>{2, 4, 16});
  m.head_dim = r.pick(std::vector<std::int64_t>{64, 128});
  m.hidden = 16 * 64 * r.integer(1, 2);
  m.ffn = m.hidden * r.integer(2, 4);
  m.ffn_gated = r.chance(0.5);
  m.vocab = 8192 * r.integer(1, 4);
  m.qk_norm = r.chance(0.3);
  m.norm = r.chance(0.5) ? NormKind::RmsNorm : NormKind::LayerNorm;
  m.position = r.chance(0.7) ? PositionKind::Rope : PositionKind::Learned;
  return m;
}

ModelSpec random_model(Random& r, std::int64_t stages) {
  ModelSpec m = random_dense(r, stages);
  if (r.chance(0.3)) make_latent(r, m);
  if (r.chance(0.5)) m.experts = ExpertsSpec{16, r.integer(1, 4), 512, r.integer(0, 2), 0, r.integer(0, 1)};
  return m;
}

/// Expert ranks among those of a stage, each expert whole or on all tensor ranks.
void spread_experts(Random& r, ParallelismSpec& p) {
  p.etp = r.chance(0.5) ? 1 : p.tp;
  p.ep = power_of_two(r, 3);
  while ((p.tp * p.cp * p.dp) % (p.ep * p.etp) != 0) p.ep /= 2;
}

/// A decode step; its sequences divide over replicas and stages.
Request random_step(Random& r) {
  Request q = on_random_system(r, Phase::Decode);
  ScenarioSpec& s = q.scenario;
  ParallelismSpec& p = s.parallelism;
  p.tp = power_of_two(r, 2);
  p.pp = power_of_two(r, 1);
  p.cp = r.chance(0.15) ? 2 : 1;
  p.dp = power_of_two(r, 1) * q.chip.dies;
  q.model = random_model(r, p.pp);
  if (q.model.experts) spread_experts(r, p);
  s.batch = p.dp * p.pp * r.integer(1, 8);
  s.context = r.log_integer(1, 8192);
  s.sequence = 256 * r.integer(1, 4);
  take_chips(q);
  return q;
}

/// The same without the groups that a law does not ask for.
Request on_one_stage(Request q) {
  q.scenario.parallelism.pp = 1;
  q.scenario.parallelism.cp = 1;
  if (q.model.experts) q.scenario.parallelism.ep = q.scenario.parallelism.etp = 1;
  take_chips(q);
  return q;
}

std::string text(const Request& q) {
  const ScenarioSpec& s = q.scenario;
  const ParallelismSpec& p = s.parallelism;
  const ModelSpec& m = q.model;
  std::string shape = fmt::format("layers {} hidden {} heads {}/{} x {} ffn {} gated {}", m.layers, m.hidden,
                                  m.heads, m.kv_heads, m.head_dim, m.ffn, m.ffn_gated);
  if (m.latent)
    shape += fmt::format(" latent {} {} {} {} {}", m.latent->q_rank, m.latent->kv_rank, m.latent->nope_dim,
                         m.latent->rope_dim, m.latent->value_dim);
  if (m.experts)
    shape +=
        fmt::format(" experts {} of {} shared {}", m.experts->per_token, m.experts->count, m.experts->shared);
  return fmt::format("{} {} | tp {} cp {} pp {} dp {} ep {} etp {} batch {} sequence {} context {} | {}",
                     q.system.id, enum_name(s.phase), p.tp, p.cp, p.pp, p.dp, p.ep, p.etp, s.batch,
                     s.sequence, s.context, shape);
}

/// A step of `tokens` new ones of each sequence, all of them sampled or none but the last.
Request of_tokens(Request q, std::int64_t tokens, std::int64_t context, std::int64_t sampled) {
  const std::int64_t each = q.scenario.batch / q.scenario.parallelism.dp;
  q.scenario.phase = Phase::Step;
  q.scenario.groups = {{each, tokens, context, sampled}};
  return q;
}
Request as_prefill(Request q, std::int64_t tokens, std::int64_t context) {
  q.scenario.phase = Phase::Prefill;
  q.scenario.sequence = tokens;
  q.scenario.context = context;
  return q;
}

graph::Plan plan_of(const Request& q) {
  const ParallelismSpec& p = q.scenario.parallelism;
  return graph::resolve(q.model, q.scenario, q.stack, p.tp * p.cp * p.pp * p.dp);
}
Graph forward(const Request& q) {
  const graph::Plan plan = plan_of(q);
  return graph::passes_of(graph::chunks_of(q.model, plan).front(), q.model, plan, q.stack).forward;
}

/// FLOP of products and bytes of weights of a graph's sections, the head's apart, and of one operator less.
struct Sums {
  double flops = 0, weights = 0;
};
Sums sums(const Graph& g, const std::string& without = "") {
  Sums all;
  for (const Section& s : g.sections) {
    if (s.name == "head") continue;
    for (const Operator& o : s.operators) {
      if (o.name == without) continue;
      all.flops += cost(o).matrix_flops.count() * d(s.repeat);
      all.weights += cost(o).weight_bytes * d(s.repeat);
    }
  }
  return all;
}

// ---- the same work in other words

TEST(ServingLaw, APromptIsTheForwardPassOfTraining) {
  Random r(80);
  for (int i = 0; i < cases(60); ++i) {
    Request q = on_one_stage(random_step(r));
    q.model.experts.reset();
    q.scenario.parallelism = {.dp = q.chip.dies};
    q.scenario.chips = 1;
    q.scenario.batch = q.chip.dies;
    q.stack = plain_stack();
    q.stack.kernels.fused_norm = true;
    Request trained = q;
    trained.scenario.phase = Phase::Training;
    trained.scenario.recompute = Recompute::None;
    const Sums a = sums(forward(as_prefill(q, q.scenario.sequence, 0))), b = sums(forward(trained));
    EXPECT_NEAR(a.flops, b.flops, 1e-12 * b.flops) << text(q);
    EXPECT_NEAR(a.weights, b.weights, 1e-12 * b.weights) << text(q);
  }
}

TEST(ServingLaw, ADecodeStepIsAStepOfOneGroup) {
  Random r(81);
  for (int i = 0; i < cases(40); ++i) {
    const Request q = random_step(r);
    const double decode = seconds(q), step = seconds(of_tokens(q, 1, q.scenario.context, 1));
    // Decode steps of a pipeline follow each other; a step of any kind fills and drains it.
    if (q.scenario.parallelism.pp > 1)
      EXPECT_LE(decode, step * (1 + 1e-12)) << text(q);
    else
      EXPECT_EQ(decode, step) << text(q);
  }
}

TEST(ServingLaw, OneExpertRankIsNoExpertRank) {
  Random r(82);
  for (int i = 0; i < cases(40); ++i) {
    Request q = random_step(r);
    if (!q.model.experts) q.model.experts = ExpertsSpec{16, 2, 512};
    q.scenario.parallelism.ep = 1;
    q.scenario.parallelism.etp = q.scenario.parallelism.tp;
    Request plain = q;
    plain.scenario.parallelism.etp = 0;
    EXPECT_EQ(seconds(q), seconds(plain)) << text(q);
  }
}

TEST(ServingLaw, OneExpertIsTheDenseBlockAndARouter) {
  Random r(83);
  for (int i = 0; i < cases(60); ++i) {
    Request q = random_step(r);
    q.model.experts.reset();
    q.scenario.parallelism.ep = 1;
    q.scenario.parallelism.etp = 0;
    Request expert = q;
    expert.model.experts = ExpertsSpec{1, 1, q.model.ffn};
    const Sums a = sums(forward(expert), "router"), b = sums(forward(q));
    EXPECT_NEAR(a.flops, b.flops, 1e-12 * b.flops) << text(q);
    EXPECT_NEAR(a.weights, b.weights, 1e-12 * b.weights) << text(q);
  }
}

// ---- several tokens, and pieces of a prompt

void see_tokens(const Request& q, Fidelity fidelity, Worst& falls, Worst& together) {
  const std::int64_t context = q.scenario.context;
  double before = 0;
  for (const std::int64_t n : {1, 2, 3, 4, 6, 8}) {
    const double now = seconds(of_tokens(q, n, context, n), fidelity);
    const double alone = seconds(of_tokens(q, 1, context + n - 1, 1), fidelity);
    const std::string what = fmt::format("{} tokens of {}", n, text(q));
    if (n > 1) falls.see(before / now, what);
    together.see(now / (d(n) * alone), what);
    before = now;
  }
}

TEST(ServingLaw, MoreTokensOfASequenceTakeLongerAndLessThanOneByOne) {
  Random r(84);
  Worst falls, together;
  for (int i = 0; i < cases(60); ++i) see_tokens(random_step(r), Fidelity::Bound, falls, together);
  for (int i = 0; i < cases(2); ++i) see_tokens(random_step(r), Fidelity::Tile, falls, together);
  expect_at_most(falls, 1.02, "time of fewer tokens over that of more");
  expect_at_most(together, 1.001, "time of tokens together over one by one");
}

double product_flops(const result::Result& r) {
  double sum = 0;
  for (const result::OperatorRow& o : r.operators)
    if (o.section != "head") sum += cost(o.op).matrix_flops.count() * d(o.count);
  return sum;
}

TEST(ServingLaw, APieceThatSamplesNothingHasNoHead) {
  Random r(94);
  for (int i = 0; i < cases(20); ++i) {
    const Request q = random_step(r);
    const double with = seconds(of_tokens(q, 64, 128, 1)), without = seconds(of_tokens(q, 64, 128, 0));
    EXPECT_TRUE(std::isfinite(without) && without > 0) << text(q);
    EXPECT_LE(without, with) << text(q);
  }
}

void see_pieces(const Request& q, std::int64_t pieces, Fidelity fidelity, Worst& flops, Worst& gain) {
  const std::int64_t piece = 256, whole = piece * pieces;
  const result::Result at_once = run(as_prefill(q, whole, 0), fidelity);
  double sum = 0, time = 0;
  for (std::int64_t i = 0; i < pieces; ++i) {
    const result::Result part = run(as_prefill(q, piece, i * piece), fidelity);
    sum += product_flops(part);
    time += part.total.count();
  }
  const std::string what = fmt::format("{} pieces of {}", pieces, text(q));
  if (!q.model.latent)  // which goes up again for every piece
    flops.see(std::abs(sum / product_flops(at_once) - 1), what);
  gain.see(at_once.total.count() / time, what);
}

TEST(ServingLaw, PiecesOfAPromptAreTheWholeAndNoFaster) {
  Random r(85);
  Worst flops, gain;
  for (int i = 0; i < cases(60); ++i)
    see_pieces(on_one_stage(random_step(r)), r.integer(2, 4), Fidelity::Bound, flops, gain);
  for (int i = 0; i < cases(2); ++i) see_pieces(on_one_stage(random_step(r)), 2, Fidelity::Tile, flops, gain);
  expect_at_most(flops, 1e-12, "FLOP of pieces off the whole's");
  expect_at_most(gain, 1.0, "time of a prompt at once over its pieces'");
}

TEST(ServingLaw, AGenerationIsItsPrefillAndItsDecodeSteps) {
  Random r(86);
  Worst off;
  for (int i = 0; i < cases(12); ++i) {
    Request q = random_step(r);
    q.scenario.phase = Phase::Generate;
    q.scenario.context = 0;
    q.scenario.output = r.integer(1, 12);
    const double whole = seconds(q);
    double sum = seconds(as_prefill(q, q.scenario.sequence, 0));
    for (std::int64_t k = 0; k + 1 < q.scenario.output; ++k) {
      Request step = q;
      step.scenario.phase = Phase::Decode;
      step.scenario.context = q.scenario.sequence + k;
      sum += seconds(step);
    }
    off.see(std::abs(whole / sum - 1), text(q));
  }
  expect_at_most(off, 1e-12, "generation off the sum of its steps");
}

// ---- closed forms

/// Of DeepSeek-V2, arXiv 2405.04434, section 2.1: products of one token and layer with the weights of latent
/// attention, keys and values not expanded.
double latent_products(const ModelSpec& m) {
  const LatentAttentionSpec& l = *m.latent;
  const double h = d(m.hidden), heads = d(m.heads), query = heads * d(l.nope_dim + l.rope_dim);
  const double queries = l.q_rank > 0 ? d(l.q_rank) * (h + query) : h * query;
  return 2 * (queries + h * d(l.kv_rank + l.rope_dim) + heads * d(l.value_dim) * h);
}

Request latent_request(Random& r, const std::string& id) {
  Request q = on_one_stage(random_step(r));
  if (id.empty()) {
    make_latent(r, q.model);
  } else {
    q.model = model(id);
    q.model.layers = 2;
  }
  q.model.experts.reset();
  q.model.max_position = 1 << 20;
  q.scenario.parallelism = {.dp = q.chip.dies};
  q.scenario.chips = 1;
  q.scenario.batch = q.chip.dies;
  return q;
}

TEST(ServingLaw, LatentAttentionHasThePublishedWork) {
  Random r(87);
  for (int i = 0; i < cases(40); ++i) {
    const Request q = latent_request(r, i == 0 ? "deepseek_v3" : i == 1 ? "kimi_k2" : "");
    const ModelSpec& m = q.model;
    const LatentAttentionSpec& l = *m.latent;
    const double up = d(m.heads) * d(l.kv_rank) * d(l.nope_dim + l.value_dim);
    const double ffn = 2 * (m.ffn_gated ? 3 : 2) * d(m.hidden) * d(m.ffn), seen = d(q.scenario.context + 1);
    // A token of generation: queries down to the latent, and results up from it.
    const double absorbed = d(m.heads) * seen * d(2 * l.kv_rank + l.rope_dim);
    const double one = d(m.layers) * (latent_products(m) + 2 * up + 2 * absorbed + ffn);
    EXPECT_NEAR(sums(forward(q)).flops, one, 1e-9 * one) << text(q);
    // A prompt: every token's keys and values go up, a token sees half of them on average.
    const double tokens = d(q.scenario.sequence);
    const double expanded = d(m.heads) * tokens * (tokens + 1) / 2 * d(l.nope_dim + l.rope_dim + l.value_dim);
    const double prompt = d(m.layers) * (tokens * (latent_products(m) + 2 * up + ffn) + 2 * expanded);
    EXPECT_NEAR(sums(forward(as_prefill(q, q.scenario.sequence, 0))).flops, prompt, 1e-9 * prompt) << text(q);
  }
}

double elements_of_token(const ModelSpec& m, std::int64_t tensor) {
  if (m.latent) return d(m.latent->kv_rank + m.latent->rope_dim);
  return 2 * d(std::max<std::int64_t>(1, m.kv_heads / tensor)) * d(m.head_dim);
}

TEST(ServingLaw, MemoryIsWeightsCacheAndActivations) {
  Random r(88);
  for (int i = 0; i < cases(60); ++i) {
    Request q = random_step(r);
    q.scenario.parallelism.pp = 1;
    q.scenario.precision.kv_cache = r.chance(0.5) ? Dtype::Bf16 : Dtype::Int8;
    take_chips(q);
    const ScenarioSpec& s = q.scenario;
    const result::MemoryUse use = run(q).memory;
    const double tokens = d(s.batch / s.parallelism.dp) * d(s.context + 1) / d(s.parallelism.cp);
    const double cache = tokens * d(q.model.layers) * elements_of_token(q.model, s.parallelism.tp) *
                         size_of(s.precision.kv_cache);
    EXPECT_NEAR(use.kv_cache, cache, 1e-9 * cache) << text(q);
    EXPECT_DOUBLE_EQ(use.weights + use.kv_cache + use.activations, use.total()) << text(q);
    Request alone = q;
    alone.scenario.parallelism = {.dp = q.chip.dies};
    alone.scenario.chips = 1;
    const double final_norm = d(q.model.hidden) * (q.model.norm == NormKind::LayerNorm ? 2 : 1);
    const double weights = 2 * (total_parameters(q.model) - final_norm);
    EXPECT_NEAR(run(alone).memory.weights, weights, 1e-9 * weights) << text(alone);
  }
}

double hbm_bytes(const result::Result& r) {
  double sum = 0;
  for (const result::OperatorRow& o : r.operators) sum += o.hbm_bytes * d(o.count);
  return sum;
}

TEST(ServingLaw, NarrowerWeightsTakeFewerBytes) {
  Random r(89);
  Worst held, read;
  for (int i = 0; i < cases(60); ++i) {
    Request q = random_step(r);
    double memory = 0, bytes = 0;
    for (const Dtype type : {Dtype::Bf16, Dtype::Int8, Dtype::Int4}) {
      q.scenario.precision.weights = type;
      const result::Result now = run(q);
      const std::string what = fmt::format("{} weights of {}", name(type), text(q));
      if (memory > 0) held.see(now.memory.weights / memory, what);
      if (bytes > 0) read.see(hbm_bytes(now) / bytes, what);
      memory = now.memory.weights;
      bytes = hbm_bytes(now);
    }
  }
  expect_at_most(held, 0.6, "memory of narrower weights over wider ones'");
  expect_at_most(read, 1.0, "HBM bytes with narrower weights over wider ones'");
}

// ---- experts and stages

TEST(ServingLaw, TheRanksComputeEveryExpertOfEveryToken) {
  Random r(90);
  Worst missing;
  for (int i = 0; i < cases(100); ++i) {
    Request q = random_step(r);
    if (!q.model.experts) continue;
    const graph::Plan plan = plan_of(q);
    const graph::ExpertShare share(q.model, plan);
    const RankGroups& g = plan.groups;
    EXPECT_GE(share.local * g.expert, q.model.experts->count) << text(q);
    const double pairs = d(graph::tokens_of_rank(plan) * g.context * g.data * q.model.experts->per_token);
    const double computed = d(share.rows * g.tensor * g.context * g.data / g.expert_tensor);
    // Rows of the mean rank are rounded.
    const double rounding = 0.5 * d(g.tensor * g.context * g.data / g.expert_tensor);
    missing.see((pairs - rounding) / computed, text(q));
  }
  expect_at_most(missing, 1, "pairs of a token and an expert over the rows of all ranks");
}

/// Seconds between two stages.
double transfer(const Request& q, const graph::Plan& plan) {
  CollectiveShape send{.kind = CollectiveKind::SendRecv, .group = RankGroup::Pipeline, .library = {}};
  send.bytes = Bytes(std::max<std::int64_t>(1, std::llround(graph::transfer_bytes(q.model, plan))));
  const SystemSpec joined = with_package_level(q.system, q.chip);
  Options options;
  options.fidelity = Fidelity::Bound;
  step::OperatorTimer timer(q.chip, &joined, q.scenario.launch, options);
  return timer.row({"transfer", send, {}}, plan.groups).time.count();
}

TEST(ServingLaw, ARoundOfAPipelineLiesBetweenItsSlowestStageAndAllInARow) {
  Random r(91);
  Worst slowest, in_a_row;
  for (int i = 0; i < cases(60); ++i) {
    Request q = random_step(r);
    q.scenario.parallelism.pp = std::int64_t{1} << r.integer(1, 2);
    q.scenario.parallelism.cp = 1;  // whose keys go round beside the computation
    q.scenario.parallelism.ep = q.model.experts ? 1 : q.scenario.parallelism.ep;
    q.model.layers = std::max(q.model.layers, q.scenario.parallelism.pp);
    take_chips(q);
    const graph::Plan plan = plan_of(q);
    const result::Result round = run(q);
    double longest = 0;
    for (const result::OperatorRow& o : round.operators) longest += o.time.count() * d(o.count);
    slowest.see(longest / round.total.count(), text(q));
    Request one = q;  // all layers on one stage, of one micro-batch
    one.scenario.parallelism.pp = 1;
    one.scenario.batch = plan.shape.front().sequences * q.scenario.parallelism.dp;
    take_chips(one);
    const double row = seconds(one) + transfer(q, plan) * d(plan.groups.pipeline);
    in_a_row.see(round.total.count() / (row * d(plan.micro_batches)), text(q));
  }
  // Operators take whole picoseconds; the pipeline adds up what is not rounded.
  expect_at_most(slowest, 1 + 1e-6, "the slowest stage's work over the round");
  expect_at_most(in_a_row, 1 + 1e-6, "the round over its micro-batches one by one");
}

// ---- results

void expect_to_add_up(const Request& q, Fidelity fidelity) {
  const result::Result r = run(q, fidelity);
  const double total = r.total.count();
  EXPECT_TRUE(std::isfinite(total) && total > 0) << text(q);
  double parts = 0;
  for (const result::Part& p : r.serving->parts) {
    EXPECT_GE(p.time.count(), -1e-9 * total) << p.name << " | " << text(q);
    parts += p.time.count();
  }
  EXPECT_NEAR(parts, total, 1e-9 * total) << text(q);
  EXPECT_NEAR(r.breakdown.total(), total, 1e-9 * total) << text(q);
  for (std::size_t i = 0; i < kBounds; ++i)
    EXPECT_GE(r.breakdown.seconds[i], -1e-9 * total) << kBoundNames[i] << " | " << text(q);
  for (const result::OperatorRow& o : r.operators)
    for (const double x : {o.time.count(), o.flops.count(), o.hbm_bytes, d(o.count)})
      EXPECT_TRUE(std::isfinite(x) && x >= 0) << o.name << " | " << text(q);
  for (const double x : {r.tokens, r.flops.count(), r.memory.weights, r.memory.kv_cache, r.memory.activations,
                         r.serving->ttft.count(), r.serving->tpot.count()})
    EXPECT_TRUE(std::isfinite(x) && x >= 0) << text(q);
  EXPECT_LE(r.matrix_utilisation, 1) << text(q);
  EXPECT_LE(r.hbm_utilisation, 1) << text(q);
}

TEST(ServingLaw, PartsAndBreakdownAddUpAndNothingIsNegative) {
  Random r(92);
  const auto any = [&r] {
    Request q = random_step(r);
    return r.chance(0.3) ? as_prefill(q, q.scenario.sequence, r.chance(0.5) ? 512 : 0) : q;
  };
  for (int i = 0; i < cases(100); ++i) expect_to_add_up(any(), Fidelity::Bound);
  for (int i = 0; i < cases(4); ++i) expect_to_add_up(any(), Fidelity::Tile);
}

/// Also by a number that does not divide its tokens: those are padded.
TEST(ServingLaw, DevicesThatShareAnImageComputeItsWork) {
  Random r(94);
  Worst missing, excess;
  for (int i = 0; i < cases(40); ++i) {
    Request q;
    q.system = system("superpod_h100");
    q.chip = chip(q.system.chip);
    q.model = model(r.pick(std::vector<std::string>{"hunyuan_video", "wan21_14b", "flux_dev"}));
    q.scenario.phase = Phase::Denoise;
    q.scenario.batch = q.scenario.denoise.steps = 1;
    q.scenario.sequence = r.integer(2000, 60000);
    q.scenario.chips = 1;
    const double whole = run(q).flops.count();
    ParallelismSpec& p = q.scenario.parallelism;
    p.ulysses = r.pick(std::vector<std::int64_t>{1, 2, 4});  // heads divide by it
    p.ring = r.integer(1, 7);
    take_chips(q);
    q.scenario.chips = p.ulysses * p.ring;
    const double all = run(q).flops.count() * static_cast<double>(q.scenario.chips);
    missing.see(1 - all / whole, text(q));
    excess.see(all / whole, text(q));
  }
  expect_at_most(missing, 1e-12, "share of the work that nobody does");
  expect_at_most(excess, 1.05, "work of all over the work of one");
}

TEST(ServingLaw, ASecondRunGivesTheSameBits) {
  Random r(93);
  for (int i = 0; i < cases(20); ++i) {
    const Request q = random_step(r);
    const result::Result a = run(q), b = run(q);
    EXPECT_EQ(a.total.count(), b.total.count()) << text(q);
    EXPECT_EQ(a.breakdown.seconds, b.breakdown.seconds) << text(q);
  }
}

}  // namespace
}  // namespace xpusim::test
