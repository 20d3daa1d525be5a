#include <gtest/gtest.h>

#include "law.h"
#include "support/samples.h"
#include "support/shipped.h"
#include "xpusim/step/timer.h"

namespace {

using namespace xpusim;

Operator product(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t batch, bool weight) {
  Operator o;
  o.name = "product";
  o.work = GemmShape{};
  o.as<GemmShape>().m = m;
  o.as<GemmShape>().n = n;
  o.as<GemmShape>().k = k;
  o.as<GemmShape>().batch = batch;
  o.as<GemmShape>().b_is_weight = weight;
  return o;
}

Operator attention(std::int64_t length, std::int64_t heads, Pass pass) {
  Operator o;
  o.name = "attention";
  o.work = AttentionShape{};
  o.as<AttentionShape>().pass = pass;
  o.as<AttentionShape>().q_len = o.as<AttentionShape>().kv_len = length;
  o.as<AttentionShape>().heads = o.as<AttentionShape>().kv_heads = heads;
  return o;
}

Operator stream(RowwiseKind kind, std::int64_t rows, std::int64_t cols) {
  return {"stream", RowwiseShape{.kind = kind, .rows = rows, .cols = cols}, {}};
}

/// A long kernel's time from a part of it lies near the time of the whole, and a short kernel's is the same.
TEST(SampledKernels, AreNearTheWhole) {
  const std::vector<Operator> list = {
      product(8192, 16384, 8192, 1, true),        product(24576, 8192, 4096, 1, false),
      product(2048, 2048, 128, 1024, false),      attention(16384, 24, Pass::Forward),
      attention(8192, 96, Pass::Backward),        stream(RowwiseKind::SwiGlu, 65536, 8192),
      stream(RowwiseKind::Softmax, 200000, 2048), product(1024, 4096, 4096, 1, true)};
  for (const char* id : {"h100_sxm", "a100_sxm", "ascend_910b2"}) {
    const ChipSpec chip = test::chip(id);
    step::OperatorTimer whole(chip, nullptr, Launch::Graph, {}, step::LongKernels::Whole);
    step::OperatorTimer sampled(chip, nullptr, Launch::Graph, {}, step::LongKernels::Sampled);
    for (const Operator& o : list) {
      const double all = whole.row(o, {}).time.count(), part = sampled.row(o, {}).time.count();
      EXPECT_NEAR(part / all, 1, 0.05) << id << ' ' << o.name;
      EXPECT_NEAR(sampled.row(o, {}).breakdown.total() / part, 1, 1e-9);
    }
    EXPECT_EQ(sampled.row(list.back(), {}).time, whole.row(list.back(), {}).time);
  }
}

}  // namespace
