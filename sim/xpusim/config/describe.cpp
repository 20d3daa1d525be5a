#include "xpusim/config/describe.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "xpusim/config/scalars.h"
#include "xpusim/core/text.h"

namespace xpusim::config {
namespace {

using Json = nlohmann::ordered_json;

/// Walks the values that are there and writes them as block-style YAML.
class YamlWriter : public Fields {
 public:
  YamlWriter(std::string path, const Leaves* leaves) : path_(std::move(path)), leaves_(leaves) {}
  std::string take() { return std::move(out_); }

 protected:
  void scalar(const FieldInfo& info, const Scalar& s) override {
    std::string line = margin();
    line += info.key.empty() ? format(s) : fmt::format("{}: {}", info.key, format(s));
    if (leaves_ != nullptr) line = fmt::format("{:<44}  # {}", line, origin(child(info.key)));
    out_ += line + '\n';
  }
  void group(const FieldInfo& info, const Describe& members) override { nest(info.key, members); }
  void optional_group(const FieldInfo& info, bool present, const std::function<void()>&,
                      const Describe& members) override {
    if (present) nest(info.key, members);
  }
  void sequence(const FieldInfo& info, const Sequence& handle) override {
    if (handle.size() == 0) return;
    nest(info.key, [&](Fields&) {
      const std::string outer = path_;
      for (std::size_t i = 0; i < handle.size(); ++i) {
        path_ = fmt::format("{}[{}]", outer, i);
        begins_element_ = true;
        ++depth_;  // the dash stands in the margin of what the element holds
        handle.visit(*this, i, FieldInfo{"", info.help, true, info.range, info.plain});
        --depth_;
      }
      path_ = outer;
    });
  }
  void dictionary(const FieldInfo& info, const Dictionary& handle) override {
    nest(info.key, [&](Fields& f) {
      for (const std::string& key : handle.keys()) {
        const std::string written = yaml_text(key);
        handle.visit(f, key, FieldInfo{written, info.help, true, info.range, info.plain});
      }
    });
  }

 private:
  /// What stands left of a line: its indent, with the dash where it is the first of a list element.
  std::string margin() {
    std::string text(static_cast<std::size_t>(depth_) * 2, ' ');
    if (std::exchange(begins_element_, false)) text.replace(text.size() - 2, 2, "- ");
    return text;
  }
  void nest(std::string_view key, const Describe& members) {
    if (key.empty()) return members(*this);
    out_ += fmt::format("{}{}:\n", margin(), key);
    const std::string outer = std::exchange(path_, child(key));
    ++depth_;
    members(*this);
    --depth_;
    path_ = outer;
  }
  [[nodiscard]] std::string child(std::string_view key) const {
    return key.empty() ? path_ : path_ + "." + std::string(key);
  }
  [[nodiscard]] std::string origin(const std::string& path) const {
    const auto leaf = leaves_->find(path);
    if (leaf == leaves_->end()) return "default";
    const SourceLocation at = leaf->second.where.location();
    std::string text = at.line > 0 ? fmt::format("{}:{}", at.file, at.line) : at.file;
    if (!leaf->second.source.empty()) text += fmt::format(" {}: {}", leaf->second.basis, leaf->second.source);
    if (!leaf->second.range.empty()) text += " range " + leaf->second.range;
    return text;
  }

  std::string path_;
  const Leaves* leaves_;
  std::string out_;
  int depth_ = 0;
  bool begins_element_ = false;
};

class JsonWriter : public Fields {
 public:
  Json take() { return std::move(root_); }

 protected:
  void scalar(const FieldInfo& info, const Scalar& s) override {
    Json& slot = (*at_)[std::string(info.key)];
    std::visit([&](const auto& v) { slot = v; }, s.get());
  }
  void group(const FieldInfo& info, const Describe& members) override { nest(info.key, members); }
  void optional_group(const FieldInfo& info, bool present, const std::function<void()>&,
                      const Describe& members) override {
    if (present) nest(info.key, members);
  }
  void sequence(const FieldInfo& info, const Sequence& handle) override {
    Json list = Json::array();
    for (std::size_t i = 0; i < handle.size(); ++i) {
      JsonWriter element;
      handle.visit(element, i, FieldInfo{"", "", true, {}, true});
      list.push_back(element.take()[""]);
    }
    (*at_)[std::string(info.key)] = std::move(list);
  }
  void dictionary(const FieldInfo& info, const Dictionary& handle) override {
    nest(info.key, [&](Fields& f) {
      for (const std::string& key : handle.keys()) handle.visit(f, key, FieldInfo{key, "", true, {}, true});
    });
  }

