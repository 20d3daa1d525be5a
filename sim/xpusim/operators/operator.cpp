#include "xpusim/operators/operator.h"

namespace xpusim {
namespace {

constexpr std::size_t kFirstCollective = kProducts + kRowwiseKindNames.size();

struct PlaceOfKind {
  std::size_t operator()(const GemmShape&) const { return 0; }
  std::size_t operator()(const AttentionShape&) const { return 1; }
  std::size_t operator()(const GroupedGemmShape&) const { return 2; }
  std::size_t operator()(const LinearScanShape&) const { return 3; }
  std::size_t operator()(const RowwiseShape& r) const { return kProducts + static_cast<std::size_t>(r.kind); }
  std::size_t operator()(const CollectiveShape& c) const {
    return kFirstCollective + static_cast<std::size_t>(c.kind);
  }
};

}  // namespace

OpKind kind_of(const Work& work) { return static_cast<OpKind>(std::visit(PlaceOfKind{}, work)); }

Work work_of(OpKind kind) {
  const auto place = static_cast<std::size_t>(kind);
  if (place == 0) return GemmShape{};
  if (place == 1) return AttentionShape{};
  if (place == 2) return GroupedGemmShape{};
  if (place == 3) return LinearScanShape{};
  if (place < kFirstCollective) return RowwiseShape{.kind = static_cast<RowwiseKind>(place - kProducts)};
  return CollectiveShape{.kind = static_cast<CollectiveKind>(place - kFirstCollective), .library = {}};
}

void describe(Fields& f, Operator& c) {
  f.label("name", c.name, "name, unique in its section", true);
  OpKind kind = kind_of(c);
  f.choose("op", kind, "what is computed", [&](Fields& members) {
    if (kind != kind_of(c)) c.work = work_of(kind);
    std::visit([&members](auto& shape) { describe(members, shape); }, c.work);
  });
  f.optional("after", c.after,
             "operators of this section that come before; default: the last that is not overlapped");
}

Cost cost(const Operator& o) {
  return std::visit([](const auto& shape) { return cost(shape); }, o.work);
}

std::string_view accuracy_class(const Operator& o) {
  return std::visit([](const auto& shape) { return accuracy_class(shape); }, o.work);
}

Extents accuracy_extents(const Operator& o) {
  return std::visit([](const auto& shape) { return accuracy_extents(shape); }, o.work);
}

Operator sample_of(const Operator& o) {
  Operator part = o;
  std::visit([&part](const auto& shape) { part.work = sample_of(shape); }, o.work);
  return part;
}

}  // namespace xpusim
