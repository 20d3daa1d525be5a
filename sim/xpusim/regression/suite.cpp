#include "xpusim/regression/suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "xpusim/config/describe.h"
#include "xpusim/core/error.h"
#include "xpusim/core/hash.h"
#include "xpusim/core/text.h"
#include "xpusim/jobs/job.h"

namespace xpusim::regression {
namespace fs = std::filesystem;
namespace {

using config::FileKind;

double us(Seconds t) { return t.count() * 1e6; }
std::string cause_name(std::size_t i) { return std::string(kBoundNames[i]); }

// Outcomes.

void record_breakdown(CaseRecord& c, const Breakdown& b) {
  for (std::size_t i = 0; i < kBounds; ++i)
    if (b.seconds[i] != 0) c.causes_us[cause_name(i)] = b.seconds[i] * 1e6;
  if (b.total() > 0) c.bound = cause_name(static_cast<std::size_t>(b.largest()));
}

/// Runs of one name, of all sections of that name, are one operator.
void record_operators(CaseRecord& c, const std::vector<result::OperatorRow>& rows) {
  std::map<std::string, Breakdown> sums;
  for (const result::OperatorRow& row : rows) {
    const std::string name = row.section.empty() ? row.name : row.section + "." + row.name;
    sums[name].add(row.breakdown, static_cast<double>(row.count));
    OperatorRecord& o = c.operators[name];
    o.kind = enum_name(row.kind());
    o.us += us(row.time) * static_cast<double>(row.count);
  }
  for (auto& [name, o] : c.operators) o.bound = cause_name(static_cast<std::size_t>(sums[name].largest()));
}

CaseRecord record_of(const result::Result& r) {
  CaseRecord c;
  record_breakdown(c, r.breakdown);
  record_operators(c, r.operators);
  double hbm_bytes = 0;
  for (const result::OperatorRow& row : r.operators)
    hbm_bytes += row.hbm_bytes * static_cast<double>(row.count);
  c.metrics = {{Metric::TimeUs, us(r.total)},
               {Metric::TokensPerSecond, r.tokens_per_s()},
               {Metric::HbmBytes, hbm_bytes},
               {Metric::MemoryBytes, r.memory.total()},
               {Metric::MatrixUtilisationPct, 100 * r.matrix_utilisation},
               {Metric::HbmUtilisationPct, 100 * r.hbm_utilisation}};
  if (r.training) c.metrics[Metric::MfuPct] = 100 * r.training->mfu;
  return c;
}

CaseRecord record_of(const network::CollectiveTime& t) {
  CaseRecord c;
  if (t.algorithm != Algorithm::None)
    c.bound = fmt::format("{} ({}) over {}", enum_name(t.algorithm), t.protocol, t.level);
  c.metrics = {{Metric::TimeUs, us(t.total)}, {Metric::BusBandwidth, t.bus_bandwidth.count() / 1e9}};
  c.causes_us = {{"latency", us(t.latency)}, {"transfer", us(t.total) - us(t.latency)}};
  return c;
}

CaseRecord record_of(const validation::SetReport& r) {
  CaseRecord c;
  Breakdown all;
  for (const validation::Sample& s : r.samples) all.add(s.breakdown);
  record_breakdown(c, all);
  c.metrics = {{Metric::MapePct, r.errors.mape_pct},
               {Metric::BiasPct, r.errors.bias_pct},
               {Metric::Rows, static_cast<double>(r.errors.rows)}};
  return c;
}

// Inputs.

/// Text for people: a change of it changes nothing.
bool is_prose(std::string_view key) { return key == "name" || key == "notes" || key == "source"; }

void flatten(const config::Node& node, const std::string& path, InputValues& out) {
  for (const config::Entry& e : node.entries)
    if (!is_prose(e.key)) flatten(e.value, path.empty() ? e.key : path + "." + e.key, out);
  for (std::size_t i = 0; i < node.items.size(); ++i)
    flatten(node.items[i], fmt::format("{}[{}]", path, i), out);
  if (node.kind != config::Node::Kind::Scalar) return;
  const std::size_t bracket = path.rfind(']');
  const std::size_t end = std::min(bracket == std::string::npos ? path.find('.') : bracket + 1, path.size());
  const bool nested = end < path.size() && path[end] == '.';
  out[nested ? path.substr(0, end) : "general"][nested ? path.substr(end + 1) : path] = node.text;
}

template <class T>
InputValues values_of(T spec) {
  InputValues values;
  flatten(config::parse_yaml(config::to_yaml(config::describer(spec), "", nullptr), "resolved"), "", values);
  return values;
}

// What is guarded where a case does not say, and what can be.

struct Metrics {
  std::set<Metric> by_default, known;
};
Metrics metrics_of(const auto&) {
  return {{Metric::TimeUs, Metric::HbmBytes},
          {Metric::TimeUs, Metric::HbmBytes, Metric::MatrixUtilisationPct, Metric::HbmUtilisationPct}};
}
Metrics metrics_of(const jobs::ScenarioJob& job) {
  Metrics m{{Metric::TimeUs, Metric::MemoryBytes},
            {Metric::TimeUs, Metric::TokensPerSecond, Metric::HbmBytes, Metric::MemoryBytes,
             Metric::MatrixUtilisationPct, Metric::HbmUtilisationPct}};
  if (!job.stack) return m;
  m.by_default.insert(Metric::MfuPct);
  m.known.insert(Metric::MfuPct);
  return m;
}
Metrics metrics_of(const jobs::CollectiveJob&) {
  return {{Metric::TimeUs}, {Metric::TimeUs, Metric::BusBandwidth}};
}
Metrics metrics_of(const jobs::ValidationJob&) {
  const std::set<Metric> all{Metric::MapePct, Metric::BiasPct, Metric::Rows};
  return {all, all};
}

/// One case of the file, on one chip or system, while it is being read.
class CaseReader {
 public:
  CaseReader(const config::Library& library, const CaseSpec& spec, const std::string& on,
             const fs::path& folder, const config::Overrides& overrides, Suite& suite)
      : library_(library), spec_(spec), folder_(folder), suite_(suite), given_(overrides) {
    column_ = on.empty() ? jobs::Column{} : jobs::parse_column(on, "on");
    column_.name = place(column_.name);
    refuse_unknown(spec.op.empty() ? FileKind::System : FileKind::Chip, column_.name);
    refuse_unknown(FileKind::Scenario, spec.scenario);
    refuse_unknown(FileKind::Trace, spec.trace);
    for (const auto& [path, text] : spec.set)
      own_.push_back(config::parse_override(path + "=" + text, "set"));
    own_.insert(own_.end(), column_.overrides.begin(), column_.overrides.end());
    hash_.add(enum_name(spec.fidelity));
  }

