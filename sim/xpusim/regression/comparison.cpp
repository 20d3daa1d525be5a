#include "xpusim/regression/comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace xpusim::regression {
namespace {

Change change_of(Metric m, const CaseRecord* before, const CaseRecord* now, const Case* guarded) {
  const auto value = [m](const CaseRecord* c) -> std::optional<double> {
    if (c == nullptr) return std::nullopt;
    const auto found = c->metrics.find(m);
    return found == c->metrics.end() ? std::nullopt : std::optional(found->second);
  };
  Change change{m, value(before), value(now), 0, kTolerancePct};
  if (guarded != nullptr)
    if (const auto found = guarded->tolerance_pct.find(m); found != guarded->tolerance_pct.end())
      change.tolerance_pct = found->second;
  if (!change.before || !change.now) return change;
  const double delta = *change.now - *change.before;
  change.change_pct = delta;
  if (!is_percentage(m) && delta != 0) change.change_pct = 100 * delta / std::abs(*change.before);
  return change;
}

void sort_by_size(std::vector<Contribution>& list) {
  std::erase_if(list, [](const Contribution& c) { return c.us == 0 && c.bound_before == c.bound_now; });
  std::stable_sort(list.begin(), list.end(), [](const Contribution& a, const Contribution& b) {
    return std::abs(a.us) > std::abs(b.us);
  });
}

std::vector<Contribution> by_cause(const CaseRecord& before, const CaseRecord& now) {
  std::map<std::string, double> change;
  for (const auto& [cause, us] : now.causes_us) change[cause] += us;
  for (const auto& [cause, us] : before.causes_us) change[cause] -= us;
  std::vector<Contribution> list;
  for (const auto& [cause, us] : change) list.push_back({cause, "", "", "", us});
  sort_by_size(list);
  return list;
}

/// The record with small operators that the baseline counts to its rest counted there, too.
CaseRecord folded_like(const CaseRecord& baseline, const CaseRecord& now) {
  if (!baseline.operators.contains(kRest)) return now;
  const double least = 2 * kSmallShare * operator_us(now);
  return folded(now, [&](const std::string& name, const OperatorRecord& o) {
    return name == kRest || (!baseline.operators.contains(name) && o.us < least);
  });
}

std::vector<Contribution> by_operator(const CaseRecord& before, const CaseRecord& now) {
  std::map<std::string, Contribution> list;
  for (const auto& [name, o] : now.operators) list[name] = {name, o.kind, "", o.bound, o.us};
  for (const auto& [name, o] : before.operators) {
    Contribution& c = list[name];
    c.name = name;
    c.kind = o.kind;
    c.bound_before = o.bound;
    c.us -= o.us;
  }
  std::vector<Contribution> sorted;
  for (auto& [name, c] : list) sorted.push_back(std::move(c));
  sort_by_size(sorted);
  return sorted;
}

std::vector<Contribution> by_class(const std::vector<Contribution>& operators) {
  std::map<std::string, double> sums;
  for (const Contribution& o : operators) sums[o.kind] += o.us;
  std::vector<Contribution> list;
  for (const auto& [kind, us] : sums) list.push_back({kind, "", "", "", us});
  sort_by_size(list);
  return list;
}

std::optional<double> error_pct(const CaseRecord& c, const std::optional<MeasuredTime>& measured) {
  const auto time = c.metrics.find(Metric::TimeUs);
  if (!measured || time == c.metrics.end()) return std::nullopt;
  return 100 * (time->second / (measured->time.count() * 1e6) - 1);
}

std::vector<Change> changes_of(const CaseRecord* before, const CaseRecord* now, const Case* guarded) {
  std::set<Metric> metrics;
  for (const CaseRecord* c : {before, now})
    if (c != nullptr)
      for (const auto& [m, value] : c->metrics) metrics.insert(m);
  std::vector<Change> list;
  for (const Metric m : metrics) list.push_back(change_of(m, before, now, guarded));
  std::stable_sort(list.begin(), list.end(), [](const Change& a, const Change& b) {
    return std::abs(a.change_pct) > std::abs(b.change_pct);
  });
  return list;
}

CaseComparison compare(const std::string& id, const CaseRecord* before, const CaseRecord* now,
                       const Case* guarded) {
  CaseComparison c;
  c.id = id;
  if (guarded != nullptr) c.measured = guarded->measured;
  c.changes = changes_of(before, now, guarded);
  if (before != nullptr) {
    c.bound_before = before->bound;
    c.refused_before = before->refused;
    c.error_before_pct = error_pct(*before, c.measured);
  }
  if (now != nullptr) {
    c.bound_now = now->bound;
    c.refused_now = now->refused;
    c.inputs = now->inputs;
    c.error_now_pct = error_pct(*now, c.measured);
  }
  if (before == nullptr || now == nullptr) {
    c.verdict = before == nullptr ? Verdict::New : Verdict::Removed;
    return c;
  }
  c.inputs_differ = before->config != now->config;
  const bool moved =
      before->refused != now->refused ||
      std::any_of(c.changes.begin(), c.changes.end(), [](const Change& x) { return x.beyond(); });
  if (!moved) return c;
  c.verdict = Verdict::Changed;
  const CaseRecord comparable = folded_like(*before, *now);
  c.causes = by_cause(*before, comparable);
  c.operators = by_operator(*before, comparable);
  c.classes = by_class(c.operators);
  return c;
}

std::vector<InputChange> changed_inputs(const Baseline& before, const Baseline& now) {
  std::vector<InputChange> list;
  for (const auto& [input, groups] : now.inputs) {
    const auto old = before.inputs.find(input);
    if (old == before.inputs.end()) continue;  // of a new case
    std::map<std::pair<std::string, std::string>, std::pair<std::string, std::string>> texts;
    for (const auto& [group, values] : old->second)
      for (const auto& [path, text] : values) texts[{group, path}].first = text;
    for (const auto& [group, values] : groups)
      for (const auto& [path, text] : values) texts[{group, path}].second = text;
    for (const auto& [place, text] : texts)
      if (text.first != text.second)
        list.push_back({input, place.first == "general" ? place.second : place.first + "." + place.second,
                        text.first, text.second});
  }
  return list;
}

/// Changed, new, removed, same; in each, the largest change first.
int rank_of(Verdict v) {
  switch (v) {
    case Verdict::Changed:
      return 0;
    case Verdict::New:
      return 1;
    case Verdict::Removed:
      return 2;
    case Verdict::Same:
      break;
  }
  return 3;
}

}  // namespace

