#include "laws/law.h"
#include "xpusim/core/error.h"

/// Products whose weights are narrower than their operands.
namespace xpusim::test {
namespace {

Operator product(const ChipSpec& c, std::int64_t m, std::int64_t n, std::int64_t k, Dtype weights) {
  return {"gemm", GemmShape{.m = m, .n = n, .k = k, .dtype = half_type(c), .weight_dtype = weights}, {}};
}

bool unpacks(const ChipSpec& c) { return c.matrix.unpack_rate.count() > 0; }

TEST(NarrowWeights, AreFewerBytesAndLessTimeWhereMemoryBinds) {
  for (const ChipSpec& c : chips()) {
    if (!unpacks(c)) continue;
    double bytes = 0, seconds = 0, first = 0;
    for (const Dtype type : {half_type(c), Dtype::Int8, Dtype::Int4}) {
      const Operator o = product(c, 1, 8192, 8192, type);
      const chip::KernelTime t = chip::bound(best(o, c), c, c.clock.max, Seconds(0));
      if (bytes > 0) {
        EXPECT_LT(t.hbm_bytes, bytes) << c.id << " " << name(type);
        // Vector units that unpack hardly faster than memory brings bytes bind before it does.
        const double unpacked = c.matrix.unpack_rate.count() * d(c.cores.count) * c.clock.max.count();
        if (type != Dtype::Int4 || unpacked > 1.2 * (c.hbm.bandwidth * c.hbm.achieved_fraction).count()) {
          EXPECT_LT(t.total.count(), seconds) << c.id << " " << name(type);
        }
        EXPECT_LT(t.total.count(), first) << c.id << " " << name(type);
      } else {
        first = t.total.count();
      }
      bytes = t.hbm_bytes;
      seconds = t.total.count();
    }
  }
}

/// What is saved is bytes, on their way out of HBM, through L2 and into the core; and room in the staging
/// buffer, for more stages or a larger tile (below 8 % over 3,700 products).
constexpr double kRoom = 0.1;

TEST(NarrowWeights, SaveNoMoreThanTheirBytesWhereProductsBind) {
  Random r(7201);
  Worst worst;
  for (int i = 0; i < cases(200); ++i) {
    const ChipSpec c = r.pick(chips());
    if (!unpacks(c)) continue;
    const std::int64_t m = r.log_integer(2048, 8192), n = r.log_integer(2048, 8192),
                       k = r.log_integer(2048, 8192);
    const mapping::TileProgram narrow = best(product(c, m, n, k, Dtype::Int4), c);
    const mapping::TileProgram wide = best(product(c, m, n, k, half_type(c)), c);
    const mapping::ProgramTotals a = mapping::totals(wide), b = mapping::totals(narrow);
    const auto copied = static_cast<std::size_t>(mapping::Engine::CopyIn);
    const double hbm = (wide.hbm_read_bytes - narrow.hbm_read_bytes) / chip::achieved_hbm(wide, c).count();
    const double l2 = (a.l2_read_bytes - b.l2_read_bytes) / c.l2.bandwidth.count();
    const double port =
        (a.busy_cycles[copied] - b.busy_cycles[copied]) / (c.clock.max.count() * d(c.cores.count));
    const double saved = std::max({hbm, 0.0}) + std::max(l2, 0.0) + std::max(port, 0.0);
    const double before = bound_seconds(wide, c), now = bound_seconds(narrow, c);
    worst.see((before - saved - now) / before,
              fmt::format("{} m={} n={} k={}: {:.4g} us after {:.4g}, saved {:.4g}", c.id, m, n, k, now * 1e6,
                          before * 1e6, saved * 1e6));
  }
  expect_at_most(worst, kRoom);
}

TEST(NarrowWeights, TakeNoLessTimeThanTheyAreUnpackedIn) {
  Random r(7202);
  Worst worst;
  for (int i = 0; i < cases(200); ++i) {
    ChipSpec c = random_chip(r);
    scale(c.matrix.unpack_rate, r.log_real(0.25, 8));
    if (!unpacks(c)) continue;
    const std::int64_t n = r.log_integer(64, 4096), k = r.log_integer(64, 4096);
    const Operator o = product(c, r.log_integer(1, 256), n, k, Dtype::Int4);
    const mapping::TileProgram p = random_program(r, o, c);
    if (mapping::totals(p).transactions > kMostTransactions) continue;
    const double least =
        d(n) * d(k) / (c.matrix.unpack_rate.count() * d(c.cores.count) * c.clock.max.count());
    worst.see(least / std::min(bound_seconds(p, c), tile_seconds(p, c)) - 1, text(o) + " | " + text(c));
  }
  expect_at_most(worst, 1e-3);
}

TEST(NarrowWeights, AreRefusedWhereNothingUnpacksThem) {
  ChipSpec c = chip("h100_sxm");
  c.matrix.unpack_rate = OpsPerCycle(0);
  const Operator dense = product(c, 16, 1024, 1024, Dtype::Mxfp4);
  const Operator grouped{
      "", GroupedGemmShape{.groups = 4, .m = 64, .n = 512, .k = 512, .weight_dtype = Dtype::Int4}, {}};
  for (const Operator& o : {dense, grouped}) {
    try {
      static_cast<void>(mapping::candidates(o, c));
      FAIL() << text(o);
    } catch (const InfeasibleError& e) {
      EXPECT_NE(std::string(e.what()).find("matrix.unpack_rate"), std::string::npos) << e.what();
    }
  }
  EXPECT_FALSE(mapping::candidates(product(c, 16, 1024, 1024, Dtype::Int8), c).empty()) << "8 bits are free";
}

TEST(NarrowWeights, OfMxfp4AreTakenAsTheyAreByProductsOfMxfp8) {
  ChipSpec c = chip("b200_sxm");
  c.matrix.unpack_rate = OpsPerCycle(0);
  Operator o = product(c, 16, 1024, 1024, Dtype::Mxfp4);
  o.as<GemmShape>().dtype = Dtype::Mxfp8;
  EXPECT_FALSE(mapping::candidates(o, c).empty());
}

}  // namespace
}  // namespace xpusim::test
