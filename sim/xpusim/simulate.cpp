#include "xpusim/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "xpusim/cluster/schedule.h"
#include "xpusim/core/error.h"
#include "xpusim/network/collective.h"
#include "xpusim/ops/cost.h"
#include "xpusim/ops/transformer.h"

namespace xpusim {
namespace {

double d(std::int64_t x) { return static_cast<double>(x); }

/// What an operator reads must fit the memory, and so must what it writes. Shapes beyond that are typing
/// mistakes, and would count more tiles than integers hold.
void check_operands(const Operator& o, const ChipSpec& chip) {
  const ops::Cost c = ops::cost(o);
  const double bytes = std::max(c.weight_bytes + c.input_bytes, c.output_bytes);
  const double capacity = d(chip.hbm.capacity.count());
  if (bytes > capacity)
    throw InfeasibleError(fmt::format("{}: its operands take {:.4g} GiB, the memory of {} has {:.4g} GiB",
                                      o.name, bytes / 0x1p30, chip.id, capacity / 0x1p30));
}

/// Times every operator of a graph: compute operators on the chip, collectives on the system.
class GraphTimer {
 public:
  GraphTimer(const Graph& graph, const ChipSpec& chip, const SystemSpec* system, Launch launch,
             const Options& options)
      : graph_(graph),
        chip_(chip),
        system_(system),
        launch_(launch),
        options_(options),
        estimator_(chip, options.fidelity, launch, options.engine_spans) {}

  void run(result::Result& r) {
    std::size_t all = 0, done = 0;
    for (const Section& s : graph_.sections) all += s.operators.size();
    for (const Section& section : graph_.sections) {
      r.first_row.push_back(r.operators.size());
      for (const Operator& o : section.operators) {
        r.operators.push_back(row(section, o));
        if (options_.engine_spans && !is_collective(o.kind)) record_engines(o, r);
        if (options_.progress) options_.progress(++done, all);
      }
    }
  }

 private:
  result::OperatorRow row(const Section& section, const Operator& o) {
    result::OperatorRow row;
    row.section = section.name;
    row.name = o.name;
    row.kind = o.kind;
    row.count = section.repeat;
    row.op = o;
    if (is_collective(o.kind)) {
      const network::Group group = o.collective.group == RankGroup::Tensor
                                       ? network::Group{graph_.tensor, 1, {}}
                                       : network::Group{graph_.data, graph_.tensor, {}};
      if (group.ranks > 1 && system_ == nullptr) throw InfeasibleError("a collective needs a system");
      const network::CollectiveTime t = collective_time(o, group);
      row.time = t.total;
      row.breakdown[Bound::Communication] = t.total.count();
      row.detail = group.ranks > 1 ? fmt::format("{} {} on {}", enum_name(t.algorithm), t.protocol, t.level)
                                   : "one rank";
      return row;
    }
    check_operands(o, chip_);
    const chip::KernelTime& t = estimator_.time(o);
    row.time = t.total;
    row.breakdown = t.breakdown;
    row.flops = t.flops;
    row.hbm_bytes = t.hbm_bytes;
    row.clock = t.clock;
    row.detail = t.tiling;
    return row;
  }

  network::CollectiveTime collective_time(const Operator& o, const network::Group& group) {
    if (group.ranks <= 1) return {};
    const auto [found, is_new] =
        collectives_.try_emplace({o.kind, o.collective.bytes, group.ranks, group.stride});
    if (is_new) {
      network::Call call;
      call.kind = o.kind;
      call.size = o.collective.bytes;
      call.group = group;
      call.eager = launch_ == Launch::Eager;
      const bool tile = options_.fidelity == chip::Fidelity::Tile;
      found->second = tile ? network::execute(call, *system_) : network::bound(call, *system_);
    }
    return found->second;
  }

  /// The engines of each distinct operator once: its later runs look the same.
  void record_engines(const Operator& o, result::Result& r) {
    if (recorded_.insert(chip::content_key(o)).second)
      r.engines.push_back({r.operators.size() - 1, estimator_.time(o).spans});
  }

