#include "xpusim/network/algorithm.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "xpusim/core/error.h"

namespace xpusim::network {
namespace {
std::int64_t log2_ceil(std::int64_t n) {
  return static_cast<std::int64_t>(std::bit_width(static_cast<std::uint64_t>(n - 1)));
}

/// A pipelined algorithm hands on chunks of this size at least (NCCL's smallest slices are of this order).
constexpr double kPipelineChunk = 64.0 * 1024;

/// Writes one call's phases.
class Planner {
 public:
  Planner(Algorithm a, const Call& call, const Topology& topology, const Shape& shape)
      : call_(call), topology_(topology), shape_(shape), n_(call.group.ranks), size_(d(call.size.count())) {
    plan_.algorithm = a;
    if (is_exchange()) plan_.transfers = Transfers::Exchanges;
    if (call.kind == CollectiveKind::SendRecv) plan_.transfers = Transfers::Messages;
    if (call.kind == CollectiveKind::Dispatch) plan_.transfers = Transfers::Dispatches;
    if (call.kind == CollectiveKind::Combine) plan_.transfers = Transfers::Combines;
  }

  Plan make() {
    switch (plan_.algorithm) {
      case Algorithm::Ring:
        ring();
        break;
      case Algorithm::Tree:
      case Algorithm::DoubleTree:
        tree(plan_.algorithm == Algorithm::Tree ? 3 : 2);
        break;
      case Algorithm::HalvingDoubling:
        halving_doubling();
        break;
      case Algorithm::Direct:
        direct();
        break;
      case Algorithm::OneShot:
        one_shot();
        break;
      case Algorithm::Bruck:
        bruck();
        break;
      case Algorithm::Pairwise:
        pairwise();
        break;
      case Algorithm::Hierarchical:
        hierarchical();
        break;
      case Algorithm::InSwitch:
        in_switch();
        break;
      case Algorithm::None:
        refuse("is no algorithm");
    }
    finish();
    return std::move(plan_);
  }

 private:
  [[noreturn]] void refuse(const std::string& why) const {
    throw InfeasibleError(
        fmt::format("{} of {} ranks as {}: {}", enum_name(call_.kind), n_, enum_name(plan_.algorithm), why));
  }
  [[nodiscard]] bool is_exchange() const {
    return call_.kind == CollectiveKind::AllToAll || call_.kind == CollectiveKind::SendRecv || is_moe();
  }
  [[nodiscard]] bool is_moe() const {
    return call_.kind == CollectiveKind::Dispatch || call_.kind == CollectiveKind::Combine;
  }
  [[nodiscard]] bool reduces() const {
    return call_.kind == CollectiveKind::AllReduce || call_.kind == CollectiveKind::ReduceScatter;
  }
  void add(std::vector<Move> moves, std::int64_t steps, double reduced = 0, bool averages = false) {
    if (steps > 0) plan_.phases.push_back({std::move(moves), steps, true, averages, reduced});
  }
  void stream(std::vector<Move> moves) { plan_.phases.push_back({std::move(moves), 1, false, false, 0}); }

  /// A neighbour's move along all levels at once: rings over the levels whose channels leave a node at
  /// different devices, so that each device's links carry their even part.
  [[nodiscard]] std::vector<Move> next(double bytes) const {
    if (!shape_.regular) return {{Pattern::Shift, {n_, 1}, 1, bytes}};
    std::vector<Move> moves;
    std::int64_t below = 1;
    for (std::size_t i = 0; i < shape_.counts.size(); ++i) {
      const std::int64_t count = shape_.counts[i];
      if (count == 1) continue;
      const bool top = below * count == n_;
      const double part = 1 / d(below) - (top ? 0 : 1 / d(below * count));
      add_both_ways(moves, i, {count, below}, bytes * part);
      below *= count;
    }
    return moves;
  }
  /// Along the links of a torus or ring, half goes each way round.
  void add_both_ways(std::vector<Move>& moves, std::size_t i, Subgroup part, double bytes) const {
    const LevelKind kind = topology_.levels()[static_cast<std::size_t>(shape_.levels[i])].kind;
    const bool both = part.ranks > 2 && (kind == LevelKind::Torus || kind == LevelKind::Ring);
    moves.push_back({Pattern::Shift, part, 1, both ? bytes / 2 : bytes});
    if (both) moves.push_back({Pattern::Shift, part, -1, bytes / 2});
  }

