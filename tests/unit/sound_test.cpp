#include "xpusim/jobs/sound.h"

#include <gtest/gtest.h>

#include <limits>

#include "xpusim/core/error.h"

/// Nobody reads a figure that is none.
namespace xpusim::jobs {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinite = std::numeric_limits<double>::infinity();

/// A step of two seconds.
result::Result sound() {
  result::Result r;
  r.workload = "w";
  r.total = Seconds(2);
  r.breakdown[Bound::Matrix] = 1.5;
  r.breakdown[Bound::Launch] = 0.5;
  result::OperatorRow& o = r.operators.emplace_back();
  o.name = "product";
  o.time = Seconds(2);
  o.breakdown = r.breakdown;
  r.training.emplace();
  r.training->parts = {{"forward", Seconds(0.5)}, {"backward", Seconds(1.5)}};
  return r;
}

std::string verdict(const auto& outcome) {
  try {
    check_sound(outcome);
  } catch (const ModelError& e) {
    return e.what();
  }
  return "sound";
}

TEST(Sound, IsWhatAddsUp) {
  EXPECT_EQ(verdict(sound()), "sound");
  EXPECT_EQ(verdict(network::CollectiveTime{}), "sound") << "of one rank";
}

TEST(Sound, IsNoFigureThatIsNotFinite) {
  for (const double bad : {kNan, kInfinite, -kInfinite}) {
    const auto is_refused = [&](const auto& spoil) {
      result::Result r = sound();
      spoil(r);
      EXPECT_NE(verdict(r), "sound");
    };
    is_refused([&](result::Result& r) { r.total = Seconds(bad); });
    is_refused([&](result::Result& r) { r.breakdown[Bound::Hbm] = bad; });
    is_refused([&](result::Result& r) { r.tokens = bad; });
    is_refused([&](result::Result& r) { r.hbm_utilisation = bad; });
    is_refused([&](result::Result& r) { r.memory.weights = bad; });
    is_refused([&](result::Result& r) { r.operators[0].time = Seconds(bad); });
    is_refused([&](result::Result& r) { r.operators[0].hbm_bytes = bad; });
    is_refused([&](result::Result& r) { r.training->mfu = bad; });
    is_refused([&](result::Result& r) { r.training->parts[0].time = Seconds(bad); });
    is_refused([&](result::Result& r) { r.serving.emplace().ttft = Seconds(bad); });
    is_refused([&](result::Result& r) { r.failures.emplace().goodput.work = bad; });
    network::CollectiveTime t;
    t.bus_bandwidth = BytesPerSecond(bad);
    EXPECT_NE(verdict(t), "sound");
    validation::SetReport set;
    set.errors.mape_pct = bad;
    EXPECT_NE(verdict(set), "sound");
    result::ScaleCurve curve;
    curve.points.push_back({8, sound(), "", bad});
    EXPECT_NE(verdict(curve), "sound");
  }
}

TEST(Sound, IsNoTimeBelowZero) {
  result::Result r = sound();
  r.breakdown[Bound::Matrix] = 2.5;
  r.breakdown[Bound::Launch] = -0.5;
  EXPECT_EQ(verdict(r), "w: launch takes -0.5 s; no figure of this result can be trusted");
}

TEST(Sound, IsNoWholeThatItsPartsMiss) {
  result::Result r = sound();
  r.breakdown[Bound::Launch] = 0.4;
  EXPECT_EQ(verdict(r), "w: its parts add up to 1.9 s of 2 s; no figure of this result can be trusted");
  r = sound();
  r.training->parts.pop_back();
  EXPECT_NE(verdict(r), "sound");
  r = sound();
  r.operators[0].breakdown[Bound::L2] = 1;
  EXPECT_NE(verdict(r).find("product: its parts"), std::string::npos);
}

}  // namespace
}  // namespace xpusim::jobs
