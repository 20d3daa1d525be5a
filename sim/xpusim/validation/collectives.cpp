#include "xpusim/validation/collectives.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "xpusim/core/error.h"
#include "xpusim/validation/field_reader.h"

namespace xpusim::validation {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// Numbers of a row, all above zero.
class Fields : public FieldReader {
 public:
  using FieldReader::FieldReader;

  double number(std::string_view column) {
    if (const auto x = parsed(column); x && *x > 0) return *x;
    wrong(column, "write a number above 0");
    return 1;
  }
  std::int64_t whole(std::string_view column) {
    return std::max<std::int64_t>(1, std::llround(std::min(number(column), 1e15)));
  }
};

CollectiveKind kind_of(std::string_view name, Fields& f, std::string_view column) {
  if (name == "alltoall") return CollectiveKind::AllToAll;
  if (name == "send") return CollectiveKind::SendRecv;
  if (const auto kind = enum_from<CollectiveKind>(name)) return *kind;
  f.wrong(column, "all_reduce, all_gather, reduce_scatter, all_to_all, send, dispatch or combine");
  return CollectiveKind::AllReduce;
}

/// The whole number that stands in the text after `before`; 0 where there is none.
std::int64_t number_after(std::string_view text, std::string_view before) {
  const std::size_t at = text.find(before);
  std::int64_t x = 0;
  if (at != std::string_view::npos)
    std::from_chars(text.data() + at + before.size(), text.data() + text.size(), x);
  return x;
}

/// nccl.csv of a chip's node: message_size counts elements.
MeasuredCall nccl_row(Fields& f) {
  MeasuredCall m;
  m.call.kind = kind_of(f.text("op_name"), f, "op_name");
  const bool is_int8 = f.text("nccl_dtype") == "int8";
  const std::int64_t element = is_int8 ? 1 : 2;
  m.call.switch_adds = !is_int8;  // multimem instructions add integers of 32 and 64 bits, and floats (PTX)
  m.call.size = Bytes(f.whole("message_size") * element);
  m.call.group.ranks = f.whole("num_gpus");
  m.time_us = f.number("time_us");
  return m;
}

/// custom_allreduce.csv: a serving engine's kernels, up to the size from which it calls the library.
MeasuredCall custom_row(Fields& f) {
  MeasuredCall m;
  m.call.kind = CollectiveKind::AllReduce;
  m.call.size = Bytes(f.whole("message_size") * 2);
  m.call.group.ranks = f.whole("num_gpus");
  m.time_us = f.number("time_us");
  const std::string_view backend = f.text("backend");
  m.call.eager = backend.ends_with("_eager");
  m.call.library = std::string(backend.substr(0, backend.find('_'))) + "_custom";
  return m;
}

/// How a serving library's expert exchange, or a kernel of its own, is called in the system's file.
void choose_library(MeasuredCall& m, const Fields& f) {
  const std::string_view note = f.text("note"), algorithm = f.text("algorithm");
  const bool moe = m.call.kind == CollectiveKind::Dispatch || m.call.kind == CollectiveKind::Combine;
  if (moe) {
    const bool fast = contains(note, "low_latency") || contains(note, "low latency") ||
                      contains(note, "low-latency") || contains(note, "pplx");
    m.call.library = fast ? "deepep_low_latency" : "deepep_normal";
  } else if (algorithm == "nvls") {
    m.call.algorithm = Algorithm::InSwitch;
  } else if (algorithm == "ring") {
    m.call.algorithm = Algorithm::Ring;
  } else if (algorithm == "custom") {
    m.call.library = "mscclpp";
  } else if (contains(f.text("source"), "memfabric")) {
    m.call.library = "memfabric";
  }
}

/// Where the ranks stand: neighbours, or one per node, or as the note names the devices.
void place(MeasuredCall& m, const Fields& f, std::int64_t per_node) {
  const std::string_view note = f.text("note");
  if (contains(note, "device 0 -> ")) {
    m.call.group.places = {0, number_after(note, "device 0 -> ")};
  } else if (m.call.group.ranks > per_node && per_node == 1) {
    constexpr std::int64_t kWidestNode = 16;  // devices of the nodes in these sets: 8 or 16
    m.call.group.stride = kWidestNode;
  }
}

/// Bytes that the source's bandwidth counts for an expert exchange with merged copies: a token once for each
/// node, or rank of one node, that it goes to.
double counted_bytes(const MeasuredCall& m, std::int64_t per_node) {
  const double k = d(m.call.topk), nodes = d(std::max<std::int64_t>(1, m.call.group.ranks / per_node));
  const double reach = std::min(m.call.token_nodes > 0 ? d(m.call.token_nodes) : nodes,
                                nodes > 1 ? nodes : d(m.call.group.ranks));
  return d(m.call.size.count()) / k * reach * (1 - std::pow(1 - 1 / reach, k));
}

/// comm/*/collectives.csv. Two conventions of size: nccl-tests', and (sets with a column "link") a rank's
/// shard for all_gather and reduce_scatter.
MeasuredCall system_row(Fields& f, const Csv& csv) {
  MeasuredCall m;
  const bool shards = csv.has("link");
  m.call.kind = kind_of(f.text("op"), f, "op");
  m.call.group.ranks = f.whole("ranks");
  const std::int64_t per_node = f.whole("ranks_per_node");
  std::int64_t bytes = f.whole("message_bytes");
  if (shards && (m.call.kind == CollectiveKind::AllGather || m.call.kind == CollectiveKind::ReduceScatter))
    bytes *= m.call.group.ranks;
  m.call.size = Bytes(bytes);
  m.source = f.text("source");
  const std::string_view note = f.text("note");
  choose_library(m, f);
  place(m, f, per_node);
  if (f.has("topk")) m.call.topk = f.whole("topk");
  if (contains(note, "top-4 groups")) m.call.token_nodes = 4;
  // nccl-tests ("in place") launches each collective by itself.
  m.call.in_place = contains(note, "in place");
  m.call.eager = f.text("in_graph") == "0" || m.call.in_place;
  if (contains(note, "blocks of this size in flight"))
    m.in_flight = std::max<std::int64_t>(1, number_after(note, "throughput with "));
  const std::string_view bandwidth = shards ? "bus_bandwidth" : "bus_bandwidth_gb_s";
  if (f.has("time_us")) {
    m.time_us = f.number("time_us");
  } else if (f.has(bandwidth)) {
    const bool moe = m.call.kind == CollectiveKind::Dispatch || m.call.kind == CollectiveKind::Combine;
    const double counted = moe ? counted_bytes(m, per_node) : d(bytes);
    m.time_us = counted / f.number(bandwidth) / 1e3;
    if (moe && shards) m.skipped = "no time, and the bandwidth's bytes are not stated";
  } else {
    f.wrong("time_us", "give time_us or " + std::string(bandwidth));
  }
  if (contains(note, "skewed arrival")) m.skipped = "ranks arrive at different times";
  if (contains(note, "remote DRAM")) m.skipped = "memory of a host";
  if (contains(note, "pure RDMA; also inside the node")) m.skipped = "inside a node over the network cards";
  return m;
}

}  // namespace

