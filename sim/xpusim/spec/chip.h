#pragma once
#include <map>
#include <optional>
#include <string>

#include "xpusim/core/dtype.h"
#include "xpusim/core/fields.h"
#include "xpusim/core/units.h"

/// A chip as data. All chips are described by the same three primitives: engines (in-order servers with a
/// rate), buffers (counted slots) and shared resources (L2, HBM). The way of an operand is
///   HBM -> L2 -> copy_in -> staging -> operand feed -> matrix -> accumulator -> store -> L2
/// docs/model.md#chip has the picture and the names that the vendors use for these parts.
namespace xpusim {

struct ClockSpec {
  Hertz max;  ///< what the cores run at when power allows
};

/// The board's power as far as it decides the clock: P(a, f) = idle + (full_load - idle) * a *
/// (f/full_load_clock)^3, with a = busy fraction of the matrix engines. The clock is the highest f <=
/// clock.max with P <= cap.
struct PowerSpec {
  Watts cap;
  Watts idle;
  Watts full_load;
  Hertz full_load_clock;
};

/// The smallest matrix product that runs at full rate; smaller operands are padded up to it.
struct MatrixGranularity {
  std::int64_t m = 16;
  std::int64_t n = 16;
  Bytes k{32};
};

/// Kernels are compiled for a menu of tile shapes and compute whole tiles (fixed), or take the tile's shape
/// as an argument and cut the work evenly (flexible).
/// The extents of tiles that a library's kernels come in: powers of two, multiples of 32, or cut evenly.
enum class TileShapes : std::uint8_t { Coarse, Fine, Flexible };
inline constexpr std::array<std::string_view, 3> kTileShapesNames = {"coarse", "fine", "flexible"};
template <>
struct EnumNames<TileShapes> {
  static constexpr std::span<const std::string_view> value = kTileShapesNames;
};

struct MatrixSpec {
  std::string name = "matrix engine";
  std::map<Dtype, FlopsPerCycle> flops_per_cycle;  ///< per core
  MatrixGranularity granularity;
  TileShapes tile_shapes = TileShapes::Fine;
  double issue_efficiency = 1.0;  ///< rate of back-to-back instructions over the peak
  /// Weights of 4 bits that one core's vector units make operands of the product's type; 0: no kernels do.
  OpsPerCycle unpack_rate;
};

/// DMA engine that brings operands from L2/HBM into a core.
struct CopyInSpec {
  std::string name = "copy engine";
  BytesPerCycle port;  ///< per core
};

/// First buffer of a core: stages of operand blocks.
struct StagingSpec {
  std::string name = "staging buffer";
  Bytes capacity;  ///< per core
};

/// The way from the staging buffer into the matrix engine. A and B share the engine, one after the other.
struct OperandFeedSpec {
  std::string name = "operand feed";
  BytesPerCycle a_rate;
  BytesPerCycle b_rate;
  Bytes a_capacity;  ///< 0: the matrix engine reads the staging buffer directly
  Bytes b_capacity;
};

struct AccumulatorSpec {
  std::string name = "accumulators";
  Bytes capacity;
};

/// Engine that writes accumulators back to L2.
struct StoreSpec {
  std::string name = "store engine";
  BytesPerCycle rate;
};

/// How matrix and vector engines of one core hand tiles to each other.
enum class Exchange : std::uint8_t { Registers, L2 };
inline constexpr std::array<std::string_view, 2> kExchangeNames = {"registers", "l2"};
template <>
struct EnumNames<Exchange> {
  static constexpr std::span<const std::string_view> value = kExchangeNames;
};

/// Special functions (exp, reciprocal) run in a pipeline of their own beside other operations, or take turns
/// with them.
enum class SpecialPipeline : std::uint8_t { Own, Shared };
inline constexpr std::array<std::string_view, 2> kSpecialPipelineNames = {"own", "shared"};
template <>
struct EnumNames<SpecialPipeline> {
  static constexpr std::span<const std::string_view> value = kSpecialPipelineNames;
};

struct VectorSpec {
  std::string name = "vector engine";
  std::int64_t units_per_core = 1;
  OpsPerCycle ops_per_cycle;      ///< fp32 element operations of one unit; a fused multiply-add is one
  OpsPerCycle special_per_cycle;  ///< exp, reciprocal, square root of one unit
  BytesPerCycle read_port;        ///< L2 to one unit
  BytesPerCycle write_port;       ///< one unit to L2
  Bytes buffer;                   ///< per unit
  double kernel_efficiency = 1;   ///< of the rates, in row-wise kernels: short rows, reductions, conversions
  SpecialPipeline special_pipeline = SpecialPipeline::Own;
  Exchange exchange = Exchange::Registers;
};

struct CoresSpec {
  std::int64_t count = 1;            ///< per die
  std::int64_t multicast_cores = 1;  ///< cores that one L2 read can serve at once
};

struct L2Spec {
  Bytes capacity;
  BytesPerSecond bandwidth;        ///< reads
  BytesPerSecond write_bandwidth;  ///< writes, which have paths of their own
  Seconds latency;
  /// Data that comes round again is found whole up to this part of the capacity, and not at all from the
  /// whole capacity on: a hashed, set-associative cache loses lines before it is full.
  double held_fraction = 0.65;
};

struct HbmSpec {
  Bytes capacity;
  BytesPerSecond bandwidth;
  double achieved_fraction = 0.85;  ///< of bandwidth, by long streams
  Seconds latency;
};

struct DieToDieSpec {
  BytesPerSecond bandwidth;      ///< per direction
  double achieved_fraction = 1;  ///< of bandwidth, by long messages
  Seconds latency;
};

/// How the vendor's attention kernels use a core.
struct AttentionSpec {
  double matrix_efficiency = 1;      ///< of the matrix rate: products are short, and each waits for a softmax
  double softmax_overlap = 1;        ///< part of the softmax that runs beside products of other tiles
  std::int64_t resident_blocks = 2;  ///< blocks that one core runs at a time
  std::int64_t packed_heads = 64;    ///< query heads of a group that decode kernels put under each other
  Seconds prefill_block;             ///< of a block of many queries, before its first load leaves
  Seconds decode_block;              ///< of a block of the packed heads of one query
  Seconds head_block;     ///< of a block of one head and query, or of a kernel for 8-bit keys and values
  Seconds prefill_setup;  ///< a serving library's kernels before attention: lengths, positions, addresses
  Seconds decode_setup;
};

/// How kernels of a mixture of experts use the memory.
struct MoeSpec {
  double hbm_fraction = 0.85;     ///< of hbm.bandwidth, by grouped products: cores take tile after tile
  double gather_fraction = 0.55;  ///< of hbm.bandwidth, by rows that are moved by index
};

struct OverheadSpec {
  Seconds kernel_launch;  ///< between kernels launched one by one
  Seconds graph_node;     ///< between kernels of a captured graph
  Seconds block_sync;     ///< blocks of one kernel waiting for each other: fence, atomic, poll
  Seconds kernel_start;   ///< inside a kernel of the matrix engine, before its first load leaves
  Seconds vector_start;   ///< the same of a row-wise kernel, which has less to set up
};

/// One die, how many of them a package has, and what joins them. A device (what software addresses, and what
/// a rank runs on) is one die.
struct ChipSpec {
  std::string id;
  std::string name;
  std::string vendor;
  std::string family;
  std::string notes;
  std::int64_t dies = 1;
  CoresSpec cores;
  ClockSpec clock;
  PowerSpec power;  ///< per package
  MatrixSpec matrix;
  CopyInSpec copy_in;
  StagingSpec staging;
  OperandFeedSpec operand_feed;
  AccumulatorSpec accumulator;
  StoreSpec store;
  VectorSpec vector;
  L2Spec l2;    ///< per die
  HbmSpec hbm;  ///< per die
  std::optional<DieToDieSpec> die_to_die;
  AttentionSpec attention;
  MoeSpec moe;
  OverheadSpec overheads;
};

void describe(Fields&, ClockSpec&);
void describe(Fields&, PowerSpec&);
void describe(Fields&, MatrixGranularity&);
void describe(Fields&, MatrixSpec&);
void describe(Fields&, CopyInSpec&);
void describe(Fields&, StagingSpec&);
void describe(Fields&, OperandFeedSpec&);
void describe(Fields&, AccumulatorSpec&);
void describe(Fields&, StoreSpec&);
void describe(Fields&, VectorSpec&);
void describe(Fields&, CoresSpec&);
void describe(Fields&, L2Spec&);
void describe(Fields&, HbmSpec&);
void describe(Fields&, DieToDieSpec&);
void describe(Fields&, AttentionSpec&);
void describe(Fields&, MoeSpec&);
void describe(Fields&, OverheadSpec&);
void describe(Fields&, ChipSpec&);

/// Share of data that L2 still holds when it is used again, after `footprint` bytes of it and others passed.
[[nodiscard]] inline double held_share(double footprint, const L2Spec& l2) {
  const double filled = footprint / d(l2.capacity.count());
  if (filled <= l2.held_fraction) return 1;
  return filled < 1 ? (1 - filled) / (1 - l2.held_fraction) : 0;
}

/// Elements per cycle of one core, of weights that are unpacked before a product of `dtype`. Throws
/// InfeasibleError where the chip has no kernels for it.
[[nodiscard]] OpsPerCycle unpack_rate(const ChipSpec&, Dtype weights, Dtype dtype);
/// Matrix rate of one core for `dtype`. Throws InfeasibleError that lists the types the chip has.
[[nodiscard]] FlopsPerCycle matrix_rate(const ChipSpec&, Dtype);
/// Dense matrix peak of one die at clock.max.
[[nodiscard]] FlopsPerSecond matrix_peak(const ChipSpec&, Dtype);

}  // namespace xpusim
