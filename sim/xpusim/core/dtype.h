#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace xpusim {

/// Element types of tensors.
enum class Dtype : std::uint8_t { Fp32, Tf32, Fp16, Bf16, Fp8, Int8 };

inline constexpr std::array<std::string_view, 6> kDtypeNames = {"fp32", "tf32", "fp16",
                                                                "bf16", "fp8",  "int8"};

constexpr std::string_view name(Dtype d) { return kDtypeNames[static_cast<std::size_t>(d)]; }

/// Bytes that one element occupies in memory.
constexpr std::int64_t size_of(Dtype d) {
  switch (d) {
    case Dtype::Fp32:
    case Dtype::Tf32:
      return 4;
    case Dtype::Fp16:
    case Dtype::Bf16:
      return 2;
    case Dtype::Fp8:
    case Dtype::Int8:
      return 1;
  }
  return 0;
}

}  // namespace xpusim