  /// What runs the case; its inputs are in the suite.
  std::function<CaseRecord()> read() {
    const auto [kind, text] = subject(spec_);
    const std::string asked(text);
    hash_.add(kind).add(asked);
    const auto job = std::make_shared<const jobs::Job>(load(*enum_from<jobs::Kind>(kind), asked));
    std::visit(
        [&](const auto& j) {
          jobs::for_each_input(j, [&](const auto& input) { note(input, asked); });
          guard(metrics_of(j));
        },
        *job);
    if (const auto* v = std::get_if<jobs::ValidationJob>(job.get()))
      for (const validation::CsvRow& row : v->csv.rows)
        for (const std::string& field : row.fields) hash_.add(field).add('\n');
    jobs::refuse_unused(own_, {kinds_.begin(), kinds_.end()});
    Options options;
    options.fidelity = spec_.fidelity;
    return [job, options, config = hash_.hex(), inputs = inputs_, metrics = guarded_]() {
      CaseRecord c;
      try {
        c = std::visit([](const auto& outcome) { return record_of(outcome); }, jobs::run(*job, options));
      } catch (const InfeasibleError& e) {
        c.refused = e.what();
      }
      c.config = config;
      c.inputs = inputs;
      std::erase_if(c.metrics, [&](const auto& m) { return !metrics.contains(m.first); });
      return c;
    };
  }
  [[nodiscard]] const std::set<std::string_view>& kinds() const { return kinds_; }

