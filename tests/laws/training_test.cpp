#include "support/training.h"

#include <cmath>

#include "laws/deployment.h"
#include "laws/law.h"

/// Laws of whole training steps, on random plans of small models on shipped systems.
namespace xpusim::test {
namespace {

ModelSpec random_model(Random& r, std::int64_t virtual_stages) {
  ModelSpec m = model("llama31_8b");
  m.id = m.name = "random";
  m.layers = virtual_stages * r.integer(1, 3) + r.integer(0, 2);
  m.head_dim = r.pick(std::vector<std::int64_t>{64, 128});
  m.heads = 16;
  m.kv_heads = r.pick(std::vector<std::int64_t>{8, 16});
  m.hidden = m.heads * m.head_dim;
  m.ffn = m.hidden * r.integer(2, 4);
  m.ffn_gated = r.chance(0.5);
  m.vocab = 8192 * r.integer(1, 4);
  m.norm = r.chance(0.5) ? NormKind::RmsNorm : NormKind::LayerNorm;
  m.position = r.chance(0.5) ? PositionKind::Rope : PositionKind::Learned;
  m.causal = r.chance(0.8);
  if (r.chance(0.35)) m.experts = ExpertsSpec{16, r.integer(1, 4), 1024, r.integer(0, 2), r.integer(0, 1)};
  return m;
}

StackSpec random_stack(Random& r) {
  StackSpec s = plain_stack();
  if (r.chance(0.3)) s.kernels.attention = AttentionKernel::Unfused;
  s.kernels.dropout = r.chance(0.3);
  for (bool* fused : {&s.kernels.fused_softmax, &s.kernels.fused_residual, &s.kernels.fused_norm,
                      &s.kernels.fused_activation, &s.kernels.fused_rope, &s.kernels.fused_cross_entropy,
                      &s.kernels.fused_accumulation})
    *fused = r.chance(0.6);
  for (bool* beside : {&s.overlap.tensor, &s.overlap.tensor_backward, &s.overlap.gradients,
                       &s.overlap.parameters, &s.overlap.pipeline, &s.overlap.experts})
    *beside = r.chance(0.5);
  s.core_share = r.chance(0.5) ? r.real(0, 0.3) : 0;
  s.spread = r.chance(0.3) ? r.real(0, 0.02) : 0;
  s.host.kernel = Seconds(r.chance(0.3) ? r.real(0, 2e-5) : 0);
  s.host.step = Seconds(r.chance(0.3) ? r.real(0, 0.01) : 0);
  s.recompute = Recompute::None;
  return s;
}

Request random_step(Random& r) {
  Request q = on_random_system(r, Phase::Training);
  ScenarioSpec& s = q.scenario;
  ParallelismSpec& p = s.parallelism;
  p.tp = power_of_two(r, 2);
  p.cp = r.chance(0.2) ? 2 : 1;
  p.pp = power_of_two(r, 2);
  p.dp = power_of_two(r, 1) * q.chip.dies;
  p.sequence_parallel = r.chance(0.5) ? Toggle::Auto : Toggle::Off;
  s.training.schedule = static_cast<PipelineSchedule>(r.integer(0, 7));
  if (s.training.schedule == PipelineSchedule::DualPipe) p.pp = std::max<std::int64_t>(2, p.pp);
  p.vpp = s.training.schedule == PipelineSchedule::ZbV && p.pp > 1           ? 2
          : s.training.schedule == PipelineSchedule::Interleaved && p.pp > 1 ? r.integer(1, 3)
                                                                             : 1;
  q.model = random_model(r, p.pp * p.vpp);
  if (q.model.experts) {
    p.etp = 1;
    p.ep = std::min<std::int64_t>(power_of_two(r, 3), p.tp * p.cp * p.dp);
  }
  s.micro_batch = r.integer(1, 2);
  s.batch = s.micro_batch * p.dp * p.pp * 2 * r.integer(1, 3);
  s.sequence = 512 * p.cp * r.integer(1, 4);
  s.recompute = static_cast<Recompute>(r.integer(0, 2));
  s.training.sharding = static_cast<Sharding>(r.integer(0, 3));
  q.stack = random_stack(r);
  take_chips(q);
  return q;
}

std::string text(const Request& q) {
  const ScenarioSpec& s = q.scenario;
  const ParallelismSpec& p = s.parallelism;
  return fmt::format(
      "{} tp {} cp {} pp {} vpp {} dp {} ep {} sp {} batch {} micro {} seq {} layers {} experts {} {} {} {} "
      "attention {} "
      "overlap {}{}{}{}{}{} share {:.3g}",
      q.system.id, p.tp, p.cp, p.pp, p.vpp, p.dp, p.ep, enum_name(p.sequence_parallel), s.batch,
      s.micro_batch, s.sequence, q.model.layers, q.model.experts ? q.model.experts->count : 0,
      enum_name(s.training.schedule), enum_name(s.training.sharding), enum_name(s.recompute),
      enum_name(q.stack.kernels.attention), q.stack.overlap.tensor, q.stack.overlap.tensor_backward,
      q.stack.overlap.gradients, q.stack.overlap.parameters, q.stack.overlap.pipeline,
      q.stack.overlap.experts, q.stack.core_share);
}

/// Seconds of the kernels of the stage that works longest.
double computing(const result::Result& r) {
  double sum = 0;
  for (const result::OperatorRow& o : r.operators)
    if (!is_collective(o.op)) sum += o.time.count() * d(o.count);
  return sum;
}

void expect_to_add_up(const Request& q, Fidelity fidelity) {
  const result::Result r = run(q, fidelity);
  const double total = r.total.count();
  double parts = 0;
  for (const result::Part& p : r.training->parts) {
    EXPECT_GE(p.time.count(), -1e-9 * total) << p.name << " | " << text(q);
    parts += p.time.count();
  }
  EXPECT_NEAR(parts, total, 1e-9 * total) << text(q);
  EXPECT_NEAR(r.breakdown.total(), total, 1e-9 * total) << text(q);
  for (std::size_t i = 0; i < kBounds; ++i)
    EXPECT_GE(r.breakdown.seconds[i], -1e-9 * total) << kBoundNames[i] << " | " << text(q);
  EXPECT_GE(total * (1 + 1e-9) + rounding(r), computing(r))
      << "no faster than its kernels alone | " << text(q);
  EXPECT_LE(r.matrix_utilisation, 1) << text(q);
  EXPECT_LE(r.training->mfu, r.training->hfu) << text(q);
  EXPECT_GT(r.training->mfu, 0);
}

TEST(TrainingLaw, PartsAndBreakdownAddUpAndKernelsAreNeverBeaten) {
  Random r(60);
  for (int i = 0; i < cases(150); ++i) expect_to_add_up(random_step(r), Fidelity::Bound);
  for (int i = 0; i < cases(6); ++i) expect_to_add_up(random_step(r), Fidelity::Tile);
}

TEST(TrainingLaw, ASecondRunGivesTheSameBits) {
  Random r(61);
  for (int i = 0; i < cases(20); ++i) {
    const Request q = random_step(r);
    const result::Result a = run(q), b = run(q);
    EXPECT_EQ(a.total.count(), b.total.count()) << text(q);
    EXPECT_EQ(a.breakdown.seconds, b.breakdown.seconds) << text(q);
  }
}

/// Everything beside everything, and nothing taken for it.
Request overlapped(Request q, Toggle all) {
  OverlapSpec& o = q.scenario.training.overlap;
  o = {all, all, all, all, all};
  q.stack.overlap.tensor_backward = all == Toggle::On;
  q.stack.core_share = 0;
  return q;
}

TEST(TrainingLaw, PerfectOverlapIsBoundedByKernelsAndByNoOverlap) {
  Random r(62);
  Worst gain;
  for (int i = 0; i < cases(100); ++i) {
    const Request q = random_step(r);
    const result::Result on = run(overlapped(q, Toggle::On)), off = run(overlapped(q, Toggle::Off));
    EXPECT_GE(on.total.count() * (1 + 1e-9) + rounding(on), computing(on)) << text(q);
    // Pieces of a sum have a latency each.
    gain.see(on.total.count() / off.total.count(), text(q));
  }
  expect_at_most(gain, 1.03, "overlapped over not overlapped");
}

TEST(TrainingLaw, DoubledReplicasWithDoubledBatchesNeverRaiseThroughputPerChip) {
  Random r(63);
  Worst gain;
  for (int i = 0; i < cases(100); ++i) {
    Request q = random_step(r);
    q.scenario.training.sharding = Sharding::None;  // else each replica steps fewer parameters
    Request twice = q;
    twice.scenario.parallelism.dp *= 2;
    twice.scenario.batch *= 2;
    twice.scenario.chips *= 2;
    const std::int64_t most = std::max(q.system.chips, twice.scenario.chips);
    q.system = twice.system = with_chips(q.system, most, q.chip.dies);
    gain.see(seconds(q) / seconds(twice), text(q));
  }
  // On a whole node a library sums faster than on half of one (in the switches).
  expect_at_most(gain, 1.01, "throughput per chip of twice the replicas");
}

TEST(TrainingLaw, MoreBandwidthIsNeverSlower) {
  Random r(64);
  Worst hbm, links;
  for (int i = 0; i < cases(100); ++i) {
    const Request q = random_step(r);
    const double before = seconds(q);
    Request faster = q;
    scale(faster.chip.hbm.bandwidth, r.real(1, 3));
    hbm.see(seconds(faster) / before, text(q));
    faster = q;
    const double by = r.real(1, 3);
    for (LevelSpec& level : faster.system.levels) scale(level.bandwidth, by);
    links.see(seconds(faster) / before, text(q));
  }
  expect_at_most(hbm, 1 + 1e-3, "with more HBM bandwidth");
  expect_at_most(links, 1 + 1e-9, "with more link bandwidth");
}

TEST(TrainingLaw, UtilisationOfEightBitProductsIsThatOfTheirOwnPeak) {
  Request q;
  q.system = system("dgx_h100");
  q.chip = chip("h100_sxm");
  q.model = model("llama31_8b");
  q.model.layers = 2;
  q.scenario = training_scenario(8, 4, 8192);
  q.scenario.chips = 1;
  q.stack = plain_stack();
  const double wide = run(q).matrix_utilisation;
  q.scenario.precision.activations = Dtype::Fp8;
  const result::Result narrow = run(q);
  double useful = 0;
  for (const result::OperatorRow& o : narrow.operators)
    if (o.flops.count() > 0)
      useful += o.flops.count() * d(o.count) / matrix_peak(q.chip, cost(o.op).matrix_dtype).count();
  EXPECT_NEAR(narrow.matrix_utilisation, useful / narrow.total.count(), 1e-9);
  EXPECT_LT(narrow.matrix_utilisation, wide) << "half of the peak is no more in reach";
}

TEST(TrainingLaw, TheOptimizersKernelsAreRowsLikeOthers) {
  Random r(66);
  for (int i = 0; i < cases(10); ++i) {
    const Request q = random_step(r);
    const result::Result result = run(q);
    double rows = 0, part = 0;
    for (const result::OperatorRow& o : result.operators)
      if (o.section == "optimizer") rows += o.time.count() * d(o.count);
    for (const result::Part& p : result.training->parts)
      if (p.name == "optimizer") part = p.time.count();
    EXPECT_NEAR(rows, part, 1e-9 * part) << text(q);
  }
}

TEST(TrainingLaw, ARankThatIsSlowerHoldsAllUp) {
  Random r(65);
  for (int i = 0; i < cases(30); ++i) {
    Request q = random_step(r);
    q.scenario.training.speed_spread = 0;
    const double even = seconds(q);
    q.scenario.training.speed_spread = 0.1;
    EXPECT_GT(seconds(q), even * 1.02) << text(q);
    EXPECT_LE(seconds(q), even * 1.1 * (1 + 1e-9)) << text(q);
  }
}

TEST(TrainingLaw, BubbleFractionIsTheClosedFormOfEvenStages) {
  // Stages of equal layers; the embedding and the head make the ends work longer, so they are taken small.
  for (const PipelineSchedule schedule : {PipelineSchedule::Gpipe, PipelineSchedule::OneFOneB})
    for (const Fidelity fidelity : {chip::Fidelity::Bound, chip::Fidelity::Tile}) {
      Request q;
      q.system = system("dgx_h100");
      q.chip = chip("h100_sxm");
      q.model = model("llama31_8b");
      q.model.layers = 16;
      q.model.vocab = 128;
      q.scenario = training_scenario(16, 1, 2048);
      q.scenario.parallelism.pp = 4;
      q.scenario.chips = 4;
      q.scenario.training.schedule = schedule;
      q.stack = plain_stack();
      const double fraction = run(q, fidelity).training->bubble_fraction;
      EXPECT_NEAR(fraction, 3.0 / 16, 0.03 * 3.0 / 16);
    }
}

}  // namespace
}  // namespace xpusim::test
