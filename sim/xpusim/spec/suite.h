#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "xpusim/core/fields.h"
#include "xpusim/spec/fidelity.h"

/// What `xpusim check` runs and guards: cases, each on several chips or systems.
namespace xpusim {

/// A number of a case that is guarded.
enum class Metric : std::uint8_t {
  TimeUs,
  TokensPerSecond,
  HbmBytes,
  MemoryBytes,
  MatrixUtilisationPct,
  HbmUtilisationPct,
  MfuPct,
  BusBandwidth,
  MapePct,
  BiasPct,
  Rows,
};
inline constexpr std::array<std::string_view, 11> kMetricNames = {"time_us",
                                                                  "tokens_per_s",
                                                                  "hbm_bytes",
                                                                  "memory_bytes",
                                                                  "matrix_utilisation_pct",
                                                                  "hbm_utilisation_pct",
                                                                  "mfu_pct",
                                                                  "bus_bandwidth_gb_s",
                                                                  "mape_pct",
                                                                  "bias_pct",
                                                                  "rows"};
template <>
struct EnumNames<Metric> {
  static constexpr std::span<const std::string_view> value = kMetricNames;
};

/// Changes of a percentage are told in points, those of other metrics in percent.
[[nodiscard]] constexpr bool is_percentage(Metric m) {
  return m == Metric::MatrixUtilisationPct || m == Metric::HbmUtilisationPct || m == Metric::MfuPct ||
         m == Metric::MapePct || m == Metric::BiasPct;
}

/// What a published measurement of a case says.
struct MeasuredTime {
  Seconds time;
  std::string source;
};

/// One of `op`, `scenario`, `trace`, `collective`, `validation`, on each of `chips` or `systems`.
struct CaseSpec {
  std::string op;                           ///< kind and key=value words, as `xpusim op` takes them
  std::string scenario;                     ///< id or file
  std::string trace;                        ///< id or file
  std::string collective;                   ///< kind and key=value words, as `xpusim collective` takes them
  std::string validation;                   ///< file of a measured set
  std::vector<std::string> chips, systems;  ///< NAME, or NAME,path=value,...
  std::map<std::string, std::string> set;   ///< path: value
  Fidelity fidelity = Fidelity::Tile;
  std::vector<Metric> metrics;                   ///< empty: those that fit the kind of case
  std::map<Metric, double> tolerance_pct;        ///< over that of the suite
  std::map<std::string, MeasuredTime> measured;  ///< by chip or system as listed
};

struct SuiteSpec {
  std::string name;
  std::string notes;
  std::string baseline;  ///< file, beside the suite; empty: the suite's name with .baseline
  std::map<Metric, double> tolerance_pct;
  std::map<std::string, CaseSpec> cases;
};

/// Where neither case nor suite says: what compilers may differ by is far below.
inline constexpr double kTolerancePct = 0.1;

void describe(Fields&, MeasuredTime&);
void describe(Fields&, CaseSpec&);
void describe(Fields&, SuiteSpec&);

/// The kind of case and its text: ("op", "gemm m=1 ..."). Empty where none or several are given.
[[nodiscard]] std::pair<std::string_view, std::string_view> subject(const CaseSpec&);

}  // namespace xpusim
