#include "laws/law.h"
#include "xpusim/operators/operator.h"

namespace xpusim::test {
namespace {

/// Bytes of the operands of these names that a program's blocks move, by their steps.
double moved(const mapping::TileProgram& p, const std::vector<std::string_view>& names, bool write) {
  double sum = 0;
  for (const mapping::BlockShape& shape : p.shapes)
    for (const mapping::Loop& loop : shape.loops())
      for (const mapping::Step& step : mapping::steps_of(p, p.bodies[loop.body]))
        for (const mapping::Access& a : step.accesses) {
          if (a.operand == mapping::kNone) continue;
          const mapping::Operand& o = p.operands[static_cast<std::size_t>(a.operand)];
          if (o.write == write && std::find(names.begin(), names.end(), o.name) != names.end())
            sum += a.bytes * static_cast<double>(loop.repeat * shape.count);
        }
  return sum;
}

/// Relative difference; of nothing, the difference.
double off(double is, double should) { return std::abs(is - should) / std::max(should, 1e-300); }

class Conservation : public EveryClass {};

TEST_P(Conservation, EveryCandidateComputesTheOperatorsFlops) {
  Random r = random(4);
  Worst worst;
  for (int i = 0; i < cases(200); ++i) {
    const ChipSpec c = random_chip(r);
    const Operator o = random_operator(r, c, GetParam());
    const double flops = cost(o).matrix_flops.count();
    for (const mapping::TileProgram& p : mapping::candidates(o, c))
      worst.see(off(mapping::totals(p).flops.count(), flops), text(o) + " | " + p.label + " | " + text(c));
  }
  expect_at_most(worst, 1e-9);
}

TEST_P(Conservation, EveryCandidateStoresTheOutputOnce) {
  Random r = random(5);
  Worst worst;
  for (int i = 0; i < cases(200); ++i) {
    const ChipSpec c = random_chip(r);
    const Operator o = random_operator(r, c, GetParam());
    const double output = cost(o).output_bytes;
    for (const mapping::TileProgram& p : mapping::candidates(o, c)) {
      const double stored = moved(p, {"C", "O", "output", "state out"}, true);
      worst.see(output > 0 ? off(stored, output) : stored, text(o) + " | " + p.label + " | " + text(c));
    }
  }
  expect_at_most(worst, 1e-9);
}

TEST_P(Conservation, EveryCandidateLoadsItsOperandsAtLeastOnce) {
  Random r = random(6);
  Worst worst;
  for (int i = 0; i < cases(200); ++i) {
    const ChipSpec c = random_chip(r);
    const Operator o = random_operator(r, c, GetParam());
    const Cost cost = xpusim::cost(o);
    for (const mapping::TileProgram& p : mapping::candidates(o, c)) {
      const std::string where = text(o) + " | " + p.label + " | " + text(c);
      const auto see = [&](const std::vector<std::string_view>& names, double bytes) {
        if (bytes > 0) worst.see(1 - moved(p, names, false) / bytes, where);
      };
      if (o.is<GemmShape>()) {
        const GemmShape& g = o.as<GemmShape>();
        const auto elements = [&](std::int64_t x) { return static_cast<double>(x * g.k * g.batch); };
        see({"A"}, elements(g.m) * size_of(g.dtype));
        see({"B"}, elements(g.n) * size_of(g.b_is_weight ? g.weight_dtype : g.dtype));
      } else if (o.is<GroupedGemmShape>()) {
        const GroupedGemmShape& g = o.as<GroupedGemmShape>();
        const auto bytes = [&](std::int64_t rows, Dtype type) {
          return static_cast<double>(rows * g.k) * size_of(type);
        };
        see({"A"}, bytes(g.m, g.dtype));
        see({"B"}, bytes(g.active_groups() * g.n, g.weight_dtype));
      } else if (o.is<AttentionShape>()) {
        const AttentionShape& a = o.as<AttentionShape>();
        const auto elements = [&](std::int64_t extent) {
          return static_cast<double>(a.batch * a.kv_heads * extent) * keys_read(a) * size_of(a.kv_dtype);
        };
        const double keys = elements(a.head_dim), values = a.latent ? 0 : elements(a.value_extent());
        see({"K"}, keys);
        see({"V"}, values);
        see({"Q"}, cost.input_bytes + cost.weight_bytes - keys - values);  // Q; backward also O and dO
      } else {
        see({"state", "input"}, cost.input_bytes + cost.weight_bytes);
      }
    }
  }
  expect_at_most(worst, 1e-9);
}

TEST_P(Conservation, HbmBringsTheColdBytesAndNoMoreThanCoresMove) {
  Random r = random(7);
  Worst cold, more;
  for (int i = 0; i < cases(200); ++i) {
    const Sample s = random_sample(r, GetParam());
    const double hbm = chip::execute(s.program, s.chip, s.chip.clock.max, Seconds(0)).hbm_bytes;
    const mapping::ProgramTotals all = mapping::totals(s.program);
    const double weights = cost(s.op).weight_bytes;
    if (weights > 0) cold.see(1 - hbm / weights, s.text());
    more.see(hbm / (all.load_bytes + all.store_bytes) - 1, s.text());
  }
  if (cold.seen > 0) expect_at_most(cold, 1e-9, "cold");
  expect_at_most(more, 1e-9, "more");
}

TEST_P(Conservation, BothFidelitiesReportTheSameWork) {
  Random r = random(8);
  for (int i = 0; i < cases(100); ++i) {
    const Sample s = random_sample(r, GetParam());
    const chip::KernelTime tile = chip::execute(s.program, s.chip, s.chip.clock.max, Seconds(0));
    const chip::KernelTime bound = chip::bound(s.program, s.chip, s.chip.clock.max, Seconds(0));
    EXPECT_EQ(tile.flops.count(), bound.flops.count()) << s.text();
    EXPECT_EQ(tile.transactions, bound.transactions) << s.text();
    EXPECT_NEAR(tile.l2_bytes, bound.l2_bytes, 1e-9 * bound.l2_bytes) << s.text();
    EXPECT_EQ(tile.tiling, bound.tiling);
  }
}

TEST_P(Conservation, ActivityIsTheWorkAtEitherFidelity) {
  Random r = random(9);
  Worst idle;
  for (int i = 0; i < cases(50); ++i) {
    const Sample s = random_sample(r, GetParam());
    const Cost c = cost(s.op);
    for (const Fidelity f : {Fidelity::Bound, Fidelity::Tile}) {
      chip::Estimator e(s.chip, f, Launch::Graph);
      const chip::KernelTime& t = e.time(s.op);
      const result::Activity& a = *t.activity;
      double flops = 0;
      for (const auto& [dtype, n] : a.flops) flops += n;
      EXPECT_LE(off(flops, c.matrix_flops.count()), 1e-9) << s.text();
      EXPECT_EQ(a.vector_ops + a.special_ops, c.vector_ops + c.special_ops) << s.text();
      EXPECT_LE(off(a.l2_read_bytes + a.l2_write_bytes, t.l2_bytes), 1e-9) << s.text();
      EXPECT_LE(off(a.hbm_read_bytes + a.hbm_write_bytes, t.hbm_bytes), 1e-9) << s.text();
      EXPECT_GE(std::min(a.hbm_read_bytes, a.hbm_write_bytes), -1e-9 * t.hbm_bytes) << s.text();
      for (const double seconds : a.busy_s) idle.see(seconds / t.total.count() - 1, s.text());
    }
  }
  expect_at_most(idle, 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Laws, Conservation, testing::ValuesIn(kClasses), class_name);

}  // namespace
}  // namespace xpusim::test
