#include <gtest/gtest.h>

#include <filesystem>

#include "fuzz/config_input.h"
#include "support/temporary_folder.h"

/// Replays the corpus of the fuzz target, which holds every input that once broke the reader.
namespace xpusim::test {
namespace {

const std::filesystem::path kCorpus = std::filesystem::path(XPUSIM_SOURCE_ROOT) / "tests" / "fuzz" / "corpus";

TEST(Corpus, NothingButConfigErrorEscapes) {
  int inputs = 0;
  for (const auto& file : std::filesystem::directory_iterator(kCorpus)) {
    ++inputs;
    try {
      read_config_input(read_text(file.path()));
    } catch (const ConfigError& e) {
      EXPECT_FALSE(e.diagnostics().empty()) << file.path();
    } catch (const std::exception& e) {
      ADD_FAILURE() << file.path() << ": " << e.what();
    }
  }
  EXPECT_GT(inputs, 20);
}

TEST(Corpus, HasAValidSeedOfEachKind) {
  for (const std::string_view kind : config::kFileKindNames) {
    const std::string seed = read_text(kCorpus / kind);
    EXPECT_FALSE(seed.empty()) << kind;
    EXPECT_NO_THROW(read_config_input(seed)) << kind;
  }
  EXPECT_NO_THROW(read_config_input(read_text(kCorpus / "huggingface")));
}

}  // namespace
}  // namespace xpusim::test
