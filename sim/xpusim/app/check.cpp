#include "xpusim/app/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "xpusim/app/inputs.h"
#include "xpusim/app/progress.h"
#include "xpusim/app/workers.h"
#include "xpusim/core/error.h"
#include "xpusim/report/comparison.h"
#include "xpusim/report/file.h"
#include "xpusim/result/version.h"

namespace xpusim::app {
namespace {

using regression::Baseline;
using regression::Suite;

ConfigError wrong(const std::string& where, const std::string& what, const std::string& hint) {
  return ConfigError(Diagnostic{{where, 0, 0}, "", what, hint});
}

void check_arguments(const Common& c, const CheckArguments& a) {
  if (a.update && a.reason.find_first_not_of(" \t\n") == std::string::npos)
    throw wrong("--update", "no reason", "say why the numbers may change: --update --reason '...'");
  if (!a.update && !a.reason.empty())
    throw wrong("--reason", "nothing is written without --update", "leave it out, or give --update");
  if (a.update && !c.set.empty())
    throw wrong("--update", "a baseline is of the files as they are", "leave --set out");
}

/// The baseline to compare with. None: where one is written for the first time.
std::optional<Baseline> read_baseline(const CheckArguments& a, const std::string& file) {
  std::error_code none;
  try {
    if (std::filesystem::exists(file, none)) return regression::read_baseline(file);
  } catch (const regression::OtherSchema&) {
    if (!a.update || !a.only.empty()) throw;  // a part of an old baseline cannot be kept
    return std::nullopt;
  }
  if (a.update) return std::nullopt;
  throw wrong(file, "no baseline",
              fmt::format("write the first one: xpusim check {} --update --reason '...'", a.suite));
}

/// A suite is data from anywhere: what it names is written in its own folder only.
void check_place(const Suite& suite) {
  namespace fs = std::filesystem;
  std::error_code none;
  const auto folder_of = [&](const std::string& file) {
    return fs::weakly_canonical(fs::absolute(file, none), none).parent_path();
  };
  const fs::path folder = folder_of(suite.file), place = folder_of(suite.baseline);
  if (std::mismatch(folder.begin(), folder.end(), place.begin(), place.end()).first != folder.end())
    throw wrong(suite.file, "its baseline, " + suite.baseline + ", is outside of its folder",
                "to write there, name it: --baseline " + suite.baseline);
}

std::vector<Answer> run_cases(const Suite& suite, std::size_t jobs) {
  Progress progress(suite.file, "cases");
  return in_processes(
      suite.cases.size(), jobs == 0 ? std::max(1U, std::thread::hardware_concurrency()) : jobs,
      [&](std::size_t i) {
        try {
          return regression::to_message(suite.cases[i].run());
        } catch (const std::logic_error& e) {
          throw std::logic_error(fmt::format("{}: {}", suite.cases[i].id, e.what()));
        } catch (const std::exception& e) {
          throw std::runtime_error(fmt::format("{}: {}", suite.cases[i].id, e.what()));
        }
      },
      [&](std::size_t done, std::size_t all) { progress.show(done, all); });
}

/// What the cases came to, in the numbers that a file would hold: what is compared is what is kept.
Baseline baseline_of(const Suite& suite, const std::vector<Answer>& answers) {
  Baseline now;
  now.model = result::version();
  now.inputs = suite.inputs;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    regression::CaseRecord record = regression::parse_message(answers[i].text);
    for (auto& [metric, value] : record.metrics) value = regression::rounded(value);
    now.cases[suite.cases[i].id] = std::move(record);
  }
  return now;
}

void note_seconds(regression::Comparison& all, const Suite& suite, const std::vector<Answer>& answers) {
  std::map<std::string_view, double> seconds;
  for (std::size_t i = 0; i < answers.size(); ++i) seconds[suite.cases[i].id] = answers[i].seconds;
  for (regression::CaseComparison& c : all.cases) c.seconds = seconds[c.id];  // 0: it is gone
}

void write_reports(const Common& c, const CheckArguments& a, const regression::Comparison& all) {
  const auto to = [](const std::string& path, const std::string& text) {
    if (!path.empty()) report::write_file(path, text);
  };
  to(a.markdown, report::to_markdown(all));
  to(a.junit, report::to_junit(all));
  to(a.github_benchmark, report::text_of(report::to_github_benchmark(all)));
  to(a.bencher, report::text_of(report::to_bencher(all)));
  write(c.json, report::text_of(report::to_json(all)));
  if (c.json != "-") std::cout << report::to_text(all);
}

/// The new baseline: what was run, and of a part of the suite the rest of the old one.
Baseline merged(const CheckArguments& a, const std::optional<Baseline>& before, Baseline now) {
  now.reason = a.reason;
  for (auto& [id, record] : now.cases) record = regression::without_small(std::move(record));
  if (a.only.empty() || !before) return now;
  for (const auto& entry : before->cases) now.cases.insert(entry);
  for (const auto& entry : before->inputs) now.inputs.insert(entry);
  return now;
}

void update(const CheckArguments& a, const std::string& file, const std::optional<Baseline>& before,
            Baseline now) {
  Baseline next = merged(a, before, std::move(now));
  if (before) {
    Baseline kept = next;
    kept.reason = before->reason;
    if (to_text(kept) == to_text(*before)) {
      std::cout << fmt::format("{}: nothing changed, nothing written\n", file);
      return;
    }
  }
  report::write_file(file, to_text(next));
  std::cout << fmt::format("{}: {} cases written\n", file, next.cases.size());
}

}  // namespace

bool check(const Common& c, const CheckArguments& a) {
  check_arguments(c, a);
  Suite suite = regression::load_suite(open_library(c.data), a.suite, overrides_of(c));
  if (!a.only.empty()) keep_only(suite, a.only);
  const std::string file = a.baseline.empty() ? suite.baseline : a.baseline;
  if (a.update && a.baseline.empty()) check_place(suite);
  std::optional<Baseline> before = read_baseline(a, file);
  const std::vector<Answer> answers = run_cases(suite, a.jobs);
  const Baseline now = baseline_of(suite, answers);
  const std::optional<Baseline> whole = before;
  if (before && !a.only.empty())
    std::erase_if(before->cases, [&](const auto& entry) { return !now.cases.contains(entry.first); });
  auto all = compare(suite, before.value_or(Baseline{}), now);
  note_seconds(all, suite, answers);
  all.baseline = file;
  all.what_if = c.set;
  write_reports(c, a, all);
  if (a.update) update(a, file, whole, now);
  return a.update || all.same();
}

}  // namespace xpusim::app
