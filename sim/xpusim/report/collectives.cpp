#include "xpusim/report/collectives.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "xpusim/core/fields.h"
#include "xpusim/report/table.h"
#include "xpusim/result/version.h"

namespace xpusim::report {
namespace {

/// Where a link is one rank's own, that rank.
std::string decider(const network::CollectiveTime& t) {
  return t.decisive_rank < 0 ? t.busiest : fmt::format("{} (rank {})", t.busiest, t.decisive_rank);
}

std::string_view nccl_name(Dtype t) {
  switch (t) {
    case Dtype::Fp32:
    case Dtype::Tf32:
      return "float";
    case Dtype::Bf16:
      return "bfloat16";
    case Dtype::Fp16:
      return "half";
    default:
      return "int8";
  }
}

}  // namespace

Json to_json(const network::Call& c, const network::CollectiveTime& t) {
  Json loads = Json::array(), choices = Json::array();
  for (const network::LevelLoad& l : t.loads)
    loads.push_back({{"level", l.level}, {"bytes", l.bytes}, {"busy_us", us(l.busy)}});
  for (const network::Choice& choice : t.choices)
    choices.push_back({{"algorithm", enum_name(choice.algorithm)},
                       {"protocol", choice.protocol},
                       {"plane", choice.plane},
                       {"bound_us", us(choice.total)}});
  return {{"op", enum_name(c.kind)},
          {"ranks", c.group.ranks},
          {"size_bytes", c.size.count()},
          {"time_us", us(t.total)},
          {"algorithm_bandwidth_gb_s", gb(t.algorithm_bandwidth)},
          {"bus_bandwidth_gb_s", gb(t.bus_bandwidth)},
          {"algorithm", enum_name(t.algorithm)},
          {"protocol", t.protocol},
          {"library", t.library},
          {"plane", t.plane},
          {"level", t.level},
          {"latency_us", us(t.latency)},
          {"levels", std::move(loads)},
          {"busiest_link", t.busiest},
          {"decisive_rank", t.decisive_rank},
          {"weighed", std::move(choices)}};
}

Json to_document(const SystemSpec& system, Fidelity fidelity, const std::string& config_hash, Json results) {
  return {{"schema", "xpusim.collective/1"}, {"version", result::version()}, {"system", system.id},
          {"fidelity", enum_name(fidelity)}, {"config_hash", config_hash},   {"results", std::move(results)}};
}

std::string title_of(const network::Call& c, const SystemSpec& system, Fidelity fidelity) {
  return fmt::format("{} over {} ranks on {} ({} fidelity)", enum_name(c.kind), c.group.ranks, system.id,
                     enum_name(fidelity));
}

std::string to_text(const network::Call& c, const network::CollectiveTime& t) {
  if (c.group.ranks <= 1) return "one rank: nothing to do\n";
  std::string text =
      fmt::format("time {:.2f} us, bus bandwidth {:.2f} GB/s, algorithm bandwidth {:.2f} GB/s\n", us(t.total),
                  gb(t.bus_bandwidth), gb(t.algorithm_bandwidth));
  text += fmt::format("{} over {}, {} protocol of {}; {:.2f} us do not depend on the links\n\n",
                      enum_name(t.algorithm), t.level, t.protocol, t.library, us(t.latency));
  Table levels({-16, 14, 12, 8}), choices({-20, -12, -12, 14, -2});
  levels.row({"level", "MB of a link", "busy us", "share"});
  for (const network::LevelLoad& l : t.loads)
    levels.row({l.level, fixed(l.bytes / 1e6, 4), fixed(us(l.busy), 2),
                fixed(100 * l.busy.count() / t.total.count(), 1) + "%"});
  text += levels.text();
  if (!t.busiest.empty()) text += fmt::format("busiest: {}\n", decider(t));
  for (const network::Choice& way : t.choices)
    choices.row({"  " + std::string(enum_name(way.algorithm)), way.protocol, way.plane,
                 fixed(us(way.total), 2), "us"});
  return text + "\nweighed by closed form, fastest first:\n" + choices.text();
}

std::string sweep_head(const std::string& title) {
  return fmt::format("# {}\n#{:>12} {:>12} {:>9} {:>7} {:>7} {:>9} {:>8} {:>8} {:>6}\n", title, "size",
                     "count", "type", "redop", "root", "time", "algbw", "busbw", "#wrong") +
         fmt::format("#{:>12} {:>12} {:>9} {:>7} {:>7} {:>9} {:>8} {:>8}\n", "(B)", "(elements)", "", "", "",
                     "(us)", "(GB/s)", "(GB/s)");
}

std::string sweep_line(const network::Call& c, const network::CollectiveTime& t, Dtype dtype) {
  const bool adds = c.kind == CollectiveKind::AllReduce || c.kind == CollectiveKind::ReduceScatter;
  return fmt::format(" {:>12} {:>12} {:>9} {:>7} {:>7} {:>9.2f} {:>8.2f} {:>8.2f} {:>6}\n", c.size.count(),
                     static_cast<std::int64_t>(d(c.size.count()) / size_of(dtype)), nccl_name(dtype),
                     adds ? "sum" : "none", c.kind == CollectiveKind::Broadcast ? 0 : -1, us(t.total),
                     gb(t.algorithm_bandwidth), gb(t.bus_bandwidth), "N/A");
}

}  // namespace xpusim::report
