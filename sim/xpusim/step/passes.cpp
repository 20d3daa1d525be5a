#include "xpusim/step/passes.h"

#include <algorithm>
#include <set>

namespace xpusim::step {
namespace {

/// Of a stack's kernel over the chip's best.
struct StackRate {
  const StackKernels& kernels;
  const std::string& family;

  double operator()(const GemmShape& g) const { return of_product(g.dtype); }
  double operator()(const GroupedGemmShape& g) const { return of_product(g.dtype); }
  double operator()(const AttentionShape&) const {
    const auto rate = kernels.attention_rate.find(family);
    return rate != kernels.attention_rate.end() ? rate->second : 1;
  }
  double operator()(const LinearScanShape&) const { return 1; }
  double operator()(const RowwiseShape&) const { return 1; }
  double operator()(const CollectiveShape&) const { return 1; }
  [[nodiscard]] double of_product(Dtype t) const { return size_of(t) < 2 ? kernels.rate_8bit : 1; }
};

void slow_down(result::OperatorRow& row, double rate) {
  row.time = Seconds(row.time.count() / rate);
  Breakdown slower;
  slower.add(row.breakdown, 1 / rate);
  row.breakdown = slower;
}

result::OperatorRow time_operator(const Operator& o, const Section& section, const RankGroups& groups,
                                  const StackRate& rate, OperatorTimer& timer) {
  result::OperatorRow row = timer.row(o, groups);
  row.section = section.name;
  row.count = section.repeat;
  if (!is_collective(o)) slow_down(row, rate.kernels.rate * std::visit(rate, o.work));
  return row;
}

Pass time_section(const Section& section, const std::vector<result::OperatorRow>& rows,
                  const StackSpec& stack, const OperatorFlow& flow) {
  Graph graph;
  graph.sections.push_back(section);
  const auto run = [&](std::int64_t repeat) {
    graph.sections.front().repeat = repeat;
    std::size_t next = 0;
    return schedule(
        graph, [&](const Operator&) { return rows[next++].time; }, stack.core_share, flow);
  };
  Pass pass;
  const Schedule one = run(1);
  if (section.repeat == 1 || !overlaps(section)) {
    pass.add({one.total.count(), one.exposed_by, 0, {}}, d(section.repeat));
  } else {  // the second run adds what every further one does
    const Schedule two = run(2);
    const double more = d(section.repeat - 1);
    pass.seconds = one.total.count() + more * (two.total - one.total).count();
    for (std::size_t g = 0; g < pass.exposed.size(); ++g)
      pass.exposed[g] = one.exposed_by[g] + more * (two.exposed_by[g] - one.exposed_by[g]);
  }
  const double host = stack.host.kernel.count() * d(section.repeat) * d(rows.size());
  pass.host = std::max(0.0, host - pass.seconds);
  pass.seconds += pass.host;
  return pass;
}

}  // namespace

Pass& Pass::add(const Pass& o, double times) {
  seconds += o.seconds * times;
  for (std::size_t g = 0; g < exposed.size(); ++g) exposed[g] += o.exposed[g] * times;
  host += o.host * times;
  return *this;
}

double Pass::waiting() const {
  double sum = 0;
  for (const double x : exposed) sum += x;
  return sum;
}

Pass time_pass(const Graph& graph, const StackSpec& stack, const std::string& family, OperatorTimer& timer,
               const Progress& progress) {
  std::size_t all = 0, done = 0;
  for (const Section& s : graph.sections) all += s.operators.size();
  const StackRate rate{stack.kernels, family};
  const auto flow = [&](const Operator& o) { return timer.flow(o, graph.groups); };
  Pass pass;
  for (const Section& s : graph.sections) {
    std::vector<result::OperatorRow> rows;
    for (const Operator& o : s.operators) {
      rows.push_back(time_operator(o, s, graph.groups, rate, timer));
      if (progress) progress(++done, all);
    }
    pass.add(time_section(s, rows, stack, flow));
    pass.rows.insert(pass.rows.end(), std::make_move_iterator(rows.begin()),
                     std::make_move_iterator(rows.end()));
  }
  return pass;
}

void draw(const Graph& graph, result::Result& r, OperatorTimer& timer) {
  std::set<Work> recorded;
  std::size_t row = 0;
  for (const Section& section : graph.sections) {
    r.first_row.push_back(row);
    for (const Operator& o : section.operators) {
      if (timer.records_engines() && !is_collective(o) && recorded.insert(o.work).second)
        r.engines.push_back({row, timer.kernel(o).spans});
      ++row;
    }
  }
  std::size_t next = 0;
  r.schedule = schedule(
      graph, [&](const Operator&) { return r.operators[next++].time; }, 0,
      [&](const Operator& o) { return timer.flow(o, graph.groups); });
}

}  // namespace xpusim::step
