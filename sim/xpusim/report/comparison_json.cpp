#include <cmath>
#include <nlohmann/json.hpp>

#include "xpusim/core/fields.h"
#include "xpusim/report/comparison_words.h"

namespace xpusim::report {
namespace {

Json json_of(const std::vector<regression::Contribution>& list) {
  Json all = Json::array();
  for (const regression::Contribution& c : list) {
    Json one = {{"name", c.name}, {"change_us", c.us}};
    if (!c.kind.empty()) {
      one["class"] = c.kind;
      one["bound_before"] = c.bound_before;
      one["bound_now"] = c.bound_now;
    }
    all.push_back(std::move(one));
  }
  return all;
}

Json json_of(const CaseComparison& c) {
  Json metrics = Json::array();
  for (const Change& x : c.changes)
    metrics.push_back({{"metric", enum_name(x.metric)},
                       {"before", or_null(x.before)},
                       {"now", or_null(x.now)},
                       {"change_pct", std::isfinite(x.change_pct) ? Json(x.change_pct) : Json()},
                       {"tolerance_pct", x.tolerance_pct},
                       {"beyond_tolerance", x.beyond()}});
  Json j = {{"case", c.id},
            {"verdict", enum_name(c.verdict)},
            {"bound_before", c.bound_before},
            {"bound_now", c.bound_now},
            {"metrics", std::move(metrics)},
            {"inputs_differ", c.inputs_differ},
            {"inputs", c.inputs},
            {"changed_inputs", c.changed_inputs},
            {"error_before_pct", or_null(c.error_before_pct)},
            {"error_now_pct", or_null(c.error_now_pct)}};
  if (!c.refused_before.empty()) j["refused_before"] = c.refused_before;
  if (!c.refused_now.empty()) j["refused_now"] = c.refused_now;
  if (c.verdict != Verdict::Changed) return j;
  j["causes"] = json_of(c.causes);
  j["classes"] = json_of(c.classes);
  j["operators"] = json_of(c.operators);
  return j;
}

}  // namespace

Json to_json(const Comparison& all) {
  Json cases = Json::array(), inputs = Json::array();
  for (const CaseComparison& c : all.cases) cases.push_back(json_of(c));
  for (const regression::InputChange& c : all.inputs)
    inputs.push_back({{"input", c.input}, {"path", c.path}, {"before", c.before}, {"now", c.now}});
  const MeanError m = mean_error(all);
  return {{"schema", "xpusim.check/1"},
          {"suite", all.suite},
          {"file", all.file},
          {"baseline", all.baseline},
          {"reason", all.reason},
          {"model_before", all.model_before},
          {"model_now", all.model_now},
          {"what_if", all.what_if},
          {"same", all.same()},
          {"changed", all.count(Verdict::Changed)},
          {"new", all.count(Verdict::New)},
          {"removed", all.count(Verdict::Removed)},
          {"measured",
           {{"cases", m.cases}, {"mean_error_before_pct", m.before_pct}, {"mean_error_now_pct", m.now_pct}}},
          {"inputs", std::move(inputs)},
          {"cases", std::move(cases)}};
}

Json to_github_benchmark(const Comparison& all) {
  Json list = Json::array();
  for (const CaseComparison& c : all.cases)
    for (const Change& x : c.changes) {
      if (!x.now || !words_of(x.metric).less_is_better) continue;
      Json one = {{"name", c.id + " " + std::string(enum_name(x.metric))},
                  {"unit", words_of(x.metric).unit},
                  {"value", *x.now}};
      if (!c.bound_now.empty()) one["extra"] = "bound by " + c.bound_now;
      list.push_back(std::move(one));
    }
  return list;
}

Json to_bencher(const Comparison& all) {
  Json cases = Json::object();
  for (const CaseComparison& c : all.cases)
    for (const Change& x : c.changes)
      if (x.now) cases[c.id][std::string(enum_name(x.metric))] = {{"value", *x.now}};
  return cases;
}

}  // namespace xpusim::report
