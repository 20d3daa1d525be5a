#include "xpusim/app/collective.h"

#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "xpusim/app/inputs.h"
#include "xpusim/app/say.h"
#include "xpusim/config/scalars.h"
#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/jobs/job.h"
#include "xpusim/report/collectives.h"
#include "xpusim/report/file.h"
#include "xpusim/report/plot.h"

namespace xpusim::app {
namespace {

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

}  // namespace

void collective(const Common& c, const CollectiveArguments& a) {
  const auto sweep = read_sweep(a.sweep);
  if (!a.html.empty() && !sweep)
    throw ConfigError(Diagnostic{{"--html " + a.html, 0, 0}, "", "one size has no curve", "give --sweep"});
  constexpr const char* kAnySize = "size=1 B";
  jobs::Subject subject{jobs::Kind::Collective, a.kind, a.parameters, a.beside};
  if (sweep) subject.words.emplace_back(kAnySize);
  jobs::Job job = jobs::load(open_library(c.data), subject, a.system, overrides_of(c));
  auto& [calls, dtype, platform, words] = std::get<jobs::CollectiveJob>(job);
  network::Call& call = calls.front();
  if (sweep) std::erase(words, kAnySize);
  const Fidelity fidelity = fidelity_of(c);
  const std::string title = report::title_of(call, platform.network, fidelity);
  say_notes(jobs::notes_of(job));
  const Patience patience(fidelity == Fidelity::Tile);
  report::Json results = report::Json::array();
  report::Series curve;
  std::string text = sweep ? report::sweep_head(title) : title + "\n\n";
  const Sizes sizes = sweep ? *sweep : Sizes{call.size, call.size};
  for (std::int64_t size = sizes.from.count(); size <= sizes.to.count(); size *= 2) {
    call.size = Bytes(size);
    const auto t = std::get<network::CollectiveTime>(jobs::run(job, {fidelity, false, true, {}}));
    results.push_back(report::to_json(call, t));
    curve.points.push_back(
        {d(size), report::gb(t.bus_bandwidth), fmt::format("{} {}", enum_name(t.algorithm), t.protocol)});
    text += sweep ? report::sweep_line(call, t, dtype) : report::to_text(call, t);
    if (c.json != "-") std::cout << std::exchange(text, {}) << std::flush;
  }
  if (!a.html.empty())
    report::write_file(
        a.html,
        report::page(title, report::Plot{{"message size", 2, true}, {"bus bandwidth [GB/s]"}, {curve}}));
  write(c.json, report::text_of(report::to_document(platform.network, fidelity, hash_of(job, fidelity),
                                                    std::move(results))));
}

}  // namespace xpusim::app
