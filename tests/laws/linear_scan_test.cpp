#include "laws/law.h"
#include "xpusim/core/error.h"

/// Linear attention: a state that does not grow.
namespace xpusim::test {
namespace {

LinearScanShape heads(std::int64_t batch, std::int64_t q_len) {
  return {.batch = batch, .q_len = q_len, .key_heads = 16, .heads = 32};
}

TEST(LinearScan, OfALongPromptIsLinear) {
  for (const ChipSpec& c : chips()) {
    for (const chip::Fidelity f : {chip::Fidelity::Bound, chip::Fidelity::Tile}) {
      chip::Estimator e(c, f, Launch::Kernel);
      const auto seconds = [&](std::int64_t q) {
        LinearScanShape o = heads(1, q);
        o.dtype = half_type(c);
        return e.time({"", o, {}}).total.count();
      };
      const double once = seconds(8192), twice = seconds(16384), more = seconds(32768);
      EXPECT_NEAR((more - twice) / (twice - once), 2, 0.1) << c.id << " " << enum_name(f);
      EXPECT_GT(twice, 1.8 * once) << c.id;
    }
  }
}

TEST(LinearScan, OfOneTokenReadsAndWritesItsStates) {
  for (const ChipSpec& c : chips()) {
    LinearScanShape o = heads(64, 1);
    o.dtype = half_type(c);
    const double state = 64.0 * 32 * 128 * 128 * 4;
    const mapping::TileProgram p = best({"", o, {}}, c);
    EXPECT_GE(p.hbm_read_bytes + p.hbm_write_bytes, 2 * state) << c.id;
    const chip::KernelTime t = chip::execute(p, c, c.clock.max, Seconds(0));
    EXPECT_GE(t.hbm_bytes, 2 * state) << c.id;
    EXPECT_LE(t.hbm_bytes, 2.1 * state) << c.id;
    EXPECT_GE(t.total.count(), 2 * state / (c.hbm.bandwidth * c.hbm.achieved_fraction).count()) << c.id;
  }
}

/// A chunk's products take whole tiles: one token more than a chunk is a chunk more.
TEST(LinearScan, CostsMoreTheMoreTokensThereAreAndLessThanOneByOne) {
  Random r(7301);
  Worst monotone, steps;
  for (int i = 0; i < cases(300); ++i) {
    const ChipSpec c = random_chip(r);
    Operator o = random_operator(r, c, Class::Scan);
    LinearScanShape& s = o.as<LinearScanShape>();
    const auto seconds = [&](std::int64_t q) {
      s.q_len = q;
      return chip::launch_overhead(c, Launch::Graph, o).count() + bound_seconds(best(o, c), c);
    };
    const double one = seconds(1);
    double before = one;
    for (std::int64_t q = 2; q < 4096; q += 1 + q / 2) {
      const double now = seconds(q);
      monotone.see(before / now - 1, text(o) + " | " + text(c));
      const Cost bytes = cost(o);
      if (bytes.input_bytes + bytes.output_bytes < d(c.l2.capacity.count()) / 2)
        steps.see(now / (d(q) * one) - 1, text(o) + " | " + text(c));
      before = now;
    }
  }
  expect_at_most(monotone, 0.15, "monotone");
  expect_at_most(steps, 1e-9, "steps");
}

TEST(LinearScan, ThatFitsNowhereIsNamedWithItsBuffer) {
  ChipSpec c = chip("h100_sxm");
  c.accumulator.capacity = Bytes(4096);
  try {
    static_cast<void>(mapping::candidates({"", heads(1, 4096), {}}, c));
    FAIL();
  } catch (const InfeasibleError& e) {
    EXPECT_NE(std::string(e.what()).find("key_dim 128, value_dim 128, chunk 64"), std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace xpusim::test
