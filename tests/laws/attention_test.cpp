#include "laws/law.h"

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
  if (a.latent) a.kv_heads = 1, a.heads = r.pick(std::vector<std::int64_t>{8, 16, 64, 128});
  return a;
}

std::string where(const AttentionShape& a, const ChipSpec& c, double is, double was) {
  return fmt::format("{:.4g} us after {:.4g} | {} | {}", is * 1e6, was * 1e6, text(Operator{"", a, {}}),
                     text(c));
}

/// Tiles of few rows keep more cores busy than one tile of all rows, and come in steps; and the closed form
/// takes what the last blocks write apart, which are all blocks of one token. Below 7 % over 200,000 steps
/// (XPUSIM_LAW_SCALE=40).
constexpr double kMenuGranularity = 0.1;

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

}  // namespace
}  // namespace xpusim::test
