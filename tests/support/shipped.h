#pragma once
#include <string>
#include <vector>

#include "xpusim/config/library.h"

/// The shipped configs and workloads, read from the source tree.
namespace xpusim::test {

inline const config::Library& library() {
  static const config::Library shipped{XPUSIM_SOURCE_ROOT};
  return shipped;
}

inline ChipSpec chip(const std::string& id) { return library().chip(id).value; }
inline SystemSpec system(const std::string& id) { return library().system(id).value; }
inline StackSpec stack(const std::string& id) { return library().stack(id).value; }
inline ModelSpec model(const std::string& id) { return library().model(id).value; }
inline ScenarioSpec scenario(const std::string& id) { return library().scenario(id).value; }

/// All shipped chips, in the order of their ids.
inline const std::vector<ChipSpec>& chips() {
  static const std::vector<ChipSpec> all = [] {
    std::vector<ChipSpec> list;
    for (const std::string& id : library().list(config::FileKind::Chip)) list.push_back(chip(id));
    return list;
  }();
  return all;
}

/// A 16-bit type of the chip's matrix engine: bf16 where it has that.
inline Dtype half_type(const ChipSpec& c) {
  return c.matrix.flops_per_cycle.contains(Dtype::Bf16) ? Dtype::Bf16 : Dtype::Fp16;
}

}  // namespace xpusim::test
