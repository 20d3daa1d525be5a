#include "xpusim/spec/suite.h"

namespace xpusim {

void describe(Fields& f, MeasuredTime& m) {
  f.required("time", m.time, "measured time of the case", between(1e-9, 30 * 86400));
  f.label("source", m.source, "where it was published", true);
}

void describe(Fields& f, CaseSpec& c) {
  const Range tolerance = between(0, 100);
  f.label("op", c.op, "one operator on `chips`: its kind and key=value words, as `xpusim op` takes them");
  f.label("scenario", c.scenario, "id of a scenario, or path of its file, on `systems` (none: its own)");
  f.label("trace", c.trace, "id of a workload trace, or path of its file, on `systems`");
  f.label("collective", c.collective,
          "one collective on `systems`: its kind and key=value words, as `xpusim collective` takes them");
  f.label("validation", c.validation, "a measured set (CSV) that is replayed; its error is guarded");
  f.optional("chips", c.chips, "chips of an operator: NAME, or NAME,path=value,... with what-if values");
  f.optional("systems", c.systems, "systems: NAME, or NAME,path=value,...");
  f.optional("set", c.set, "values to replace on all of them, by path: `chip.hbm.bandwidth: 3.2 TB/s`");
  f.optional("fidelity", c.fidelity, "bound: closed form; tile: event-driven");
  f.optional("metrics", c.metrics, "what is guarded; default: what fits the kind of case");
  f.optional("tolerance_pct", c.tolerance_pct, "over that of the suite, by metric", tolerance);
  f.optional("measured", c.measured, "what was published for it, by chip or system");
}

void describe(Fields& f, SuiteSpec& s) {
  f.label("name", s.name, "name in print", true);
  f.label("notes", s.notes, "free text");
  f.label("baseline", s.baseline, "file of the baseline, beside this one; default: its name with .baseline");
  f.optional("tolerance_pct", s.tolerance_pct,
             "percent that a metric may move either way (points, where it is a percentage); default 0.1",
             between(0, 100));
  f.required("cases", s.cases, "cases by name");
}

std::pair<std::string_view, std::string_view> subject(const CaseSpec& c) {
  const std::array<std::pair<std::string_view, std::string_view>, 5> all = {{{"op", c.op},
                                                                             {"scenario", c.scenario},
                                                                             {"trace", c.trace},
                                                                             {"collective", c.collective},
                                                                             {"validation", c.validation}}};
  std::pair<std::string_view, std::string_view> found;
  for (const auto& one : all) {
    if (one.second.empty()) continue;
    if (!found.first.empty()) return {};
    found = one;
  }
  return found;
}

}  // namespace xpusim
