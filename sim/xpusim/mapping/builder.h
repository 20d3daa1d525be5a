#pragma once
#include <algorithm>

#include "xpusim/mapping/tile_program.h"
#include "xpusim/spec/chip.h"

/// Small words to write kernel templates with.
namespace xpusim::mapping {

/// Collects buffers, operands and steps of a program while it is written.
class Builder {
 public:
  std::int8_t buffer(std::string_view name, std::int64_t slots) {
    program.buffers.push_back({name, std::min(slots, kMaxSlots)});
    return static_cast<std::int8_t>(program.buffers.size() - 1);
  }
  std::int8_t operand(const Operand& o) {
    program.operands.push_back(o);
    return static_cast<std::int8_t>(program.operands.size() - 1);
  }
  void step(const Step& s) { program.steps.push_back(s); }
  /// Makes a body of the steps added since the last one. Returns its index.
  std::uint8_t body() {
    const std::size_t first =
        program.bodies.empty() ? 0 : program.bodies.back().first_step + program.bodies.back().steps;
    program.bodies.push_back(
        {static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(program.steps.size() - first)});
    return static_cast<std::uint8_t>(program.bodies.size() - 1);
  }
  TileProgram program;
};

inline Step load(Engine engine, double port_cycles, std::int8_t into, std::array<Access, 2> accesses,
                 Input after = {}) {
  Step s{.engine = engine,
         .kind = StepKind::Load,
         .busy = Cycles(port_cycles),
         .inputs = {after},
         .output = {into}};
  s.accesses = accesses;
  return s;
}
inline Step post(Engine engine, double port_cycles, Input from, std::int8_t into, const Access& access) {
  Step s{.engine = engine,
         .kind = StepKind::Post,
         .busy = Cycles(port_cycles),
         .inputs = {from},
         .output = {into}};
  s.accesses = {access};
  return s;
}
/// Cycles of one core's vector units for so many ordinary and special operations.
inline double vector_cycles(const VectorSpec& v, double ops, double special) {
  const double units = static_cast<double>(v.units_per_core);
  const double ordinary = ops / (v.ops_per_cycle.count() * units);
  const double functions = special / (v.special_per_cycle.count() * units);
  return v.special_pipeline == SpecialPipeline::Own ? std::max(ordinary, functions) : ordinary + functions;
}

inline Step compute(Engine engine, double cycles, std::array<Input, 3> inputs, Output output,
                    Flops flops = Flops(0)) {
  Step s{.engine = engine, .busy = Cycles(cycles), .inputs = inputs, .output = output};
  s.flops = flops;
  return s;
}
/// The blocks of a kernel wait for each other.
inline Step synchronise(const ChipSpec& c, Input met, Output synchronised) {
  Step s{.engine = Engine::VectorIn, .inputs = {met}, .output = synchronised};
  s.wait = c.overheads.block_sync;
  return s;
}

}  // namespace xpusim::mapping
