#include "xpusim/app/collective.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "xpusim/app/inputs.h"
#include "xpusim/config/scalars.h"
#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/frontend/collectives.h"
#include "xpusim/result/curve.h"
#include "xpusim/result/result.h"

namespace xpusim::app {
namespace {

using Json = nlohmann::ordered_json;

ConfigError wrong(const std::string& key, const std::string& text, const std::string& hint) {
  return ConfigError(Diagnostic{{"collective", 0, 0}, key, "cannot read " + in_quotes(text), hint});
}

struct Sizes {
  Bytes from, to;
};

std::optional<Sizes> read_sweep(const std::string& text) {
  if (text.empty()) return std::nullopt;
  constexpr const char* kHint = "e.g. --sweep size=1KiB..8GiB";
  const std::size_t dots = text.find("..");
  if (!text.starts_with("size=") || dots == std::string::npos) throw wrong("--sweep", text, kHint);
  const auto from = config::parse_quantity(text.substr(5, dots - 5), dimension<Bytes>());
  const auto to = config::parse_quantity(text.substr(dots + 2), dimension<Bytes>());
  if (!from || !to || *from < 1 || *to < *from || *to > 0x1p50) throw wrong("--sweep", text, kHint);
  return Sizes{Bytes(static_cast<std::int64_t>(*from)), Bytes(static_cast<std::int64_t>(*to))};
}

double us(Seconds t) { return t.count() * 1e6; }
double gb(BytesPerSecond r) { return r.count() / 1e9; }

/// Where a link is one rank's own, that rank.
std::string decider(const network::CollectiveTime& t) {
  return t.decisive_rank < 0 ? t.busiest : fmt::format("{} (rank {})", t.busiest, t.decisive_rank);
}

std::string to_text(const network::Call& c, const network::CollectiveTime& t) {
  if (c.group.ranks <= 1) return "one rank: nothing to do\n";
  std::string text =
      fmt::format("time {:.2f} us, bus bandwidth {:.2f} GB/s, algorithm bandwidth {:.2f} GB/s\n", us(t.total),
                  gb(t.bus_bandwidth), gb(t.algorithm_bandwidth));
  text += fmt::format("{} over {}, {} protocol of {}; {:.2f} us do not depend on the links\n",
                      enum_name(t.algorithm), t.level, t.protocol, t.library, us(t.latency));
  text += fmt::format("\n{:<16} {:>14} {:>12} {:>8}\n", "level", "MB of a link", "busy us", "share");
  for (const network::LevelLoad& l : t.loads)
    text += fmt::format("{:<16} {:>14.4f} {:>12.2f} {:>7.1f}%\n", l.level, l.bytes / 1e6, us(l.busy),
                        100 * l.busy.count() / t.total.count());
  if (!t.busiest.empty()) text += fmt::format("busiest: {}\n", decider(t));
  text += "\nweighed by closed form, fastest first:\n";
  for (const network::Choice& choice : t.choices)
    text += fmt::format("  {:<18} {:<12} {:<12} {:>14.2f} us\n", enum_name(choice.algorithm), choice.protocol,
                        choice.plane, us(choice.total));
  return text;
}

/// The columns of nccl-tests, out of place.
std::string sweep_head(const std::string& title) {
  return fmt::format("# {}\n#{:>12} {:>12} {:>9} {:>7} {:>7} {:>9} {:>8} {:>8} {:>6}\n", title, "size",
                     "count", "type", "redop", "root", "time", "algbw", "busbw", "#wrong") +
         fmt::format("#{:>12} {:>12} {:>9} {:>7} {:>7} {:>9} {:>8} {:>8}\n", "(B)", "(elements)", "", "", "",
                     "(us)", "(GB/s)", "(GB/s)");
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

std::string sweep_line(const network::Call& c, const network::CollectiveTime& t, Dtype dtype) {
  const bool adds = c.kind == CollectiveKind::AllReduce || c.kind == CollectiveKind::ReduceScatter;
  return fmt::format(" {:>12} {:>12} {:>9} {:>7} {:>7} {:>9.2f} {:>8.2f} {:>8.2f} {:>6}\n", c.size.count(),
                     c.size.count() / static_cast<std::int64_t>(size_of(dtype)), nccl_name(dtype),
                     adds ? "sum" : "none", c.kind == CollectiveKind::Broadcast ? 0 : -1, us(t.total),
                     gb(t.algorithm_bandwidth), gb(t.bus_bandwidth), "N/A");
}

std::string title_of(const frontend::CollectiveInputs& r, const Common& c) {
  return fmt::format("{} over {} ranks on {} ({} fidelity)", enum_name(r.call.kind), r.call.group.ranks,
                     r.system.id, c.fidelity);
}

}  // namespace

void collective(const Common& c, const CollectiveArguments& a) {
  const auto sweep = read_sweep(a.sweep);
  if (!a.html.empty() && !sweep)
    throw ConfigError(Diagnostic{{"--html " + a.html, 0, 0}, "", "one size has no curve", "give --sweep"});
  frontend::CollectiveWords words{a.system, a.kind, a.parameters, a.beside};
  if (sweep) words.parameters.emplace_back("size=1 B");
  auto inputs = frontend::load_collective(open_library(c.data), words, overrides_of(c));
  words.parameters = a.parameters;
  const Fidelity fidelity = fidelity_of(c);
  const bool prints = c.json != "-";
  Json results = Json::array();
  result::Curve curve;
  std::string text = sweep ? sweep_head(title_of(inputs, c)) : title_of(inputs, c) + "\n\n";
  const Sizes sizes = sweep ? *sweep : Sizes{inputs.call.size, inputs.call.size};
  for (std::int64_t size = sizes.from.count(); size <= sizes.to.count(); size *= 2) {
    inputs.call.size = Bytes(size);
    const network::CollectiveTime t = frontend::time_of(inputs, fidelity);
    results.push_back(frontend::to_json(inputs.call, t));
    curve.points.push_back({static_cast<double>(size), gb(t.bus_bandwidth),
                            fmt::format("{} {}", enum_name(t.algorithm), t.protocol)});
    text += sweep ? sweep_line(inputs.call, t, inputs.dtype) : to_text(inputs.call, t);
    if (prints) std::cout << std::exchange(text, {}) << std::flush;
  }
  const Json document = frontend::to_document(inputs, words, fidelity, std::move(results));
  if (!a.html.empty())
    result::write_file(
        a.html,
        result::curve_html({title_of(inputs, c), "message size", "bus bandwidth [GB/s]", true}, {curve}));
  if (c.json == "-")
    std::cout << document.dump(2) << '\n';
  else if (!c.json.empty())
    result::write_file(c.json, document.dump(2) + "\n");
}

}  // namespace xpusim::app
