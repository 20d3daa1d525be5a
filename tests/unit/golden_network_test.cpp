#include <gtest/gtest.h>

#include "support/networks.h"

/// Values that other simulators' own tests print (docs/adr/0009), on networks described as theirs. They count
/// in whole nanoseconds and cut fractions off.
namespace {

using namespace xpusim;
using namespace xpusim::network;

constexpr std::int64_t kMiB = 1 << 20;

double send_ns(const std::string& network) {
  Call c = test::call(CollectiveKind::SendRecv, kMiB, 2);
  c.group.places = {1, 4};
  return execute(c, test::network(network)).total.count() * 1e9;
}

TEST(GoldenNetwork, AMessageThatIsPassedOnAtOnce) {
  EXPECT_NEAR(send_ns("ring16_cut"), 21'031, 1);
  EXPECT_NEAR(send_ns("mesh16_cut"), 20'031, 1);
  EXPECT_NEAR(send_ns("switch16_cut"), 20'531, 1);
}

TEST(GoldenNetwork, AMessageThatIsStoredOnTheWay) {
  EXPECT_NEAR(send_ns("ring16_store"), 60'093, 1);
  EXPECT_NEAR(send_ns("mesh16_store"), 20'031, 1);
  EXPECT_NEAR(send_ns("switch16_store"), 40'062, 1);
}

TEST(GoldenNetwork, EveryNodeOfARingToEveryOther) {
  const Call c = test::call(CollectiveKind::AllGather, 16 * kMiB, 16, Algorithm::Direct);
  const double ns = execute(c, test::network("ring16_store")).total.count() * 1e9;
  EXPECT_NEAR(ns, 704'116, 0.005 * 704'116);
}

TEST(GoldenNetwork, RingAllReduceInFourPartsOneAfterTheOther) {
  const Call c = test::call(CollectiveKind::AllReduce, kMiB / 4, 8, Algorithm::Ring);
  const double ns = execute(c, test::network("astra_ring8")).total.count() * 1e9;
  EXPECT_NEAR(4 * ns, 117'780, 0.0005 * 117'780);
}

}  // namespace
