#pragma once
#include <string>
#include <vector>

#include "xpusim/config/json_keys.h"
#include "xpusim/spec/model.h"

/// Models from the config.json of Hugging Face's transformers.
namespace xpusim::config {

/// A model, and what became of each key of its file.
struct ImportedModel {
  ModelSpec model;
  std::string file;
  std::string architecture;      ///< as the format names it
  std::vector<KeyNote> taken;    ///< keys, and the values of the model that they gave
  std::vector<KeyNote> ignored;  ///< keys, and why
  std::vector<KeyNote> assumed;  ///< values of the model that no key gives, and on what ground
};

/// Reads a config.json. `id` of the model: empty: as the file, its folder or _name_or_path says. Throws
/// ConfigError with every mistake at once, and with the known architectures where that one is not.
[[nodiscard]] ImportedModel import_huggingface(const std::string& json_text, const std::string& file,
                                               const std::string& id = {});

/// The model as a file of XPUSim, with comments that say what came from where.
[[nodiscard]] std::string to_yaml(const ImportedModel&);

/// Text as an id: lower-case letters, digits and _.
[[nodiscard]] std::string as_id(std::string_view text);

}  // namespace xpusim::config
