#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "support/networks.h"
#include "support/shipped.h"
#include "xpusim/chip/kernel.h"
#include "xpusim/core/error.h"
#include "xpusim/validation/collectives.h"
#include "xpusim/validation/measured_set.h"
#include "xpusim/validation/replay.h"

namespace xpusim::validation {
namespace {

using testing::HasSubstr;

const std::string kHead = "# chip=h100_sxm op=gemm_bf16\n";

MeasuredSet set_of(const std::string& text) { return interpret(parse_csv(text, "set.csv")); }

/// Every mistake of a set, one a line.
std::string mistakes(const std::string& text) {
  try {
    static_cast<void>(set_of(text));
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "none";
}

TEST(MeasuredSet, NamesTheColumnThatIsMissing) {
  EXPECT_THAT(mistakes(kHead + "m,n,time_us\n1,2,3\n"), HasSubstr("k: missing column"));
}

TEST(MeasuredSet, RefusesNumbersThatAreNone) {
  for (const std::string bad : {"nan", "inf", "-3", "0", "", "1e400", "3us", "0x10"})
    EXPECT_THAT(mistakes(kHead + "m,n,k,time_us\n8,8,8," + bad + "\n"),
                HasSubstr("set.csv:3:1: time_us: cannot read '" + bad + "'"))
        << bad;
  for (const std::string bad : {"1.5", "-1", "many"})
    EXPECT_THAT(mistakes(kHead + "m,n,k,time_us\n" + bad + ",8,8,1\n"), HasSubstr("m: cannot read"));
}

TEST(MeasuredSet, ReportsAllMistakesAtOnce) {
  const std::string all = mistakes(kHead + "m,n,k,time_us\nx,8,8,1\n8,y,8,1\n8,8,8,nan\n");
  EXPECT_THAT(all, HasSubstr("set.csv:3:1: m"));
  EXPECT_THAT(all, HasSubstr("set.csv:4:1: n"));
  EXPECT_THAT(all, HasSubstr("set.csv:5:1: time_us"));
}

TEST(MeasuredSet, NamesTheKnownOps) {
  EXPECT_THAT(mistakes("# chip=h100_sxm op=gemm_bf61\nm,n,k,time_us\n1,1,1,1\n"),
              AllOf(HasSubstr("unknown op 'gemm_bf61'"), HasSubstr("gemm_bf16")));
  EXPECT_THAT(mistakes("m,n,k,time_us\n1,1,1,1\n"), HasSubstr("a line '# chip=ID op=NAME'"));
}

TEST(MeasuredSet, RefusesRowsOfAnotherLength) {
  EXPECT_THAT(mistakes(kHead + "m,n,k,time_us\n1,2,3\n"),
              HasSubstr("set.csv:3:1: 3 fields (the header has 4)"));
  EXPECT_THAT(mistakes(kHead + "m,n,k,time_us\n1,2,3,\"4\n"), HasSubstr("an open quote"));
  EXPECT_THAT(mistakes(kHead), HasSubstr("no header row"));
}

TEST(MeasuredSet, RefusesAHugeFile) {
  EXPECT_THAT(mistakes(std::string(kMostCsvBytes + 1, 'x')), HasSubstr("more than 64 MiB"));
}

TEST(MeasuredSet, ReadsTheRotationOfWeights) {
  const std::string rows = "m,n,k,time_us\n8,16,32,4.5\n";
  EXPECT_EQ(set_of(kHead + rows).rows.front().op->as<GemmShape>().weight_copies, 5);
  EXPECT_EQ(set_of("# weight_copies=3\n" + kHead + rows).rows.front().op->as<GemmShape>().weight_copies, 3);
  const MeasuredSet timed = set_of(kHead + "m,n,k,time_us,timing\n8,16,32,4.5,eager\n");
  EXPECT_EQ(timed.rows.front().op->as<GemmShape>().weight_copies, 0);
  EXPECT_EQ(timed.rows.front().launch, Launch::Eager);
}

TEST(MeasuredSet, ReadsLatentAttention) {
  const MeasuredSet s = set_of(
      "# chip=h100_sxm op=mla_decode\n"
      "mla_dtype,kv_cache_dtype,num_heads,batch_size,isl,step,time_us\nbfloat16,fp8,16,4,1,99,20\n");
  const AttentionShape& a = s.rows.front().op->as<AttentionShape>();
  EXPECT_TRUE(a.latent);
  EXPECT_EQ(a.kv_len, 100);
  EXPECT_EQ(a.kv_heads, 1);
  EXPECT_EQ(a.head_dim, 576);
  EXPECT_EQ(a.value_extent(), 512);
  EXPECT_EQ(s.rows.front().setup, Setup::Decode);
}

TEST(MeasuredSet, QuantisesForALatentCacheOfFewerBits) {
  const auto call = [](const std::string& cache) {
    return set_of(
               "# chip=h100_sxm op=mla_prefill\n"
               "mla_dtype,kv_cache_dtype,num_heads,batch_size,isl,step,time_us\nbfloat16," +
               cache + ",16,4,1,0,20\n")
        .rows.front();
  };
  const Measurement wide = call("bfloat16"), narrow = call("fp8");
  EXPECT_FALSE(wide.op->as<AttentionShape>().decodes()) << "one token, but a prompt";
  EXPECT_EQ(wide.op->as<AttentionShape>().dtype, Dtype::Bf16);
  EXPECT_EQ(narrow.op->as<AttentionShape>().dtype, Dtype::Fp8);
  ASSERT_EQ(narrow.before.size(), wide.before.size() + 1);
  EXPECT_EQ(narrow.before.back().as<RowwiseShape>().kind, RowwiseKind::Quantize);
  EXPECT_EQ(narrow.before.back().as<RowwiseShape>().cols, 16 * (192 + 192 + 128));
}

TEST(MeasuredSet, ReadsTheScaleKernelOfALinearLayerInFp8) {
  const std::string head = "# chip=h100_sxm op=gemm_fp8\nm,n,k,time_us";
  const Measurement linear = set_of(head + "\n8,16,32,4.5\n").rows.front();
  ASSERT_EQ(linear.before.size(), 1U);
  EXPECT_EQ(linear.before.front().as<RowwiseShape>().rows * linear.before.front().as<RowwiseShape>().cols, 1);
  EXPECT_TRUE(set_of(head + ",timing\n8,16,32,4.5,kernel\n").rows.front().before.empty());
}

const std::string kMoe =
    "# chip=h100_sxm op=moe\nmoe_dtype,num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,"
    "moe_ep_size,distribution,time_us\n";

TEST(MeasuredSet, ReadsOneRanksLayerOfExperts) {
  // Stride 16: token 0 goes to experts 0, 16, ...; token 1 to 8, 24, ... The first rank holds 0 to 31.
  const MeasuredSet s = set_of(kMoe + "fp8,2,4096,1536,8,128,2,4,balanced,30\n");
  const Measurement& m = s.rows.front();
  EXPECT_EQ(m.op->name, "up");
  const GroupedGemmShape& g = m.op->as<GroupedGemmShape>();
  EXPECT_EQ(g.groups, 32);
  EXPECT_EQ(g.active, 4);
  EXPECT_EQ(g.m, 4);
  EXPECT_EQ(g.n, 2 * 1536 / 2);
  EXPECT_EQ(g.k, 4096);
  EXPECT_EQ(g.dtype, Dtype::Fp8);
  EXPECT_EQ(g.weight_copies, 2) << "both products' weights pass between two uses";
  EXPECT_TRUE(
      std::any_of(m.before.begin(), m.before.end(), [](const Operator& o) { return o.name == "down"; }));
}

TEST(MeasuredSet, NamesWhatIsWrongWithALayerOfExperts) {
  const auto wrong = [](const std::string& row) { return mistakes(kMoe + row + "\n"); };
  EXPECT_THAT(wrong("fp8,2,4096,1536,200,128,1,1,balanced,30"), HasSubstr("200 of 128 experts"));
  EXPECT_THAT(wrong("fp8,2,4096,1536,8,128,1,3,balanced,30"), HasSubstr("128 experts on 3 ranks"));
  EXPECT_THAT(wrong("fp8,2,4096,1536,8,128,7,1,balanced,30"), HasSubstr("1536 columns on 7 ranks"));
  EXPECT_THAT(wrong("fp9,2,4096,1536,8,128,1,1,balanced,30"), HasSubstr("moe_dtype: cannot read 'fp9'"));
  EXPECT_THAT(wrong("fp8,0,4096,1536,8,128,1,1,balanced,30"), HasSubstr("num_tokens: cannot read '0'"));
  EXPECT_THAT(wrong("fp8,nan,4096,1536,8,128,1,1,balanced,30"), HasSubstr("num_tokens: cannot read 'nan'"));
  EXPECT_THAT(wrong("fp8,1e15,4096,1536,8,128,1,1,balanced,30"), HasSubstr("at most"));
  EXPECT_THAT(wrong("fp8,2,4096,1536,8,128,1,1,skewed,30"), HasSubstr("distribution: cannot read 'skewed'"));
  EXPECT_THAT(mistakes("# chip=h100_sxm op=moe\nnum_tokens,time_us\n1,1\n"),
              HasSubstr("moe_dtype: missing column"));
}

TEST(MeasuredSet, SkipsFormatsOfWeightsWithoutAModel) {
  EXPECT_EQ(set_of(kMoe + "w4afp8,2,4096,1536,8,128,1,1,balanced,30\n").rows.front().skipped,
            "no model of w4afp8");
}

TEST(MeasuredSet, ReadsGroupedProducts) {
  const std::string head = "# chip=ascend_910b2 op=moe\nop,groups,m_total,n,k,dtype,time_us,timing\n";
  const MeasuredSet s = set_of(head + "grouped_gemm,32,1024,4096,1024,fp16,184,kernel\n");
  EXPECT_EQ(s.rows.front().op->as<GroupedGemmShape>().groups, 32);
  EXPECT_EQ(s.rows.front().op->as<GroupedGemmShape>().m, 1024);
  EXPECT_EQ(s.rows.front().launch, Launch::Kernel);
  EXPECT_EQ(set_of(head + "topk,32,1024,4096,1024,fp16,184,kernel\n").rows.front().skipped,
            "no model of topk");
  EXPECT_THAT(mistakes(head + "grouped_gemm,0,1024,4096,1024,fp16,184,kernel\n"),
              HasSubstr("groups: cannot read '0'"));
}

TEST(Replay, AddsTheKernelsAroundTheExpertsProducts) {
  const ChipSpec c = test::chip("h100_sxm");
  const MeasuredSet set = set_of(kMoe + "bfloat16,16,4096,1536,8,128,1,8,balanced,100\n");
  chip::Estimator e(c, chip::Fidelity::Bound, Launch::Graph);
  double sum = e.time(*set.rows.front().op).total.count();
  for (const Operator& o : set.rows.front().before) sum += e.time(o).total.count();
  const SetReport report = replay(set, c, chip::Fidelity::Bound);
  EXPECT_NEAR(report.samples.front().predicted_us, sum * 1e6, 1e-9 * sum * 1e6);
  EXPECT_EQ(report.samples.front().operators, "grouped gemm");
}

TEST(MeasuredSet, ReadsShapesOfRowwiseOperators) {
  const std::string head = "# chip=ascend_910c op=vector\nop,shape,dtype,time_us\n";
  const RowwiseShape w = set_of(head + "swiglu,16x3200,bf16,5\n").rows.front().op->as<RowwiseShape>();
  EXPECT_EQ(w.rows, 16);
  EXPECT_EQ(w.cols, 1600) << "gate and up are its inputs";
  for (const std::string bad : {"16", "16x", "x16", "0x16", "16x-1", "1x2x3x4", "99999999999x1"})
    EXPECT_THAT(mistakes(head + "rmsnorm," + bad + ",bf16,5\n"), HasSubstr("shape: cannot read")) << bad;
  EXPECT_EQ(set_of(head + "sort,16x32,bf16,5\n").rows.front().skipped, "no model of sort");
}

Sample sample(double measured, double predicted) {
  Sample s;
  s.measured_us = measured;
  s.predicted_us = predicted;
  return s;
}

TEST(Statistics, AreThoseOfSignedErrors) {
  const ErrorStatistics e = statistics({sample(10, 11), sample(10, 8), sample(10, 10), sample(10, 13)});
  EXPECT_EQ(e.rows, 4U);
  EXPECT_NEAR(e.mape_pct, (10 + 20 + 0 + 30) / 4.0, 1e-9);
  EXPECT_NEAR(e.bias_pct, (10 - 20 + 0 + 30) / 4.0, 1e-9);
  EXPECT_EQ(statistics({}).rows, 0U);
}

TEST(Replay, SkipsRowsThatBeatTheMemory) {
  const std::string head =
      "# chip=h100_sxm op=attention_decode\n"
      "batch_size,isl,num_heads,num_key_value_heads,head_dim,attn_dtype,kv_cache_dtype,step,time_us\n";
  // 2.1 GB of keys and values take 640 us at 3.35 TB/s.
  const auto replayed = [&](const std::string& us) {
    return replay(set_of(head + "64,1,16,8,128,bfloat16,bfloat16,8191," + us + "\n"), test::chip("h100_sxm"),
                  chip::Fidelity::Bound);
  };
  EXPECT_EQ(replayed("800").errors.rows, 1U);
  EXPECT_EQ(replayed("600").errors.rows, 0U);
  EXPECT_EQ(replayed("600").skipped.size(), 1U);
}

TEST(Replay, AddsTheKernelsInFrontOfAttention) {
  const ChipSpec c = test::chip("h100_sxm");
  const std::string head =
      "# chip=h100_sxm op=attention_prefill\n"
      "batch_size,isl,num_heads,num_key_value_heads,head_dim,attn_dtype,kv_cache_dtype,step,time_us\n";
  MeasuredSet set = set_of(head + "1,512,8,8,128,bfloat16,bfloat16,0,30\n");
  const double whole = replay(set, c, chip::Fidelity::Bound).samples.front().predicted_us;
  set.rows.front().before.clear();
  set.rows.front().setup = Setup::None;
  const double alone = replay(set, c, chip::Fidelity::Bound).samples.front().predicted_us;
  EXPECT_GT(whole, alone + c.attention.prefill_setup.count() * 1e6);
}

AccuracyTable table() {
  AccuracyTable t;
  t.classes.push_back({"a", "f", "gemm 16-bit", 100, 5, 0, 10, {{"m", 1, 64}}});
  t.classes.push_back({"b", "f", "gemm 16-bit", 100, 8, 0, 20, {}});
  t.classes.push_back({"c", "g", "gemm 16-bit", 100, 9, 0, 30, {}});
  return t;
}

TEST(ErrorBand, IsTheChipsOwnElseItsFamilysElseAny) {
  const AccuracyTable t = table();
  EXPECT_DOUBLE_EQ(error_band(t, "a", "f", "gemm 16-bit")->percent, 10);
  EXPECT_DOUBLE_EQ(error_band(t, "x", "f", "gemm 16-bit")->percent, 1.5 * 20);
  EXPECT_DOUBLE_EQ(error_band(t, "x", "h", "gemm 16-bit")->percent, 2 * 30);
  EXPECT_FALSE(error_band(t, "a", "f", "row-wise").has_value());
}

TEST(ErrorBand, NamesWhatLiesOutsideTheMeasuredRange) {
  const AccuracyTable t = table();
  const auto outside = [&](std::int64_t m) {
    return outside_validated(t.classes.front(), accuracy_extents(GemmShape{.m = m}));
  };
  EXPECT_EQ(outside(64), "");
  EXPECT_EQ(outside(65), "m 65 (measured: 1 to 64)");
}

TEST(ErrorBand, OfEveryShippedChipIsKnownForGemms) {
  const AccuracyTable t = test::library().accuracy();
  ASSERT_FALSE(t.classes.empty());
  for (const ChipSpec& c : test::chips()) {
    const auto band = error_band(t, c.id, c.family, "gemm 16-bit");
    ASSERT_TRUE(band.has_value()) << c.id;
    EXPECT_GT(band->percent, 0) << c.id;
  }
}

const std::string kNode = "# chip=h100_sxm op=nccl\nop_name,nccl_dtype,num_gpus,message_size,time_us\n";

TEST(MeasuredCollectives, CountElementsOrBytesAsTheirKindDoes) {
  const auto node = interpret_collectives(parse_csv(kNode + "alltoall,half,8,512,7.7\n", "n.csv"));
  ASSERT_EQ(node.rows.size(), 1U);
  EXPECT_EQ(node.system, "h100_sxm");
  EXPECT_EQ(node.rows[0].call.kind, CollectiveKind::AllToAll);
  EXPECT_EQ(node.rows[0].call.size, Bytes(1024));
  const std::string head =
      "# system=atlas_800_a3\nop,ranks,ranks_per_node,message_bytes,time_us,bus_bandwidth,link,note\n";
  const auto shards = interpret_collectives(parse_csv(
      head + "all_gather,16,16,1000,5,,ub,\nsend,2,16,4096,,10,ub,device 0 -> 2; throughput with 32 "
             "blocks of this size in flight\n",
      "s.csv"));
  EXPECT_EQ(shards.rows[0].call.size, Bytes(16000));
  EXPECT_EQ(shards.rows[1].call.group.places, (std::vector<std::int64_t>{0, 2}));
  EXPECT_EQ(shards.rows[1].in_flight, 32);
  EXPECT_NEAR(shards.rows[1].time_us, 0.4096, 1e-9);
}

TEST(MeasuredCollectives, RunTheSoftwareOfTheirSource) {
  const auto set = interpret_collectives(parse_csv(
      "# system=dgx_h100\nop,ranks,ranks_per_node,message_bytes,time_us,algorithm,in_graph,source,note\n"
      "all_reduce,4,8,1024,5,default,,openxla_collectives,2 groups at once\n"
      "all_reduce,8,8,1024,5,nvls,,azure_ai_benchmarking_guide,NCCL 2.18.5; in place\n"
      "all_gather,8,8,1024,5,custom,,mscclpp_perf_jsonl,MSCCL++ kernel 3\n"
      "all_reduce,8,8,1024,5,default,,somebody,\n",
      "s.csv"));
  const SetReport r = replay(set, test::joined("dgx_h100"), chip::Fidelity::Bound);
  ASSERT_EQ(r.samples.size(), 4U);
  EXPECT_EQ(r.samples[0].label, "all_reduce 4 ranks 1024 B xla eager");
  EXPECT_EQ(r.samples[1].label, "all_reduce 8 ranks 1024 B nccl_tests eager");
  EXPECT_THAT(r.samples[1].tiling, HasSubstr("in_switch"));
  EXPECT_EQ(r.samples[2].label, "all_gather 8 ranks 1024 B mscclpp_proxy");
  EXPECT_EQ(r.samples[3].label, "all_reduce 8 ranks 1024 B");
  EXPECT_TRUE(set.rows[1].call.in_place);
  EXPECT_FALSE(set.rows[3].call.in_place);
}

TEST(MeasuredCollectives, LeaveBytesToTheRanks) {
  const auto set = interpret_collectives(
      parse_csv(kNode + "all_reduce,half,8,512,7.7\nall_reduce,int8,8,512,7.7\n", "n.csv"));
  EXPECT_TRUE(set.rows[0].call.switch_adds);
  EXPECT_FALSE(set.rows[1].call.switch_adds);
}

TEST(MeasuredCollectives, NameTheirMistakes) {
  for (const auto& [text, part] :
       {std::pair{kNode + "all_rduce,half,8,512,7\n", "op_name: cannot read 'all_rduce'"},
        {kNode + "all_reduce,half,8,512,-1\n", "n.csv:3:1: time_us: cannot read '-1'"},
        {std::string("# chip=h100_sxm op=nccl\nop_name\nall_reduce\n"), "num_gpus: missing column"}})
    try {
      static_cast<void>(interpret_collectives(parse_csv(text, "n.csv")));
      FAIL() << part;
    } catch (const ConfigError& e) {
      EXPECT_THAT(e.what(), HasSubstr(part));
    }
}

TEST(MeasuredCollectives, AreMetWithinTheirGoals) {
  for (const auto& [set, id, most] : {std::tuple{"dgx_h100/nccl", "dgx_h100", 8.0},
                                      {"dgx_a100/nccl", "dgx_a100", 8.0},
                                      {"dgx_a100_multinode/collectives", "superpod_a100", 15.0},
                                      {"dgx_h100/collectives", "dgx_h100", 8.0},
                                      {"dgx_a100/collectives", "dgx_a100", 8.0},
                                      {"dgx_h100_multinode/collectives", "superpod_h100", 15.0},
                                      {"h800_multinode/collectives", "h800_8plane", 20.0},
                                      {"atlas_800_a2/collectives", "atlas_800_a2", 12.0},
                                      {"atlas_800_a3/collectives", "atlas_800_a3", 12.0}}) {
    const Csv csv = read_csv(std::string(XPUSIM_SOURCE_ROOT) + "/tests/measured/comm/" + set + ".csv");
    const SetReport r = replay(interpret_collectives(csv), test::joined(id), chip::Fidelity::Tile);
    EXPECT_LE(r.errors.mape_pct, most) << set;
  }
}

}  // namespace
}  // namespace xpusim::validation
