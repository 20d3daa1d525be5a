#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "xpusim/core/fields.h"
#include "xpusim/spec/graph.h"

/// How far off the model was where it was measured, and what that says about other results. The numbers come
/// from replaying measured sets (validation/); configs/accuracy.yaml keeps them.
namespace xpusim {

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

/// The class that an operator is validated in; empty for a collective.
[[nodiscard]] std::string_view accuracy_class(const Operator&);
/// What a class's validated range is stated in: name and value.
[[nodiscard]] std::vector<std::pair<std::string_view, double>> accuracy_extents(const Operator&);

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

/// In which extents an operator lies outside the measured range, for people; empty if in none.
[[nodiscard]] std::string outside_validated(const ClassAccuracy&, const Operator&);

}  // namespace xpusim
