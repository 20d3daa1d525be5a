#pragma once
#include "xpusim/core/dtype.h"
#include "xpusim/core/fields.h"
#include "xpusim/core/units.h"
#include "xpusim/spec/accuracy.h"

/// What the kinds of operators have in common. Each kind is one file here: its shape, which is also the key
/// that its time is remembered by, how it is read (describe), what it costs, what its validated range is
/// stated in (extents), and a part of it that stands for the whole (sample).
namespace xpusim {

enum class Pass : std::uint8_t { Forward, Backward };
inline constexpr std::array<std::string_view, 2> kPassNames = {"forward", "backward"};
template <>
struct EnumNames<Pass> {
  static constexpr std::span<const std::string_view> value = kPassNames;
};

/// What an operator has to compute and move, whatever the chip: closed forms, docs/model.md#operators.
struct Cost {
  Flops matrix_flops;  ///< of matrix products
  Dtype matrix_dtype = Dtype::Bf16;
  double vector_ops = 0;    ///< fp32 element operations, an FMA is one
  double special_ops = 0;   ///< exp, reciprocal, square root
  double weight_bytes = 0;  ///< read, and sure to come from HBM (weights, KV cache, optimizer state)
  double input_bytes = 0;   ///< read, written by an operator before
  double output_bytes = 0;  ///< written
};

inline const Range kExtent = between(1, 1LL << 40);

}  // namespace xpusim
