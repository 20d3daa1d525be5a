#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "support/temporary_folder.h"
#include "xpusim/config/library.h"

/// Files with mistakes, and what their author reads.
namespace xpusim::config {

/// A library of the shipped chips, systems and stacks, to which a test adds one file: "test" of its kind's
/// folder.
class Mistakes : public testing::Test {
 protected:
  Mistakes() : library_(folder_.path()) {
    for (const char* name : {"configs/chips", "configs/systems", "configs/stacks"}) {
      std::filesystem::create_directories(folder_.path() / name);
      std::filesystem::copy(std::filesystem::path(XPUSIM_SOURCE_ROOT) / name, folder_.path() / name);
    }
  }

  void write(FileKind kind, const std::string& text, const std::string& id = "test") const {
    folder_.write(std::string(kFileKindFolders[static_cast<std::size_t>(kind)]) + "/" + id + ".yaml", text);
  }
  /// What loading the file of this text says; folders left out of the message.
  [[nodiscard]] std::string in(FileKind kind, const std::string& text, const std::string& id = "test") const {
    write(kind, text, id);
    return message([&] { check_file(library_, kind, library_.find(kind, id)); });
  }
  template <class F>
  [[nodiscard]] std::string message(const F& load) const {
    try {
      load();
    } catch (const ConfigError& e) {
      return without_folders(e.what());
    }
    return "no mistake";
  }
  [[nodiscard]] const Library& library() const { return library_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  [[nodiscard]] std::string without_folders(std::string text) const {
    for (const std::string_view kind_folder : kFileKindFolders) {
      const std::string prefix = (folder_.path() / kind_folder).string() + "/";
      for (std::size_t at = 0; (at = text.find(prefix)) != std::string::npos;) text.erase(at, prefix.size());
    }
    return text;
  }

  test::TemporaryFolder folder_;
  Library library_;
};

inline const std::string kModel = R"(id: test
name: Test
source: nowhere
layers: 2
hidden: 64
heads: 8
kv_heads: 2
head_dim: 8
ffn: 128
ffn_gated: true
vocab: 100
norm: rmsnorm
position: rope
max_position: 1024
)";

inline const std::string kScenario = R"(name: Test
model: test
system: dgx_h100
phase: decode
batch: 8
context: 100
precision: {weights: bf16}
)";

inline const std::string kTrace = R"(name: Test
sections:
  - name: block
    operators:
      - {name: product, op: gemm, m: 16, n: 16, k: 16}
      - {name: sum, op: add, rows: 16, cols: 16, after: [product]}
)";

inline const std::string kStack = R"(id: test
name: Test
gradients: {value: fp32, basis: recalled, source: nowhere}
)";

/// A chip like a shipped one, with changes below line 4.
inline const std::string kChip = R"(base: h100_sxm
id: test
name: Test
)";

}  // namespace xpusim::config
