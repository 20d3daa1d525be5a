#include "xpusim/spec/chip.h"

#include <fmt/format.h>

#include "xpusim/core/error.h"
#include "xpusim/core/text.h"

namespace xpusim {
namespace {

// What devices have, known(...), is from half of the least to twice the most of those described in
// configs/chips, or beyond where data sheets of other accelerators are.
constexpr double kKiB = 0x1p10, kMiB = 0x1p20, kGiB = 0x1p30;

}  // namespace

void describe(Fields& f, ClockSpec& c) {
  f.required("max", c.max, "clock of the cores when power allows", positive().known(0.5e9, 3e9));
}

void describe(Fields& f, PowerSpec& c) {
  f.required("cap", c.cap, "board power limit of the package; the clock gives way to stay below it",
             positive().known(50, 3000));
  f.required("idle", c.idle, "power at no activity", positive().known(5, 500));
  f.required("full_load", c.full_load, "power with all matrix engines busy at full_load_clock",
             positive().known(50, 3000));
  f.required("full_load_clock", c.full_load_clock, "clock at which full_load is drawn",
             positive().known(0.5e9, 3e9));
}

void describe(Fields& f, MatrixGranularity& c) {
  f.required("m", c.m, "rows of the smallest product at full rate", between(1, 1024));
  f.required("n", c.n, "columns of the smallest product at full rate", between(1, 1024));
  f.required("k", c.k, "depth of the smallest product at full rate, in bytes of one row", between(1, 4096));
}

void describe(Fields& f, MatrixSpec& c) {
  f.label("name", c.name, "the vendor's name of the engine");
  f.required("flops_per_cycle", c.flops_per_cycle, "dense rate of one core by operand type (FMA = 2 FLOP)",
             positive().known(256, 65536));
  f.required("granularity", c.granularity, "smallest product at full rate");
  f.required("tile_shapes", c.tile_shapes,
             "extents of tiles that kernels come in: powers of two, multiples of 32, or cut evenly");
  f.required("issue_efficiency", c.issue_efficiency, "rate of back-to-back instructions over the peak",
             fraction());
  f.optional("unpack_rate", c.unpack_rate,
             "4-bit weights that the vector units of one core make wider operands of; 0: no kernels do",
             at_least(0).known(8, 512));
}

void describe(Fields& f, CopyInSpec& c) {
  f.label("name", c.name, "the vendor's name of the engine");
  f.required("port", c.port, "what one core can take from L2", positive().known(16, 512));
}

void describe(Fields& f, StagingSpec& c) {
  f.label("name", c.name, "the vendor's name of the buffer");
  f.required("capacity", c.capacity, "usable capacity of one core", positive().known(32 * kKiB, 8 * kMiB));
}

void describe(Fields& f, OperandFeedSpec& c) {
  f.label("name", c.name, "the vendor's name of the engine");
  f.required("a_rate", c.a_rate, "rate of the left operand from the staging buffer",
             positive().known(32, 2048));
  f.required("b_rate", c.b_rate, "rate of the right operand from the staging buffer",
             positive().known(32, 2048));
  f.required("a_capacity", c.a_capacity, "buffer of the left operand; 0 B: read directly from staging",
             at_least(0).known(8 * kKiB, kMiB));
  f.required("b_capacity", c.b_capacity, "buffer of the right operand; 0 B: read directly from staging",
             at_least(0).known(8 * kKiB, kMiB));
}

void describe(Fields& f, AccumulatorSpec& c) {
  f.label("name", c.name, "the vendor's name of the buffer");
  f.required("capacity", c.capacity, "room for fp32 or int32 sums in one core",
             positive().known(32 * kKiB, 2 * kMiB));
}

void describe(Fields& f, StoreSpec& c) {
  f.label("name", c.name, "the vendor's name of the engine");
  f.required("rate", c.rate, "rate of one core into L2", positive().known(16, 512));
}

void describe(Fields& f, VectorSpec& c) {
  f.label("name", c.name, "the vendor's name of the engine");
  f.required("units_per_core", c.units_per_core, "vector units beside one matrix engine", between(1, 64));
  f.required("ops_per_cycle", c.ops_per_cycle, "fp32 element operations of one unit (an FMA is one)",
             positive().known(16, 1024));
  f.required("special_per_cycle", c.special_per_cycle, "exp, reciprocal or square root of one unit",
             positive().known(2, 512));
  f.required("read_port", c.read_port, "what one unit can take from L2", positive().known(16, 512));
  f.required("write_port", c.write_port, "what one unit can write to L2", positive().known(16, 512));
  f.required("buffer", c.buffer, "scratch memory of one unit", positive().known(16 * kKiB, 2 * kMiB));
  f.required("kernel_efficiency", c.kernel_efficiency, "part of the rates that row-wise kernels reach",
             fraction());
  f.required("special_pipeline", c.special_pipeline,
             "special functions beside other operations, or in turn with them");
  f.required("exchange", c.exchange, "where tiles pass between matrix and vector engine");
}

void describe(Fields& f, CoresSpec& c) {
  f.required("count", c.count, "cores of one die (one matrix engine each)", between(1, 4096));
  f.required("multicast_cores", c.multicast_cores, "cores that one L2 read can serve", between(1, 64));
}

void describe(Fields& f, L2Spec& c) {
  f.required("capacity", c.capacity, "capacity of one die", positive().known(4 * kMiB, kGiB));
  f.required("bandwidth", c.bandwidth, "read bandwidth of one die", positive().known(0.5e12, 50e12));
  f.required("write_bandwidth", c.write_bandwidth, "write bandwidth of one die, beside reads",
             positive().known(0.2e12, 50e12));
  f.required("latency", c.latency, "load-to-use latency of a hit", at_least(0).known(20e-9, 1e-6));
  f.optional("held_fraction", c.held_fraction,
             "part of the capacity up to which data that comes round again is found whole", fraction());
}

void describe(Fields& f, HbmSpec& c) {
  f.required("capacity", c.capacity, "memory of one die", positive().known(8 * kGiB, 1024 * kGiB));
  f.required("bandwidth", c.bandwidth, "peak bandwidth of one die", positive().known(0.3e12, 25e12));
  f.required("achieved_fraction", c.achieved_fraction, "part of the peak that long streams reach",
             fraction());
  f.required("latency", c.latency, "load-to-use latency of an L2 miss", at_least(0).known(50e-9, 2e-6));
}

void describe(Fields& f, DieToDieSpec& c) {
  f.required("bandwidth", c.bandwidth, "bandwidth between the dies, per direction",
             positive().known(50e9, 10e12));
  f.required("achieved_fraction", c.achieved_fraction, "part of bandwidth that long messages reach",
             fraction());
  f.required("latency", c.latency, "latency between the dies", at_least(0).known(10e-9, 5e-6));
}

void describe(Fields& f, AttentionSpec& c) {
  f.required("matrix_efficiency", c.matrix_efficiency, "part of the matrix rate that attention kernels reach",
             fraction());
  f.required("softmax_overlap", c.softmax_overlap, "part of the softmax beside products of other tiles",
             between(0, 1));
  f.required("resident_blocks", c.resident_blocks, "blocks that one core runs at a time", between(1, 16));
  f.required("packed_heads", c.packed_heads,
             "query heads of a group that decode kernels put under each other", between(1, 1024));
  f.required("prefill_block", c.prefill_block, "of a block of many queries, before its first load leaves",
             at_least(0).known(10e-9, 1e-3));
  f.required("decode_block", c.decode_block, "of a block of the packed heads of one query",
             at_least(0).known(10e-9, 1e-3));
  f.required("head_block", c.head_block, "of a block of one head, or of a kernel for 8-bit keys and values",
             at_least(0).known(10e-9, 1e-3));
  f.required("prefill_setup", c.prefill_setup, "a serving library's small kernels before a prefill",
             at_least(0).known(10e-9, 1e-3));
  f.required("decode_setup", c.decode_setup, "a serving library's small kernels before a decode step",
             at_least(0).known(10e-9, 1e-3));
}

void describe(Fields& f, MoeSpec& c) {
  f.required("hbm_fraction", c.hbm_fraction, "part of the memory's peak that grouped products reach",
             fraction());
  f.required("gather_fraction", c.gather_fraction,
             "part of the memory's peak of kernels that move rows by index", fraction());
}

void describe(Fields& f, OverheadSpec& c) {
  f.required("kernel_launch", c.kernel_launch, "between kernels launched one by one",
             at_least(0).known(10e-9, 1e-3));
  f.required("graph_node", c.graph_node, "between kernels of a captured graph",
             at_least(0).known(10e-9, 1e-3));
  f.required("block_sync", c.block_sync, "blocks of one kernel waiting for each other: fence, atomic, poll",
             at_least(0).known(10e-9, 1e-3));
  f.required("kernel_start", c.kernel_start,
             "inside a matrix kernel, before its first load leaves: block scheduling, descriptors, barriers",
             at_least(0).known(10e-9, 1e-3));
  f.required("vector_start", c.vector_start, "inside a row-wise kernel, before its first load leaves",
             at_least(0).known(10e-9, 1e-3));
}

void describe(Fields& f, ChipSpec& c) {
  f.label("id", c.id, "the file's name without .yaml", true);
  f.label("name", c.name, "name in print", true);
  f.label("vendor", c.vendor, "vendor", true);
  f.label("family", c.family, "architecture family, the class for error bands", true);
  f.label("notes", c.notes, "free text");
  f.required("dies", c.dies, "dies in one package; each is a device of its own", between(1, 64));
  f.required("cores", c.cores, "compute cores");
  f.required("clock", c.clock, "core clock");
  f.required("power", c.power, "power of the package, which bounds the clock");
  f.required("matrix", c.matrix, "matrix engine of a core");
  f.required("copy_in", c.copy_in, "DMA engine from L2 and HBM into a core");
  f.required("staging", c.staging, "first operand buffer of a core");
  f.required("operand_feed", c.operand_feed, "from the staging buffer into the matrix engine");
  f.required("accumulator", c.accumulator, "sums of the matrix engine");
  f.required("store", c.store, "from the accumulators back to L2");
  f.required("vector", c.vector, "vector engine of a core");
  f.required("l2", c.l2, "shared cache of one die");
  f.required("hbm", c.hbm, "memory of one die");
  f.optional("die_to_die", c.die_to_die, "link between the dies of a package");
  f.required("attention", c.attention, "attention kernels");
  f.required("moe", c.moe, "kernels of a mixture of experts");
  f.required("overheads", c.overheads, "host and scheduler costs");
}

FlopsPerCycle matrix_rate(const ChipSpec& chip, Dtype dtype) {
  const auto found = chip.matrix.flops_per_cycle.find(dtype);
  if (found != chip.matrix.flops_per_cycle.end()) return found->second;
  std::vector<std::string_view> known;
  for (const auto& [type, unused] : chip.matrix.flops_per_cycle) known.push_back(name(type));
  throw InfeasibleError(
      fmt::format("{} has no {} matrix rate (it has {})", chip.id, name(dtype), join(known)));
}

OpsPerCycle unpack_rate(const ChipSpec& chip, Dtype weights, Dtype dtype) {
  if (chip.matrix.unpack_rate.count() > 0) return chip.matrix.unpack_rate;
  throw InfeasibleError(fmt::format("{} has no rate to make {} operands of {} weights (matrix.unpack_rate)",
                                    chip.id, name(dtype), name(weights)));
}

FlopsPerSecond matrix_peak(const ChipSpec& chip, Dtype dtype) {
  return FlopsPerSecond(matrix_rate(chip, dtype).count() * chip.clock.max.count() *
                        static_cast<double>(chip.cores.count));
}

}  // namespace xpusim
