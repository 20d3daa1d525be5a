#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "xpusim/config/reader.h"
#include "xpusim/operators/graph.h"
#include "xpusim/spec/accuracy.h"
#include "xpusim/spec/chip.h"
#include "xpusim/spec/model.h"
#include "xpusim/spec/scenario.h"
#include "xpusim/spec/stack.h"
#include "xpusim/spec/suite.h"
#include "xpusim/spec/system.h"

/// The kinds of files that there are: how each is read and checked, and what describes it.
namespace xpusim::config {

/// The kinds of input files, and the folder of each below the library's root.
enum class FileKind : std::uint8_t { Chip, System, Stack, Model, Scenario, Trace, Suite };
inline constexpr std::array<std::string_view, 7> kFileKindNames = {"chip",     "system", "stack", "model",
                                                                   "scenario", "trace",  "suite"};
inline constexpr std::array<std::string_view, 7> kFileKindFolders = {
    "configs/chips",       "configs/systems",  "configs/stacks", "workloads/models",
    "workloads/scenarios", "workloads/traces", "tests/golden"};
[[nodiscard]] constexpr std::string_view kind_name(FileKind kind) {
  return kFileKindNames[static_cast<std::size_t>(kind)];
}
[[nodiscard]] std::optional<FileKind> file_kind(std::string_view name);
/// "chip, system, ... or suite".
[[nodiscard]] std::string kind_names();
/// The struct of each kind of file, in the order of FileKind.
using FileSpecs = std::tuple<ChipSpec, SystemSpec, StackSpec, ModelSpec, ScenarioSpec, Graph, SuiteSpec>;
template <class T, std::size_t I = 0>
[[nodiscard]] constexpr FileKind kind_of() {
  if constexpr (std::is_same_v<T, std::tuple_element_t<I, FileSpecs>>)
    return static_cast<FileKind>(I);
  else
    return kind_of<T, I + 1>();
}
/// Calls use(std::type_identity<T>{}) with the struct T of a kind.
template <std::size_t I = 0>
auto with_kind(FileKind kind, const auto& use) {
  if constexpr (I + 1 < std::tuple_size_v<FileSpecs>)
    if (kind != static_cast<FileKind>(I)) return with_kind<I + 1>(kind, use);
  return use(std::type_identity<std::tuple_element_t<I, FileSpecs>>{});
}
/// Chips, systems and stacks give a source for every number, and may inherit.
[[nodiscard]] constexpr Provenance provenance(FileKind kind) {
  const bool described = kind == FileKind::Chip || kind == FileKind::System || kind == FileKind::Stack;
  return described ? Provenance::Required : Provenance::Plain;
}

template <class T>
struct Loaded {
  T value;
  Leaves leaves;  ///< what was written, where, and on what ground
  std::string file;
  std::vector<Diagnostic> notes = {};  ///< values that may be meant, and are beyond what devices have
};

/// Throws ConfigError unless the document is a map of keys.
void require_map(const Node&, FileKind, const std::string& file);

/// The checked content of a file, T of FileSpecs.
template <class T>
[[nodiscard]] Loaded<T> read(const Node&, const std::string& file);
/// The errors of the validated classes (configs/accuracy.yaml).
[[nodiscard]] AccuracyTable read_accuracy(const Node&, const std::string& file);
/// One operator, its keys as in a trace.
[[nodiscard]] Operator read_operator(const Node&);

/// The JSON Schema of a kind, as text that ends in a newline.
[[nodiscard]] std::string schema(FileKind);
/// The reference of all kinds, in Markdown.
[[nodiscard]] std::string reference();

}  // namespace xpusim::config
