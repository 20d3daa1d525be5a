#include "xpusim/cluster/schedule.h"

#include <algorithm>
#include <array>
#include <map>

namespace xpusim::cluster {
namespace {

Stream stream_of(const Operator& o) {
  return is_collective(o.kind) && o.collective.overlap ? Stream::Communication : Stream::Compute;
}

/// Places in the section of the operators that each one comes after; empty: what the section begins after.
std::vector<std::vector<std::size_t>> predecessors(const Section& section) {
  std::map<std::string, std::size_t> place;
  std::vector<std::vector<std::size_t>> before(section.operators.size());
  std::optional<std::size_t> last_in_order;
  for (std::size_t i = 0; i < section.operators.size(); ++i) {
    const Operator& o = section.operators[i];
    for (const std::string& name : o.after) before[i].push_back(place.at(name));
    if (o.after.empty() && last_in_order) before[i].push_back(*last_in_order);
    if (stream_of(o) == Stream::Compute) last_in_order = i;
    place.emplace(o.name, i);
  }
  return before;
}

}  // namespace

Schedule schedule(const Graph& graph, const OperatorTime& time) {
  Schedule s;
  std::array<Seconds, 2> free{};
  Seconds section_begin;  // end of the computation before
  double computing = 0;
  for (std::uint32_t k = 0; k < graph.sections.size(); ++k) {
    const Section& section = graph.sections[k];
    const auto before = predecessors(section);
    std::vector<Seconds> duration;
    for (const Operator& o : section.operators) duration.push_back(time(o));
    if (section.barrier) section_begin = std::max(section_begin, free[1]);
    std::vector<Seconds> end(section.operators.size());
    for (std::int64_t turn = 0; turn < section.repeat; ++turn) {
      for (std::uint32_t i = 0; i < section.operators.size(); ++i) {
        const Stream stream = stream_of(section.operators[i]);
        Seconds& stream_free = free[static_cast<std::size_t>(stream)];
        Seconds begin = std::max(stream_free, section_begin);
        for (const std::size_t p : before[i]) begin = std::max(begin, end[p]);
        end[i] = begin + duration[i];
        stream_free = end[i];
        s.spans.push_back({k, i, stream, begin, end[i]});
        if (!is_collective(section.operators[i].kind)) computing += duration[i].count();
      }
      section_begin = std::max(section_begin, free[0]);
    }
  }
  s.total = std::max(free[0], free[1]);
  s.exposed_communication = Seconds(std::max(0.0, s.total.count() - computing));
  return s;
}

}  // namespace xpusim::cluster
