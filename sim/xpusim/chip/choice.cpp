#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "xpusim/chip/kernel.h"
#include "xpusim/mapping/templates.h"

namespace xpusim::chip {
namespace {

/// Of programs that are alike but for so little, the one of the fewest blocks is taken: larger transfers have
/// more bytes on their way, and are played sooner.
constexpr double kAlike = 9e-4;
/// Blocks that a core needs anyhow, so that one's transfers overlap with another's work.
constexpr std::int64_t kOverlapping = 4;

/// Keeps the candidates that are within `slack` of the fastest seen.
class Shortlist final : public mapping::Visitor {
 public:
  Shortlist(const ChipSpec& chip, double slack) : chip_(chip), slack_(slack) {}

  [[nodiscard]] bool may_win(Cycles least) const override {
    return (least / chip_.clock.max).count() <= limit();
  }
  /// Where blocks wait for each other at their ends, fewer of them at once may end sooner: such a program may
  /// leave cores idle, and take some waves more.
  void see(mapping::TileProgram p) override {
    constexpr std::int64_t kMoreWaves = 2;
    const std::int64_t blocks = mapping::block_count(p), waves = ceil_div(blocks, chip_.cores.count);
    for (std::int64_t w = waves + 1; p.raster.splits > 1 && w <= std::min(waves + kMoreWaves, blocks); ++w) {
      mapping::TileProgram fewer = p;
      fewer.cores = ceil_div(blocks, w - 1) - 1;
      fewer.label += fmt::format(" on {} cores", fewer.cores);
      if (fewer.cores > 0) consider(std::move(fewer));
    }
    consider(std::move(p));
  }

  /// A program is no faster at the clock that the cap leaves than at the highest: most need not be asked.
  void consider(mapping::TileProgram p) {
    KernelTime t = bound(p, chip_, chip_.clock.max, Seconds(0));
    if (t.total.count() > limit()) return;
    const Hertz clock = clock_under_cap(p, chip_);
    if (clock < chip_.clock.max) t = bound(p, chip_, clock, Seconds(0));
    if (t.total.count() > limit()) return;
    best_ = std::min(best_, t.total.count());
    list_.push_back({std::move(p), clock, t.total, t.total - Seconds(t.breakdown[Bound::Hbm])});
    std::erase_if(list_, [&](const Choice& c) { return c.time.count() > limit(); });
  }

  [[nodiscard]] std::vector<Choice> take() {
    // Programs that wait for HBM are alike by the closed form: those whose cores have more time to spare wait
    // less for anything else.
    constexpr double kToSpare = 0.1;
    const auto price = [&](const Choice& c) {
      return c.time.count() + (slack_ > 0 ? kToSpare * c.cores.count() : 0);
    };
    std::stable_sort(list_.begin(), list_.end(),
                     [&](const Choice& a, const Choice& b) { return price(a) < price(b); });
    const auto alike = std::find_if(list_.begin(), list_.end(), [&](const Choice& c) {
      return price(c) > price(list_.front()) * (1 + kAlike);
    });
    const auto blocks = [&](const Choice& c) {
      return std::max(mapping::block_count(c.program), kOverlapping * chip_.cores.count);
    };
    std::stable_sort(list_.begin(), alike,
                     [&](const Choice& a, const Choice& b) { return blocks(a) < blocks(b); });
    return std::move(list_);
  }

 private:
  [[nodiscard]] double limit() const { return best_ * (1 + std::max(slack_, kAlike)); }

  const ChipSpec& chip_;
  double slack_;
  double best_ = std::numeric_limits<double>::infinity();
  std::vector<Choice> list_;
};

}  // namespace

std::vector<Choice> choose(const Operator& o, const ChipSpec& chip, double slack) {
  Shortlist shortlist(chip, slack);
  mapping::visit_candidates(o, chip, shortlist);
  return shortlist.take();
}

}  // namespace xpusim::chip
