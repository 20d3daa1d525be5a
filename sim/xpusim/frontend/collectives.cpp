#include "xpusim/frontend/collectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "xpusim/config/describe.h"
#include "xpusim/config/scalars.h"
#include "xpusim/core/error.h"
#include "xpusim/core/hash.h"
#include "xpusim/core/text.h"
#include "xpusim/frontend/inputs.h"
#include "xpusim/result/version.h"

namespace xpusim::frontend {
namespace {

/// The parameters that words give.
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

network::Call call_of(CollectiveKind kind, const Parameters& p) {
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
  const CollectiveKind known =
      read_kind(kind);  // before the keys: of two mistakes each compiler reports this one
  return call_of(known, read_parameters(kind, words));
}

}  // namespace

CollectiveInputs load_collective(const config::Library& library, const CollectiveWords& words,
                                 const config::Overrides& overrides) {
  CollectiveInputs in;
  const CollectiveKind kind = read_kind(words.kind);
  const Parameters p = read_parameters(words.kind, words.parameters);
  in.call = call_of(kind, p);
  in.dtype = p.dtype;
  for (const std::string& text : words.beside) in.beside.push_back(read_call(text));
  auto system = library.system(words.system, overrides);
  in.config = config::to_yaml(config::describer(system.value), "system", nullptr);
  in.system = system.value;
  if (!system.value.chip.empty()) {
    const auto chip = library.chip({system.value.chip, system, "system.chip"}, overrides);
    in.system = with_package_level(system.value, chip.value);
  }
  return in;
}

network::CollectiveTime time_of(const CollectiveInputs& in, Fidelity fidelity) {
  if (fidelity == Fidelity::Bound) {
    if (!in.beside.empty())
      throw ConfigError(Diagnostic{
          {"--beside", 0, 0}, "", "the closed form knows one collective at a time", "--fidelity tile"});
    return network::bound(in.call, in.system);
  }
  std::vector<network::Call> all{in.call};
  all.insert(all.end(), in.beside.begin(), in.beside.end());
  return network::execute_together(all, in.system).front();
}

std::string hash_of(const CollectiveInputs& in, const CollectiveWords& words, Fidelity fidelity) {
  Hasher hasher;
  hasher.add(in.config).add(enum_name(fidelity)).add(result::version()).add(words.kind);
  for (const std::string& word : words.parameters) hasher.add(word);
  for (const std::string& other : words.beside) hasher.add(other);
  return hasher.hex();
}

}  // namespace xpusim::frontend
