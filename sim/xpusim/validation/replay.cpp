#include "xpusim/validation/replay.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "xpusim/chip/kernel.h"
#include "xpusim/core/error.h"

namespace xpusim::validation {
namespace {

/// A prompt of one token runs the kernels of prefill.
std::string class_of(const Measurement& m) {
  return std::string(m.setup == Setup::Prefill ? "attention prefill" : accuracy_class(*m.op));
}

/// Estimators for each way of launching and number of cores that a set's rows were measured with.
class Estimators {
 public:
  Estimators(const ChipSpec& chip, Fidelity fidelity) : chip_(chip), fidelity_(fidelity) {}
  /// The kernels of a call, one after the other.
  Sample sample(const Measurement& m) {
    chip::Estimator& estimator = estimator_of(m);
    const chip::KernelTime& t = estimator.time(*m.op);
    Sample s{m.line, m.label, m.time_us, 0, t.breakdown, t.tiling, class_of(m)};
    for (const Operator& o : m.before) s.breakdown.add(estimator.time(o).breakdown);
    s.breakdown[Bound::Launch] += setup(m.setup).count();
    s.predicted_us = s.breakdown.total() * 1e6;
    return s;
  }

 private:
  [[nodiscard]] Seconds setup(Setup s) const {
    if (s == Setup::None) return Seconds(0);
    return s == Setup::Prefill ? chip_.attention.prefill_setup : chip_.attention.decode_setup;
  }
  /// Larger groups than the decode kernel of the measured library packs are left to one that takes head by
  /// head.
  [[nodiscard]] bool packs(const Operator& o) const {
    const auto& a = o.as<AttentionShape>();
    return a.latent || a.heads / a.kv_heads <= chip_.attention.packed_heads;
  }
  chip::Estimator& estimator_of(const Measurement& m) {
    const bool by_head = m.setup == Setup::Decode && !packs(*m.op);
    const auto key = std::make_tuple(m.launch, m.cores, by_head);
    auto found = known_.find(key);
    if (found == known_.end()) {
      ChipSpec chip = chip_;
      if (m.cores > 0) chip.cores.count = std::min(m.cores, chip.cores.count);
      if (by_head) chip.attention.packed_heads = 1;
      found = known_.emplace(key, chip::Estimator(chip, fidelity_, m.launch)).first;
    }
    return found->second;
  }

  const ChipSpec& chip_;
  Fidelity fidelity_;
  std::map<std::tuple<Launch, std::int64_t, bool>, chip::Estimator> known_;
};

/// Why a row cannot be right: data that lies in no cache came faster than the memory's peak.
std::string impossible(const Measurement& m, const ChipSpec& chip) {
  const double bytes = cost(*m.op).weight_bytes;
  const bool cached = bytes <= 2 * static_cast<double>(chip.l2.capacity.count());
  if (cached || bytes / (m.time_us * 1e-6) <= chip.hbm.bandwidth.count()) return {};
  return "reads its operands faster than the memory's peak";
}

/// The measured range of a class, with one operator more.
void widen(std::vector<ValidatedExtent>& extents, const Operator& o) {
  for (const auto& [name, value] : accuracy_extents(o)) {
    const auto found = std::find_if(extents.begin(), extents.end(),
                                    [&n = name](const ValidatedExtent& e) { return e.name == n; });
    if (found == extents.end()) {
      extents.push_back({std::string(name), value, value});
    } else {
      found->low = std::min(found->low, value);
      found->high = std::max(found->high, value);
    }
  }
}

}  // namespace

ErrorStatistics statistics(const std::vector<Sample>& samples) {
  ErrorStatistics e;
  e.rows = samples.size();
  if (samples.empty()) return e;
  std::vector<double> absolute;
  for (const Sample& s : samples) {
    absolute.push_back(100 * std::abs(s.error()));
    e.bias_pct += 100 * s.error() / static_cast<double>(samples.size());
    e.mape_pct += absolute.back() / static_cast<double>(samples.size());
  }
  std::sort(absolute.begin(), absolute.end());
  const auto quantile = [&](double q) {
    return absolute[static_cast<std::size_t>(q * static_cast<double>(absolute.size() - 1))];
  };
  e.median_ape_pct = quantile(0.5);
  e.p90_ape_pct = quantile(0.9);
  return e;
}

std::size_t SetReport::skipped_rows() const {
  std::size_t sum = 0;
  for (const auto& [reason, rows] : skipped) sum += rows;
  return sum;
}

SetReport replay(const MeasuredSet& set, const ChipSpec& chip, Fidelity fidelity, const Progress& progress) {
  SetReport report{set.file, set.chip, set.op, chip.family, {}, {}, {}, {}};
  Estimators estimators(chip, fidelity);
  std::size_t done = 0;
  for (const Measurement& m : set.rows) {
    if (progress) progress(++done, set.rows.size());
    if (!m.op) {
      ++report.skipped[m.skipped];
      continue;
    }
    if (const std::string reason = impossible(m, chip); !reason.empty()) {
      ++report.skipped[reason];
      continue;
    }
    try {
      report.samples.push_back(estimators.sample(m));
      widen(report.classes[report.samples.back().operators], *m.op);
    } catch (const InfeasibleError& e) {
      ++report.skipped[e.what()];
    }
  }
  report.errors = statistics(report.samples);
  return report;
}

}  // namespace xpusim::validation