  void ring() {
    switch (call_.kind) {
      case CollectiveKind::AllReduce:
        add(next(size_ / d(n_)), n_ - 1, size_ / d(n_), true);
        add(next(size_ / d(n_)), n_ - 1, 0, true);
        return;
      case CollectiveKind::ReduceScatter:
        return add(next(size_ / d(n_)), n_ - 1, size_ / d(n_), true);
      case CollectiveKind::AllGather:
        return add(next(size_ / d(n_)), n_ - 1, 0, true);
      case CollectiveKind::Broadcast: {
        const double chunk = std::min(size_, kPipelineChunk);
        add(next(chunk), n_ - 1, 0, true);
        return stream(next(size_ - chunk));
      }
      default:
        refuse("a ring hands every byte to every rank");
    }
  }

  /// A tree over all ranks, or two for a half each, which load all ranks alike, over nodes whose ranks stand
  /// in a chain; chunks follow each other. `sent`: messages of the whole size that an inner rank sends on the
  /// way up and down.
  void tree(double sent) {
    if (call_.kind != CollectiveKind::AllReduce && call_.kind != CollectiveKind::Broadcast)
      refuse("a tree joins one root with all");
    const bool both = call_.kind == CollectiveKind::AllReduce;
    const bool chains = plan_.algorithm == Algorithm::DoubleTree && shape_.regular;
    const std::int64_t m = chains ? shape_.inner_or_all(n_) : 1, nodes = n_ / m;
    const double chunk = std::min(size_, kPipelineChunk);
    const double whole = (both ? sent : sent - 1) * size_;
    const std::int64_t ways = both ? 2 : 1;
    const Move chain{Pattern::Shift, {m, 1}, 1, chunk / (both ? 1 : 2)};
    const Move hop{Pattern::Shift, {nodes, m}, 1, chunk / d(m)};
    if (m > 1) add({chain}, ways * (m - 1), both ? chunk : 0);
    if (nodes > 1) add({hop}, ways * log2_ceil(nodes), both ? chunk : 0);
    std::vector<Move> rest;
    if (m > 1) rest.push_back({Pattern::Shift, {m, 1}, 1, std::max(0.0, whole - chunk)});
    if (nodes > 1) rest.push_back({Pattern::Shift, {nodes, m}, 1, std::max(0.0, whole - chunk) / d(m)});
    stream(std::move(rest));
  }

  void halving_doubling() {
    if (is_exchange() || call_.kind == CollectiveKind::Broadcast)
      refuse("it halves and doubles shares of a vector");
    if (!std::has_single_bit(static_cast<std::uint64_t>(n_))) refuse("the ranks are no power of two");
    const auto half = [&](std::int64_t distance, bool adds) {
      const double bytes = size_ * d(distance) / d(n_);
      add({{Pattern::Xor, {n_, 1}, distance, bytes}}, 1, adds ? bytes : 0);
    };
    if (reduces())
      for (std::int64_t k = n_ / 2; k >= 1; k /= 2) half(k, true);
    if (call_.kind != CollectiveKind::ReduceScatter)
      for (std::int64_t k = 1; k < n_; k *= 2) half(k, false);
  }

  void direct() {
    const Move all{Pattern::All, {n_, 1}, 1, size_ / d(n_)};
    switch (call_.kind) {
      case CollectiveKind::AllReduce:
        add({all}, 1, size_ * d(n_ - 1) / d(n_));
        return add({all}, 1);
      case CollectiveKind::ReduceScatter:
        return add({all}, 1, size_ * d(n_ - 1) / d(n_));
      case CollectiveKind::Broadcast:
        return add({{Pattern::Root, {n_, 1}, 1, size_}}, 1);
      case CollectiveKind::SendRecv:
        if (n_ != 2) refuse("one rank sends to one other");
        return add({{Pattern::Root, {2, 1}, 1, size_}}, 1);
      case CollectiveKind::AllToAll:
        if (!call_.traffic.empty()) return add({{Pattern::Traffic, {n_, 1}, 1, 0}}, 1);
        return add({all}, 1);
      default:
        return add({all}, 1);
    }
  }

