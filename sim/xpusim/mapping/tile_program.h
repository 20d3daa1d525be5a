#pragma once
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "xpusim/core/units.h"
#include "xpusim/result/activity.h"

/// A TileProgram says what every core of one die does for one operator: blocks of work, cut into steps on the
/// core's engines that wait for each other through counted buffers. It is pure data: it knows no clock and no
/// time of day. chip/ gives it a time, by closed form (bound) or by execution on the event kernel (execute).
namespace xpusim::mapping {

using result::Engine;
using result::kEngineNames;
using result::kEngines;

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
  Cycles busy = {};  ///< of the engine; transfers: bytes over the port
  std::array<Input, 3> inputs = {};
  Output output = {};
  std::array<Access, 2> accesses = {};
  Flops flops = {};      ///< useful work, for conservation checks and utilisation
  Seconds wait = {};     ///< of the engine beside that, whatever the clock
  bool in_turn = false;  ///< on the way that one tile makes before another begins (TileProgram::in_flight)
};
/// Cycles of a step's engine at a clock.
[[nodiscard]] inline double busy_cycles(const Step& s, Hertz clock) {
  return s.busy.count() + s.wait.count() * clock.count();
}

/// Consecutive steps of a program, run as the body of a loop.
struct Body {
  std::uint16_t first_step = 0;
  std::uint16_t steps = 0;
};

/// A body, `repeat` times. Iteration i works on tile first_iteration + i.
struct Loop {
  std::uint8_t body = 0;
  std::int64_t repeat = 1;
  std::int64_t first_iteration = 0;
};

/// Blocks of equal work: the loops that each runs, and how many blocks there are. Shapes of one program share
/// its bodies: the blocks of a causal mask differ in how often they run them.
class BlockShape {
 public:
  static constexpr std::size_t kMaxLoops = 8;
  explicit BlockShape(std::int64_t blocks) : count(blocks) {}

  /// Adds a loop. One of no repetition leaves no trace.
  void run(std::uint8_t body, std::int64_t repeat, std::int64_t first_iteration = 0) {
    if (repeat > 0) loops_.at(used_++) = {body, repeat, first_iteration};
  }
  [[nodiscard]] std::span<const Loop> loops() const { return {loops_.data(), used_}; }

  std::int64_t count;

 private:
  std::array<Loop, kMaxLoops> loops_;  // in place: a causal prefill has hundreds of shapes
  std::size_t used_ = 0;
};

struct BufferSlots {
  std::string_view name;
  std::int64_t slots = 2;
};
inline constexpr std::int64_t kMaxSlots = 16;
inline constexpr std::size_t kMaxBuffers = 16;
inline constexpr std::size_t kMaxOperands = 6;

/// A tensor that the program reads or writes, as tiles of equal size.
struct Operand {
  std::string_view name;
  std::int64_t tiles = 0;  ///< tags of the L2 directory; 0: every access is to new data (no reuse to be had)
  double tile_bytes = 0;
  double resident = 0;  ///< share of each tile that is in L2 at the start
  bool write = false;
  double hbm_share = 1;  ///< of written bytes, that reach HBM while the kernel runs
};

/// The order in which blocks start, and the tiles that each works on.
enum class Raster : std::uint8_t {
  Grid,   ///< m x n tiles in groups of group_m rows (a swizzle), times splits of k, times batch
  Rows,   ///< shapes one after the other; streaming operands
  Heads,  ///< attention: group by group of heads, in it shape by shape (longest first), in that head by head
};
struct RasterSpec {
  Raster kind = Raster::Rows;
  std::int64_t m_tiles = 1, n_tiles = 1, splits = 1, group_m = 1;
  std::int64_t batch = 1;    ///< products of a shape (Grid), or query heads of all sequences (Heads)
  std::int64_t k_tiles = 1;  ///< tags along k of one row (Grid), or along the keys of one head (Heads)
  std::int64_t k_tiles_per_split = 1;
  std::int64_t heads_at_once = 1;  ///< Heads: of a group, whose keys and values fit L2 together
  std::int64_t heads_per_kv = 1;   ///< Heads: query heads that read one key head
  std::int64_t value_parts = 1;  ///< Heads: blocks that share the columns of the values, each part its tiles
};

/// Grid: what differs between the shapes of a program. Products of fewer rows have fewer rows of tiles.
struct GridRows {
  std::int64_t m_tiles = 1, group_m = 1;
  std::int64_t first_row = 0;      ///< of tiles of A, before this shape's
  std::int64_t first_product = 0;  ///< before this shape's
};

struct TileProgram {
  std::string label;  ///< the tiling, for people: "128x256x64 split 2"
  std::vector<Step> steps;
  std::vector<Body> bodies;
  std::vector<BlockShape> shapes;
  RasterSpec raster;
  std::vector<GridRows> grids;  ///< Grid of several shapes: of each; empty: the raster describes the only one
  std::vector<BufferSlots> buffers;
  std::vector<Operand> operands;
  /// Blocks that one core runs at a time: the start and the end of a block hide behind the others.
  std::int64_t resident_blocks = std::numeric_limits<std::int64_t>::max();
  std::int64_t cores = std::numeric_limits<std::int64_t>::max();  ///< that take blocks, at most
  Seconds block_start;                 ///< of a core, for each block, before its first step
  std::optional<double> hbm_fraction;  ///< of the peak that its streams reach; default: the chip's
  std::int64_t in_flight = 1;          ///< tiles that are on their way through the steps in_turn at a time
  Engine primary = Engine::Matrix;     ///< the engine whose idle time the breakdown explains
  double hbm_read_bytes = 0;           ///< closed-form estimate for bound(); execution finds its own
  double hbm_write_bytes = 0;
};

/// The steps of one body.
[[nodiscard]] inline std::span<const Step> steps_of(const TileProgram& p, const Body& body) {
  return std::span(p.steps).subspan(body.first_step, body.steps);
}

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
