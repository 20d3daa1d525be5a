#include "xpusim/regression/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <nlohmann/json.hpp>

#include "xpusim/config/describe.h"
#include "xpusim/config/scalars.h"
#include "xpusim/core/error.h"
#include "xpusim/core/text.h"

namespace xpusim::regression {
namespace {

/// In a flow map: numbers and quantities plain, other text as YAML wants it.
std::string flow_text(const std::string& text) {
  const auto is_plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view(" _./+-").find(c) != std::string::npos;
  };
  const bool number_first = !text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) != 0;
  return number_first && text.back() != ' ' && std::all_of(text.begin(), text.end(), is_plain)
             ? text
             : config::yaml_text(text);
}

template <class Map, class Key, class Value>
std::string flow_map(const Map& map, const Key& key, const Value& value) {
  std::string text;
  for (const auto& [k, v] : map) text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", key(k), value(v));
  return "{" + text + "}";
}

std::string number_text(double x) { return fmt::format("{:.7g}", x); }
std::string metric_text(Metric m) { return std::string(enum_name(m)); }

std::string to_text(const OperatorRecord& o) {
  return fmt::format("{{kind: {}, bound: {}, us: {}}}", o.kind, o.bound, number_text(o.us));
}

std::string to_text(const CaseRecord& c) {
  std::string names;
  for (const std::string& input : c.inputs) names += (names.empty() ? "" : ", ") + config::yaml_text(input);
  std::string text = fmt::format("    config: {}\n    inputs: [{}]\n", config::yaml_text(c.config), names);
  if (!c.refused.empty()) return text + fmt::format("    refused: {}\n", config::yaml_text(c.refused));
  if (!c.bound.empty()) text += fmt::format("    bound: {}\n", config::yaml_text(c.bound));
  text += fmt::format("    metrics: {}\n", flow_map(c.metrics, metric_text, number_text));
  if (!c.causes_us.empty())
    text += fmt::format("    causes_us: {}\n", flow_map(c.causes_us, config::yaml_text, number_text));
  if (!c.operators.empty()) text += "    operators:\n";
  for (const auto& [name, o] : c.operators)
    text += fmt::format("      {}: {}\n", config::yaml_text(name), to_text(o));
  return text;
}

template <class T>
T read(const config::Node& root) {
  T value;
  config::Reader reader(root, "", config::Provenance::Plain);
  describe(reader, value);
  reader.finish();
  return value;
}

/// A baseline of another time is not read, whatever it holds.
void check_schema(const config::Node& root, const std::string& file) {
  const config::Node* schema = root.is_map() ? root.find("schema") : nullptr;
  if (schema == nullptr)
    throw ConfigError(
        Diagnostic{{file, 1, 1},
                   "schema",
                   "this is no baseline of xpusim check",
                   "restore it from version control, or remove it and write a new one with --update"});
  if (schema->text != kSchema)
    throw OtherSchema(
        Diagnostic{schema->where.location(), "schema",
                   fmt::format("{}; this xpusim reads {}", in_quotes(schema->text), kSchema),
                   "migrate: check with the xpusim that wrote it, then write it anew with this one, "
                   "--update --reason 'schema'"});
}

Baseline baseline_of(const config::Node& root, const std::string& file) {
  check_schema(root, file);
  return read<Baseline>(root);
}

/// What `read` returns. One that is damaged, or half merged, is refused with a way out.
template <class Read>
Baseline whole(const std::string& file, const Read& read) {
  try {
    return read();
  } catch (const OtherSchema&) {
    throw;
  } catch (const ConfigError& e) {
    auto all = e.diagnostics();
    if (all.front().where.line > 0 && all.front().path != "schema")
      all.push_back({{file, 0, 0},
                     "",
                     "this baseline cannot be read",
                     "restore it from version control, or remove it and write a new one with --update"});
    throw ConfigError(std::move(all));
  }
}

}  // namespace

void describe(Fields& f, OperatorRecord& o) {
  f.label("kind", o.kind, "class of operators", true);
  f.label("bound", o.bound, "what most of its time is spent on", true);
  f.required("us", o.us, "time of all its runs");
}

void describe(Fields& f, CaseRecord& c) {
  f.label("config", c.config, "hash of the inputs", true);
  f.optional("inputs", c.inputs, "files that it read");
  f.label("refused", c.refused, "why it cannot run");
  f.label("bound", c.bound, "what most of its time is spent on");
  f.optional("metrics", c.metrics, "what is guarded");
  f.optional("causes_us", c.causes_us, "time by cause");
  f.optional("operators", c.operators, "time by operator");
}

void describe(Fields& f, Baseline& b) {
  f.label("schema", b.schema, "format of this file", true);
  f.label("model", b.model, "version of XPUSim", true);
  f.label("reason", b.reason, "why it was accepted", true);
  f.optional("inputs", b.inputs, "resolved values");
  f.optional("cases", b.cases, "outcomes by case");
}

double rounded(double x) {
  double kept = x;
  const std::string text = number_text(x);
  std::from_chars(text.data(), text.data() + text.size(), kept);  // in every locale
  return kept;
}

Baseline parse_baseline(const std::string& text, const std::string& file) {
  return whole(file, [&] { return baseline_of(config::parse_yaml(text, file), file); });
}

Baseline read_baseline(const std::string& file) {
  return whole(file, [&] { return baseline_of(config::read_yaml(file), file); });
}

std::string to_text(const Baseline& b) {
  std::string text = fmt::format(
      "# Written by `xpusim check --update`. A change of this file is a change of what is predicted.\n"
      "schema: {}\nmodel: {}\nreason: {}\ninputs:\n",
      b.schema, flow_text(b.model), config::yaml_text(b.reason));
  for (const auto& [name, groups] : b.inputs) {
    text += fmt::format("  {}:\n", config::yaml_text(name));
    for (const auto& [group, values] : groups)
      text += fmt::format("    {}: {}\n", config::yaml_text(group),
                          flow_map(values, config::yaml_text, flow_text));
  }
  text += "cases:\n";
  for (const auto& [name, c] : b.cases) text += fmt::format("  {}:\n", config::yaml_text(name)) + to_text(c);
  return text;
}

std::string to_message(const CaseRecord& c) {
  CaseRecord copy = c;
  return config::to_json(config::describer(copy))
      .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

CaseRecord parse_message(const std::string& text) {
  return read<CaseRecord>(config::parse_yaml(text, "a worker"));
}

double operator_us(const CaseRecord& c) {
  double all = 0;
  for (const auto& [name, o] : c.operators) all += o.us;
  return all;
}

CaseRecord folded(CaseRecord c, const IsSmall& is_small) {
  OperatorRecord rest{"other", "several", 0};
  std::erase_if(c.operators, [&](const auto& entry) {
    const bool small = is_small(entry.first, entry.second);
    if (small) rest.us += entry.second.us;
    return small;
  });
  if (rest.us > 0) c.operators[kRest] = rest;
  return c;
}

CaseRecord without_small(CaseRecord c) {
  const double least = kSmallShare * operator_us(c);
  return folded(std::move(c), [least](const std::string&, const OperatorRecord& o) { return o.us < least; });
}

}  // namespace xpusim::regression