bool is_collective_set(const Csv& csv) {
  const auto op = csv.attributes.find("op");
  return csv.attributes.contains("system") ||
         (op != csv.attributes.end() && (op->second == "nccl" || op->second == "custom_allreduce"));
}

MeasuredCalls interpret_collectives(const Csv& csv) {
  MistakeList found;
  MeasuredCalls set;
  set.file = csv.file;
  const bool of_system = csv.attributes.contains("system");
  set.system = csv.attributes.at(of_system ? "system" : "chip");
  const auto op = csv.attributes.find("op");
  set.op = of_system || op == csv.attributes.end() ? "collectives" : op->second;
  const std::vector<std::string_view> columns =
      of_system ? std::vector<std::string_view>{"op", "ranks", "ranks_per_node", "message_bytes"}
      : set.op == "nccl"
          ? std::vector<std::string_view>{"op_name", "nccl_dtype", "num_gpus", "message_size", "time_us"}
          : std::vector<std::string_view>{"num_gpus", "message_size", "backend", "time_us"};
  for (const std::string_view c : columns)
    if (!csv.has(c))
      found.push_back({{csv.file, 0, 0}, std::string(c), "missing column", "sets of collectives need it"});
  found.raise();
  for (const CsvRow& row : csv.rows) {
    Fields f(csv, row, found);
    MeasuredCall m = of_system ? system_row(f, csv) : set.op == "nccl" ? nccl_row(f) : custom_row(f);
    m.line = row.line;
    set.rows.push_back(std::move(m));
  }
  found.raise();
  return set;
}

