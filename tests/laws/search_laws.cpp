// Searches for what-ifs that break the law "better hardware is never slower", kind by kind:
// search_laws FIDELITY PAIRS SEED LEAST. Prints those that are worse by more than LEAST (0.001: 0.1 %), then
// how many of how many.
#include <fmt/format.h>

#include <charconv>

#include "laws/what_if.h"

namespace {

template <class Number>
Number number(std::string_view text) {
  Number n{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size())
    throw std::invalid_argument(std::string(text));
  return n;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace xpusim;
  try {
    const std::vector<std::string> words(argv + 1, argv + argc);
    const Fidelity fidelity = words.at(0) == "tile" ? Fidelity::Tile : Fidelity::Bound;
    const int pairs = number<int>(words.at(1)) / static_cast<int>(test::kAsked.size());
    const auto seed = number<std::uint32_t>(words.at(2));
    const auto least = number<double>(words.at(3));
    for (std::size_t kind = 0; kind < test::kAsked.size(); ++kind) {
      int seen = 0, worse = 0;
      double worst = 0;
      test::search_operators(seed, pairs, fidelity, kind, [&](const test::WhatIf& w) {
        ++seen;
        worst = std::max(worst, w.worse);
        if (w.worse <= least) return;
        ++worse;
        fmt::print("{}\n", w.text);
      });
      fmt::print("# {}: {} of {} worse, worst {:+.3f} %\n", test::kAsked[kind], worse, seen, 100 * worst);
    }
  } catch (const std::exception& e) {
    fmt::print(stderr, "search_laws FIDELITY PAIRS SEED LEAST: {}\n", e.what());
    return 2;
  }
}
