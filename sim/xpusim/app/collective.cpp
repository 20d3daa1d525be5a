#include "xpusim/app/collective.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "xpusim/app/inputs.h"
#include "xpusim/config/describe.h"
#include "xpusim/config/scalars.h"
#include "xpusim/core/error.h"
#include "xpusim/core/hash.h"
#include "xpusim/core/text.h"
#include "xpusim/network/collective.h"
#include "xpusim/result/curve.h"
#include "xpusim/result/result.h"
#include "xpusim/result/version.h"

namespace xpusim::app {
namespace {

using Json = nlohmann::ordered_json;

/// The words of the command line.
struct Parameters {
  std::int64_t ranks = 0, stride = 1, topk = 8, token_nodes = 0;
  Bytes size{0};
  Algorithm algorithm = Algorithm::None;
  Dtype dtype = Dtype::Fp32;
  bool eager = false, in_place = false;
  std::string protocol, library, plane, places, traffic, degrade, slow;
};

void describe(Fields& f, Parameters& p) {
  f.required("ranks", p.ranks, "devices that take part", between(1, 1 << 24));
  f.required("size", p.size, "message, by the nccl-tests size convention", between(1, 1LL << 50));
  f.optional("algorithm", p.algorithm, "auto: the library's choice");
  f.label("protocol", p.protocol, "of the library; default: its choice");
  f.label("library", p.library, "of the system; default: its first");
  f.label("plane", p.plane, "of the system; default: the fastest");
  f.optional("dtype", p.dtype, "elements that the sweep counts, and that a switch adds");
  f.optional("stride", p.stride, "devices from one rank to the next", between(1, 1 << 24));
  f.label("places", p.places, "devices of the ranks: 0,8,16 or 0..7,16..23");
  f.optional("eager", p.eager, "launched by the host, not from a graph");
  f.optional("in_place", p.in_place, "an all_reduce's result takes the place of its input");
  f.optional("topk", p.topk, "dispatch, combine: experts of a token", between(1, 1024));
  f.optional("token_nodes", p.token_nodes, "dispatch, combine: nodes that a token may go to; 0: any",
             between(0, 1 << 20));
  f.label("traffic", p.traffic, "all_to_all: CSV file, bytes from rank (row) to rank (column)");
  f.label("degrade", p.degrade, "links: LEVEL.KIND.OWNER[.PART]:RATE, ... (rate 0: dead)");
  f.label("slow", p.slow, "ranks: RANK:RATE, ...");
}

ConfigError wrong(const std::string& key, const std::string& text, const std::string& hint) {
  return ConfigError(Diagnostic{{"collective", 0, 0}, key, "cannot read " + in_quotes(text), hint});
}

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(at, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::int64_t whole(const std::string& key, const std::string& text, const std::string& hint) {
  const auto value = config::parse_integer(text);
  if (!value || *value < 0) throw wrong(key, text, hint);
  return *value;
}

double real(const std::string& key, const std::string& text, const std::string& hint) {
  const auto value = config::parse_real(text);
  if (!value) throw wrong(key, text, hint);
  return *value;
}

std::vector<std::int64_t> read_places(const std::string& text) {
  constexpr const char* kHint = "e.g. 0,8,16 or 0..7,16..23";
  constexpr std::int64_t kMost = 1 << 24;
  std::vector<std::int64_t> places;
  for (const std::string& part : text.empty() ? std::vector<std::string>{} : split(text, ',')) {
    const std::size_t dots = part.find("..");
    const std::int64_t first = whole("places", part.substr(0, dots), kHint);
    const std::int64_t last =
        dots == std::string::npos ? first : whole("places", part.substr(dots + 2), kHint);
    if (last < first || last > kMost) throw wrong("places", part, kHint);
    for (std::int64_t device = first; device <= last; ++device) places.push_back(device);
  }
  return places;
}

network::Faults read_faults(const Parameters& p) {
  network::Faults faults;
  constexpr const char* kLink = "e.g. node.out.3:0.5";
  for (const std::string& item : p.degrade.empty() ? std::vector<std::string>{} : split(p.degrade, ',')) {
    const auto halves = split(item, ':');
    const auto words = split(halves.front(), '.');
    if (halves.size() != 2 || words.size() < 3 || words.size() > 4) throw wrong("degrade", item, kLink);
    network::LinkFault f{words[0], words[1], whole("degrade", words[2], kLink), -1,
                         real("degrade", halves[1], kLink)};
    if (words.size() == 4) f.part = whole("degrade", words[3], kLink);
    faults.links.push_back(std::move(f));
  }
  for (const std::string& item : p.slow.empty() ? std::vector<std::string>{} : split(p.slow, ',')) {
    const auto halves = split(item, ':');
    if (halves.size() != 2) throw wrong("slow", item, "e.g. 3:0.5");
    faults.ranks.push_back({whole("slow", halves[0], "e.g. 3:0.5"), real("slow", halves[1], "e.g. 3:0.5")});
  }
  return faults;
}

std::vector<double> read_traffic(const std::string& file) {
  if (file.empty()) return {};
  std::ifstream in(file);
  if (!in) throw ConfigError(Diagnostic{{file, 0, 0}, "", "cannot read the file", "does it exist?"});
  std::vector<double> bytes;
  int number = 0;
  std::size_t columns = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.empty() || line.front() == '#') continue;
    const auto cells = split(line, ',');
    if (columns != 0 && cells.size() != columns)
      throw ConfigError(Diagnostic{{file, number, 1},
                                   "",
                                   fmt::format("{} columns", cells.size()),
                                   fmt::format("the lines above have {}", columns)});
    columns = cells.size();
    for (const std::string& cell : cells) {
      const auto value = config::parse_real(cell);
      if (!value || *value < 0)
        throw ConfigError(
            Diagnostic{{file, number, 1}, "", "cannot read " + in_quotes(cell), "bytes, 0 or more"});
      bytes.push_back(*value);
    }
  }
  return bytes;
}

network::Call call_of(OpKind kind, const Parameters& p) {
  network::Call c;
  c.kind = kind;
  c.size = p.size;
  c.group = {p.ranks, p.stride, read_places(p.places)};
  c.algorithm = p.algorithm;
  c.protocol = p.protocol;
  c.library = p.library;
  c.plane = p.plane;
  c.eager = p.eager;
  c.in_place = p.in_place;
  c.switch_adds = p.dtype != Dtype::Int8;
  c.topk = p.topk;
  c.token_nodes = p.token_nodes;
  c.traffic = read_traffic(p.traffic);
  c.faults = read_faults(p);
  return c;
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

network::CollectiveTime time_of(const network::Call& c, const std::vector<network::Call>& beside,
                                const SystemSpec& s, chip::Fidelity fidelity) {
  if (fidelity == chip::Fidelity::Bound) return network::bound(c, s);
  std::vector<network::Call> all{c};
  all.insert(all.end(), beside.begin(), beside.end());
  return network::execute_together(all, s).front();
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

Json json_of(const network::Call& c, const network::CollectiveTime& t) {
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
  const bool adds = c.kind == OpKind::AllReduce || c.kind == OpKind::ReduceScatter;
  return fmt::format(" {:>12} {:>12} {:>9} {:>7} {:>7} {:>9.2f} {:>8.2f} {:>8.2f} {:>6}\n", c.size.count(),
                     c.size.count() / static_cast<std::int64_t>(size_of(dtype)), nccl_name(dtype),
                     adds ? "sum" : "none", c.kind == OpKind::Broadcast ? 0 : -1, us(t.total),
                     gb(t.algorithm_bandwidth), gb(t.bus_bandwidth), "N/A");
}

struct Run {
  Parameters parameters;
  network::Call call;
  std::vector<network::Call> beside;  ///< start at the same time
  SystemSpec system;
  std::string config;  ///< resolved inputs
};

OpKind read_kind(const std::string& text) {
  const auto kind = enum_from<OpKind>(text);
  if (kind && is_collective(*kind)) return *kind;
  std::vector<std::string_view> known;
  for (std::size_t i = 0; i < kOpKindNames.size(); ++i)
    if (is_collective(static_cast<OpKind>(i))) known.push_back(kOpKindNames[i]);
  const auto near = nearest(text, known);
  throw ConfigError(
      Diagnostic{{"collective " + printable(text), 0, 0},
                 "",
                 "no such collective",
                 near.empty() ? "known: " + join(known) : fmt::format("did you mean '{}'?", near)});
}

Parameters read_parameters(const std::string& kind, const std::vector<std::string>& words) {
  Parameters p;
  const config::Node root = tree_of_words("collective " + kind, words);
  config::Reader reader(root, "", config::Provenance::Plain);
  describe(reader, p);
  reader.finish();
  return p;
}

/// "KIND key=value ...".
network::Call read_call(const std::string& text) {
  std::vector<std::string> words = split(text, ' ');
  std::erase(words, "");
  if (words.empty()) throw wrong("--beside", text, "e.g. 'all_to_all ranks=8 size=1MiB'");
  const std::string kind = words.front();
  words.erase(words.begin());
  return call_of(read_kind(kind), read_parameters(kind, words));
}

/// The system with what is inside its packages, and the call.
Run prepare(const Common& c, const CollectiveArguments& a, bool sweeps) {
  const config::Library library = open_library(c.data);
  Run run;
  std::vector<std::string> words = a.parameters;
  if (sweeps) words.emplace_back("size=1 B");
  const OpKind kind = read_kind(a.kind);
  run.parameters = read_parameters(a.kind, words);
  run.call = call_of(kind, run.parameters);
  for (const std::string& text : a.beside) run.beside.push_back(read_call(text));
  const config::Overrides overrides = overrides_of(c);
  auto system = library.system(a.system, overrides);
  run.config = config::to_yaml(config::describer(system.value), "system", nullptr);
  run.system = system.value;
  if (!system.value.chip.empty()) {
    auto chip = library.chip({system.value.chip, system, "system.chip"}, overrides);
    run.system = with_package_level(system.value, chip.value);
  }
  return run;
}

std::string title_of(const Run& r, const Common& c) {
  return fmt::format("{} over {} ranks on {} ({} fidelity)", enum_name(r.call.kind), r.call.group.ranks,
                     r.system.id, c.fidelity);
}

}  // namespace

void collective(const Common& c, const CollectiveArguments& a) {
  const auto sweep = read_sweep(a.sweep);
  if (!a.html.empty() && !sweep)
    throw ConfigError(Diagnostic{{"--html " + a.html, 0, 0}, "", "one size has no curve", "give --sweep"});
  Run run = prepare(c, a, sweep.has_value());
  const chip::Fidelity fidelity = fidelity_of(c);
  if (!run.beside.empty() && fidelity == chip::Fidelity::Bound)
    throw ConfigError(Diagnostic{
        {"--beside", 0, 0}, "", "the closed form knows one collective at a time", "--fidelity tile"});
  const bool prints = c.json != "-";
  Json results = Json::array();
  std::vector<result::CurvePoint> curve;
  if (prints) std::cout << (sweep ? sweep_head(title_of(run, c)) : title_of(run, c) + "\n\n");
  const Sizes sizes = sweep ? *sweep : Sizes{run.call.size, run.call.size};
  for (std::int64_t size = sizes.from.count(); size <= sizes.to.count(); size *= 2) {
    run.call.size = Bytes(size);
    const network::CollectiveTime t = time_of(run.call, run.beside, run.system, fidelity);
    results.push_back(json_of(run.call, t));
    curve.push_back({static_cast<double>(size), gb(t.bus_bandwidth),
                     fmt::format("{} {}", enum_name(t.algorithm), t.protocol)});
    if (prints) std::cout << (sweep ? sweep_line(run.call, t, run.parameters.dtype) : to_text(run.call, t));
  }
  Hasher hasher;
  hasher.add(run.config).add(c.fidelity).add(result::version()).add(a.kind);
  for (const std::string& word : a.parameters) hasher.add(word);
  for (const std::string& other : a.beside) hasher.add(other);
  const std::string hash = hasher.hex();
  const Json document = {
      {"schema", "xpusim.collective/1"}, {"version", result::version()}, {"system", run.system.id},
      {"fidelity", c.fidelity},          {"config_hash", hash},          {"results", std::move(results)}};
  if (!a.html.empty()) result::write_file(a.html, result::curve_html(title_of(run, c), curve));
  if (c.json == "-")
    std::cout << document.dump(2) << '\n';
  else if (!c.json.empty())
    result::write_file(c.json, document.dump(2) + "\n");
}

}  // namespace xpusim::app