  const Graph& graph_;
  const ChipSpec& chip_;
  const SystemSpec* system_;
  Launch launch_;
  const Options& options_;
  chip::Estimator estimator_;
  std::map<std::tuple<OpKind, Bytes, std::int64_t, std::int64_t>, network::CollectiveTime> collectives_;
  std::set<std::string> recorded_;
};

std::vector<std::string> engine_names(const ChipSpec& c) {
  return {c.copy_in.name, c.operand_feed.name,     c.matrix.name,           c.vector.name,
          c.store.name,   c.vector.name + " load", c.vector.name + " store"};
}

/// Runs a graph and adds up what its operators say.
result::Result run(const Graph& graph, const ChipSpec& chip, const SystemSpec* system, Launch launch,
                   const Options& options) {
  result::Result r;
  r.workload = graph.name;
  r.chip = chip.id;
  r.fidelity = chip::kFidelityNames[static_cast<std::size_t>(options.fidelity)];
  r.tensor = graph.tensor;
  r.data = graph.data;
  r.memory_capacity = chip.hbm.capacity;
  r.engine_names = engine_names(chip);
  const SystemSpec joined = system != nullptr ? with_package_level(*system, chip) : SystemSpec{};
  GraphTimer(graph, chip, system != nullptr ? &joined : nullptr, launch, options).run(r);
  r.classes = result::by_class(r.operators);

  std::size_t next = 0;
  r.schedule = cluster::schedule(graph, [&](const Operator&) { return r.operators[next++].time; });
  r.total = r.schedule.total;
  double useful_seconds = 0, hbm_bytes = 0;  // matrix time at peak; operators may differ in data type
  for (std::size_t s = 0; s < graph.sections.size(); ++s) {
    for (std::size_t i = 0; i < graph.sections[s].operators.size(); ++i) {
      const result::OperatorRow& row = r.operators[r.first_row[s] + i];
      if (is_collective(row.kind)) continue;
      const double count = d(row.count);
      r.breakdown.add(row.breakdown, count);
      r.flops += row.flops * count;
      hbm_bytes += row.hbm_bytes * count;
      const Dtype dtype = ops::cost(graph.sections[s].operators[i]).matrix_dtype;
      if (row.flops.count() > 0) useful_seconds += (row.flops / matrix_peak(chip, dtype)).count() * count;
    }
  }
  r.breakdown[Bound::Communication] = r.schedule.exposed_communication.count();
  if (r.total.count() > 0) {  // the collectives of a lone rank take no time
    r.matrix_utilisation = useful_seconds / r.total.count();
    r.hbm_utilisation = hbm_bytes / chip.hbm.bandwidth.count() / r.total.count();
  }
  return r;
}

void place(result::Result& r, const ChipSpec& chip, const SystemSpec& system, std::int64_t chips) {
  r.system = system.id;
  r.chips = chips;
  r.devices = chips * chip.dies;
}

}  // namespace

result::Result simulate(const Request& q, const Options& options) {
  const std::int64_t chips = q.scenario.chips == 0 ? q.system.chips : q.scenario.chips;
  if (chips > q.system.chips)
    throw InfeasibleError(
        fmt::format("scenario.chips: {} are more than the {} of {}", chips, q.system.chips, q.system.id));
  const ops::Parallelism p = ops::resolve_parallelism(q.model, q.scenario, chips * q.chip.dies);
  ops::check_memory(q.model, q.scenario, p, chips * q.chip.dies, q.chip.hbm.capacity, q.chip.id);
  result::Result r =
      run(ops::build_graph(q.model, q.scenario, p), q.chip, &q.system, q.scenario.launch, options);
  place(r, q.chip, q.system, chips);
  r.tokens = ops::tokens_per_step(q.scenario);
  r.memory = ops::memory_per_rank(q.model, q.scenario, p);
  if (p.tensor * p.data < r.devices)
    r.warnings.push_back(fmt::format("{} of {} devices are idle: tensor {} x data {}",
                                     r.devices - p.tensor * p.data, r.devices, p.tensor, p.data));
  return r;
}

result::Result simulate(const Graph& graph, const ChipSpec& chip, const SystemSpec& system, Launch launch,
                        const Options& options) {
  if (graph.tensor * graph.data > system.chips * chip.dies)
    throw InfeasibleError(fmt::format("{}: tensor {} x data {} are more than the {} devices of {}",
                                      graph.name, graph.tensor, graph.data, system.chips * chip.dies,
                                      system.id));
  result::Result r = run(graph, chip, &system, launch, options);
  place(r, chip, system, system.chips);
  return r;
}

result::Result simulate(const Operator& o, const ChipSpec& chip, Launch launch, const Options& options) {
  Graph graph;
  graph.name = o.name;
  graph.sections.push_back({"op", 1, false, {o}});
  result::Result r = run(graph, chip, nullptr, launch, options);
  r.system = chip.id;
  if (chip.dies > 1)
    r.warnings.push_back(fmt::format("one device: one of the {} dies of {}", chip.dies, chip.id));
  return r;
}

}  // namespace xpusim