 private:
  /// A path of the suite's file starts in its folder.
  [[nodiscard]] std::string place(const std::string& id_or_path) const {
    if (!config::is_path(id_or_path) || fs::path(id_or_path).is_absolute()) return id_or_path;
    return (folder_ / id_or_path).lexically_normal().string();
  }

  /// An id that is none may be a file beside the suite.
  void refuse_unknown(FileKind kind, const std::string& id) const {
    if (id.empty() || config::is_path(id)) return;
    const auto known = library_.list(kind);
    if (std::find(known.begin(), known.end(), id) == known.end())
      throw ConfigError(Diagnostic{{id, 0, 0},
                                   "",
                                   fmt::format("no such {}", config::kind_name(kind)),
                                   config::hint_of_id(id, known, suite_.file)});
  }

  jobs::Job load(jobs::Kind kind, const std::string& text) const {
    jobs::Subject s{kind, place(text)};
    if (kind == jobs::Kind::Validation)
      s.text = (folder_ / text).lexically_normal().string();  // sets have no ids
    if (kind == jobs::Kind::Op || kind == jobs::Kind::Collective)
      std::tie(s.text, s.words) = jobs::kind_and_words(text);
    config::Overrides all = own_;
    for (const config::Override& o : given_)  // those of the command line may be meant for other cases
      if (kind != jobs::Kind::Trace || o.path.starts_with("chip.") || o.path.starts_with("system."))
        all.push_back(o);
    jobs::Job job = jobs::load(library_, s, column_.name, all);
    if (auto* o = std::get_if<jobs::OperatorJob>(&job)) o->op.name = s.text;  // its words stand in the suite
    return job;
  }

  template <class T>
  void note(const T& spec, const std::string& text) {
    const std::string_view kind = config::kind_name(config::kind_of<T>());
    std::string key = fmt::format("{} ", kind);
    if constexpr (requires { spec.id; })
      key += spec.id;
    else
      key += fs::path(text).stem().string();
    kinds_.insert(kind);
    for (const config::Override& o : own_)
      if (o.path.starts_with(fmt::format("{}.", kind))) key += fmt::format(", {}={}", o.path, o.text);
    InputValues values = values_of(spec);
    hash_.add(key);
    for (const auto& [group, texts] : values)
      for (const auto& [path, value] : texts) hash_.add(group).add(path).add(value);
    inputs_.push_back(keep(key, values));
  }

  /// The key under which the suite has the values; files of one name in two folders get a number.
  std::string keep(const std::string& name, const InputValues& values) {
    std::string key = name;
    for (int number = 2; !suite_.inputs.emplace(key, values).second && suite_.inputs.at(key) != values;
         ++number)
      key = fmt::format("{} #{}", name, number);
    return key;
  }

  /// Keeps the metrics that are guarded: those asked for, or the default.
  void guard(const Metrics& of_job) {
    guarded_ = spec_.metrics.empty() ? of_job.by_default
                                     : std::set<Metric>(spec_.metrics.begin(), spec_.metrics.end());
    for (const Metric m : guarded_) {
      if (of_job.known.contains(m)) continue;
      std::vector<std::string_view> names;
      for (const Metric k : of_job.known) names.push_back(enum_name(k));
      throw ConfigError(Diagnostic{
          {}, "metrics", fmt::format("this case has no {}", enum_name(m)), "one of " + join(names)});
    }
  }

