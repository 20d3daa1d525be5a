#include <gtest/gtest.h>

#include "law.h"
#include "support/samples.h"
#include "support/shipped.h"
#include "xpusim/operator_timer.h"

namespace {

using namespace xpusim;

Operator product(std::int64_t m, std::int64_t n, std::int64_t k, std::int64_t batch, bool weight) {
  Operator o;
  o.name = "product";
  o.kind = OpKind::Gemm;
  o.gemm.m = m;
  o.gemm.n = n;
  o.gemm.k = k;
  o.gemm.batch = batch;
  o.gemm.b_is_weight = weight;
  return o;
}

Operator attention(std::int64_t length, std::int64_t heads, Pass pass) {
  Operator o;
  o.name = "attention";
  o.kind = OpKind::Attention;
  o.attention.pass = pass;
  o.attention.q_len = o.attention.kv_len = length;
  o.attention.heads = o.attention.kv_heads = heads;
  return o;
}

Operator stream(OpKind kind, std::int64_t rows, std::int64_t cols) {
  Operator o;
  o.name = "stream";
  o.kind = kind;
  o.rowwise.rows = rows;
  o.rowwise.cols = cols;
  return o;
}

/// A long kernel's time from a part of it lies near the time of the whole, and a short kernel's is the same.
TEST(SampledKernels, AreNearTheWhole) {
  const std::vector<Operator> list = {
      product(8192, 16384, 8192, 1, true),   product(24576, 8192, 4096, 1, false),
      product(2048, 2048, 128, 1024, false), attention(16384, 24, Pass::Forward),
      attention(8192, 96, Pass::Backward),   stream(OpKind::SwiGlu, 65536, 8192),
      stream(OpKind::Softmax, 200000, 2048), product(1024, 4096, 4096, 1, true)};
  for (const char* id : {"h100_sxm", "a100_sxm", "ascend_910b2"}) {
    const ChipSpec chip = test::chip(id);
    OperatorTimer whole(chip, nullptr, Launch::Graph, {}, LongKernels::Whole);
    OperatorTimer sampled(chip, nullptr, Launch::Graph, {}, LongKernels::Sampled);
    for (const Operator& o : list) {
      const double all = whole.row(o, {}).time.count(), part = sampled.row(o, {}).time.count();
      EXPECT_NEAR(part / all, 1, 0.05) << id << ' ' << chip::content_key(o);
      EXPECT_NEAR(sampled.row(o, {}).breakdown.total() / part, 1, 1e-9);
    }
    EXPECT_EQ(sampled.row(list.back(), {}).time, whole.row(list.back(), {}).time);
  }
}

}  // namespace
