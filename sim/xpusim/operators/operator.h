#pragma once
#include <string>
#include <variant>
#include <vector>

#include "xpusim/operators/attention.h"
#include "xpusim/operators/collective.h"
#include "xpusim/operators/gemm.h"
#include "xpusim/operators/grouped_gemm.h"
#include "xpusim/operators/linear_scan.h"
#include "xpusim/operators/rowwise.h"

namespace xpusim {

/// What an operator does: exactly one shape. Whoever tells kinds apart visits it, without a default: the
/// compiler then names every place that a new kind has to be added to.
using Work =
    std::variant<GemmShape, AttentionShape, GroupedGemmShape, LinearScanShape, RowwiseShape, CollectiveShape>;

struct Operator {
  std::string name;
  Work work;
  /// Names of operators of the same section; empty: the last one above that is not an overlapped collective.
  std::vector<std::string> after;

  template <class Shape>
  [[nodiscard]] bool is() const {
    return std::holds_alternative<Shape>(work);
  }
  template <class Shape>
  [[nodiscard]] const Shape& as() const {
    return std::get<Shape>(work);
  }
  template <class Shape>
  [[nodiscard]] Shape& as() {
    return std::get<Shape>(work);
  }
};

[[nodiscard]] inline bool is_collective(const Operator& o) { return o.is<CollectiveShape>(); }
[[nodiscard]] inline bool is_rowwise(const Operator& o) { return o.is<RowwiseShape>(); }

/// The word for what an operator does, in files and in results.
enum class OpKind : std::uint8_t {
  Gemm,
  Attention,
  GroupedGemm,
  LinearScan
};  // then row-wise kinds, then collectives
inline constexpr std::size_t kProducts = 4;
inline constexpr auto kOpKindNames = [] {
  std::array<std::string_view, kProducts + kRowwiseKindNames.size() + kCollectiveKindNames.size()> all{
      "gemm", "attention", "grouped_gemm", "linear_scan"};
  auto* next = all.begin() + kProducts;
  for (const std::string_view name : kRowwiseKindNames) *next++ = name;
  for (const std::string_view name : kCollectiveKindNames) *next++ = name;
  return all;
}();
template <>
struct EnumNames<OpKind> {
  static constexpr std::span<const std::string_view> value = kOpKindNames;
};
[[nodiscard]] OpKind kind_of(const Work&);
[[nodiscard]] inline OpKind kind_of(const Operator& o) { return kind_of(o.work); }
[[nodiscard]] inline bool is_kind(const Operator& o, OpKind kind) { return kind_of(o) == kind; }
[[nodiscard]] inline bool is_kind(const Operator& o, RowwiseKind kind) {
  return is_rowwise(o) && o.as<RowwiseShape>().kind == kind;
}
[[nodiscard]] inline bool is_kind(const Operator& o, CollectiveKind kind) {
  return is_collective(o) && o.as<CollectiveShape>().kind == kind;
}
/// The shape that a word asks for, with the defaults of its members.
[[nodiscard]] Work work_of(OpKind);

void describe(Fields&, Operator&);
[[nodiscard]] Cost cost(const Operator&);
/// The class that an operator is validated in; empty for a collective.
[[nodiscard]] std::string_view accuracy_class(const Operator&);
[[nodiscard]] Extents accuracy_extents(const Operator&);
/// An operator like this one that is no longer than can be played in some hundredths of a second.
[[nodiscard]] Operator sample_of(const Operator&);

}  // namespace xpusim
