#include "xpusim/config/documents.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "xpusim/config/describe.h"
#include "xpusim/config/foreign.h"
#include "xpusim/core/text.h"

namespace xpusim::config {
namespace {

auto with_description(FileKind kind, const auto& use) {
  return with_kind(kind, [&]<class T>(std::type_identity<T>) {
    T spec;
    return use(describer(spec));
  });
}

/// How many of the file's keys belong to the top of a kind of file.
std::size_t known_keys(const Node& root, FileKind kind) {
  const auto keys = with_description(kind, [](const Describe& d) { return to_json(d); });
  return static_cast<std::size_t>(std::count_if(root.entries.begin(), root.entries.end(),
                                                [&](const Entry& e) { return keys.contains(e.key); }));
}

/// One clear mistake instead of twenty when the file is of another kind.
void refuse_other_kind(const Node& root, FileKind kind) {
  const Node* schema = kind == FileKind::Suite ? root.find("schema") : nullptr;
  if (schema != nullptr && schema->text.starts_with("xpusim.baseline/"))
    throw ConfigError(
        Diagnostic{schema->where.location(), "", "this is a baseline, not a suite", "name the suite's file"});
  const std::size_t known = known_keys(root, kind);
  for (std::size_t i = 0; i < kFileKindNames.size(); ++i)
    if (known_keys(root, static_cast<FileKind>(i)) > known + 1)
      throw ConfigError(
          Diagnostic{root.where.location(), "",
                     fmt::format("this is a {} file, not a {}", kFileKindNames[i], kind_name(kind)),
                     fmt::format("its keys are those of {}", kFileKindFolders[i])});
}

void check_id(const std::string& id, const std::string& file, const std::string& path, Reader& r) {
  if (const std::string name = std::filesystem::path(file).stem().string(); id != name)
    r.report_conflict({path}, in_quotes(id) + " is not the file's name", "write " + name);
}

void check(const ChipSpec& c, Reader& r) {
  if (c.power.idle >= c.power.cap)
    r.report_conflict({"chip.power.idle", "chip.power.cap"}, "not below the cap", "idle < cap");
  if (c.power.idle >= c.power.full_load)
    r.report_conflict({"chip.power.full_load", "chip.power.idle"}, "not above idle", "idle < full_load");
  if (c.dies > 1 && !c.die_to_die)
    r.report_conflict({"chip.dies", "chip.die_to_die"}, "several dies and no die_to_die link",
                      "describe die_to_die");
  if (c.hbm.latency < c.l2.latency)
    r.report_conflict({"chip.hbm.latency", "chip.l2.latency"}, "below the latency of L2",
                      "a miss passes through L2");
}

/// A library hands bytes on by protocols of its own, or calls one of this system that does.
void check_libraries(const std::vector<LibrarySpec>& libraries, Reader& r) {
  for (std::size_t i = 0; i < libraries.size(); ++i) {
    const LibrarySpec& l = libraries[i];
    const std::string path = fmt::format("system.libraries[{}].", i);
    if (l.calls.empty() == l.protocols.empty()) {
      r.report_conflict({path + "protocols", path + "calls"},
                        l.calls.empty() ? "neither" : "the called library has the protocols",
                        "give one of the two");
      continue;
    }
    const auto called = std::find_if(libraries.begin(), libraries.end(),
                                     [&](const LibrarySpec& x) { return x.name == l.calls; });
    if (!l.calls.empty() && (called == libraries.end() || !called->calls.empty()))
      r.report_conflict({path + "calls"}, fmt::format("no library '{}' that has protocols", l.calls),
                        "name one of the same file");
  }
}

void check(const SystemSpec& s, Reader& r) {
  check_libraries(s.libraries, r);
  for (const TopologyMistake& m : topology_mistakes(s))
    r.report_conflict({"system." + m.path}, m.message, m.hint);
}

void check_heads(std::int64_t heads, std::int64_t kv_heads, const std::string& path, Reader& r) {
  if (heads % kv_heads != 0)
    r.report_conflict({path + "kv_heads", path + "heads"},
                      fmt::format("{} does not divide {} heads", kv_heads, heads),
                      "heads = kv_heads x group");
}

/// `part` is not above `whole`.
void check_at_most(std::int64_t part, std::int64_t whole, const std::string& path, const std::string& limit,
                   Reader& r) {
  if (part > whole)
    r.report_conflict({path, limit}, fmt::format("{} is more than {} {}", part, whole, limit),
                      fmt::format("at most {}", whole));
}

void check_attention_layers(const ModelSpec& m, Reader& r) {
  bool any_linear = false;
  for (std::size_t i = 0; i < m.attention_layers.size(); ++i) {
    const AttentionLayersSpec& a = m.attention_layers[i];
    const std::string path = fmt::format("model.attention_layers[{}]", i);
    any_linear |= a.linear;
    if ((a.window > 0) + (a.chunk > 0) + a.linear != 1)
      r.report_conflict({path + ".window", path + ".chunk", path + ".linear", path}, "not one way to attend",
                        "give one of window (1 or more), chunk (1 or more) and linear: true");
    check_at_most(a.from + a.take, a.every, path + ".take", path + ".every", r);
    if (a.linear && !m.linear)
      r.report_conflict({path + ".linear"}, "the model does not say what its linear attention is",
                        "add linear: {key_heads, value_heads, key_dim, value_dim}");
  }
  if (m.linear && !any_linear)
    r.report_conflict({"model.linear"}, "no layer takes it", "add it to attention_layers");
  if (m.linear && m.linear->value_heads % m.linear->key_heads != 0)
    r.report_conflict({"model.linear.key_heads", "model.linear.value_heads"},
                      fmt::format("{} does not divide {}", m.linear->key_heads, m.linear->value_heads),
                      "value_heads = key_heads x group");
}

void check(const ModelSpec& m, Reader& r) {
  check_heads(m.heads, m.kv_heads, "model.", r);
  check_attention_layers(m, r);
  check_at_most(m.rotary_dim, m.head_dim, "model.rotary_dim", "model.head_dim", r);
  if (m.experts) {
    check_at_most(m.experts->per_token, m.experts->count, "model.experts.per_token", "model.experts.count",
                  r);
    check_at_most(m.experts->dense_layers, m.layers, "model.experts.dense_layers", "model.layers", r);
  }
  if (m.sparse && !m.latent)
    r.report_conflict({"model.sparse"}, "an indexer is modelled before latent attention only", "add latent");
  if (m.joint_text) {
    check_at_most(m.joint_text->separate_layers, m.layers, "model.joint_text.separate_layers", "model.layers",
                  r);
    if (m.cross_tokens > 0)
      r.report_conflict({"model.cross_tokens", "model.joint_text"},
                        "the text is either attended to or joined", "one of the two");
  }
  if (m.recommender && !m.convolutions.empty())
    r.report_conflict({"model.recommender", "model.convolutions"}, "two kinds of network", "one of the two");
}

void check(const ScenarioSpec& s, Reader& r) {
  if (s.phase == Phase::Decode && s.context == 0)
    r.report_conflict({"scenario.context", "scenario.phase"},
                      "a decode scenario needs the tokens already cached", "e.g. context: 4096");
  if (s.phase == Phase::Step && s.groups.empty())
    r.report_conflict({"scenario.groups"}, "no sequences", "list one group or more");
  if (s.phase == Phase::Training && size_of(s.precision.weights) < 2)
    r.report_conflict({"scenario.precision.weights", "scenario.phase"},
                      "training in 8-bit weights is not modelled", "bf16 or fp16");
}

/// `path`: of the operator's members, with the dot.
void check_attention(const Operator& o, const std::string& path, Reader& r) {
  if (o.is<LinearScanShape>() && o.as<LinearScanShape>().heads % o.as<LinearScanShape>().key_heads != 0)
    r.report_conflict({path + "key_heads", path + "heads"},
                      fmt::format("{} does not divide {} heads", o.as<LinearScanShape>().key_heads,
                                  o.as<LinearScanShape>().heads),
                      "heads = key_heads x group");
  if (!o.is<AttentionShape>()) return;
  const AttentionShape& a = o.as<AttentionShape>();
  check_heads(a.heads, a.kv_heads, path, r);
  if (a.q_len > a.kv_len)
    r.report_conflict({path + "kv_len", path + "q_len"},
                      fmt::format("{} is less than q_len {}", a.kv_len, a.q_len),
                      "kv_len counts the new tokens too");
  if (a.picked > 0 && (a.window > 0 || a.pass == Pass::Backward))
    r.report_conflict({path + "picked", path + "window", path + "pass"},
                      "keys are picked from all that a token sees, in the forward pass",
                      "no window, and no backward pass");
  if (a.window > 0 && !a.causal)
    r.report_conflict({path + "window", path + "causal"}, "a window looks back from a causal token",
                      "causal: true, or no window");
}

/// Rows that wait for each other are steps of the event kernel.
constexpr std::int64_t kMostSerialRows = 1 << 20;

/// Every active group has a row, and no more are active than there are.
void check_groups(const Operator& o, const std::string& path, Reader& r) {
  if (is_kind(o, RowwiseKind::MoeDescribe) && o.as<RowwiseShape>().rows > kMostSerialRows)
    r.report_conflict({path + "rows"}, fmt::format("{} groups", o.as<RowwiseShape>().rows),
                      fmt::format("at most {}", kMostSerialRows));
  if (!o.is<GroupedGemmShape>()) return;
  const GroupedGemmShape& g = o.as<GroupedGemmShape>();
  const std::int64_t most = std::min(g.groups, g.m);
  if (g.active > most)
    r.report_conflict({path + "active", path + "m", path + "groups"},
                      fmt::format("{} groups of {} cannot share {} rows", g.active, g.groups, g.m),
                      fmt::format("at most {}", most));
  const std::int64_t active = std::clamp<std::int64_t>(g.active_groups(), 1, std::max<std::int64_t>(most, 1));
  const double highest =
      static_cast<double>(g.m - active + 1) * static_cast<double>(active) / static_cast<double>(g.m);
  if (g.imbalance > highest)
    r.report_conflict({path + "imbalance", path + "m"},
                      fmt::format("{} times the mean leaves no row for each of the {} other groups",
                                  g.imbalance, active - 1),
                      fmt::format("at most {:.4g}", highest));
}

/// What the next run waits for runs beside this one.
void check_awaited(const Section& section, const std::string& path, Reader& r) {
  std::vector<std::string_view> beside;
  for (const Operator& o : section.operators)
    if (is_collective(o) && o.as<CollectiveShape>().overlap) beside.push_back(o.name);
  for (std::size_t k = 0; k < section.awaited.size(); ++k) {
    const std::string& name = section.awaited[k];
    if (std::find(beside.begin(), beside.end(), name) != beside.end()) continue;
    const auto near = nearest(name, beside);
    r.report_conflict({fmt::format("{}.awaited[{}]", path, k)},
                      fmt::format("no overlapped collective {} in this section", in_quotes(name)),
                      near.empty() ? "name one, or leave it out" : fmt::format("did you mean '{}'?", near));
  }
}

void check_section(const Section& section, const std::string& path, Reader& r) {
  std::set<std::string_view> before;
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < section.operators.size(); ++i) {
    const Operator& o = section.operators[i];
    const std::string at = fmt::format("{}.operators[{}].", path, i);
    for (std::size_t k = 0; k < o.after.size(); ++k) {
      if (before.contains(o.after[k])) continue;
      const auto near = nearest(o.after[k], names);
      r.report_conflict({fmt::format("{}after[{}]", at, k)},
                        fmt::format("no operator {} above", in_quotes(o.after[k])),
                        near.empty() ? "name one of this section that stands before"
                                     : fmt::format("did you mean '{}'?", near));
    }
    check_attention(o, at, r);
    check_groups(o, at, r);
    if (!before.insert(o.name).second)
      r.report_conflict({at + "name"}, in_quotes(o.name) + " is there already in this section",
                        "names are unique");
    else
      names.push_back(o.name);
  }
  check_awaited(section, path, r);
}

/// Every run of an operator becomes a span of the timeline.
constexpr std::int64_t kMostRuns = std::int64_t{1} << 24;

void check(const Graph& g, Reader& r) {
  std::int64_t runs = 0;
  for (std::size_t s = 0; s < g.sections.size(); ++s) {
    check_section(g.sections[s], fmt::format("trace.sections[{}]", s), r);
    runs += g.sections[s].repeat * static_cast<std::int64_t>(g.sections[s].operators.size());
  }
  if (runs > kMostRuns)
    r.report_conflict({"trace.sections"}, fmt::format("{} runs of operators", runs),
                      fmt::format("at most {}; time a part of them and scale", kMostRuns));
}

/// Names stand in tables, files and other tools' keys.
bool is_case_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_-./").find(c) != std::string_view::npos;
  });
}

