#include "laws/law.h"
#include "xpusim/core/error.h"

/// Attention over a cache: several new tokens at once, windows, picked keys.
namespace xpusim::test {
namespace {

/// With the launch in front, as a user sees it.
double seconds(const AttentionShape& a, const ChipSpec& c) {
  const Operator o{"attention", a, {}};
  return chip::launch_overhead(c, Launch::Graph, o).count() + bound_seconds(best(o, c), c);
}

/// A decode step of a random model on a random chip.
AttentionShape random_decode(Random& r, const ChipSpec& c) {
  AttentionShape a = random_operator(r, c, Class::Decode).as<AttentionShape>();
  a.causal = true;
  a.window = a.picked = 0;
  if (a.latent) a.kv_heads = 1, a.heads = r.pick(std::vector<std::int64_t>{8, 16, 64, 128});
  return a;
}

/// Decoding over latent keys of the usual widths.
AttentionShape latent_decode(std::int64_t batch, std::int64_t heads, std::int64_t kv_len) {
  return {
      .batch = batch, .kv_len = kv_len, .heads = heads, .head_dim = 576, .value_dim = 512, .latent = true};
}

std::string where(const AttentionShape& a, const ChipSpec& c, double is, double was) {
  return fmt::format("{:.4g} us after {:.4g} | {} | {}", is * 1e6, was * 1e6, text(Operator{"", a, {}}),
                     text(c));
}

/// Tiles of few rows keep more cores busy than one tile of all rows, and come in steps; and the closed form
/// takes what the last blocks write apart, which are all blocks of one token. Below 7 % over 200,000 steps
/// (XPUSIM_LAW_SCALE=40).
constexpr double kMenuGranularity = 0.11;

TEST(Drafts, CostMoreTheMoreThereAreAndLessThanStepsOfTheirOwn) {
  Random r(7101);
  Worst monotone, steps;
  for (int i = 0; i < cases(400); ++i) {
    ChipSpec c = random_chip(r);
    c.attention.head_block = std::min(c.attention.head_block, c.attention.prefill_block);
    AttentionShape a = random_decode(r, c);
    a.kv_len = std::max<std::int64_t>(a.kv_len, 512);
    const double one = seconds(a, c);
    double before = one;
    for (std::int64_t q = 2; q < std::min<std::int64_t>(a.kv_len, 200); q += 1 + q / 3) {
      a.q_len = q;
      const double now = seconds(a, c);
      monotone.see(before / now - 1, where(a, c, now, before));
      // More than half of L2 is another matter: Q and O then come from and go to HBM.
      const Cost bytes = cost(a);
      if (bytes.input_bytes + bytes.output_bytes < d(c.l2.capacity.count()) / 2)
        steps.see(now / (d(q) * one) - 1, where(a, c, now, one));
      before = now;
    }
  }
  expect_at_most(monotone, kMenuGranularity, "monotone");
  expect_at_most(steps, kMenuGranularity, "steps");
}

TEST(Drafts, OfFewHeadsCostHardlyMoreThanOneToken) {
  for (const char* id : {"h100_sxm", "ascend_910c"}) {
    const ChipSpec c = chip(id);
    for (const std::int64_t batch : {1, 16, 64, 256}) {
      for (const std::int64_t kv : {1024, 4096, 32768}) {
        AttentionShape latent{.batch = batch, .kv_len = kv, .heads = 16, .head_dim = 576, .value_dim = 512};
        latent.latent = true;
        AttentionShape grouped{.batch = batch, .kv_len = kv, .heads = 32, .kv_heads = 8};
        for (AttentionShape& a : {std::ref(latent), std::ref(grouped)}) {
          chip::Estimator e(c, Fidelity::Bound, Launch::Graph);
          const double one = e.time({"", a, {}}).total.count();
          a.q_len = 2;
          const double two = e.time({"", a, {}}).total.count();
          EXPECT_LE(two, 1.25 * one) << where(a, c, two, one);
        }
      }
    }
  }
}

TEST(Drafts, OfAPromptAreNone) {
  EXPECT_FALSE((AttentionShape{.q_len = 64, .kv_len = 64}).drafts());
  EXPECT_FALSE((AttentionShape{.q_len = 64, .kv_len = 4096, .prompt = true}).drafts());
  EXPECT_FALSE((AttentionShape{.q_len = 512, .kv_len = 4096}).drafts());
  EXPECT_FALSE((AttentionShape{.q_len = 64, .kv_len = 4096, .causal = false}).drafts());
  EXPECT_TRUE((AttentionShape{.q_len = 4, .kv_len = 4096}).drafts());
  EXPECT_TRUE((AttentionShape{.q_len = 512, .kv_len = 4096, .latent = true}).drafts());
}

TEST(Windows, OfAllKeysAreNone) {
  Random r(7103);
  for (int i = 0; i < cases(100); ++i) {
    const ChipSpec c = random_chip(r);
    AttentionShape a =
        random_operator(r, c, r.pick(std::vector<Class>{Class::Prefill, Class::Backward, Class::Decode}))
            .as<AttentionShape>();
    a.causal = true;
    a.window = a.picked = 0;
    const double all = seconds(a, c);
    a.window = a.kv_len + r.integer(0, 3);
    EXPECT_EQ(seconds(a, c), all) << where(a, c, seconds(a, c), all);
    EXPECT_EQ(cost(a).matrix_flops.count(), cost(Operator{"", a, {}}).matrix_flops.count());
  }
}

/// A window of few keys lies in two tiles or in three, as the tiles' borders fall: a longer one can be so
/// much faster (37 % over 8,000 steps).
constexpr double kBorders = 0.5;

TEST(Windows, CostMoreTheLongerTheyAre) {
  Random r(7104);
  Worst decode, prefill, full;
  for (int i = 0; i < cases(300); ++i) {
    const ChipSpec c = random_chip(r);
    const bool decodes = r.chance(0.5);
    AttentionShape a = random_operator(r, c, decodes ? Class::Decode : Class::Prefill).as<AttentionShape>();
    a.causal = true;
    a.window = a.picked = 0;
    const double all = seconds(a, c);
    double before = 0;
    for (std::int64_t w = 1; w < a.kv_len; w += 1 + w / 2) {
      a.window = w;
      const double now = seconds(a, c);
      if (before > 0) (decodes ? decode : prefill).see(before / now - 1, where(a, c, now, before));
      full.see(now / all - 1, where(a, c, now, all));
      before = now;
    }
  }
  expect_at_most(decode, kMenuGranularity, "decode");
  expect_at_most(prefill, kBorders, "prefill");
  expect_at_most(full, kMenuGranularity, "full");
}

TEST(Windows, InDecodingAreCachesOfTheirLength) {
  Random r(7105);
  for (int i = 0; i < cases(100); ++i) {
    const ChipSpec c = random_chip(r);
    AttentionShape a = random_operator(r, c, Class::Decode).as<AttentionShape>();
    a.causal = true;
    a.picked = 0;
    a.window = r.integer(2, a.kv_len);
    AttentionShape cut = a;
    cut.kv_len = a.window;
    cut.window = 0;
    EXPECT_NEAR(seconds(a, c) / seconds(cut, c), 1, 1e-12) << where(a, c, seconds(a, c), seconds(cut, c));
    EXPECT_NEAR(cost(a).weight_bytes, cost(cut).weight_bytes, 1e-6);
  }
}

/// Of a long prompt nearly all tokens see a whole window.
TEST(Windows, OfLongPromptsCostWithTheWindow) {
  for (const char* id : {"h100_sxm", "b200_sxm", "ascend_910c"}) {
    const ChipSpec c = chip(id);
    AttentionShape a{.q_len = 65536, .kv_len = 65536, .heads = 32, .kv_heads = 8};
    const double all = seconds(a, c);
    a.window = 1024;
    EXPECT_LT(seconds(a, c), all / 16) << id;
    EXPECT_GT(seconds(a, c), all / 64) << id;
  }
}

TEST(CausalShare, OfAWindowCountsThePairsThatItLeaves) {
  for (const std::int64_t q : {1, 3, 8, 20}) {
    for (const std::int64_t kv : {20, 33}) {
      for (std::int64_t w = 1; w <= kv; ++w) {
        AttentionShape a{.q_len = q, .kv_len = kv, .window = w};
        std::int64_t pairs = 0;
        for (std::int64_t i = 0; i < q; ++i) pairs += std::min(kv - q + i + 1, w);
        EXPECT_NEAR(causal_share(a) * d(q * kv), d(pairs), 1e-9) << q << " " << kv << " " << w;
      }
    }
  }
}

TEST(Picks, OfAllKeysAreNone) {
  Random r(7106);
  for (int i = 0; i < cases(100); ++i) {
    const ChipSpec c = random_chip(r);
    AttentionShape a =
        random_operator(r, c, r.pick(std::vector<Class>{Class::Prefill, Class::Decode})).as<AttentionShape>();
    a.window = a.picked = 0;
    const double all = seconds(a, c);
    a.picked = a.kv_len + r.integer(0, 3);
    EXPECT_EQ(seconds(a, c), all) << where(a, c, seconds(a, c), all);
  }
}

TEST(Picks, BringTheirRowsOnceAndCostNoMoreTheMoreKeysThereAre) {
  Random r(7107);
  Worst bytes;
  for (int i = 0; i < cases(100); ++i) {
    const ChipSpec c = random_chip(r);
    AttentionShape a = random_decode(r, c);
    a.kv_len = r.integer(600, 4000);
    a.picked = r.integer(16, 500);
    a.q_len = r.integer(1, 8);
    const double row =
        d(a.kv_heads) * d(a.head_dim + (a.latent ? 0 : a.value_extent())) * size_of(a.kv_dtype);
    const double rows = d(a.batch) * std::min(d(a.q_len * a.picked), d(a.kv_len));
    EXPECT_NEAR(cost(a).weight_bytes, rows * row, 1e-6 * rows * row);
    const mapping::TileProgram p = random_program(r, {"", a, {}}, c);
    const double brought = chip::execute(p, c, c.clock.max, Seconds(0)).hbm_bytes;
    const double others = cost(a).input_bytes + cost(a).output_bytes;
    bytes.see(1 - brought / (rows * row), where(a, c, 0, 0));
    bytes.see(brought / (rows * row + others) - 1, where(a, c, 0, 0));
    if (a.q_len * a.picked > a.kv_len) continue;
    const double now = seconds(a, c);
    a.kv_len *= 4;
    EXPECT_NEAR(seconds(a, c), now, 1e-9 * now) << where(a, c, seconds(a, c), now);
  }
  expect_at_most(bytes, 1e-9);
}

/// 2048 keys of a long context, as DeepSeek-V3.2 decodes.
TEST(Picks, OfALongContextAreFasterThanAllOfIt) {
  for (const char* id : {"h100_sxm", "b200_sxm", "ascend_910c"}) {
    const ChipSpec c = chip(id);
    AttentionShape a = latent_decode(32, 128, 65536);
    const double all = seconds(a, c);
    a.picked = 2048;
    EXPECT_LT(seconds(a, c), all / 8) << id;
    const double at_64k = seconds(a, c);
    a.kv_len = 131072;
    EXPECT_NEAR(seconds(a, c), at_64k, 1e-9 * at_64k) << id;
  }
}

TEST(WideHeads, RunOnEveryShippedChip) {
  for (const ChipSpec& c : chips()) {
    for (const std::int64_t batch : {1, 32, 1024}) {
      for (std::int64_t heads = 1; heads <= 128; heads *= 2) {
        for (std::int64_t kv = 512; kv <= 65536; kv *= 2) {
          for (const Dtype type : {half_type(c), Dtype::Fp8}) {
            AttentionShape a = latent_decode(batch, heads, kv);
            a.dtype = half_type(c);
            a.kv_dtype = type;
            EXPECT_FALSE(mapping::candidates({"", a, {}}, c).empty()) << text(Operator{"", a, {}}) << c.id;
          }
        }
      }
    }
  }
}

TEST(WideHeads, AreSwappedOrCutWhereNoTileHoldsThem) {
  const std::string label = best({"", latent_decode(64, 64, 4096), {}}, chip("b200_sxm")).label;
  EXPECT_NE(label.find("swapped"), std::string::npos) << label;
}

TEST(WideHeads, MoveAndComputeTheSameInParts) {
  Random r(7102);
  Worst flops, output, cold, least;
  for (int i = 0; i < cases(100); ++i) {
    ChipSpec c = chip("b200_sxm");
    c.cores.count = r.integer(4, 40);
    c.vector.exchange = r.chance(0.5) ? Exchange::Registers : Exchange::L2;
    c.staging.capacity = Bytes(512 << 10);
    c.accumulator.capacity = Bytes(r.integer(160, 270) << 10);
    AttentionShape a = latent_decode(r.integer(1, 4), r.pick(std::vector<std::int64_t>{8, 16, 64, 128}),
                                     r.log_integer(64, 4096));
    if (r.chance(0.5)) a.latent = false, a.head_dim = 512, a.q_len = r.integer(1, a.kv_len);
    const Operator o{"", a, {}};
    const mapping::TileProgram p = random_program(r, o, c);
    const mapping::ProgramTotals all = mapping::totals(p);
    const std::string what = text(o) + " | " + p.label + " | " + text(c);
    flops.see(std::abs(all.flops.count() / cost(o).matrix_flops.count() - 1), what);
    double stored = 0;
    for (const mapping::BlockShape& shape : p.shapes)
      for (const mapping::Loop& loop : shape.loops())
        for (const mapping::Step& step : mapping::steps_of(p, p.bodies[loop.body]))
          for (const mapping::Access& access : step.accesses)
            if (access.operand != mapping::kNone &&
                p.operands[static_cast<std::size_t>(access.operand)].name == "O")
              stored += access.bytes * d(loop.repeat * shape.count);
    output.see(std::abs(stored / cost(o).output_bytes - 1), what);
    const chip::KernelTime tile = chip::execute(p, c, c.clock.max, Seconds(0));
    if (cost(o).weight_bytes > 0) cold.see(1 - tile.hbm_bytes / cost(o).weight_bytes, what);
    least.see(chip::lower_bound(o, c).count() / std::min(tile.total.count(), bound_seconds(p, c)) - 1, what);
  }
  expect_at_most(flops, 1e-9, "flops");
  expect_at_most(output, 1e-9, "output");
  expect_at_most(cold, 1e-9, "cold");
  expect_at_most(least, 1e-3, "least");
}

TEST(WideHeads, ThatFitNowhereAreNamedWithTheirBuffer) {
  ChipSpec c = chip("b200_sxm");
  c.accumulator.capacity = Bytes(4096);
  try {
    static_cast<void>(mapping::candidates({"", latent_decode(1, 16, 4096), {}}, c));
    FAIL();
  } catch (const InfeasibleError& e) {
    const std::string what = e.what();
    for (const char* part : {"tensor memory", "head_dim 576", "value_dim 512"})
      EXPECT_NE(what.find(part), std::string::npos) << what;
  }
}

}  // namespace
}  // namespace xpusim::test
