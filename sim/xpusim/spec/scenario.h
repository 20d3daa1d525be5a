#pragma once
#include <optional>
#include <string>
#include <vector>

#include "xpusim/core/dtype.h"
#include "xpusim/core/fields.h"
#include "xpusim/spec/failures.h"

namespace xpusim {

/// Prefill: prompts; decode: a token more (drafts to verify too); step: any mix of sequences; generate: a
/// static batch, prompt and output; denoise: a diffusion transformer's steps; training: an optimizer step.
enum class Phase : std::uint8_t { Prefill, Decode, Step, Generate, Denoise, Training };
inline constexpr std::array<std::string_view, 6> kPhaseNames = {"prefill",  "decode",  "step",
                                                                "generate", "denoise", "training"};
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
  std::optional<Dtype> experts;  ///< weights of the routed experts; none: as the others
  [[nodiscard]] Dtype expert_weights() const { return experts.value_or(weights); }
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
  // Of images and video: ranks that share a sequence by heads, by keys, and by the passes of guidance.
  std::int64_t ulysses = 1, ring = 1, cfg = 1;
};

/// Equal sequences of a step: prompts, running requests, drafts to verify.
struct SequenceGroup {
  std::int64_t sequences = 1;
  std::int64_t new_tokens = 1;     ///< of each, computed in this step
  std::int64_t cached_tokens = 0;  ///< of each, whose keys and values are there already
  std::int64_t sampled = 1;        ///< of each's new tokens, that go through the head
  [[nodiscard]] std::int64_t tokens() const { return sequences * new_tokens; }
  [[nodiscard]] std::int64_t seen() const { return cached_tokens + new_tokens; }
};

/// Where the experts of a served model lie: each of `ep` ranks holds as many places as the others.
struct ExpertPlacement {
  std::int64_t redundant = 0;  ///< second copies of busy experts
  std::int64_t shared_replicas =
      0;                 ///< copies of the shared experts on places of their own; 0: on every rank
  double imbalance = 1;  ///< rows of the busiest rank's experts over the mean
};

/// Who proposes the drafts that a decode step verifies: the model's own further layers, or something that
/// takes no time on the chip (n-grams).
enum class Drafter : std::uint8_t { Mtp, None };
inline constexpr std::array<std::string_view, 2> kDrafterNames = {"mtp", "none"};
template <>
struct EnumNames<Drafter> {
  static constexpr std::span<const std::string_view> value = kDrafterNames;
};
struct SpeculationSpec {
  std::int64_t drafts = 1;  ///< tokens proposed for each sequence and step
  double acceptance = 0;    ///< of a draft whose predecessors were accepted
  Drafter drafter = Drafter::Mtp;
  /// Tokens that a step brings forward on average: the verified one, and the drafts up to the first refused.
  [[nodiscard]] double tokens() const;
};

/// How a diffusion transformer makes an image or a video.
struct DenoiseSpec {
  std::int64_t steps = 1;
  std::int64_t passes = 1;  ///< of the model a step; 2: with guidance
  double other_share = 0;   ///< of the whole time, for the text encoder and the VAE
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

/// What is computed and how it is spread over a system. Each phase reads its own members.
struct ScenarioSpec {
  std::string name;
  std::string notes;
  std::string model;   ///< id of a model
  std::string system;  ///< id of a system, unless the command line names others
  Phase phase = Phase::Decode;
  std::int64_t chips = 0;        ///< packages used; 0: all of the system
  std::int64_t batch = 1;        ///< sequences in flight (training: of one optimizer step), whole system
  std::int64_t micro_batch = 1;  ///< training: sequences of one forward and backward pass of one replica
  std::int64_t sequence = 1;     ///< new tokens per sequence: the prompt, the image, the training sequence
  std::int64_t context = 0;      ///< tokens already in the KV cache
  std::int64_t output = 1;       ///< generate: tokens that follow the prompt, the first comes with it
  std::vector<SequenceGroup> groups;  ///< step: the sequences of one replica
  PrecisionSpec precision;
  ParallelismSpec parallelism;
  ExpertPlacement experts;
  std::optional<SpeculationSpec> speculation;
  DenoiseSpec denoise;
  TrainingSpec training;
  std::optional<FailureSpec> failures;  ///< of training; without them nothing fails
  Recompute recompute = Recompute::None;
  Launch launch = Launch::Graph;
};

void describe(Fields&, PrecisionSpec&);
void describe(Fields&, SequenceGroup&);
void describe(Fields&, ExpertPlacement&);
void describe(Fields&, SpeculationSpec&);
void describe(Fields&, OverlapSpec&);
void describe(Fields&, TrainingSpec&);
void describe(Fields&, ScenarioSpec&);

}  // namespace xpusim
