#include "xpusim/operators/graph.h"

namespace xpusim {

void describe(Fields& f, Section& c) {
  f.label("name", c.name, "name of the section", true);
  f.optional("repeat", c.repeat, "times that the section runs in a row", between(1, 1 << 20));
  f.optional("barrier", c.barrier, "waits for the overlapped collectives of the sections before");
  f.required("operators", c.operators, "operators in launch order");
  f.optional("awaited", c.awaited, "overlapped collectives that the next run of the section waits for");
}

void describe(Fields& f, RankGroups& c) {
  const Range ranks = between(1, 1 << 24);
  f.optional("tensor", c.tensor, "ranks of the tensor group, neighbours in the system", ranks);
  f.optional("context", c.context, "ranks of the context group, tensor apart", ranks);
  f.optional("data", c.data, "replicas, tensor x context apart", ranks);
  f.optional("pipeline", c.pipeline, "pipeline stages, tensor x context x data apart", ranks);
  f.optional("expert", c.expert, "ranks that a layer's experts are spread over, expert_tensor apart", ranks);
  f.optional("expert_tensor", c.expert_tensor, "ranks that share every expert, neighbours", ranks);
  f.optional("shard", c.shard, "replicas that share one copy of the weights; 0: all", between(0, 1 << 24));
}

RankGroups::Extent RankGroups::extent(RankGroup g) const {
  const std::int64_t replicas = context * data, near = shard > 0 ? std::min(shard, replicas) : replicas;
  switch (g) {
    case RankGroup::Tensor:
      return {tensor, 1};
    case RankGroup::Context:
      return {context, tensor};
    case RankGroup::Data:
      return {replicas, tensor};
    case RankGroup::Expert:
      return {expert, expert_tensor};
    case RankGroup::Pipeline:
      return {pipeline > 1 ? 2 : 1, tensor * replicas};
    case RankGroup::Shard:
      return {near, tensor};
    case RankGroup::Copy:
      return {replicas / near, tensor * near};
    case RankGroup::ExpertData:
      return {std::max<std::int64_t>(1, tensor * replicas / (expert * expert_tensor)),
              expert * expert_tensor};
  }
  return {};
}

void describe(Fields& f, Graph& c) {
  f.label("name", c.name, "name in print", true);
  f.label("notes", c.notes, "free text");
  describe(f, c.groups);
  f.required("sections", c.sections, "sections, run one after the other");
}

}  // namespace xpusim
