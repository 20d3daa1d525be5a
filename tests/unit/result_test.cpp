#include "xpusim/result/result.h"

#include <gtest/gtest.h>

namespace xpusim::result {
namespace {

const Work kAdd = RowwiseShape{.kind = RowwiseKind::Add};

OperatorRow row(Work work, double time, std::int64_t count) {
  OperatorRow r;
  r.op.work = std::move(work);
  r.time = Seconds(time);
  r.count = count;
  r.breakdown[Bound::Hbm] = time;
  return r;
}

TEST(Classes, AddUpOperatorsByFallingTime) {
  const auto classes = by_class({row(kAdd, 1, 2), row(GemmShape{}, 2, 3), row(kAdd, 0.5, 1)});
  ASSERT_EQ(classes.size(), 2U);
  EXPECT_EQ(classes[0].kind, OpKind::Gemm);
  EXPECT_EQ(classes[0].time, Seconds(6));
  EXPECT_EQ(classes[1].kind, kind_of(kAdd));
  EXPECT_EQ(classes[1].count, 3);
  EXPECT_EQ(classes[1].time, Seconds(2.5));
  EXPECT_EQ(classes[1].breakdown.total(), 2.5);
}

TEST(Result, CountsTheActivityOfAllRuns) {
  Activity product, sum, exchange;
  product.flops = {{Dtype::Fp8, 5}};
  product.busy_s[1] = 0.5;
  product.hbm_read_bytes = 7;
  sum.hbm_read_bytes = 1;
  exchange.network_bytes = {{"node", 4}};
  Result r;
  r.operators = {row(GemmShape{}, 1, 3), row(kAdd, 1, 1), row(CollectiveShape{}, 1, 2), row(kAdd, 1, 1)};
  r.operators[0].activity = std::make_shared<const Activity>(product);
  r.operators[1].activity = std::make_shared<const Activity>(sum);
  r.operators[2].activity = std::make_shared<const Activity>(exchange);
  const Activity all = r.activity();
  EXPECT_EQ(all.flops.at(Dtype::Fp8), 15);
  EXPECT_EQ(all.busy_s[1], 1.5);
  EXPECT_EQ(all.hbm_read_bytes, 22);
  EXPECT_EQ(all.network_bytes.at("node"), 8);
}

TEST(Result, OfNoTimeHasNoSpeed) {
  const Result r;
  EXPECT_EQ(r.tokens_per_s(), 0);
  EXPECT_EQ(r.flops_per_s_per_device().count(), 0);
}

}  // namespace
}  // namespace xpusim::result
