#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "xpusim/core/fields.h"

/// How far off the model was where it was measured, and what that says about other results. The numbers come
/// from replaying measured sets (validation/); configs/accuracy.yaml keeps them.
namespace xpusim {

/// Name and value of what decides whether an operator lies in the measured range.
using Extents = std::vector<std::pair<std::string_view, double>>;

/// Extents of the operators of a validated class: a result outside of them has no evidence.
struct ValidatedExtent {
  std::string name;
  double low = 0, high = 0;
};

/// One class of operators on one chip.
struct ClassAccuracy {
  std::string chip, family, operators;
  std::int64_t rows = 0;
  double mape_pct = 0, bias_pct = 0;
  double p90_pct = 0;  ///< nine of ten rows are off by less
  std::vector<ValidatedExtent> extents;
};

struct AccuracyTable {
  std::vector<ClassAccuracy> classes;
};

void describe(Fields&, ValidatedExtent&);
void describe(Fields&, ClassAccuracy&);
void describe(Fields&, AccuracyTable&);

/// What to expect of a class on a chip.
struct ErrorBand {
  double percent = 0;                       ///< nine of ten kernels are off by less
  std::string evidence;                     ///< where it comes from
  const ClassAccuracy* measured = nullptr;  ///< of this chip itself
};

/// The band of a class: as measured on the chip; else the widest of its family's chips, one and a half times;
/// else the widest of any chip, twice. Nothing where the class was never measured.
[[nodiscard]] std::optional<ErrorBand> error_band(const AccuracyTable&, std::string_view chip,
                                                  std::string_view family, std::string_view operators);

/// Which extents lie outside the measured range, for people; empty if none.
[[nodiscard]] std::string outside_validated(const ClassAccuracy&, const Extents&);

}  // namespace xpusim
