#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "xpusim/core/breakdown.h"
#include "xpusim/operators/graph.h"
#include "xpusim/result/activity.h"
#include "xpusim/result/goodput.h"
#include "xpusim/result/memory.h"
#include "xpusim/result/timeline.h"
#include "xpusim/spec/accuracy.h"
#include "xpusim/spec/chip.h"

namespace xpusim::result {

/// One operator of the graph: what one run of it takes, and how often it runs.
struct OperatorRow {
  std::string section, name;
  std::int64_t count = 1;
  Seconds time;  ///< of one run
  Breakdown breakdown;
  Flops flops;
  double hbm_bytes = 0;
  std::shared_ptr<const Activity> activity;  ///< of one run; equal operators share it
  Hertz clock;
  Operator op;
  std::optional<double> band_pct;  ///< nine of ten such kernels are off by less; nothing: never measured
  std::string detail;              ///< tiling, or collective algorithm and level
  [[nodiscard]] OpKind kind() const { return kind_of(op); }
};

/// All operators of one kind together.
struct ClassRow {
  OpKind kind{};
  std::int64_t count = 0;
  Seconds time;
  Breakdown breakdown;
  std::optional<double> band_pct;  ///< of its time
};

struct EngineTrace {
  std::size_t row = 0;  ///< of operators
  std::vector<Span> spans;
};

/// A part of a training step's time.
struct Part {
  std::string name;
  Seconds time;
};

/// What is particular to a training step. Times are of the pipeline stage that works longest.
struct TrainingSummary {
  std::string stack, schedule;
  std::int64_t stages = 1, chunks = 1, micro_batch = 1, micro_batches = 1;
  double mfu = 0;               ///< model FLOP over total x peak; docs/model.md#training
  double hfu = 0;               ///< the same with what is recomputed
  FlopsPerSecond model_rate;    ///< model FLOP over total, of one device: what training logs print
  double bubble_fraction = 0;   ///< idle time over busy time, without what transfers add
  std::vector<Part> parts;      ///< add up to total
  PassTimes passes;             ///< seconds of one micro-batch on that stage, all its chunks
  std::vector<PassSpan> spans;  ///< of all stages, when asked for
};

/// What is particular to a step of serving, or to many of them.
struct ServingSummary {
  std::string phase;
  std::int64_t steps = 1;          ///< decode steps of a generation, or denoising steps
  std::int64_t micro_batches = 1;  ///< that the running sequences are in a pipeline
  std::int64_t samples = 0;        ///< images or videos
  double tokens_per_sequence = 1;  ///< that come forward
  Seconds ttft;                    ///< to a prompt's first token; 0: no prompt
  Seconds tpot;                    ///< from a sequence's token to its next; 0: none
  Seconds dispatch, combine;       ///< of tokens to experts and back
  std::vector<Part> parts;         ///< add up to total
};

/// What failures leave of a training job's time.
struct FailureSummary {
  FailingJob job;
  Goodput goodput;  ///< in closed form
  GoodputRun simulated;
  std::int64_t days = 0;  ///< that were simulated
};

/// The outcome of one workload on one system. Plain data: report/ writes it.
struct Result {
  std::string workload;
  std::string system, chip;
  std::string variant;  ///< what-if values of this column, as given
  std::string fidelity;
  std::int64_t chips = 1, devices = 1;
  RankGroups groups;

  Seconds total;
  std::optional<double> band_pct;  ///< of the computation in it; collectives are not validated yet
  std::string band_evidence;
  Breakdown breakdown;            ///< adds up to total
  double tokens = 0;              ///< that one step brings forward; 0: the workload has no tokens
  double matrix_utilisation = 0;  ///< useful matrix FLOP over total x peak at the maximum clock
  double hbm_utilisation = 0;     ///< HBM bytes over total x data-sheet bandwidth
  Flops flops;                    ///< of one device

  std::optional<TrainingSummary> training;
  std::optional<ServingSummary> serving;
  std::optional<FailureSummary> failures;

  MemoryUse memory;  ///< of the fullest rank
  Bytes memory_capacity;

  std::vector<OperatorRow> operators;
  std::vector<ClassRow> classes;       ///< by falling time
  Schedule schedule;                   ///< span.section, span.index
  std::vector<std::size_t> first_row;  ///< of each section in operators
  std::vector<EngineTrace> engines;    ///< of core 0, when asked for
  std::vector<std::string> engine_names;

  std::string config;       ///< the resolved inputs, as YAML
  std::string config_hash;  ///< 64 bits, hexadecimal
  std::vector<std::string> warnings;

  /// All runs of the operators.
  [[nodiscard]] Activity activity() const;
  [[nodiscard]] double tokens_per_s() const { return total.count() > 0 ? tokens / total.count() : 0; }
  [[nodiscard]] double tokens_per_s_per_chip() const { return tokens_per_s() / static_cast<double>(chips); }
  [[nodiscard]] FlopsPerSecond flops_per_s_per_device() const {
    return FlopsPerSecond(total.count() > 0 ? flops.count() / total.count() : 0);
  }
};

/// Kinds by falling time, from the operators.
[[nodiscard]] std::vector<ClassRow> by_class(const std::vector<OperatorRow>&);

/// Gives every operator, class and the whole the error to expect, as measured on the chip or its relatives,
/// and warns of operators outside the measured range. Errors of operators are taken to go the same way: bands
/// add up.
void apply_accuracy(Result&, const AccuracyTable&, const ChipSpec&);

}  // namespace xpusim::result