  void one_shot() {
    if (call_.kind != CollectiveKind::AllReduce) refuse("it is an all-reduce");
    add({{Pattern::All, {n_, 1}, 1, size_}}, 1, size_ * d(n_ - 1));
  }

  void bruck() {
    if (call_.kind != CollectiveKind::AllGather && call_.kind != CollectiveKind::AllToAll)
      refuse("it gathers or exchanges");
    if (!call_.traffic.empty()) refuse("shares of unequal size");
    for (std::int64_t k = 1; k < n_; k *= 2) {
      const double shares =
          call_.kind == CollectiveKind::AllGather ? d(std::min(k, n_ - k)) : sent_in_turn(k);
      add({{Pattern::Shift, {n_, 1}, k, size_ / d(n_) * shares}}, 1);
    }
  }
  /// Shares whose number has the bit `k`.
  [[nodiscard]] double sent_in_turn(std::int64_t k) const {
    return d(n_ / (2 * k) * k + std::max<std::int64_t>(0, n_ % (2 * k) - k));
  }

  void pairwise() {
    if (call_.kind != CollectiveKind::AllToAll) refuse("it exchanges");
    if (!call_.traffic.empty()) refuse("shares of unequal size");
    for (std::int64_t k = 1; k < n_; ++k) add({{Pattern::Shift, {n_, 1}, k, size_ / d(n_)}}, 1);
  }

  struct Stage {
    Move move;
    std::int64_t steps = 1;
    double reduced = 0;
  };
  /// Stages that hand on chunks: the first passes all of them, the others follow while all levels are busy.
  void one_behind_the_other(const std::vector<Stage>& stages) {
    const double part = std::min(1.0, kPipelineChunk / (size_ / d(n_)));
    std::vector<Move> rest;
    for (const Stage& s : stages) {
      if (s.move.part.ranks == 1) continue;  // one node, or one rank in each
      Move first = s.move;
      first.bytes *= part;
      add({first}, s.steps, s.reduced * part);
      rest.push_back(s.move);
      rest.back().bytes *= d(s.steps) * (1 - part);
    }
    if (part < 1) stream(std::move(rest));
  }

  void hierarchical() {
    if (is_moe()) return exchange_once_per_node();
    if (torus_of_group() != nullptr && call_.kind != CollectiveKind::AllToAll) return along_dimensions();
    if (!shape_.regular) refuse("the ranks do not fall into equal nodes");
    const std::int64_t m = shape_.inner_or_all(n_), nodes = n_ / m;
    const Move inside{Pattern::All, {m, 1}, 1, size_ / d(m)};
    const double added = size_ * d(m - 1) / d(m);
    const Stage gather{inside, 1, 0}, scatter{inside, 1, added};
    const Stage around{{Pattern::Shift, {nodes, m}, 1, size_ / d(n_)}, nodes - 1, 0};
    const Stage sum_around{around.move, around.steps, size_ / d(n_)};
    switch (call_.kind) {
      case CollectiveKind::AllReduce:
        return one_behind_the_other({scatter, sum_around, around, gather});
      case CollectiveKind::ReduceScatter:
        return one_behind_the_other({scatter, sum_around});
      case CollectiveKind::AllGather:
        return one_behind_the_other({around, gather});
      case CollectiveKind::AllToAll:
        if (!call_.traffic.empty()) refuse("shares of unequal size");
        if (m > 1) add({inside}, 1);
        if (nodes > 1) add({{Pattern::All, {nodes, m}, 1, size_ / d(nodes)}}, 1);
        return;
      default:
        refuse("no stages for it");
    }
  }

  /// Mixture of experts: a token crosses to a node once, however many of its experts are there, to the device
  /// of its own rail; inside, it goes on to each rank that needs it. Both at once.
  void exchange_once_per_node() {
    const std::int64_t m = shape_.inner(), nodes = n_ / m;
    const double k = d(call_.topk), token = size_ / k;
    const double nodes_in_reach = call_.token_nodes > 0 ? d(std::min(call_.token_nodes, nodes)) : d(nodes);
    const double node_hit = nodes_in_reach / d(nodes) * (1 - std::pow(1 - 1 / nodes_in_reach, k));
    const double rank_hit = nodes_in_reach / d(nodes) * (1 - std::pow(1 - 1 / (nodes_in_reach * d(m)), k));
    std::vector<Move> moves;
    if (m > 1) moves.push_back({Pattern::All, {m, 1}, 1, token * d(nodes) * rank_hit});
    if (nodes > 1) moves.push_back({Pattern::All, {nodes, m}, 1, token * node_hit});
    add(std::move(moves), 1);
  }