 private:
  void nest(std::string_view key, const Describe& members) {
    Json* outer = at_;
    (*at_)[std::string(key)] = Json::object();
    at_ = &(*outer)[std::string(key)];
    members(*this);
    at_ = outer;
  }
  Json root_ = Json::object();
  Json* at_ = &root_;
};

class SchemaWriter : public Fields {
 public:
  SchemaWriter(Provenance provenance, bool may_inherit)
      : provenance_(provenance), may_inherit_(may_inherit) {}

  Json take() {
    Json schema = {
        {"type", "object"}, {"additionalProperties", false}, {"properties", std::move(properties_)}};
    if (!required_.empty() && !may_inherit_) schema["required"] = std::move(required_);
    if (!conditions_.empty()) schema["allOf"] = std::move(conditions_);
    return schema;
  }

 protected:
  void alternatives(const FieldInfo& info, const Scalar& choice, const Describe& describe_chosen) override {
    add(info, scalar_schema(info, choice));
    const ScalarValue original = choice.get();
    for (const std::string_view value : choice.choices) {
      choice.set(std::string(value));
      SchemaWriter chosen(provenance_, may_inherit_);
      describe_chosen(chosen);
      Json part = chosen.take();
      const Json condition = {{"properties", {{std::string(info.key), {{"const", std::string(value)}}}}}};
      if (part.contains("required"))
        conditions_.push_back({{"if", condition}, {"then", {{"required", part["required"]}}}});
      for (auto& [key, schema] : part["properties"].items()) merge(properties_[key], schema);
    }
    choice.set(original);
  }

  void scalar(const FieldInfo& info, const Scalar& s) override {
    Json schema = scalar_schema(info, s);
    add(info, provenance_ == Provenance::Required && !info.plain ? with_source(std::move(schema))
                                                                 : std::move(schema));
  }
  void group(const FieldInfo& info, const Describe& members) override { add(info, nested(members)); }
  void optional_group(const FieldInfo& info, bool, const std::function<void()>&,
                      const Describe& members) override {
    add(info, nested(members));
  }
  void sequence(const FieldInfo& info, const Sequence& handle) override {
    handle.resize(1);
    SchemaWriter element(provenance_, false);
    handle.visit(element, 0, FieldInfo{"", info.help, true, info.range, info.plain});
    handle.resize(0);
    add(info, {{"type", "array"}, {"items", element.properties_[""]}});
  }
  void dictionary(const FieldInfo& info, const Dictionary& handle) override {
    SchemaWriter entries(provenance_, true);
    for (const std::string_view key : handle.key_choices)
      handle.visit(entries, std::string(key), FieldInfo{key, info.help, false, info.range, info.plain});
    if (!handle.key_choices.empty())
      return add(info,
                 {{"type", "object"}, {"additionalProperties", false}, {"properties", entries.properties_}});
    handle.visit(entries, "any", FieldInfo{"any", info.help, false, info.range, info.plain});
    add(info, {{"type", "object"}, {"additionalProperties", entries.properties_["any"]}});
  }

 private:
  void add(const FieldInfo& info, Json schema) {
    schema["description"] = std::string(info.help);
    properties_[std::string(info.key)] = std::move(schema);
    if (info.required) required_.push_back(std::string(info.key));
  }
  /// Of a group that several kinds have, the members of all of them.
  static void merge(Json& known, const Json& schema) {
    if (known.contains("properties") && schema.contains("properties"))
      known["properties"].update(schema["properties"]);
    else
      known = schema;
  }
  Json nested(const Describe& members) const {
    SchemaWriter w(provenance_, may_inherit_);
    members(w);
    return w.take();
  }
  static Json scalar_schema(const FieldInfo& info, const Scalar& s) {
    Json j;
    switch (s.type) {
      case ScalarType::Text:
        return {{"type", "string"}};
      case ScalarType::Boolean:
        return {{"type", "boolean"}};
      case ScalarType::Choice:
        return {{"enum", s.choices}};
      case ScalarType::Quantity: {
        std::string units;
        for (const UnitName& u : s.dimension->units)
          units += (units.empty() ? "" : "|") + std::string(u.text);
        return {{"type", "string"},
                {"pattern", fmt::format("^[-+0-9.eE]+ *({})$", units)},
                {"examples", {s.dimension->example}}};
      }
      case ScalarType::Integer:
      case ScalarType::Real:
        j["type"] = s.type == ScalarType::Integer ? "integer" : "number";
    }
    if (std::isfinite(info.range.low))
      j[info.range.low_is_open ? "exclusiveMinimum" : "minimum"] = info.range.low;
    if (std::isfinite(info.range.high)) j["maximum"] = info.range.high;
    return j;
  }
  static Json with_source(Json value) {
    return {{"type", "object"},
            {"additionalProperties", false},
            {"required", {"value", "basis", "source"}},
            {"properties",
             {{"value", std::move(value)},
              {"basis", {{"enum", kBases}}},
              {"source", {{"type", "string"}, {"minLength", 1}}},
              {"range", {{"type", "array"}, {"minItems", 2}, {"maxItems", 2}}},
              {"note", {{"type", "string"}}}}}};
  }

