#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "xpusim/config/scalars.h"
#include "xpusim/core/error.h"
#include "xpusim/core/file.h"
#include "xpusim/core/text.h"
#include "xpusim/jobs/load.h"

namespace xpusim::jobs {
namespace {

/// Bytes from one rank to another.
constexpr Range kMessage = between(0, 1LL << 50);

/// The parameters that words give: a call, and what is read further.
struct Parameters {
  network::Call call;
  Dtype dtype = Dtype::Fp32;
  std::string places, traffic, degrade, slow;
};

void describe(Fields& f, Parameters& p) {
  network::Call& c = p.call;
  f.required("ranks", c.group.ranks, "devices that take part", between(1, 1 << 24));
  f.required("size", c.size, "message, by the nccl-tests size convention", between(1, kMessage.high));
  f.optional("algorithm", c.algorithm, "auto: the library's choice");
  f.label("protocol", c.protocol, "of the library; default: its choice");
  f.label("library", c.library, "of the system; default: its first");
  f.label("plane", c.plane, "of the system; default: the fastest");
  f.optional("dtype", p.dtype, "elements that the sweep counts, and that a switch adds");
  f.optional("stride", c.group.stride, "devices from one rank to the next", between(1, 1 << 24));
  f.label("places", p.places, "devices of the ranks: 0,8,16 or 0..7,16..23");
  f.optional("eager", c.eager, "launched by the host, not from a graph");
  f.optional("in_place", c.in_place, "an all_reduce's result takes the place of its input");
  f.optional("topk", c.topk, "dispatch, combine: experts of a token", between(1, 1024));
  f.optional("token_nodes", c.token_nodes, "dispatch, combine: nodes that a token may go to; 0: any",
             between(0, 1 << 20));
  f.label("traffic", p.traffic, "all_to_all: CSV file, bytes from rank (row) to rank (column)");
  f.label("degrade", p.degrade, "links: LEVEL.KIND.OWNER[.PART]:RATE, ... (rate 0: dead)");
  f.label("slow", p.slow, "ranks: RANK:RATE, ...");
}

ConfigError wrong(const std::string& key, const std::string& text, const std::string& hint) {
  return ConfigError(Diagnostic{{"collective", 0, 0}, key, "cannot read " + in_quotes(text), hint});
}

std::int64_t whole(const std::string& key, const std::string& text, const std::string& hint) {
  const auto value = config::parse_integer(text);
  if (!value || *value < 0) throw wrong(key, text, hint);
  return *value;
}

/// A part of a full speed.
double rate(const std::string& key, const std::string& text, Range range, const std::string& hint) {
  const auto value = config::parse_real(text);
  if (!value) throw wrong(key, text, hint);
  if (!range.contains(*value))
    throw ConfigError(Diagnostic{{"collective", 0, 0},
                                 key,
                                 fmt::format("rate {} is out of range", printable(text)),
                                 config::format(range, nullptr)});
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
    Range or_dead = fraction();
    or_dead.or_zero = true;
    network::LinkFault f{words[0], words[1], whole("degrade", words[2], kLink), -1,
                         rate("degrade", halves[1], or_dead, kLink)};
    if (words.size() == 4) f.part = whole("degrade", words[3], kLink);
    faults.links.push_back(std::move(f));
  }
  for (const std::string& item : p.slow.empty() ? std::vector<std::string>{} : split(p.slow, ',')) {
    const auto halves = split(item, ':');
    if (halves.size() != 2) throw wrong("slow", item, "e.g. 3:0.5");
    faults.ranks.push_back(
        {whole("slow", halves[0], "e.g. 3:0.5"), rate("slow", halves[1], fraction(), "e.g. 3:0.5")});
  }
  return faults;
}

std::vector<double> read_traffic(const std::string& file) {
  if (file.empty()) return {};
  constexpr std::size_t kMost = std::size_t{64} << 20;
  std::istringstream in(read_bytes(file, kMost));
  if (in.view().size() > kMost)
    throw ConfigError(Diagnostic{{file, 0, 0}, "", "more than 64 MiB", "a matrix of ranks by ranks"});
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
      if (!value || !kMessage.contains(*value))
        throw ConfigError(Diagnostic{{file, number, 1},
                                     "",
                                     "cannot read " + in_quotes(cell),
                                     fmt::format("bytes, {} to {:.0f}", kMessage.low, kMessage.high)});
      bytes.push_back(*value);
    }
  }
  return bytes;
}

CollectiveKind read_kind(const std::string& text) {
  const auto kind = enum_from<CollectiveKind>(text);
  if (kind) return *kind;
  const std::vector<std::string_view> known(kCollectiveKindNames.begin(), kCollectiveKindNames.end());
  const auto near = nearest(text, known);
  throw ConfigError(
      Diagnostic{{"collective " + printable(text), 0, 0},
                 "",
                 "no such collective",
                 near.empty() ? "known: " + join(known) : fmt::format("did you mean '{}'?", near)});
}

Parameters read_parameters(const std::string& kind, const std::vector<std::string>& words) {
  Parameters p;
  p.call.kind = read_kind(kind);  // before the keys: of two mistakes each compiler reports this one
  const config::Node root = tree_of_words("collective " + kind, words);
  config::Reader reader(root, "", config::Provenance::Plain);
  describe(reader, p);
  reader.finish();
  p.call.group.places = read_places(p.places);
  p.call.switch_adds = p.dtype != Dtype::Int8;
  p.call.traffic = read_traffic(p.traffic);
  p.call.faults = read_faults(p);
  return p;
}

}  // namespace

CollectiveJob load_collective(const config::Library& library, const Subject& s, const std::string& system,
                              const config::Overrides& overrides) {
  Parameters p = read_parameters(s.text, s.words);
  CollectiveJob job{{std::move(p.call)}, p.dtype, {}, {s.text}};
  for (const std::string& text : s.beside) {
    const auto [kind, words] = kind_and_words(text);
    if (kind.empty()) throw wrong("--beside", text, "e.g. 'all_to_all ranks=8 size=1MiB'");
    job.calls.push_back(read_parameters(kind, words).call);
  }
  job.platform = load_network(library, system, overrides);
  job.words.insert(job.words.end(), s.words.begin(), s.words.end());
  job.words.insert(job.words.end(), s.beside.begin(), s.beside.end());
  return job;
}

}  // namespace xpusim::jobs
