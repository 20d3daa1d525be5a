#pragma once
#include <string>

#include "xpusim/core/dtype.h"
#include "xpusim/core/fields.h"

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

enum class Recompute : std::uint8_t { None, Full };
inline constexpr std::array<std::string_view, 2> kRecomputeNames = {"none", "full"};
template <>
struct EnumNames<Recompute> {
  static constexpr std::span<const std::string_view> value = kRecomputeNames;
};

struct PrecisionSpec {
  Dtype weights = Dtype::Bf16;
  Dtype activations = Dtype::Bf16;  ///< operand type of the matrix products
  Dtype kv_cache = Dtype::Bf16;
};

struct ParallelSpec {
  std::int64_t tensor = 1;
  std::int64_t data = 0;  ///< 0: all devices / tensor
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
  ParallelSpec parallel;
  Recompute recompute = Recompute::None;
  Launch launch = Launch::Graph;
};

void describe(Fields&, PrecisionSpec&);
void describe(Fields&, ParallelSpec&);
void describe(Fields&, ScenarioSpec&);

}  // namespace xpusim