bool Change::beyond() const {
  if (!before || !now) return true;
  return *before != *now && (std::abs(change_pct) > tolerance_pct || !std::isfinite(change_pct));
}

double CaseComparison::largest_pct() const {
  double most = refused_before != refused_now ? std::numeric_limits<double>::infinity() : 0;
  for (const Change& c : changes) most = std::max(most, std::abs(c.change_pct));
  return most;
}

std::size_t Comparison::count(Verdict v) const {
  return static_cast<std::size_t>(
      std::count_if(cases.begin(), cases.end(), [v](const CaseComparison& c) { return c.verdict == v; }));
}

Comparison compare(const Suite& suite, const Baseline& before, const Baseline& now) {
  Comparison all;
  all.suite = suite.name;
  all.file = suite.file;
  all.reason = before.reason;
  all.model_before = before.model;
  all.model_now = now.model;
  std::map<std::string, const Case*> guarded;
  for (const Case& c : suite.cases) guarded[c.id] = &c;
  const auto find = [](const auto& map, const std::string& id) {
    const auto found = map.find(id);
    return found == map.end() ? nullptr : &found->second;
  };
  for (const auto& [id, c] : guarded)
    all.cases.push_back(compare(id, find(before.cases, id), find(now.cases, id), c));
  for (const auto& [id, record] : before.cases)
    if (!guarded.contains(id)) all.cases.push_back(compare(id, &record, nullptr, nullptr));
  std::stable_sort(all.cases.begin(), all.cases.end(), [](const CaseComparison& a, const CaseComparison& b) {
    return std::pair(rank_of(a.verdict), -a.largest_pct()) < std::pair(rank_of(b.verdict), -b.largest_pct());
  });
  all.inputs = changed_inputs(before, now);
  std::set<std::string_view> changed;
  for (const InputChange& c : all.inputs) changed.insert(c.input);
  for (CaseComparison& c : all.cases)
    for (const std::string& input : c.inputs)
      if (changed.contains(input)) c.changed_inputs.push_back(input);
  return all;
}

}  // namespace xpusim::regression
