#pragma once
#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "xpusim/config/describe.h"
#include "xpusim/config/huggingface.h"
#include "xpusim/config/library.h"

/// What the fuzz target does with one input, apart from libFuzzer, so that a plain test can replay the
/// corpus.
namespace xpusim::test {

/// What to_yaml writes of a struct reads back as the same struct.
template <class T>
void check_round_trip(T value, std::string_view root) {
  const std::string text = config::to_yaml(config::describer(value), std::string(root), nullptr);
  const config::Node node = config::parse_yaml(text, "written");
  T read;
  config::Reader reader(node, std::string(root), config::Provenance::Plain);
  describe(reader, read);
  reader.finish();
  if (config::to_json(config::describer(read)) != config::to_json(config::describer(value)))
    throw std::logic_error("not the struct that was written:\n" + text);
}

/// Input: a digit (0 chip, 1 system, 2 stack, 3 model, 4 scenario, 5 trace, 6 suite, 7 a config.json of
/// Hugging Face), then the text of a file named fuzz.yaml. Throws ConfigError when that is wrong in any way.
/// Anything else that it throws is a bug.
inline void read_config_input(std::string_view input) {
  if (input.empty()) return;
  const auto kind = static_cast<std::uint8_t>(input.front() - '0') % (config::kFileKindNames.size() + 1);
  if (kind == config::kFileKindNames.size())
    return check_round_trip(config::import_huggingface(std::string(input.substr(1)), "fuzz.json").model,
                            "model");
  const config::Node node = config::parse_yaml(std::string(input.substr(1)), "fuzz");
  config::with_kind(static_cast<config::FileKind>(kind), [&]<class T>(std::type_identity<T>) {
    check_round_trip(config::read<T>(node, "fuzz.yaml").value, config::kFileKindNames[kind]);
  });
}

}  // namespace xpusim::test