  Provenance provenance_;
  bool may_inherit_;
  Json properties_ = Json::object();
  Json required_ = Json::array();
  Json conditions_ = Json::array();
};

class MarkdownWriter : public Fields {
 public:
  std::string take() { return "| key | value | default | meaning |\n|---|---|---|---|\n" + out_; }

 protected:
  void alternatives(const FieldInfo& info, const Scalar& choice, const Describe& describe_chosen) override {
    scalar(info, choice);
    const ScalarValue original = choice.get();
    std::string seen;  // kinds that share their members are listed once
    for (const std::string_view value : choice.choices) {
      choice.set(std::string(value));
      MarkdownWriter chosen;
      chosen.path_ = path_;
      describe_chosen(chosen);
      if (chosen.out_ == seen) continue;
      seen = chosen.out_;
      out_ += fmt::format("| *from `{}: {}` on* | | | |\n{}", info.key, value, seen);
    }
    choice.set(original);
  }

  void scalar(const FieldInfo& info, const Scalar& s) override {
    out_ += fmt::format("| `{}{}` | {} | {} | {} |\n", path_, info.key, type(info, s),
                        info.required ? "**required**" : fmt::format("`{}`", format(s)), info.help);
  }
  void group(const FieldInfo& info, const Describe& members) override {
    nest(std::string(info.key) + ".", members);
  }
  void optional_group(const FieldInfo& info, bool, const std::function<void()>&,
                      const Describe& members) override {
    out_ += fmt::format("| `{}{}` | group | *absent* | {} |\n", path_, info.key, info.help);
    nest(std::string(info.key) + ".", members);
  }
  void sequence(const FieldInfo& info, const Sequence& handle) override {
    handle.resize(1);
    nest("", [&](Fields& f) {
      handle.visit(
          f, 0, FieldInfo{fmt::format("{}[i]", info.key), info.help, info.required, info.range, info.plain});
    });
    handle.resize(0);
  }
  void dictionary(const FieldInfo& info, const Dictionary& handle) override {
    const std::string example(handle.key_choices.empty() ? "name" : handle.key_choices.front());
    nest("", [&](Fields& f) {
      const std::string key = fmt::format("{}.<{}>", info.key, join(handle.key_choices, "/"));
      handle.visit(f, example, FieldInfo{key, info.help, true, info.range, info.plain});
    });
  }

 private:
  void nest(const std::string& prefix, const Describe& members) {
    const std::string outer = path_;
    path_ += prefix;
    members(*this);
    path_ = outer;
  }
  static std::string type(const FieldInfo& info, const Scalar& s) {
    std::string text;
    switch (s.type) {
      case ScalarType::Text:
        return "text";
      case ScalarType::Boolean:
        return "true, false";
      case ScalarType::Choice:
        return join(s.choices);
      case ScalarType::Quantity:
        text = fmt::format("{}, e.g. {}", s.dimension->name, s.dimension->example);
        break;
      case ScalarType::Integer:
        text = "whole number";
        break;
      case ScalarType::Real:
        text = "number";
        break;
    }
    const Range& r = info.range;
    if (s.dimension != nullptr) {
      text += "; " + format(r, s.dimension);
      const std::string known = format_known(r, *s.dimension);
      return known.empty() ? text : text + "; devices have " + known;
    }
    if (std::isfinite(r.low)) text += fmt::format(" {} {}", r.low_is_open ? ">" : ">=", r.low);
    if (std::isfinite(r.high)) text += fmt::format(" <= {}", r.high);
    return text;
  }

  std::string path_;
  std::string out_;
};

}  // namespace

std::string to_yaml(const Describe& describe_root, const std::string& root_path, const Leaves* leaves) {
  YamlWriter w(root_path, leaves);
  describe_root(w);
  return w.take();
}

Json to_json(const Describe& describe_root) {
  JsonWriter w;
  describe_root(w);
  return w.take();
}

Json to_schema(const Describe& describe_root, const std::string& title, Provenance provenance,
               bool may_inherit) {
  SchemaWriter w(provenance, may_inherit);
  describe_root(w);
  Json schema = {{"$schema", "http://json-schema.org/draft-07/schema#"}, {"title", title}};
  schema.update(w.take());
  if (may_inherit)
    schema["properties"]["base"] = {{"type", "string"},
                                    {"description", "file of the same folder to inherit from"}};
  return schema;
}

std::string to_markdown(const Describe& describe_root) {
  MarkdownWriter w;
  describe_root(w);
  return w.take();
}

}  // namespace xpusim::config
