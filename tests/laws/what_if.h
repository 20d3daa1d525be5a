#pragma once
#include <functional>
#include <string>
#include <vector>

#include "support/samples.h"

/// What-ifs on shipped chips: one number of the chip is better, or there is one more unit of work.
namespace xpusim::test {

/// A number of a chip, and how to make it better.
struct Key {
  std::string_view name;
  /// Makes it better by a random factor. False where it cannot be: it is absent or perfect.
  bool (*improve)(ChipSpec&, Random&, Dtype);
};
[[nodiscard]] const std::vector<Key>& keys();

/// The kinds of operators that what-ifs are asked of, with the extents of real models and odd ones beside.
inline constexpr std::array<std::string_view, 8> kAsked = {
    "gemm", "prefill", "decode", "mla", "grouped_gemm", "backward", "rowwise", "rowwise_other"};
[[nodiscard]] Operator asked_operator(Random&, const ChipSpec&, std::size_t kind);

/// An operator on a chip, and on the better one.
struct WhatIf {
  ChipSpec chip, better;
  Operator op;
  std::size_t kind = 0;
  std::string_view key;
  double worse = 0;  ///< time on the better chip / time - 1
  std::string text;  ///< what to repeat it with
};

/// Draws what-ifs of operators of a kind until `pairs` were timed, and calls see(what_if) for each.
void search_operators(std::uint32_t seed, int pairs, Fidelity, std::size_t kind,
                      const std::function<void(const WhatIf&)>& see);

}  // namespace xpusim::test