void check_case(const CaseSpec& c, const std::string& path, Reader& r) {
  const auto [kind, text] = subject(c);
  if (kind.empty())
    return r.report_conflict({path}, "not one thing to run",
                             "give one of op, scenario, trace, collective, validation");
  const bool on_chips = kind == "op", on_systems = kind != "op" && kind != "validation";
  if (!c.chips.empty() && !on_chips)
    r.report_conflict({path + ".chips", path}, fmt::format("{} takes no chips", kind),
                      on_systems ? "give systems" : "the measured set names its own");
  if (!c.systems.empty() && !on_systems)
    r.report_conflict({path + ".systems", path}, fmt::format("{} takes no systems", kind),
                      on_chips ? "give chips" : "the measured set names its own");
  if (on_chips && c.chips.empty()) r.report_conflict({path}, "no chips", "list one or more");
  if ((kind == "trace" || kind == "collective") && c.systems.empty())
    r.report_conflict({path}, "no systems", "list one or more");
  const std::vector<std::string>& on = on_chips ? c.chips : c.systems;
  for (std::size_t i = 0; i < on.size(); ++i)
    if (on[i].find('=') < on[i].find(','))
      r.report_conflict({fmt::format("{}.{}[{}]", path, on_chips ? "chips" : "systems", i)},
                        in_quotes(on[i]) + " is a value without a name",
                        "in a list, NAME,path=value stands in quotes");
    else if (on[i].empty() || std::find(on.begin(), on.begin() + static_cast<std::ptrdiff_t>(i), on[i]) !=
                                  on.begin() + static_cast<std::ptrdiff_t>(i))
      r.report_conflict({fmt::format("{}.{}[{}]", path, on_chips ? "chips" : "systems", i)},
                        in_quotes(on[i]) + (on[i].empty() ? " is no name" : " is there twice"), "once each");
  for (const auto& [name, measured] : c.measured)
    if (std::find(on.begin(), on.end(), name) == on.end())
      r.report_conflict({fmt::format("{}.measured.{}.time", path, name)},
                        fmt::format("measured on {}, which the case does not run on", in_quotes(name)),
                        on.empty() ? "list the systems" : "one of " + join(views(on)));
}