  [[nodiscard]] const LevelSpec* torus_of_group() const {
    if (shape_.counts.size() != 1 || call_.group.stride != 1 || !call_.group.places.empty()) return nullptr;
    const LevelSpec& l = topology_.levels()[static_cast<std::size_t>(shape_.levels[0])];
    return l.kind == LevelKind::Torus && l.dims.size() > 1 && l.endpoints == n_ ? &l : nullptr;
  }

  /// One part of the vector per dimension, each of which takes the dimensions in another order, so that all
  /// links are busy (as TPU slices do).
  void along_dimensions() {
    const auto& dims = torus_of_group()->dims;
    const std::size_t count = dims.size();
    const auto stage = [&](std::size_t p, bool adds) {
      std::vector<Move> moves;
      std::int64_t steps = 0;
      for (std::size_t part = 0; part < count; ++part) steps = std::max(steps, dims[(part + p) % count] - 1);
      for (std::size_t part = 0; part < count; ++part) {
        double bytes = size_ / d(static_cast<std::int64_t>(count));
        for (std::size_t q = 0; q < p; ++q) bytes /= d(dims[(part + q) % count]);
        const std::size_t dim = (part + p) % count;
        std::int64_t stride = 1;
        for (std::size_t q = 0; q < dim; ++q) stride *= dims[q];
        const double sent = bytes * d(dims[dim] - 1) / d(dims[dim]) / d(steps);
        moves.push_back({Pattern::Shift, {dims[dim], stride}, 1, sent / 2});
        moves.push_back({Pattern::Shift, {dims[dim], stride}, -1, sent / 2});
      }
      add(std::move(moves), steps, adds ? size_ / d(n_) : 0);
    };
    if (call_.kind == CollectiveKind::Broadcast) refuse("no stages for it");
    if (reduces())
      for (std::size_t p = 0; p < count; ++p) stage(p, true);
    if (call_.kind != CollectiveKind::ReduceScatter)
      for (std::size_t p = count; p-- > 0;) stage(p, false);
  }

  void in_switch() {
    plan_.in_switch = true;
    const std::int64_t m = shape_.regular ? shape_.inner_or_all(n_) : n_, nodes = n_ / m;
    const LevelSpec& inside = topology_.levels()[static_cast<std::size_t>(shape_.levels.front())];
    if (!inside.in_switch_reduction)
      refuse(fmt::format("the switch of level {} does not reduce", inside.name));
    if (reduces() && !call_.switch_adds) refuse("the switch does not add elements of this type");
    // Each rank reads its share of the sum, for which all send theirs, and multicasts it back.
    double bytes = 0;
    if (call_.kind == CollectiveKind::AllReduce)
      bytes = size_ * (1 + 1 / d(m));
    else if (call_.kind == CollectiveKind::AllGather || call_.kind == CollectiveKind::ReduceScatter)
      bytes = size_;
    else
      refuse("the switch adds and multicasts");
    Move switched{Pattern::Switch, {m, 1}, 1, bytes};
    if (nodes == 1) {
      switched.bytes /= 2;  // there, and back
      return add({switched}, 2);
    }
    // Between nodes, each device sums up its share over its rail, chunk behind chunk of those in the node.
    const double share = size_ / d(m);
    const double twice = call_.kind == CollectiveKind::AllReduce ? 2 : 1;
    const double chunk = std::min(share, kPipelineChunk);
    add({{Pattern::Switch, {m, 1}, 1, std::min(bytes, kPipelineChunk)}}, 2);
    add({{Pattern::Shift, {nodes, m}, 1, chunk / d(nodes)}},
        static_cast<std::int64_t>(twice) * log2_ceil(nodes), chunk / d(nodes));
    stream({switched, {Pattern::Shift, {nodes, m}, 1, twice * share * d(nodes - 1) / d(nodes)}});
  }

