#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace xpusim {

/// Element types of tensors. The mx types are those of the OCP Microscaling Formats specification 1.0; nvfp4
/// has blocks of half their size; int4 is the weight format of group-wise quantisation.
enum class Dtype : std::uint8_t { Fp32, Tf32, Fp16, Bf16, Fp8, Int8, Int4, Mxfp8, Mxfp4, Nvfp4 };

inline constexpr std::array<std::string_view, 10> kDtypeNames = {"fp32", "tf32", "fp16",  "bf16",  "fp8",
                                                                 "int8", "int4", "mxfp8", "mxfp4", "nvfp4"};

constexpr std::string_view name(Dtype d) { return kDtypeNames[static_cast<std::size_t>(d)]; }

/// How elements lie in memory: bits of one, and bits of the scale that a block of them shares.
struct DtypeLayout {
  std::int64_t bits;
  std::int64_t scale_bits = 0;
  std::int64_t block = 1;
};
constexpr DtypeLayout layout_of(Dtype d) {
  switch (d) {
    case Dtype::Fp32:
    case Dtype::Tf32:
      return {32};
    case Dtype::Fp16:
    case Dtype::Bf16:
      return {16};
    case Dtype::Fp8:
    case Dtype::Int8:
      return {8};
    case Dtype::Int4:
      return {4, 16, 128};
    case Dtype::Mxfp8:
      return {8, 8, 32};
    case Dtype::Mxfp4:
      return {4, 8, 32};
    case Dtype::Nvfp4:
      return {4, 8, 16};
  }
  return {0};
}

/// Bytes of one element in memory without its part of a scale: what operand buffers hold.
constexpr double bare_size_of(Dtype d) { return static_cast<double>(layout_of(d).bits) / 8; }

/// Bytes that one element occupies in memory, its part of a block's scale included.
constexpr double size_of(Dtype d) {
  const DtypeLayout l = layout_of(d);
  return bare_size_of(d) + static_cast<double>(l.scale_bits) / static_cast<double>(8 * l.block);
}

/// Are weights of this type made wider before a product of `operands`? Weights of 8 bits are converted on
/// their way into the matrix engine, and products of mxfp8 take mxfp4 as it is (one instruction for both).
constexpr bool is_unpacked(Dtype weights, Dtype operands) {
  return layout_of(weights).bits == 4 && weights != operands &&
         !(weights == Dtype::Mxfp4 && operands == Dtype::Mxfp8);
}

}  // namespace xpusim