namespace {

/// Which software of the system the row's source ran, unless the row says so itself. A framework launches
/// each collective from the host.
network::Call as_measured(const MeasuredCall& m, const SystemSpec& system) {
  network::Call call = m.call;
  for (const LibrarySpec& l : system.libraries) {
    const bool is_sources =
        std::find(l.measured_as.begin(), l.measured_as.end(), m.source) != l.measured_as.end();
    if (!is_sources) continue;
    call.library = l.name;
    call.eager = call.eager || !l.calls.empty();
  }
  return call;
}

std::string label_of(const network::Call& call) {
  return fmt::format("{} {} ranks {} B{}{}", enum_name(call.kind), call.group.ranks, call.size.count(),
                     call.library.empty() ? "" : " " + call.library, call.eager ? " eager" : "");
}

/// A serving engine's own kernels take messages up to a size; above it, the system's library does.
network::Call within_limits(const network::Call& call, const SystemSpec& system) {
  network::Call c = call;
  for (const LibrarySpec& l : system.libraries)
    if (l.name == c.library && l.largest.count() > 0 && c.size > l.largest) c.library.clear();
  return c;
}

/// Outside a graph an engine's call is out of place, in seconds: where the library takes over, which reduces
/// in place, the message is copied first.
double copy_before(const network::Call& asked, const network::Call& call, const SystemSpec& system) {
  if (!asked.eager || asked.library == call.library) return 0;
  const double rate = library_of(system, asked.library).eager_copy.count();
  return rate > 0 ? d(asked.size.count()) / rate : 0;
}

Sample sample_of(const MeasuredCall& m, const SystemSpec& system, Fidelity fidelity) {
  const network::Call asked = as_measured(m, system);
  network::Call call = within_limits(asked, system);
  call.size = Bytes(call.size.count() * m.in_flight);
  const network::CollectiveTime t =
      fidelity == Fidelity::Tile ? network::execute(call, system) : network::bound(call, system);
  Sample s;
  s.line = m.line;
  s.label = label_of(asked);
  s.measured_us = m.time_us;
  s.predicted_us = (t.total.count() + copy_before(asked, call, system)) * 1e6 / d(m.in_flight);
  if (m.in_flight > 1)  // a stream is no faster than its messages are posted
    s.predicted_us = std::max(s.predicted_us, library_of(system, call.library).message.count() * 1e6);
  s.breakdown[Bound::Launch] = std::min(t.latency, t.total).count();
  s.breakdown[Bound::Communication] = t.total.count() - s.breakdown[Bound::Launch];
  s.tiling = fmt::format("{} {} on {}", enum_name(t.algorithm), t.protocol, t.level);
  s.operators = std::string(enum_name(m.call.kind));
  return s;
}

}  // namespace

SetReport replay(const MeasuredCalls& set, const SystemSpec& system, Fidelity fidelity,
                 const Progress& progress) {
  SetReport report{set.file, set.system, set.op, "", {}, {}, {}, {}};
  std::size_t done = 0;
  for (const MeasuredCall& m : set.rows) {
    if (progress) progress(++done, set.rows.size());
    if (!m.skipped.empty()) {
      ++report.skipped[m.skipped];
      continue;
    }
    try {
      report.samples.push_back(sample_of(m, system, fidelity));
    } catch (const InfeasibleError& e) {
      ++report.skipped[e.what()];
    }
  }
  report.errors = statistics(report.samples);
  return report;
}

}  // namespace xpusim::validation
