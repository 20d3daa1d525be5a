#include "xpusim/result/result.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "xpusim/result/version.h"

namespace xpusim::result {

std::string_view version() { return XPUSIM_VERSION; }

std::vector<ClassRow> by_class(const std::vector<OperatorRow>& operators) {
  std::vector<ClassRow> classes;
  for (const OperatorRow& o : operators) {
    auto row =
        std::find_if(classes.begin(), classes.end(), [&](const ClassRow& c) { return c.kind == o.kind; });
    if (row == classes.end()) {
      classes.push_back({o.kind, 0, Seconds(0), {}});
      row = std::prev(classes.end());
    }
    row->count += o.count;
    row->time += o.time * static_cast<double>(o.count);
    row->breakdown.add(o.breakdown, static_cast<double>(o.count));
  }
  std::stable_sort(classes.begin(), classes.end(),
                   [](const ClassRow& a, const ClassRow& b) { return a.time > b.time; });
  return classes;
}

void write_file(const std::string& path, const std::string& content) {
  namespace fs = std::filesystem;
  const fs::path target(path);
  std::error_code failed;
  if (target.has_parent_path()) fs::create_directories(target.parent_path(), failed);
  const fs::path partial = target.string() + ".partial." + std::to_string(::getpid());
  {
    std::ofstream out(partial, std::ios::binary);
    out << content;
    out.flush();
    if (!out) {
      fs::remove(partial, failed);
      throw std::runtime_error(
          path + ": cannot write the file (is the folder there and writable, and the disk not full?)");
    }
  }
  fs::rename(partial, target, failed);
  if (failed) {
    const std::string reason = failed.message();
    fs::remove(partial, failed);
    throw std::runtime_error(path + ": cannot write the file (" + reason + ")");
  }
}

}  // namespace xpusim::result
