#include "support/training.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "xpusim/core/error.h"
#include "xpusim/graph/passes.h"

/// Plans of training steps, what their passes compute and exchange, and what ranks hold.
namespace xpusim::test {
namespace {

using graph::Chunk;
using graph::Plan;

graph::Plan plan_of(const ModelSpec& m, const ScenarioSpec& s, const StackSpec& stack = plain_stack()) {
  const ParallelismSpec& p = s.parallelism;
  return graph::resolve(m, s, stack, p.tp * p.cp * p.pp * std::max<std::int64_t>(1, p.dp));
}

/// A mixture of experts small enough to count by hand.
ModelSpec mixture() {
  ModelSpec m = model("llama31_8b");
  m.id = "mixture";
  m.experts = ExpertsSpec{.count = 16, .per_token = 2, .ffn = 1024, .shared = 1, .dense_layers = 2};
  return m;
}

double norms(const ModelSpec& m) {
  return 2 * d(m.hidden) * (m.norm == NormKind::LayerNorm ? 2 : 1) + (m.qk_norm ? 2 * d(m.head_dim) : 0);
}
double head_weights(const ModelSpec& m) { return d(m.vocab) * d(m.hidden); }
/// Weights that each token is multiplied by: all but the embedding table (a look-up) and the norms.
double product_weights(const ModelSpec& m) {
  return active_parameters(m) - d(m.layers) * norms(m) - d(m.hidden) -
         (embedding_parameters(m) - head_weights(m));
}
/// Q K^T and P V of a causal self-attention over `sequence` tokens, all layers.
double attention_flops(const ModelSpec& m, double sequences, double sequence) {
  return d(m.layers) * 2 * 2 * sequences * d(m.heads) * d(m.head_dim) * sequence * (sequence + 1) / 2;
}

// ---- passes

TEST(TrainingPasses, HaveThreeTimesTheForwardProducts) {
  for (const ModelSpec& m : {model("llama31_8b"), mixture()}) {
    const ScenarioSpec s = training_scenario(4, 4, 1024);
    // Backward attention recomputes the scores: five products for the forward pass's two.
    const double expected = 3 * 2 * product_weights(m) * 4 * 1024 + 3.5 * attention_flops(m, 4, 1024);
    EXPECT_NEAR(matrix_flops(passes(m, plan_of(m, s), plain_stack())), expected, 1e-6 * expected) << m.id;
  }
}

TEST(TrainingPasses, OfFullRecomputationRunTheLayersForwardTwice) {
  const ModelSpec m = model("llama31_8b");
  ScenarioSpec s = training_scenario(4, 2, 1024);
  const double without = matrix_flops(passes(m, plan_of(m, s), plain_stack()));
  const double layers = 2 * (product_weights(m) - head_weights(m)) * 2 * 1024 + attention_flops(m, 2, 1024);
  s.recompute = Recompute::Full;
  EXPECT_NEAR(matrix_flops(passes(m, plan_of(m, s), plain_stack())), without + layers, 1e-6 * without);
  s.training.recompute_layers = 8;
  EXPECT_NEAR(matrix_flops(passes(m, plan_of(m, s), plain_stack())), without + layers * 8 / 32,
              1e-6 * without);
}

TEST(TrainingPasses, RecomputeAsManyLayersOfAChunkAsAsked) {
  const ModelSpec m = mixture();  // 2 dense layers, 30 of experts
  ScenarioSpec s = training_scenario(4, 1, 512);
  s.recompute = Recompute::Full;
  s.training.recompute_layers = 3;
  const graph::Plan plan = plan_of(m, s);
  std::int64_t again = 0;
  for (const Chunk& c : graph::chunks_of(m, plan))
    for (const Section& section : graph::passes_of(c, m, plan, plain_stack()).backward.sections)
      if (section.name == "recomputed_layer_backward") again += section.repeat;
  EXPECT_EQ(again, 3);
}

TEST(TrainingPasses, OfSelectiveRecomputationRunTheScoresTwice) {
  const ModelSpec m = model("gpt3_175b");
  StackSpec stack = plain_stack();
  stack.kernels.attention = AttentionKernel::Unfused;
  ScenarioSpec s = training_scenario(1, 1, 2048);
  const double without = matrix_flops(passes(m, plan_of(m, s), stack));
  s.recompute = Recompute::Selective;
  const double scores = d(m.layers) * 4 * d(m.heads) * 2048 * 2048 * d(m.head_dim);
  EXPECT_NEAR(matrix_flops(passes(m, plan_of(m, s), stack)), without + scores, 1e-9 * without);
}

TEST(TrainingPasses, SplitFromTheirWeightGradientsComputeTheSame) {
  for (const ModelSpec& m : {model("llama31_8b"), mixture()}) {
    ScenarioSpec s = training_scenario(16, 1, 512);
    s.parallelism.pp = 4;
    const double whole = matrix_flops(passes(m, plan_of(m, s), plain_stack()));
    s.training.schedule = PipelineSchedule::ZbH1;
    const graph::Plan split = plan_of(m, s);
    ASSERT_TRUE(split.splits_backward);
    // The embedding and the head keep theirs together.
    EXPECT_NEAR(matrix_flops(passes(m, split, plain_stack())), whole, 1e-9 * whole);
    EXPECT_GT(matrix_flops({graph::passes_of(graph::chunks_of(m, split)[1], m, split, plain_stack()).weight}),
              0.2 * whole / 4);
  }
}

TEST(TrainingPasses, TensorAndContextRanksDivideTheProducts) {
  const ModelSpec m = model("llama31_70b");
  ScenarioSpec s = training_scenario(1, 1, 4096);
  const double whole = matrix_flops(passes(m, plan_of(m, s), plain_stack()));
  for (const std::int64_t n : {2, 4, 8}) {
    ScenarioSpec tensor = s, context = s;
    tensor.parallelism.tp = n;
    context.parallelism.cp = n;
    EXPECT_NEAR(matrix_flops(passes(m, plan_of(m, tensor), plain_stack())), whole / d(n), 1e-9 * whole) << n;
    // The diagonal of the mask: half a token of each part.
    EXPECT_NEAR(matrix_flops(passes(m, plan_of(m, context), plain_stack())), whole / d(n), 1e-4 * whole) << n;
  }
}

TEST(TrainingPasses, ExpertRanksKeepTheWorkAndDivideTheWeights) {
  const ModelSpec m = mixture();
  ScenarioSpec s = training_scenario(16, 1, 1024);
  s.parallelism.dp = 8;
  const graph::Plan alone = plan_of(m, s);
  s.parallelism.ep = 8;
  const graph::Plan shared = plan_of(m, s);
  EXPECT_NEAR(matrix_flops(passes(m, shared, plain_stack())), matrix_flops(passes(m, alone, plain_stack())),
              1e-3 * matrix_flops(passes(m, alone, plain_stack())));
  const Chunk all = graph::chunks_of(m, alone).front();
  EXPECT_DOUBLE_EQ(graph::parameters_of(all, m, shared).experts * 8,
                   graph::parameters_of(all, m, alone).experts);
  const auto exchanges = [](const Operator& o) {
    return is_collective(o) && o.as<CollectiveShape>().group == RankGroup::Expert ? 1.0 : 0.0;
  };
  EXPECT_EQ(sum_over(passes(m, alone, plain_stack()), exchanges), 0);
  // Forward: there and back. Backward: the same the other way round.
  EXPECT_EQ(sum_over(passes(m, shared, plain_stack()), exchanges), 4 * d(m.expert_layers()));
}

TEST(TrainingPasses, OfOneRankCommunicateNothing) {
  for (const ModelSpec& m : {model("llama31_8b"), mixture(), model("gpt3_175b")}) {
    const ScenarioSpec s = training_scenario(2, 1, 256);
    EXPECT_EQ(sum_over(passes(m, plan_of(m, s), plain_stack()),
                       [](const Operator& o) { return is_collective(o) ? 1.0 : 0.0; }),
              0);
  }
}

TEST(TrainingPasses, ATensorGroupSumsTwiceALayerEachWay) {
  const ModelSpec m = model("llama31_8b");
  ScenarioSpec s = training_scenario(2, 1, 256);
  s.parallelism.tp = 4;
  s.parallelism.sequence_parallel = Toggle::Off;
  const double layers = d(m.layers);
  // Each way 2 a layer; forward also the embedding and the loss's row sums, backward the head.
  EXPECT_EQ(count(passes(m, plan_of(m, s), plain_stack()), CollectiveKind::AllReduce), 4 * layers + 3);
  s.parallelism.sequence_parallel = Toggle::On;
  const auto spread = passes(m, plan_of(m, s), plain_stack());
  EXPECT_EQ(count(spread, CollectiveKind::AllReduce), 1);
  // A sum becomes a scatter here and a gather there; weight gradients gather their inputs once more.
  EXPECT_EQ(count(spread, CollectiveKind::ReduceScatter), 4 * layers + 2);
  EXPECT_EQ(count(spread, CollectiveKind::AllGather), 6 * layers + 2);
}

TEST(TrainingPasses, OfEightBitsQuantiseTheirOperands) {
  const ModelSpec m = model("llama31_8b");
  ScenarioSpec s = training_scenario(1, 1, 256);
  const auto in_8bit = [](const Operator& o) {
    return o.is<GemmShape>() && size_of(o.as<GemmShape>().dtype) == 1 ? 1.0 : 0.0;
  };
  EXPECT_EQ(count(passes(m, plan_of(m, s), plain_stack()), RowwiseKind::Quantize), 0);
  EXPECT_EQ(sum_over(passes(m, plan_of(m, s), plain_stack()), in_8bit), 0);
  s.precision.activations = Dtype::Fp8;
  const auto low = passes(m, plan_of(m, s), plain_stack());
  EXPECT_EQ(count(low, RowwiseKind::Quantize), 8 * d(m.layers));  // inputs and gradients of four products
  EXPECT_EQ(sum_over(low, in_8bit), 12 * d(m.layers));            // the head stays in 16 bits
}

TEST(TrainingPasses, NameEachOperatorOfASectionOnce) {
  for (const Recompute again : {Recompute::None, Recompute::Selective, Recompute::Full})
    for (const ModelSpec& m : {model("llama31_8b"), mixture(), model("qwen3_32b")}) {
      StackSpec stack = plain_stack();
      StackKernels& k = stack.kernels;
      k.attention = AttentionKernel::Unfused;
      k.fused_softmax = k.fused_residual = k.fused_norm = k.fused_activation = k.fused_rope = false;
      k.fused_cross_entropy = k.fused_accumulation = false;
      k.dropout = true;
      ScenarioSpec s = training_scenario(16, 1, 512);
      s.parallelism.tp = 2;
      s.parallelism.dp = 4;
      s.parallelism.ep = m.experts ? 4 : 1;
      s.precision.activations = Dtype::Fp8;
      s.training.sharding = Sharding::Zero3;
      s.recompute = again;
      for (const Graph& g : passes(m, plan_of(m, s, stack), stack))
        for (const Section& section : g.sections) {
          std::set<std::string> names;
          for (const Operator& o : section.operators) {
            for (const std::string& before : o.after)
              EXPECT_TRUE(names.contains(before)) << o.name << " after " << before;
            EXPECT_TRUE(names.insert(o.name).second) << section.name << ": " << o.name;
          }
        }
    }
}

TEST(TrainingPasses, OfConvolutionsHaveThreeTimesTheForwardProducts) {
  ModelSpec m = model("resnet50");
  m.convolutions = {{"first", 1, 3, 64, 7, 2, 112}, {"rest", 4, 64, 64, 3, 1, 56}};
  const graph::Plan plan = plan_of(m, training_scenario(8, 8, 1));
  const double forward = 2.0 * 8 * (112 * 112 * 64 * 3 * 49 + 4.0 * 56 * 56 * 64 * 64 * 9);
  EXPECT_NEAR(graph::step_flops(m, plan).model, 3 * forward, 1e-9 * forward);
  EXPECT_NEAR(matrix_flops(passes(m, plan, plain_stack())), 3 * forward, 0.02 * forward);  // strides round up
}

// ---- the pipeline's chunks

std::int64_t layers_of(const Chunk& c) {
  std::int64_t sum = 0;
  for (const auto& [type, count] : c.layers) sum += count;
  return sum;
}
/// With the embedding and the head, which may count as one layer each.
std::int64_t places(const Chunk& c) { return layers_of(c) + (c.embedding ? 1 : 0) + (c.head ? 1 : 0); }

TEST(Chunks, HoldEveryLayerOnceAndDifferByOne) {
  for (const std::int64_t pp : {1, 2, 3, 5, 8})
    for (const std::int64_t vpp : {1, 2, 3})
      for (const ModelSpec& m : {model("llama31_8b"), mixture()}) {
        graph::Plan plan;
        plan.groups.pipeline = pp;
        plan.chunks = vpp;
        const std::vector<Chunk> list = graph::chunks_of(m, plan);
        ASSERT_EQ(list.size(), static_cast<std::size_t>(pp * vpp));
        std::int64_t dense = 0, experts = 0, most = 0, least = m.layers, fullest = 0, emptiest = m.layers;
        for (const Chunk& c : list) {
          for (const auto& [type, count] : c.layers) (type.experts ? experts : dense) += count;
          most = std::max(most, layers_of(c));
          least = std::min(least, layers_of(c));
          fullest = std::max(fullest, places(c));
          emptiest = std::min(emptiest, places(c));
          EXPECT_EQ(c.embedding, &c == &list.front());
          EXPECT_EQ(c.head, &c == &list.back());
        }
        EXPECT_EQ(dense, m.dense_layers());
        EXPECT_EQ(experts, m.expert_layers());
        EXPECT_TRUE(most - least <= 1 || fullest - emptiest <= 1) << pp << " " << vpp;
      }
}

TEST(Chunks, HoldEveryParameterOnce) {
  for (const ModelSpec& m : {model("llama31_8b"), model("gpt3_175b"), mixture()}) {
    ScenarioSpec s = training_scenario(64, 1, 256);
    s.parallelism.tp = 2;
    s.parallelism.pp = 4;
    s.parallelism.dp = 4;
    s.parallelism.ep = m.experts ? 4 : 1;
    const graph::Plan plan = plan_of(m, s);
    double sum = 0;
    for (const Chunk& c : graph::chunks_of(m, plan)) {
      const graph::ChunkParameters p = graph::parameters_of(c, m, plan);
      sum += p.dense * d(plan.groups.tensor) + p.experts * d(plan.groups.expert * plan.groups.expert_tensor);
    }
    const double copies = m.tie_embeddings ? head_weights(m) : 0;  // the last stage has its own table
    EXPECT_NEAR(sum, total_parameters(m) + copies, 1e-6 * sum) << m.id;
  }
}

TEST(TrainingPasses, QuantiseNoOperandsOfTheHeadAndTheRouter) {
  const ModelSpec m = mixture();
  ScenarioSpec s = training_scenario(4, 1, 512);
  s.precision.activations = Dtype::Fp8;
  StackSpec stack = plain_stack();
  stack.kernels.block_scales = true;
  for (const Graph& g : passes(m, plan_of(m, s, stack), stack))
    for (const Section& section : g.sections)
      for (const Operator& o : section.operators)
        EXPECT_FALSE(is_kind(o, RowwiseKind::Quantize) && (o.name.find("lm_head") != std::string::npos ||
                                                           o.name.find("router") != std::string::npos))
            << o.name;
}

// ---- gradients

double bytes_of(const std::vector<Operator>& list, CollectiveKind kind, RankGroup group) {
  double sum = 0;
  for (const Operator& o : list)
    if (is_kind(o, kind) && o.as<CollectiveShape>().group == group)
      sum += d(o.as<CollectiveShape>().bytes.count());
  return sum;
}

TEST(GradientExchange, FollowsTheSharding) {
  const ModelSpec m = model("llama31_8b");
  const StackSpec stack = plain_stack();  // gradients in fp32
  ScenarioSpec s = training_scenario(64, 1, 256);
  s.parallelism.dp = 8;
  const graph::ChunkParameters p{1e6, 0};
  const auto exchange = [&] { return graph::gradient_exchange(p, plan_of(m, s), stack); };
  EXPECT_EQ(bytes_of(exchange().gradients, CollectiveKind::AllReduce, RankGroup::Data), 4e6);
  EXPECT_TRUE(exchange().weights.empty());
  for (const Sharding sharding : {Sharding::Zero1, Sharding::Zero2}) {
    s.training.sharding = sharding;
    EXPECT_EQ(bytes_of(exchange().gradients, CollectiveKind::ReduceScatter, RankGroup::Shard), 4e6);
    EXPECT_EQ(bytes_of(exchange().weights, CollectiveKind::AllGather, RankGroup::Shard), 2e6);
    EXPECT_EQ(exchange().gradients.size() + exchange().weights.size(), 2U);
  }
  s.training.sharding_group = 4;  // two copies, each of 4 replicas
  EXPECT_EQ(bytes_of(exchange().gradients, CollectiveKind::AllReduce, RankGroup::Copy), 1e6);
  s.training.sharding = Sharding::Zero3;
  EXPECT_EQ(exchange().gradients.size(), 1U) << "layers exchange as they go";
  s.parallelism.dp = 1;
  s.training.sharding_group = 0;
  EXPECT_TRUE(exchange().gradients.empty());
}

TEST(GradientExchange, OfExpertsSparesTheRanksThatHoldOthers) {
  const ModelSpec m = mixture();
  ScenarioSpec s = training_scenario(64, 1, 256);
  s.parallelism.tp = 2;
  s.parallelism.dp = 8;
  s.parallelism.ep = 8;
  s.parallelism.etp = 1;
  const graph::Plan plan = plan_of(m, s);
  EXPECT_EQ(plan.groups.extent(RankGroup::ExpertData).ranks, 2);
  EXPECT_EQ(bytes_of(graph::gradient_exchange({1e6, 2e6}, plan, plain_stack()).gradients,
                     CollectiveKind::AllReduce, RankGroup::ExpertData),
            8e6);
}

TEST(Optimizer, StepsEachParameterOnceOverTheReplicasThatShareIt) {
  const ModelSpec m = model("llama31_8b");
  ScenarioSpec s = training_scenario(64, 1, 256);
  s.parallelism.dp = 8;
  const auto stepped = [&] {
    const Graph g = graph::optimizer_graph({8e6, 0}, plan_of(m, s), plain_stack());
    return sum_over({g}, [](const Operator& o) {
      return is_kind(o, RowwiseKind::Optimizer) ? d(o.as<RowwiseShape>().cols) : 0.0;
    });
  };
  EXPECT_EQ(stepped(), 8e6);
  s.training.sharding = Sharding::Zero1;
  EXPECT_EQ(stepped(), 1e6);
}

// ---- FLOP of a step

TEST(StepFlops, AreThoseOfThePublishedFormula) {
  // Narayanan et al., arXiv 2104.04473, section 5.1, with full recomputation:
  // F = 96 B s l h^2 (1 + s / 6h + V / 16 l h).
  const ModelSpec m = model("gpt3_175b");
  ScenarioSpec s = training_scenario(1536, 1, 2048);
  s.recompute = Recompute::Full;
  const graph::StepFlops f = graph::step_flops(m, plan_of(m, s));
  const double batch = 1536, seq = 2048, h = d(m.hidden), l = d(m.layers), v = d(m.vocab);
  const double expected = 96 * batch * seq * l * h * h * (1 + seq / (6 * h) + v / (16 * l * h));
  EXPECT_NEAR(f.model + f.recomputed, expected, 1e-3 * expected);
}

// ---- memory

/// Bytes of one layer's activations per token and hidden element: the published tables divide by s b h.
double per_sbh(const ModelSpec& m, const ScenarioSpec& s, const StackSpec& stack) {
  const graph::Plan plan = plan_of(m, s, stack);
  Chunk two, one;
  two.layers[{}] = 2;
  one.layers[{}] = 1;
  const double bytes = graph::memory_of(m, plan, stack, {two}, 1).activations -
                       graph::memory_of(m, plan, stack, {one}, 1).activations;
  return bytes / (d(s.micro_batch) * d(s.sequence) * d(m.hidden));
}

TEST(TrainingMemory, OfActivationsIsThatOfThePublishedTable) {
  // Korthikanti et al., arXiv 2205.05198, table 2: bytes per layer over s b h.
  const ModelSpec m = model("gpt3_175b");
  StackSpec stack = plain_stack();
  stack.kernels.attention = AttentionKernel::Unfused;
  stack.kernels.dropout = true;
  ScenarioSpec s = training_scenario(4, 4, 2048);
  const double scores = 5 * d(m.heads) * 2048 / d(m.hidden), t = 8;  // 5 a s / h
  EXPECT_NEAR(per_sbh(m, s, stack), 34 + scores, 1e-9);
  s.parallelism.tp = 8;
  s.parallelism.sequence_parallel = Toggle::Off;
  EXPECT_NEAR(per_sbh(m, s, stack), 10 + 24 / t + scores / t, 1e-9);
  s.parallelism.sequence_parallel = Toggle::On;
  EXPECT_NEAR(per_sbh(m, s, stack), 34 / t + scores / t, 1e-9);
  s.recompute = Recompute::Selective;
  EXPECT_NEAR(per_sbh(m, s, stack), 34 / t, 1e-9);
  s.recompute = Recompute::Full;
  s.parallelism.sequence_parallel = Toggle::Off;
  EXPECT_NEAR(per_sbh(m, s, stack), 2, 1e-9);
}

TEST(TrainingMemory, OfStatesIsThatOfThePublishedTable) {
  // Rajbhandari et al., arXiv 1910.02054, figure 1: 7.5 G parameters, 64 replicas, 12 bytes of optimizer
  // state: 120 GB; 31.4 GB; 16.6 GB; 1.9 GB.
  ModelSpec m = model("gpt3_175b");
  m.hidden = 4096;
  m.heads = m.kv_heads = 32;
  m.ffn = 4 * m.hidden;
  StackSpec stack = plain_stack();
  stack.gradients = Dtype::Bf16;
  Chunk layers;
  layers.layers[{}] = m.layers = 37;
  ScenarioSpec s = training_scenario(64, 1, 128);
  s.parallelism.dp = 64;
  const double parameters = 37 * layer_parameters(m, {}), scale = 7.5 / parameters;
  const auto gb = [&](Sharding sharding) {
    s.training.sharding = sharding;
    const graph::MemoryUse use = graph::memory_of(m, plan_of(m, s, stack), stack, {layers}, 1);
    const double gathered = sharding == Sharding::Zero3 ? 2 * 2 * parameters / 37 : 0;  // two layers at work
    return (use.weights + use.gradients + use.optimizer - gathered) * scale;
  };
  EXPECT_NEAR(gb(Sharding::None), 120, 0.05);
  EXPECT_NEAR(gb(Sharding::Zero1), 31.4, 0.05);
  EXPECT_NEAR(gb(Sharding::Zero2), 16.6, 0.05);
  EXPECT_NEAR(gb(Sharding::Zero3), 1.9, 0.05);
}

TEST(TrainingMemory, GrowsWithTheMicroBatchesUnderWay) {
  const ModelSpec m = model("llama31_8b");
  const graph::Plan plan = plan_of(m, training_scenario(8, 1, 1024));
  Chunk c;
  c.layers[{}] = 4;
  const auto held = [&](double n) { return graph::memory_of(m, plan, plain_stack(), {c}, n).activations; };
  EXPECT_NEAR(held(8), 8 * held(1), 1e-6 * held(8));
}

TEST(TrainingMemory, OfFurtherLayersIsThatOfOthers) {
  ModelSpec m = model("llama31_8b");
  m.mtp_layers = 1;
  const graph::Plan plan = plan_of(m, training_scenario(8, 1, 1024));
  Chunk without, with;
  without.layers[{}] = 5;
  with.layers[{}] = 4;
  with.mtp_layers = 1;
  const auto held = [&](const Chunk& c) {
    return graph::memory_of(m, plan, plain_stack(), {c}, 1).activations;
  };
  EXPECT_DOUBLE_EQ(held(with), held(without));
}

TEST(TrainingMemory, RecomputationKeepsOnlyTheLayersInputs) {
  const ModelSpec m = model("llama31_8b");
  ScenarioSpec s = training_scenario(8, 2, 1024);
  const double kept = per_sbh(m, s, plain_stack());
  s.recompute = Recompute::Full;
  // 16 bit per token and layer: four of the hidden width, Q, K, V and the output of the heads, and gate, up
  // and down's input.
  const double layer = 2 * (4.0 * 4096 + (2.0 * 32 + 2 * 8) * 128 + 3.0 * 14336) / 4096;
  EXPECT_NEAR(kept, layer, 1e-9);
  EXPECT_NEAR(per_sbh(m, s, plain_stack()), 2, 1e-9);
}

TEST(TrainingMemory, SelectiveRecomputationOfLatentsKeepsThemAndTheHeadsResult) {
  const ModelSpec m = model("deepseek_v3");
  ScenarioSpec s = training_scenario(8, 1, 1024);
  const double kept = per_sbh(m, s, plain_stack());
  s.recompute = Recompute::Selective;
  // Two norms' results, and 128 heads' queries and keys of 192 and values of 128 elements.
  EXPECT_NEAR(kept - per_sbh(m, s, plain_stack()), 2 * (2.0 * 7168 + 128 * (2 * 192 + 128)) / 7168, 1e-9);
}

// ---- mistakes

struct Mistake {
  const char* name;
  void (*change)(ScenarioSpec&, ModelSpec&);
  std::int64_t devices;
  std::vector<std::string> says;
};

std::string refusal(const Mistake& mistake) {
  ModelSpec m = model("llama31_8b");
  ScenarioSpec s = training_scenario(64, 1, 4096);
  mistake.change(s, m);
  try {
    static_cast<void>(graph::resolve(m, s, plain_stack(), mistake.devices));
  } catch (const InfeasibleError& e) {
    return e.what();
  }
  return "";
}

class PlanMistakes : public testing::TestWithParam<Mistake> {};

TEST_P(PlanMistakes, NameTheFieldTheNumbersAndWhatWorks) {
  const std::string text = refusal(GetParam());
  for (const std::string& part : GetParam().says)
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
}

const Mistake kMistakes[] = {
    {"TensorAndHeads",
     [](ScenarioSpec& s, ModelSpec&) { s.parallelism.tp = 3; },
     3,
     {"scenario.parallelism.tp: 3 does not divide 32 heads (nearest that does: 2 or 4)",
      "14336 FFN columns"}},
    {"TensorAndKvHeads",
     [](ScenarioSpec& s, ModelSpec& m) { s.parallelism.tp = 16, m.kv_heads = 12, m.heads = 48; },
     16,
     {"scenario.parallelism.tp: 16 does not divide 12 KV heads (nearest that does: 12)"}},
    {"StagesAndLayers",
     [](ScenarioSpec& s, ModelSpec&) { s.parallelism.pp = 16, s.parallelism.vpp = 3; },
     16,
     {"scenario.parallelism.pp: 16 stages of 3 chunks are more than the 32 layers of llama31_8b"}},
    {"BatchAndMicroBatch",
     [](ScenarioSpec& s, ModelSpec&) { s.micro_batch = 24; },
     1,
     {"scenario.micro_batch: 24 does not divide 64 sequences of the batch (nearest that does: 16 or 32)"}},
    {"BatchAndReplicas",
     [](ScenarioSpec& s, ModelSpec&) { s.batch = 60; },
     16,
     {"scenario.parallelism.dp: 16 does not divide 60 micro-batches of the batch (nearest that does: 15 or "
      "20)"}},
    {"Experts",
     [](ScenarioSpec& s, ModelSpec& m) { m = mixture(), s.parallelism.ep = 6; },
     6,
     {"scenario.parallelism.ep: 6 does not divide 16 experts (nearest that does: 4 or 8)"}},
    {"ExpertsAndRanks",
     [](ScenarioSpec& s, ModelSpec& m) { m = mixture(), s.parallelism.ep = 8; },
     4,
     {"scenario.parallelism.ep: 8 does not divide 4 ranks of a pipeline stage"}},
    {"NoExperts",
     [](ScenarioSpec& s, ModelSpec&) { s.parallelism.ep = 4; },
     4,
     {"scenario.parallelism.ep: 4, but llama31_8b has no experts (write 1)"}},
    {"Devices",
     [](ScenarioSpec& s, ModelSpec&) { s.parallelism.tp = 4, s.parallelism.dp = 4; },
     8,
     {"scenario.parallelism: tp 4 x cp 1 x pp 1 x dp 4 = 16 devices, there are 8"}},
    {"DevicesLeftOver",
     [](ScenarioSpec& s, ModelSpec&) { s.parallelism.tp = 4, s.parallelism.pp = 4; },
     24,
     {"tp 4 x cp 1 x pp 4 = 16 does not divide 24 devices (nearest that does: 12 or 24)"}},
    {"Context",
     [](ScenarioSpec& s, ModelSpec&) { s.parallelism.cp = 3; },
     3,
     {"scenario.parallelism.cp: 3 does not divide 4096 tokens of a sequence (nearest that does: 2 or 4)"}},
    {"Interleaved",
     [](ScenarioSpec& s, ModelSpec&) { s.batch = 6, s.parallelism.pp = 4, s.parallelism.vpp = 2; },
     4,
     {"scenario.parallelism.pp: 4 does not divide 6 micro-batches of a replica, as the interleaved schedule "
      "needs"}},
    {"Chunks",
     [](ScenarioSpec& s, ModelSpec&) { s.parallelism.pp = 4, s.training.schedule = PipelineSchedule::ZbV; },
     4,
     {"scenario.parallelism.vpp: 1 chunks; zb_v places 2 on each stage"}},
    {"DualPipe",
     [](ScenarioSpec& s, ModelSpec&) {
       s.batch = 9, s.parallelism.pp = 5, s.training.schedule = PipelineSchedule::DualPipe;
     },
     5,
     {"scenario.parallelism.pp: 2 does not divide 5 stages",
      "scenario.batch: 9 micro-batches of a replica; dualpipe needs two for each of the 5 stages (at least "
      "10)"}},
    {"ShardingGroup",
     [](ScenarioSpec& s, ModelSpec&) { s.training.sharding_group = 3; },
     8,
     {"scenario.training.sharding_group: 3 does not divide 8 replicas (nearest that does: 2 or 4)"}},
    {"Convolutions",
     [](ScenarioSpec& s, ModelSpec& m) { m = model("resnet50"), s.sequence = 1, s.parallelism.pp = 2; },
     2,
     {"pp 2 x vpp 1; convolutional networks like resnet50 take replicas alone (write 1)"}},
    {"AllAtOnce",
     [](ScenarioSpec& s, ModelSpec&) {
       s.parallelism.tp = 3, s.parallelism.cp = 3, s.batch = 7, s.micro_batch = 2, s.parallelism.ep = 2;
     },
     10,
     {"parallelism.tp: 3 does not divide 32 heads", "parallelism.cp: 3", "micro_batch: 2 does not divide 7",
      "parallelism.ep: 2", "does not divide 10 devices"}},
};
INSTANTIATE_TEST_SUITE_P(Table, PlanMistakes, testing::ValuesIn(kMistakes),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Plan, OfSoundInputsIsNotRefused) {
  EXPECT_EQ(refusal({"", [](ScenarioSpec&, ModelSpec&) {}, 8, {}}), "");
}

TEST(Plan, MakesTheOpenChoices) {
  ScenarioSpec s = training_scenario(64, 2, 4096);
  s.parallelism.tp = 2;
  s.parallelism.pp = 2;
  s.parallelism.vpp = 2;
  StackSpec stack = plain_stack();
  stack.overlap.gradients = true;
  s.training.overlap.pipeline = Toggle::Off;
  const graph::Plan plan = graph::resolve(model("llama31_8b"), s, stack, 16);
  EXPECT_EQ(plan.groups.data, 4);
  EXPECT_EQ(plan.micro_batches, 8);
  EXPECT_TRUE(plan.sequence_parallel);
  EXPECT_EQ(plan.schedule, PipelineSchedule::Interleaved);
  EXPECT_TRUE(plan.overlap.gradients) << "as the stack does";
  EXPECT_FALSE(plan.overlap.pipeline) << "as the scenario says";
}

TEST(TrainingMemory, ThatIsMissingIsNamedByKindWithWhatHelps) {
  const ModelSpec m = model("llama31_70b");
  ScenarioSpec s = training_scenario(64, 2, 4096);
  s.parallelism.dp = 8;
  const graph::Plan plan = plan_of(m, s);
  const graph::MemoryUse use = graph::memory_of(m, plan, plain_stack(), graph::chunks_of(m, plan), 1);
  const auto text = [&](double gib) -> std::string {
    try {
      graph::check_training_memory(m, plan, use, Bytes(static_cast<std::int64_t>(gib * 0x1p30)), "a_chip");
    } catch (const InfeasibleError& e) {
      return e.what();
    }
    return "";
  };
  const std::string small = text(80);
  for (const char* part :
       {"llama31_70b does not fit a_chip", "of its 80.0 GiB (weights 131.4, gradients 262.8, optimizer 788.",
        "recompute: full", "training.sharding: zero1", "parallelism.pp: 2", "micro_batch: 1"})
    EXPECT_NE(small.find(part), std::string::npos) << part << "\n" << small;
  EXPECT_EQ(text(use.total() / 0x1p30 + 1), "");
}

}  // namespace
}  // namespace xpusim::test
