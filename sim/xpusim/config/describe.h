#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "xpusim/config/reader.h"
#include "xpusim/core/fields.h"

/// Further visitors of the descriptions: the resolved values, the JSON Schema, the reference for people.
namespace xpusim::config {

/// The struct as YAML, every value written out. With `leaves`, each line ends in where its value came from.
[[nodiscard]] std::string to_yaml(const Describe& describe_root, const std::string& root_path,
                                  const Leaves* leaves);

/// The struct as JSON, numbers in SI base units.
[[nodiscard]] nlohmann::ordered_json to_json(const Describe& describe_root);

/// JSON Schema draft-07 (the newest that editors' YAML plug-ins know).
[[nodiscard]] nlohmann::ordered_json to_schema(const Describe& describe_root, const std::string& title,
                                               Provenance provenance, bool may_inherit);

/// A Markdown table: key, type or unit, range, default, help.
[[nodiscard]] std::string to_markdown(const Describe& describe_root);

template <class T>
Describe describer(T& value) {
  return [&value](Fields& f) { describe(f, value); };
}

}  // namespace xpusim::config