/// A stack is what its keys say.
void check(const StackSpec&, Reader&) {}

void check(const SuiteSpec& s, Reader& r) {
  for (const auto& [name, c] : s.cases) {
    const std::string path = "suite.cases." + printable(name);
    if (!is_case_name(name))
      r.report_conflict({path}, in_quotes(name) + " is no name of a case", "letters, digits and _-./");
    check_case(c, path, r);
  }
}

}  // namespace

std::optional<FileKind> file_kind(std::string_view name) {
  for (std::size_t i = 0; i < kFileKindNames.size(); ++i)
    if (kFileKindNames[i] == name) return static_cast<FileKind>(i);
  return std::nullopt;
}

std::string kind_names() {
  const std::span all(kFileKindNames);
  return fmt::format("{} or {}", join(all.first(all.size() - 1)), all.back());
}

void require_map(const Node& root, FileKind kind, const std::string& file) {
  if (root.is_map()) return;
  if (const auto foreign = recognise_file(file)) throw foreign_error(*foreign, file);
  const SourceLocation where = root.where.location();
  throw ConfigError(Diagnostic{where.file.empty() ? SourceLocation{file, 0, 0} : where, "",
                               fmt::format("expected a {} file: a map of keys", kind_name(kind)),
                               "see docs/reference.md"});
}

