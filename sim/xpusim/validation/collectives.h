#pragma once
#include <string>
#include <vector>

#include "xpusim/network/collective.h"
#include "xpusim/validation/replay.h"

/// Measured collectives: sets of a system ("# system=NAME"), or of a node of a chip (op=nccl,
/// op=custom_allreduce).
namespace xpusim::validation {

/// One measurement, as a call that can be timed, or with the reason why it cannot.
struct MeasuredCall {
  int line = 0;
  std::string source;  ///< as libraries name it in measured_as
  network::Call call;
  std::int64_t in_flight = 1;  ///< messages of which time_us is one's share
  double time_us = 0;
  std::string skipped;  ///< the reason, where it cannot be timed
};

struct MeasuredCalls {
  std::string file;
  std::string system;  ///< as the set names it, or its chip
  std::string op;
  std::vector<MeasuredCall> rows;
};

[[nodiscard]] bool is_collective_set(const Csv&);

/// Reads the rows of such a set. Throws ConfigError with every mistake.
[[nodiscard]] MeasuredCalls interpret_collectives(const Csv&);

/// Runs them on a system, which has the level inside its packages already.
[[nodiscard]] SetReport replay(const MeasuredCalls&, const SystemSpec&, Fidelity, const Progress& = {});

}  // namespace xpusim::validation
