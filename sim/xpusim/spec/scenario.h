#pragma once
#include <optional>
#include <string>

#include "xpusim/core/dtype.h"
#include "xpusim/core/fields.h"
#include "xpusim/spec/failures.h"

namespace xpusim {

enum class Phase : std::uint8_t { Prefill, Decode, Training };
inline constexpr std::array<std::string_view, 3> kPhaseNames = {"prefill", "decode", "training"};
template <>
struct EnumNames<Phase> {
  static constexpr std::span<const std::string_view> value = kPhaseNames;
};

/// Graph: captured; Eager: one by one; Kernel: the device time of a kernel alone, as a profiler sees it.
enum class Launch : std::uint8_t { Graph, Eager, Kernel };
inline constexpr std::array<std::string_view, 3> kLaunchNames = {"graph", "eager", "kernel"};
template <>
struct EnumNames<Launch> {
  static constexpr std::span<const std::string_view> value = kLaunchNames;
};

/// What of the activations is computed again in the backward pass: nothing, the attention core, whole layers.
/// Auto: the least that fits the memory.
enum class Recompute : std::uint8_t { None, Selective, Full, Auto };
inline constexpr std::array<std::string_view, 4> kRecomputeNames = {"none", "selective", "full", "auto"};
template <>
struct EnumNames<Recompute> {
  static constexpr std::span<const std::string_view> value = kRecomputeNames;
};

/// What replicas share instead of each keeping a copy: optimizer state, gradients too, weights too.
enum class Sharding : std::uint8_t { None, Zero1, Zero2, Zero3 };
inline constexpr std::array<std::string_view, 4> kShardingNames = {"none", "zero1", "zero2", "zero3"};
template <>
struct EnumNames<Sharding> {
  static constexpr std::span<const std::string_view> value = kShardingNames;
};

/// The order in which a pipeline's stages take forward and backward passes (docs/model.md#pipelines).
enum class PipelineSchedule : std::uint8_t { Auto, Gpipe, OneFOneB, Interleaved, ZbH1, ZbH2, ZbV, DualPipe };
inline constexpr std::array<std::string_view, 8> kPipelineScheduleNames = {
    "auto", "gpipe", "1f1b", "interleaved", "zb_h1", "zb_h2", "zb_v", "dualpipe"};
template <>
struct EnumNames<PipelineSchedule> {
  static constexpr std::span<const std::string_view> value = kPipelineScheduleNames;
};

/// A switch that the software stack decides unless the scenario does.
enum class Toggle : std::uint8_t { Auto, On, Off };
inline constexpr std::array<std::string_view, 3> kToggleNames = {"auto", "on", "off"};
template <>
struct EnumNames<Toggle> {
  static constexpr std::span<const std::string_view> value = kToggleNames;
};
[[nodiscard]] constexpr bool resolve(Toggle t, bool otherwise) {
  return t == Toggle::Auto ? otherwise : t == Toggle::On;
}

struct PrecisionSpec {
  Dtype weights = Dtype::Bf16;
  Dtype activations = Dtype::Bf16;  ///< operand type of the matrix products
  Dtype kv_cache = Dtype::Bf16;
};

/// Sizes of the groups that share the work; chips x dies = tp * cp * dp * pp. Neighbours first: tensor, then
/// context, data and pipeline ranks. Expert ranks are neighbours within a pipeline stage.
struct ParallelismSpec {
  std::int64_t tp = 1;                      ///< tensor: ranks that share every layer
  Toggle sequence_parallel = Toggle::Auto;  ///< norms on 1/tp of the tokens; auto: where tp > 1
  std::int64_t pp = 1;                      ///< pipeline stages
  std::int64_t vpp = 1;                     ///< chunks of layers of one stage
  std::int64_t cp = 1;                      ///< context: ranks that share a sequence
  std::int64_t dp = 0;                      ///< replicas; 0: all devices / (tp * pp * cp)
  std::int64_t ep = 1;                      ///< ranks that a layer's experts are spread over
  std::int64_t etp = 0;                     ///< ranks that share every expert; 0: as tp
};

/// Which communication runs beside computation.
struct OverlapSpec {
  Toggle tensor = Toggle::Auto;      ///< gathers and sums of a layer, beside its products
  Toggle gradients = Toggle::Auto;   ///< sums of gradients, beside the last backward passes
  Toggle parameters = Toggle::Auto;  ///< gathers of updated weights, beside the next step's first passes
  Toggle pipeline = Toggle::Auto;    ///< transfers between stages
  Toggle experts = Toggle::Auto;     ///< dispatch and combine, beside another micro-batch's computation
};

/// How a training step is carried out.
struct TrainingSpec {
  std::string stack = "megatron_core";  ///< id of a software stack
  Sharding sharding = Sharding::None;
  std::int64_t sharding_group = 0;  ///< replicas that share one copy; 0: all
  PipelineSchedule schedule = PipelineSchedule::Auto;
  std::int64_t recompute_layers = 0;  ///< of each stage's chunk that are computed again; 0: all
  OverlapSpec overlap;
  double expert_imbalance = 1;  ///< rows of the busiest rank's experts over the mean
  double speed_spread = 0;      ///< how much slower the slowest rank computes than the typical one
};

/// What is computed and how it is spread over a system.
struct ScenarioSpec {
  std::string name;
  std::string notes;
  std::string model;   ///< id of a model
  std::string system;  ///< id of a system, unless the command line names others
  Phase phase = Phase::Decode;
  std::int64_t chips = 0;        ///< packages used; 0: all of the system
  std::int64_t batch = 1;        ///< sequences in flight (training: of one optimizer step), whole system
  std::int64_t micro_batch = 1;  ///< training: sequences of one forward and backward pass of one replica
  std::int64_t sequence = 1;     ///< new tokens per sequence: the prompt, or the training sequence
  std::int64_t context = 0;      ///< decode: tokens already in the KV cache
  PrecisionSpec precision;
  ParallelismSpec parallelism;
  TrainingSpec training;
  std::optional<FailureSpec> failures;  ///< of training; without them nothing fails
  Recompute recompute = Recompute::None;
  Launch launch = Launch::Graph;
};

void describe(Fields&, PrecisionSpec&);
void describe(Fields&, ParallelismSpec&);
void describe(Fields&, OverlapSpec&);
void describe(Fields&, TrainingSpec&);
void describe(Fields&, ScenarioSpec&);

}  // namespace xpusim
