#include "laws/what_if.h"

#include "laws/law.h"

namespace xpusim::test {
namespace {

/// Better hardware is never slower. Some of what tests/laws/search_laws looks for in long runs; a failure
/// prints what to repeat it with. The event kernel plays at most so many programs, and blocks that are taken
/// as cores get free may meet a worse assignment: docs/status.md has the rate that long runs find.
class WhatIfLaw : public testing::TestWithParam<std::size_t> {};

TEST_P(WhatIfLaw, ABetterChipIsNeverSlowerByClosedForm) {
  Worst worst;
  search_operators(1500 + static_cast<std::uint32_t>(GetParam()), cases(250), Fidelity::Bound, GetParam(),
                   [&](const WhatIf& w) { worst.see(w.worse, w.text); });
  expect_at_most(worst, 0.001);
}

TEST_P(WhatIfLaw, ABetterChipIsNeverSlowerOnTheEventKernel) {
  Worst worst;
  search_operators(15 + static_cast<std::uint32_t>(GetParam()), cases(25), Fidelity::Tile, GetParam(),
                   [&](const WhatIf& w) { worst.see(w.worse, w.text); });
  expect_at_most(worst, 0.005);
}

INSTANTIATE_TEST_SUITE_P(Laws, WhatIfLaw, testing::Range(std::size_t{0}, kAsked.size()),
                         [](const auto& test) { return std::string(kAsked[test.param]); });

}  // namespace
}  // namespace xpusim::test
