#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "xpusim/core/dtype.h"

namespace xpusim::result {

/// In-order servers of one core.
enum class Engine : std::uint8_t { CopyIn, Feed, Matrix, Vector, Store, VectorIn, VectorOut };
inline constexpr std::size_t kEngines = 7;
inline constexpr std::array<std::string_view, kEngines> kEngineNames = {
    "copy_in", "operand_feed", "matrix", "vector", "store", "vector_in", "vector_out"};

/// What one device does in a run, counted: power and energy follow from it. docs/model.md#activity.
struct Activity {
  std::map<Dtype, double> flops;           ///< of matrix products, useful ones
  double vector_ops = 0, special_ops = 0;  ///< of elements, an FMA is one
  double l2_read_bytes = 0, l2_write_bytes = 0;
  double hbm_read_bytes = 0, hbm_write_bytes = 0;
  std::map<std::string, double> network_bytes;  ///< by level, over its most loaded link
  std::array<double, kEngines> busy_s{};        ///< by Engine: mean of the cores

  Activity& add(const Activity&, double times = 1);
};

}  // namespace xpusim::result