template <class T>
Loaded<T> read(const Node& root, const std::string& file) {
  constexpr FileKind kKind = kind_of<T>();
  require_map(root, kKind, file);
  Loaded<T> loaded;
  loaded.file = file;
  Reader reader(root, std::string(kind_name(kKind)), provenance(kKind));
  describe(reader, loaded.value);
  if (reader.has_mistakes()) {
    if (const auto foreign = recognise_file(file)) throw foreign_error(*foreign, file);
    refuse_other_kind(root, kKind);
  }
  if constexpr (requires { loaded.value.id; })
    check_id(loaded.value.id, file, fmt::format("{}.id", kind_name(kKind)), reader);
  check(loaded.value, reader);
  reader.finish();
  loaded.leaves = reader.leaves();
  loaded.notes = reader.notes();
  return loaded;
}
template Loaded<ChipSpec> read(const Node&, const std::string&);
template Loaded<SystemSpec> read(const Node&, const std::string&);
template Loaded<StackSpec> read(const Node&, const std::string&);
template Loaded<ModelSpec> read(const Node&, const std::string&);
template Loaded<ScenarioSpec> read(const Node&, const std::string&);
template Loaded<Graph> read(const Node&, const std::string&);
template Loaded<SuiteSpec> read(const Node&, const std::string&);

