#include "xpusim/core/fields.h"

namespace xpusim {
namespace {

constexpr UnitName kBytes[] = {{"B", 1},        {"KiB", 0x1p10}, {"MiB", 0x1p20},
                               {"GiB", 0x1p30}, {"TiB", 0x1p40}, {"kB", 1e3},
                               {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12}};
constexpr UnitName kSeconds[] = {{"s", 1}, {"h", 3600}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}};
constexpr UnitName kHertz[] = {{"Hz", 1}, {"kHz", 1e3}, {"MHz", 1e6}, {"GHz", 1e9}};
constexpr UnitName kWatts[] = {{"W", 1}, {"mW", 1e-3}, {"kW", 1e3}, {"MW", 1e6}};
constexpr UnitName kBytesPerSecond[] = {{"B/s", 1},        {"MB/s", 1e6},     {"GB/s", 1e9},
                                        {"TB/s", 1e12},    {"MiB/s", 0x1p20}, {"GiB/s", 0x1p30},
                                        {"TiB/s", 0x1p40}, {"Gb/s", 1.25e8}};
constexpr UnitName kBytesPerCycle[] = {{"B/cycle", 1}};
constexpr UnitName kFlopsPerCycle[] = {{"FLOP/cycle", 1}};
constexpr UnitName kOpsPerCycle[] = {{"op/cycle", 1}};

}  // namespace

template <>
const Dimension& dimension<Bytes>() {
  static constexpr Dimension d{"bytes", "80 GiB", kBytes, 1, 0x1p50, true};
  return d;
}
template <>
const Dimension& dimension<Seconds>() {
  static constexpr Dimension d{"time", "2.4 us", kSeconds, 1e-12, 3600};
  return d;
}
template <>
const Dimension& dimension<Hertz>() {
  static constexpr Dimension d{"frequency", "1.8 GHz", kHertz, 1e6, 1e11};
  return d;
}
template <>
const Dimension& dimension<Watts>() {
  static constexpr Dimension d{"power", "700 W", kWatts, 1e-3, 1e6};
  return d;
}
template <>
const Dimension& dimension<BytesPerSecond>() {
  static constexpr Dimension d{"bandwidth", "1.6 TB/s", kBytesPerSecond, 1e6, 1e18};
  return d;
}
template <>
const Dimension& dimension<BytesPerCycle>() {
  static constexpr Dimension d{"bytes per cycle", "128 B/cycle", kBytesPerCycle, 1e-3, 1e6};
  return d;
}
template <>
const Dimension& dimension<FlopsPerCycle>() {
  static constexpr Dimension d{"FLOP per cycle", "8192 FLOP/cycle", kFlopsPerCycle, 1, 1e9};
  return d;
}
template <>
const Dimension& dimension<OpsPerCycle>() {
  static constexpr Dimension d{"element operations per cycle", "128 op/cycle", kOpsPerCycle, 1e-3, 1e6};
  return d;
}

Range within(Range r, const Dimension& d) {
  if (r.low <= 0) {
    r.or_zero = !r.low_is_open;
    r.low_is_open = false;
    r.low = d.least;
  }
  if (r.high == Range::kNone) r.high = d.most;
  return r;
}

}  // namespace xpusim
