#pragma once
#include <algorithm>

#include "xpusim/mapping/tile_program.h"
#include "xpusim/spec/chip.h"

/// Small words to write kernel templates with.
namespace xpusim::mapping {

/// Names the buffers of a program while it is written.
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
  TileProgram program;
};

/// Collects steps into loops of one shape.
class ShapeBuilder {
 public:
  explicit ShapeBuilder(std::int64_t count) { shape.count = count; }
  ShapeBuilder& step(const Step& s) {
    shape.steps.push_back(s);
    return *this;
  }
  /// Ends a loop over the steps added since the last one. Loops of no repetition leave no trace.
  void loop(std::int64_t repeat, std::int64_t first_iteration = 0) {
    if (repeat <= 0) {
      shape.steps.resize(begin_);
      return;
    }
    if (shape.steps.size() > begin_)
      shape.loops.push_back({static_cast<std::uint16_t>(begin_),
                             static_cast<std::uint16_t>(shape.steps.size() - begin_), repeat,
                             first_iteration});
    begin_ = shape.steps.size();
  }
  BlockShape shape;

 private:
  std::size_t begin_ = 0;
};

inline Step load(Engine engine, double port_cycles, std::int8_t into, std::array<Access, 2> accesses,
                 Input after = {}) {
  return {engine, StepKind::Load, Cycles(port_cycles), {after}, {into}, accesses, Flops(0)};
}
inline Step post(Engine engine, double port_cycles, Input from, std::int8_t into, const Access& access) {
  return {engine, StepKind::Post, Cycles(port_cycles), {from}, {into}, {access}, Flops(0)};
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
  return {engine, StepKind::Compute, Cycles(cycles), inputs, output, {}, flops};
}

}  // namespace xpusim::mapping
