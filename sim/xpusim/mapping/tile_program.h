#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "xpusim/core/units.h"

/// A TileProgram says what every core of one die does for one operator: blocks of work, cut into steps on the
/// core's engines that wait for each other through counted buffers. It is pure data: it knows no clock and no
/// time of day. chip/ gives it a time, by closed form (bound) or by execution on the event kernel (execute).
namespace xpusim::mapping {

/// In-order servers of one core.
enum class Engine : std::uint8_t { CopyIn, Feed, Matrix, Vector, Store, VectorIn, VectorOut };
inline constexpr std::size_t kEngines = 7;
inline constexpr std::array<std::string_view, kEngines> kEngineNames = {
    "copy_in", "operand_feed", "matrix", "vector", "store", "vector_in", "vector_out"};

enum class StepKind : std::uint8_t {
  Compute,  ///< only this core's engines matter
  Load,     ///< takes its turn among all cores for L2 and HBM
  Post,     ///< a transfer booked ahead of its time: nothing in program order waits for its issue
};

inline constexpr std::int8_t kNone = -1;

/// A step waits until the next filled slot of `buffer` is there, and at its end frees the slot if `release`.
struct Input {
  std::int8_t buffer = kNone;
  bool release = true;
};

/// A step needs a free slot of `buffer` and fills it. Sums stay in one slot over a loop: it is acquired by
/// the first iteration and filled by the last.
struct Output {
  std::int8_t buffer = kNone;
  bool accumulate = false;
};

/// Bytes of one operand's tile that a transfer moves. Fractions arise where a dimension does not divide: the
/// bytes of all blocks add up to the operand's.
struct Access {
  std::int8_t operand = kNone;
  double bytes = 0;       ///< through this core's port
  double l2_share = 1;    ///< of bytes, charged to L2 (one multicast read serves several cores)
  double tag_offset = 0;  ///< tiles ahead of the loop's iteration
};

struct Step {
  Engine engine = Engine::Matrix;
  StepKind kind = StepKind::Compute;
  Cycles busy;  ///< of the engine; transfers: bytes over the port
  std::array<Input, 3> inputs;
  Output output;
  std::array<Access, 2> accesses;
  Flops flops;  ///< useful work, for conservation checks and utilisation
};

/// Steps [first_step, first_step + steps) of the shape, `repeat` times. Iteration i works on tile
/// first_iteration + i.
struct Loop {
  std::uint16_t first_step = 0;
  std::uint16_t steps = 0;
  std::int64_t repeat = 1;
  std::int64_t first_iteration = 0;
};

/// Blocks of equal work: a shape, and how many blocks have it.
struct BlockShape {
  std::vector<Step> steps;
  std::vector<Loop> loops;
  std::int64_t count = 0;
};

struct BufferSlots {
  std::string_view name;
  std::int64_t slots = 2;
};
inline constexpr std::int64_t kMaxSlots = 16;
inline constexpr std::size_t kMaxBuffers = 12;
inline constexpr std::size_t kMaxOperands = 6;

/// A tensor that the program reads or writes, as tiles of equal size.
struct Operand {
  std::string_view name;
  std::int64_t tiles = 0;  ///< tags of the L2 directory; 0: every access is to new data (no reuse to be had)
  double tile_bytes = 0;
  bool resident = false;  ///< in L2 at the start
  bool write = false;
  double hbm_share = 1;  ///< of written bytes, that reach HBM while the kernel runs
};

/// The order in which blocks start, and the tiles that each works on.
enum class Raster : std::uint8_t {
  Grid,   ///< m x n tiles in groups of group_m rows (a swizzle), times splits of k, times batch
  Rows,   ///< shapes one after the other; streaming operands
  Heads,  ///< attention: shape by shape (longest first), inside a shape one block per head
};
struct RasterSpec {
  Raster kind = Raster::Rows;
  std::int64_t m_tiles = 1, n_tiles = 1, splits = 1, batch = 1, group_m = 1;
  std::int64_t k_tiles = 1;  ///< tags along k of one row (Grid), or along the keys of one head (Heads)
  std::int64_t k_tiles_per_split = 1;
  std::int64_t heads_per_kv = 1;  ///< Heads: query heads that read one key head
};

struct TileProgram {
  std::string label;  ///< the tiling, for people: "128x256x64 split 2"
  std::vector<BlockShape> shapes;
  RasterSpec raster;
  std::vector<BufferSlots> buffers;
  std::vector<Operand> operands;
  Engine primary = Engine::Matrix;  ///< the engine whose idle time the breakdown explains
  double hbm_read_bytes = 0;        ///< closed-form estimate for bound(); execution finds its own
  double hbm_write_bytes = 0;
};

/// One block: its shape, and the first tile of each operand.
struct Block {
  std::uint32_t shape = 0;
  std::array<std::int64_t, kMaxOperands> first_tile{};
};

[[nodiscard]] std::int64_t block_count(const TileProgram&);
/// The block that starts as number `index` (0 <= index < block_count).
[[nodiscard]] Block block_at(const TileProgram&, std::int64_t index);

/// What a program moves and computes in all, summed over blocks.
struct ProgramTotals {
  Flops flops;
  double load_bytes = 0;     ///< into cores
  double store_bytes = 0;    ///< out of cores
  double l2_read_bytes = 0;  ///< charged to L2: multicast reads count once
  double l2_write_bytes = 0;
  std::array<double, kEngines> busy_cycles{};
  std::int64_t transactions = 0;  ///< tile loads, computations and stores
};
[[nodiscard]] ProgramTotals totals(const TileProgram&);

}  // namespace xpusim::mapping
