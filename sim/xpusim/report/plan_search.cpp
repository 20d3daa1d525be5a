#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "xpusim/core/text.h"
#include "xpusim/report/results.h"
#include "xpusim/report/table.h"

namespace xpusim::report {
namespace {

using result::Result;
using step::PlanCandidate;
using step::PlanKey;
using step::PlanSearch;

/// The plan's value of a key, as it ran.
Json value_of(const PlanCandidate& c, PlanKey key) {
  const Result& r = *c.played;
  switch (key) {
    case PlanKey::Tp:
      return r.groups.tensor;
    case PlanKey::Cp:
      return r.groups.context;
    case PlanKey::Pp:
      return r.groups.pipeline;
    case PlanKey::Vpp:
      return r.training->chunks;
    case PlanKey::Ep:
      return r.groups.expert;
    case PlanKey::Dp:
      return r.groups.data;
    case PlanKey::Etp:
      return r.groups.expert_tensor;
    case PlanKey::MicroBatch:
      return c.micro_batch;
    case PlanKey::Recompute:
      return enum_name(c.recompute);
    case PlanKey::Schedule:
      return r.training->schedule;
  }
  return {};
}

std::vector<PlanKey> keys_of(const PlanSearch& s, bool searched) {
  std::vector<PlanKey> keys;
  for (std::size_t i = 0; i < EnumNames<PlanKey>::value.size(); ++i)
    if (const auto key = static_cast<PlanKey>(i); s.searched.contains(key) == searched) keys.push_back(key);
  return keys;
}

std::string names_of(const std::vector<PlanKey>& keys) {
  std::vector<std::string_view> names;
  for (const PlanKey key : keys) names.push_back(enum_name(key));
  return names.empty() ? "nothing" : join(names);
}

Json json_of(const PlanCandidate& c) {
  Json j = Json::object();
  for (std::size_t i = 0; i < EnumNames<PlanKey>::value.size(); ++i)
    j[std::string(EnumNames<PlanKey>::value[i])] = value_of(c, static_cast<PlanKey>(i));
  j.update({{"is_the_scenarios", c.is_stated},
            {"bound_s", c.bound.count()},
            {"step_time_s", c.played->total.count()},
            {"memory_bytes", c.played->memory.total()},
            {"mfu", c.played->training->mfu}});
  return j;
}

}  // namespace

std::string to_text(const PlanSearch& s) {
  Table t;
  t.row({"tp", "cp", "pp", "vpp", "ep", "dp", "micro", "recompute", "schedule", "bound [s]", "step [s]",
         "memory [GiB]", "MFU", ""});
  for (const PlanCandidate& c : s.best) {
    std::vector<std::string> cells;
    for (const PlanKey key : {PlanKey::Tp, PlanKey::Cp, PlanKey::Pp, PlanKey::Vpp, PlanKey::Ep, PlanKey::Dp,
                              PlanKey::MicroBatch, PlanKey::Recompute, PlanKey::Schedule}) {
      const Json value = value_of(c, key);
      cells.push_back(value.is_string() ? value.get<std::string>() : value.dump());
    }
    for (const Seconds time : {c.bound, c.played->total})
      cells.push_back(fmt::format("{:.4g}", time.count()));
    cells.insert(cells.end(), {fixed(c.played->memory.total() / 0x1p30, 1), percent(c.played->training->mfu),
                               c.is_stated ? "the scenario's" : ""});
    t.row(std::move(cells));
  }
  const auto kept = keys_of(s, false);
  std::string text = fmt::format("{} plans timed in closed form, {} refused\nsearched: {}\n", s.tried,
                                 s.refused, names_of(keys_of(s, true)));
  if (!kept.empty())
    text += fmt::format("kept as the scenario states them: {} (--auto={} would search these, too)\n",
                        names_of(kept), fmt::join(split(names_of(kept), ' '), ""));
  text += fmt::format("never searched: {}\n", join(step::kNeverSearched, "; "));
  if (!s.stated_refused.empty())
    text += fmt::format("the scenario's own plan cannot run: {}\n", s.stated_refused);
  return text + fmt::format("the best {}, the first is taken:\n\n{}\n", s.best.size(), t.text());
}

Json to_json(const PlanSearch& s) {
  Json j = {{"tried", s.tried},
            {"refused", s.refused},
            {"searched", Json::array()},
            {"kept", Json::array()},
            {"never_searched", step::kNeverSearched},
            {"stated_plan_refused", s.stated_refused.empty() ? Json() : Json(s.stated_refused)},
            {"plan", json_of(s.best.front())},
            {"plans", Json::array()}};
  for (const PlanKey key : keys_of(s, true)) j["searched"].push_back(enum_name(key));
  for (const PlanKey key : keys_of(s, false)) j["kept"].push_back(enum_name(key));
  for (std::size_t i = 1; i < s.best.size(); ++i) j["plans"].push_back(json_of(s.best[i]));
  return j;
}

}  // namespace xpusim::report
