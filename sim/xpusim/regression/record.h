#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "xpusim/core/error.h"
#include "xpusim/core/fields.h"
#include "xpusim/spec/suite.h"

/// What the cases of a suite came to, as it is kept between runs.
namespace xpusim::regression {

inline constexpr std::string_view kSchema = "xpusim.baseline/1";

/// What the runs of one operator take together, and what bounds it.
struct OperatorRecord {
  std::string kind, bound;
  double us = 0;
};

/// One case on one chip or system.
struct CaseRecord {
  std::string config;               ///< hash of all that went in
  std::vector<std::string> inputs;  ///< files that it read: keys of Baseline::inputs
  std::string refused;              ///< why it cannot run; empty: it can
  std::string bound;                ///< what most of the time is spent on, or how a collective runs
  std::map<Metric, double> metrics;
  std::map<std::string, double> causes_us;          ///< time by cause; adds up to the whole
  std::map<std::string, OperatorRecord> operators;  ///< by section.name; "rest" stands for the small ones
};

/// An input file with all inheritance and defaults resolved: text by group (such as "hbm") and path in it.
using InputValues = std::map<std::string, std::map<std::string, std::string>>;

/// The outcome of a whole suite. A baseline is one that was accepted.
struct Baseline {
  std::string schema{kSchema};
  std::string model;                          ///< version of XPUSim
  std::string reason;                         ///< why it was accepted
  std::map<std::string, InputValues> inputs;  ///< by kind and id, e.g. "chip my_chip"
  std::map<std::string, CaseRecord> cases;
};

void describe(Fields&, OperatorRecord&);
void describe(Fields&, CaseRecord&);
void describe(Fields&, Baseline&);

/// Numbers as they are kept, seven digits: beyond what any platform may differ in.
[[nodiscard]] double rounded(double);

/// A baseline of another time, which this program does not read but may write anew.
class OtherSchema : public ConfigError {
 public:
  using ConfigError::ConfigError;
};

/// Reads a baseline. Throws ConfigError when it is none, OtherSchema when it is of another schema.
[[nodiscard]] Baseline parse_baseline(const std::string& text, const std::string& file);
[[nodiscard]] Baseline read_baseline(const std::string& file);
/// Sorted text that changes by lines: an operator, a group of inputs, the metrics of a case are one each.
[[nodiscard]] std::string to_text(const Baseline&);

/// One record as text, and back: what processes tell each other.
[[nodiscard]] std::string to_message(const CaseRecord&);
[[nodiscard]] CaseRecord parse_message(const std::string&);

/// Small operators of a case together, so that a baseline stays short: those below this share of its time.
inline constexpr double kSmallShare = 0.005;
inline constexpr const char* kRest = "rest";
[[nodiscard]] CaseRecord without_small(CaseRecord);

/// Of all its operators.
[[nodiscard]] double operator_us(const CaseRecord&);
/// The record with the operators that are small, by name and content, as its rest.
using IsSmall = std::function<bool(const std::string&, const OperatorRecord&)>;
[[nodiscard]] CaseRecord folded(CaseRecord, const IsSmall&);

}  // namespace xpusim::regression
