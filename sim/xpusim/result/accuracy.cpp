#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "xpusim/result/result.h"

namespace xpusim::result {
namespace {

/// Mean of bands, weighted by time. Nothing where no part has one.
class MeanBand {
 public:
  void add(double seconds, const std::optional<double>& percent) {
    if (!percent) return;
    seconds_ += seconds;
    sum_ += seconds * *percent;
  }
  [[nodiscard]] std::optional<double> percent() const {
    return seconds_ > 0 ? std::optional(sum_ / seconds_) : std::nullopt;
  }

 private:
  double seconds_ = 0, sum_ = 0;
};

/// Operators of one name stand for many: one warning each, and not more than a few.
void warn_outside(Result& r, const ClassAccuracy& c, const OperatorRow& row, std::set<std::string>& warned) {
  constexpr std::size_t kMostWarnings = 5;
  const std::string where = outside_validated(c, accuracy_extents(row.op));
  if (where.empty() || warned.size() >= kMostWarnings || !warned.insert(row.name).second) return;
  r.warnings.push_back(fmt::format("{}: outside what was measured on {}: {}", row.name, c.chip, where));
}

}  // namespace

void apply_accuracy(Result& r, const AccuracyTable& table, const ChipSpec& chip) {
  MeanBand whole;
  std::map<OpKind, MeanBand> classes;
  std::set<std::string> warned, evidence;
  for (OperatorRow& row : r.operators) {
    const auto band = error_band(table, chip.id, chip.family, accuracy_class(row.op));
    if (!band) continue;
    row.band_pct = band->percent;
    const double seconds = row.time.count() * static_cast<double>(row.count);
    whole.add(seconds, row.band_pct);
    classes[row.kind()].add(seconds, row.band_pct);
    evidence.insert(band->evidence);
    if (band->measured != nullptr) warn_outside(r, *band->measured, row, warned);
  }
  for (ClassRow& c : r.classes)
    if (const auto found = classes.find(c.kind); found != classes.end()) c.band_pct = found->second.percent();
  r.band_pct = whole.percent();
  for (const std::string& e : evidence) r.band_evidence += (r.band_evidence.empty() ? "" : "; ") + e;
}

}  // namespace xpusim::result
