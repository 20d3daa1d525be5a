#pragma once
#include "xpusim/spec/chip.h"

namespace xpusim::test {

/// One core with round numbers at 1 GHz, so that a cycle is a nanosecond: for results computed by hand.
inline ChipSpec round_chip() {
  ChipSpec c;
  c.id = "round";
  c.cores.count = 1;
  c.clock.max = Hertz(1e9);
  c.power = {Watts(1000), Watts(100), Watts(500), Hertz(1e9)};
  c.matrix.flops_per_cycle = {{Dtype::Bf16, FlopsPerCycle(1000)}, {Dtype::Int8, FlopsPerCycle(2000)}};
  c.copy_in.port = BytesPerCycle(64);
  c.staging.capacity = Bytes(256 << 10);
  c.operand_feed = {"feed", BytesPerCycle(1e6), BytesPerCycle(1e6), Bytes(0), Bytes(0)};
  c.accumulator.capacity = Bytes(256 << 10);
  c.store.rate = BytesPerCycle(32);
  c.vector.ops_per_cycle = OpsPerCycle(64);
  c.vector.special_per_cycle = OpsPerCycle(16);
  c.vector.read_port = BytesPerCycle(64);
  c.vector.write_port = BytesPerCycle(32);
  c.vector.buffer = Bytes(64 << 10);
  c.l2.capacity = Bytes(64 << 20);
  c.l2.bandwidth = BytesPerSecond(1e12);  // a byte takes a picosecond
  c.l2.write_bandwidth = BytesPerSecond(1e12);
  c.l2.latency = Seconds(100e-9);
  c.hbm.capacity = Bytes(std::int64_t{64} << 30);
  c.hbm.bandwidth = BytesPerSecond(1e11);  // ten picoseconds
  c.hbm.achieved_fraction = 1;
  c.hbm.latency = Seconds(300e-9);
  return c;
}

/// The same chip with memory that costs nothing: only its engines and buffers take time.
inline ChipSpec free_memory(ChipSpec c) {
  c.l2.bandwidth = c.l2.write_bandwidth = c.hbm.bandwidth = BytesPerSecond(1e18);
  c.l2.latency = c.hbm.latency = Seconds(0);
  return c;
}

}  // namespace xpusim::test
