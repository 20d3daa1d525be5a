#include "xpusim/app/model.h"

#include <filesystem>
#include <iostream>

#include "xpusim/config/foreign.h"
#include "xpusim/config/huggingface.h"
#include "xpusim/config/node.h"
#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/report/file.h"

namespace xpusim::app {

void model_import(const ModelArguments& a) {
  const bool to_file = !a.output.empty() && a.output != "-";
  const std::string stem = to_file ? std::filesystem::path(a.output).stem().string() : a.id;
  if (to_file && !a.id.empty() && a.id != stem)
    throw ConfigError(Diagnostic{
        {a.output, 0, 0}, "id", in_quotes(a.id) + " is not the file's name", "write " + a.id + ".yaml"});
  const std::string text = config::read_file(a.file);
  const auto foreign = config::recognise(text, a.file);
  if (foreign && !foreign->is_model) throw config::foreign_error(*foreign, a.file);
  const std::string yaml = config::to_yaml(config::import_huggingface(text, a.file, stem));
  if (to_file)
    report::write_file(a.output, yaml);
  else
    std::cout << yaml;
}

}  // namespace xpusim::app