  const config::Library& library_;
  const CaseSpec& spec_;
  fs::path folder_;
  Suite& suite_;
  jobs::Column column_;
  config::Overrides given_, own_;  ///< of the command line, of the case
  Hasher hash_;
  std::vector<std::string> inputs_;
  std::set<std::string_view> kinds_;
  std::set<Metric> guarded_;
};

/// A mistake in words of a case stands where the case does; one in another file stays there.
Diagnostic placed(Diagnostic d, const SourceLocation& where, const std::string& path) {
  if (d.where.line > 0) return d;
  if (!d.where.file.empty()) d.message = fmt::format("{}: {}", d.where.file, d.message);
  d.path = d.path.empty() ? path : fmt::format("{} ({})", path, d.path);
  d.where = where;
  return d;
}

const std::vector<std::string>& places_of(const CaseSpec& c) {
  static const std::vector<std::string> kItsOwn{""};  // the scenario's system, the measured set's chip
  const std::vector<std::string>& listed = c.op.empty() ? c.systems : c.chips;
  return listed.empty() ? kItsOwn : listed;
}

std::map<Metric, double> tolerances_of(const SuiteSpec& s, const CaseSpec& c) {
  std::map<Metric, double> all = s.tolerance_pct;
  for (const auto& [metric, percent] : c.tolerance_pct) all[metric] = percent;
  return all;
}

/// The mistakes of all cases, each once.
class Mistakes {
 public:
  void add(const ConfigError& e, const SourceLocation& where, const std::string& path) {
    for (const Diagnostic& d : e.diagnostics()) {
      Diagnostic at = placed(d, where, path);
      if (known_.insert(render({at})).second) found_.push_back(std::move(at));
    }
  }
  void raise() {
    std::stable_sort(found_.begin(), found_.end(), [](const Diagnostic& a, const Diagnostic& b) {
      return std::tie(a.where.file, a.where.line) < std::tie(b.where.file, b.where.line);
    });
    if (!found_.empty()) throw ConfigError(std::move(found_));
  }

 private:
  std::set<std::string> known_;
  std::vector<Diagnostic> found_;
};

}  // namespace

Suite load_suite(const config::Library& files, const std::string& id_or_path,
                 const config::Overrides& overrides) {
  const config::Library library = files.read_once();
  const auto loaded = library.suite(id_or_path);
  const fs::path folder = fs::path(loaded.file).parent_path();
  const std::string& baseline = loaded.value.baseline;
  Suite suite;
  suite.name = loaded.value.name;
  suite.file = loaded.file;
  suite.baseline =
      (baseline.empty() ? fs::path(loaded.file).replace_extension(".baseline") : folder / baseline).string();
  Mistakes mistakes;
  std::set<std::string_view> used;
  for (const auto& [name, spec] : loaded.value.cases) {
    const std::string path = fmt::format("suite.cases.{}.{}", name, subject(spec).first);
    const SourceLocation where = loaded.leaves.at(path).where.location();
    for (const std::string& on : places_of(spec)) {
      try {
        CaseReader reader(library, spec, on, folder, overrides, suite);
        Case c{on.empty() ? name : name + "/" + on, tolerances_of(loaded.value, spec), {}, reader.read()};
        if (const auto found = spec.measured.find(on); found != spec.measured.end())
          c.measured = found->second;
        used.insert(reader.kinds().begin(), reader.kinds().end());
        suite.cases.push_back(std::move(c));
      } catch (const ConfigError& e) {
        mistakes.add(e, where, path);
      }
    }
  }
  mistakes.raise();
  jobs::refuse_unused(overrides, {used.begin(), used.end()});
  std::sort(suite.cases.begin(), suite.cases.end(), [](const Case& a, const Case& b) { return a.id < b.id; });
  return suite;
}

void keep_only(Suite& suite, const std::vector<std::string>& names) {
  const auto is_named = [](const std::string& id, const std::string& name) {
    return id == name || id.starts_with(name + "/");
  };
  std::vector<std::string_view> known;
  for (const Case& c : suite.cases) known.push_back(c.id);
  std::vector<Diagnostic> wrong;
  for (const std::string& name : names) {
    if (std::any_of(known.begin(), known.end(), [&](auto id) { return is_named(std::string(id), name); }))
      continue;
    const auto near = nearest(name, known);
    wrong.push_back({{"--only " + printable(name), 0, 0},
                     "",
                     fmt::format("no such case in {}", suite.file),
                     near.empty() ? "known: " + join(known) : fmt::format("did you mean '{}'?", near)});
  }
  if (!wrong.empty()) throw ConfigError(std::move(wrong));
  std::erase_if(suite.cases, [&](const Case& c) {
    return std::none_of(names.begin(), names.end(),
                        [&](const std::string& name) { return is_named(c.id, name); });
  });
}

}  // namespace xpusim::regression