  void finish() {
    const bool keeps_share =
        call_.kind == CollectiveKind::AllReduce || call_.kind == CollectiveKind::AllGather ||
        call_.kind == CollectiveKind::ReduceScatter || call_.kind == CollectiveKind::AllToAll;
    plan_.own = keeps_share ? size_ / d(n_) : 0;
    plan_.first = call_.kind == CollectiveKind::SendRecv || call_.kind == CollectiveKind::Broadcast
                      ? size_
                      : size_ / d(n_);
    if (plan_.in_switch && call_.kind == CollectiveKind::AllReduce) {
      plan_.own = 0;  // the switch's multicast writes it as well
      plan_.first = size_ - size_ / d(plan_.phases.front().moves.front().part.ranks);
    }
    for (const Phase& p : plan_.phases)
      for (const Move& m : p.moves) plan_.largest_message = std::max(plan_.largest_message, m.bytes);
    for (const double bytes : call_.traffic) plan_.largest_message = std::max(plan_.largest_message, bytes);
  }

  const Call& call_;
  const Topology& topology_;
  const Shape& shape_;
  std::int64_t n_;
  double size_;
  Plan plan_;
};

/// Ranks of the group that stand in one instance of `endpoints` devices, if it is the same number, of
/// neighbours in rank, in all; else 0.
std::int64_t ranks_per_instance(const Group& g, std::int64_t endpoints) {
  std::int64_t first = 1;
  while (first < g.ranks && g.device(first) / endpoints == g.device(0) / endpoints) ++first;
  if (g.ranks % first != 0) return 0;
  for (std::int64_t r = 0; r < g.ranks; r += first) {
    const std::int64_t instance = g.device(r) / endpoints;
    if (g.device(r + first - 1) / endpoints != instance) return 0;
    if (r + first < g.ranks && g.device(r + first) / endpoints == instance) return 0;
  }
  return first;
}

}  // namespace

std::int64_t Shape::inner() const {
  if (node > 0) return node;
  std::int64_t product = 1;
  for (std::size_t i = 0; i + 1 < counts.size(); ++i) product *= counts[i];
  return product;
}

std::int64_t Shape::inner_or_all(std::int64_t ranks) const {
  return node > 0 || counts.size() > 1 ? inner() : ranks;
}

Shape shape_of(const Group& g, const Topology& t, std::int64_t node) {
  const std::int64_t last = g.device(g.ranks - 1);
  if (g.places.empty() && last >= t.devices())
    throw InfeasibleError(fmt::format("{} ranks, {} apart, are more than the {} devices of the system",
                                      g.ranks, g.stride, t.devices()));
  Shape s;
  std::int64_t below = 1;
  // Instances of a tier of switches may be filled unevenly: rank 0 stands in the fullest.
  const auto add = [&](std::int64_t endpoints, std::size_t level, bool is_tier) {
    const std::int64_t count = ranks_per_instance(g, endpoints);
    if (count == 0 || count % below != 0) {
      s.regular = s.regular && is_tier;
    } else if (count > below) {
      s.counts.push_back(count / below);
      s.levels.push_back(static_cast<std::int32_t>(level));
      below = count;
    }
  };
  for (std::size_t i = 0; i < t.levels().size() && below < g.ranks; ++i) {
    const LevelSpec& l = t.levels()[i];
    if (l.kind == LevelKind::FatTree && l.rails == 1)
      for (const TierSpec& tier : l.tiers) add(tier.endpoints, i, true);
    add(l.endpoints, i, false);
  }
  if (!s.regular || below < g.ranks) {
    std::int32_t top = 0;
    for (std::int64_t r = 1; r < g.ranks; ++r) top = std::max(top, t.joining_level(g.device(0), g.device(r)));
    s = {{g.ranks}, {top}, false, 0};
  }
  if (node > 0 && s.regular) s.node = ranks_per_instance(g, node);
  return s;
}

Plan plan_of(Algorithm a, const Call& call, const Topology& topology, const Shape& shape) {
  return Planner(a, call, topology, shape).make();
}

}  // namespace xpusim::network