AccuracyTable read_accuracy(const Node& node, const std::string& file) {
  if (!node.is_map())
    throw ConfigError(
        Diagnostic{{file, 0, 0}, "", "expected a map of keys", "scripts/validation_report.py writes it"});
  AccuracyTable table;
  Reader reader(node, "", Provenance::Plain);
  describe(reader, table);
  reader.finish();
  return table;
}

Operator read_operator(const Node& node) {
  Operator o;
  Reader reader(node, "", Provenance::Plain);
  describe(reader, o);
  check_attention(o, "", reader);
  check_groups(o, "", reader);
  reader.finish();
  return o;
}

std::string schema(FileKind kind) {
  return with_description(kind, [&](const Describe& d) {
    return to_schema(d, fmt::format("XPUSim {}", kind_name(kind)), provenance(kind),
                     provenance(kind) == Provenance::Required)
               .dump(2) +
           "\n";
  });
}

std::string reference() {
  std::string text =
      "# Reference of the input files\n\nGenerated by `xpusim config docs` from the descriptions in "
      "`sim/xpusim/spec`; CI compares. In chip, system and stack "
      "files every value is written `{value: 3.2 TB/s, basis: datasheet, source: ..., range: [low, high]}` "
      "(range and note may be left out), with "
      "basis one of " +
      join(kBases) + "; names and notes are plain. `base: id` inherits another file of the kind.\n";
  for (std::size_t i = 0; i < kFileKindNames.size(); ++i)
    text += fmt::format("\n## {} ({}/*.yaml)\n\n", kFileKindNames[i], kFileKindFolders[i]) +
            with_description(static_cast<FileKind>(i), [](const Describe& d) { return to_markdown(d); });
  return text;
}

}  // namespace xpusim::config
