#pragma once
#include <string>

namespace xpusim::app {

struct ModelArguments {
  std::string file;    ///< config.json of Hugging Face
  std::string output;  ///< file to write; empty or "-": stdout
  std::string id;      ///< empty: as the output, the file or its folder is called
};
/// Prints or writes the model of another tool's file.
void model_import(const ModelArguments&);

}  // namespace xpusim::app
