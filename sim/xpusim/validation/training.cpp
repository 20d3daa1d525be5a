#include "xpusim/validation/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <memory>

#include "xpusim/core/error.h"
#include "xpusim/core/text.h"
#include "xpusim/step/step.h"
#include "xpusim/validation/field_reader.h"

namespace xpusim::validation {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// Numbers of a row, some of which may be blank.
class RunReader : public FieldReader {
 public:
  using FieldReader::FieldReader;

  double number(std::string_view column, double otherwise) {
    if (!has(column)) return otherwise;
    if (const auto x = parsed(column); x && *x >= 0) return *x;
    wrong(column, "write a number, 0 or more");
    return otherwise;
  }
  std::int64_t whole(std::string_view column, std::int64_t otherwise) {
    const double x = number(column, static_cast<double>(otherwise));
    if (x != std::floor(x) || x > 1e12) {
      wrong(column, "write a whole number");
      return otherwise;
    }
    return static_cast<std::int64_t>(x);
  }
  std::int64_t count(std::string_view column) {
    const std::int64_t x = whole(column, 1);
    if (x >= 1) return x;
    wrong(column, "write 1 or more");
    return 1;
  }
};

/// "a:b,c:d" of an attribute: the translation of a word; the word itself where there is none.
std::string translated(const Csv& csv, const std::string& attribute, const std::string& word) {
  const auto found = csv.attributes.find(attribute);
  if (found == csv.attributes.end()) return word;
  std::string_view list = found->second;
  while (!list.empty()) {
    const std::string_view entry = list.substr(0, list.find(','));
    const std::size_t colon = entry.find(':');
    if (colon != std::string_view::npos && entry.substr(0, colon) == word)
      return std::string(entry.substr(colon + 1));
    list.remove_prefix(std::min(list.size(), entry.size() + 1));
  }
  return word;
}

/// Where the set does not say: gated blocks come with RMS norms and rotated positions (LLaMA's line), others
/// with layer norms, and, where all heads have keys of their own, learned positions and a tied head (GPT's).
ModelSpec model_of(RunReader& r) {
  ModelSpec m;
  m.id = m.name = std::string(r.text("model"));
  m.layers = r.count("layers");
  m.hidden = r.count("hidden");
  m.heads = r.count("heads");
  m.kv_heads = r.count("kv_heads");
  m.head_dim = r.count("head_dim");
  m.ffn = std::max<std::int64_t>(1, r.whole("ffn", 1));
  m.ffn_gated = r.whole("ffn_gated", 0) == 1;
  m.vocab = r.count("vocab");
  m.max_position = std::int64_t{1} << 24;
  const bool like_gpt = !m.ffn_gated && m.kv_heads == m.heads;
  m.norm = m.ffn_gated ? NormKind::RmsNorm : NormKind::LayerNorm;
  m.position = like_gpt ? PositionKind::Learned : PositionKind::Rope;
  m.tie_embeddings = like_gpt;
  if (like_gpt) m.max_position = r.count("seq_len");
  if (const std::int64_t experts = r.whole("experts", 0); experts > 0)
    m.experts = ExpertsSpec{experts, r.count("topk"), r.count("expert_ffn"), r.whole("shared_experts", 0),
                            r.whole("dense_layers", 0)};
  if (r.text("attention") == "mla") m.latent = LatentAttentionSpec{1536, 512, 128, 64, 128};
  return m;
}

PipelineSchedule schedule_of(RunReader& r) {
  const std::string_view name = r.text("schedule");
  if (name.empty() || name == "none") return PipelineSchedule::Auto;
  if (name == "zb-1p") return PipelineSchedule::ZbH1;
  if (name == "zb-2p") return PipelineSchedule::ZbH2;
  if (name == "interleaved_1f1b") return PipelineSchedule::Interleaved;
  if (const auto known = enum_from<PipelineSchedule>(name)) return *known;
  r.wrong("schedule", "none, 1f1b, interleaved, zb-1p, zb-2p or dualpipe");
  return PipelineSchedule::Auto;
}

/// "full", "selective ...", "full:N layers; block" (N of each stage). Blank: the least that fits.
void set_recompute(RunReader& r, ScenarioSpec& s) {
  const std::string_view text = r.text("recompute");
  s.recompute = text.empty()                    ? Recompute::Auto
                : contains(text, "not set")     ? Recompute::None
                : text.starts_with("full")      ? Recompute::Full
                : text.starts_with("selective") ? Recompute::Selective
                                                : Recompute::None;
  if (!text.starts_with("full:")) return;
  std::int64_t layers = 0;
  std::from_chars(text.data() + 5, text.data() + text.size(), layers);
  if (contains(text, "block"))
    s.training.recompute_layers = std::max<std::int64_t>(1, layers / s.parallelism.vpp);
}

/// "zero1", "zero3:8" (groups of 8). Blank: optimizer state is shared, as most frameworks do today.
void set_sharding(RunReader& r, ScenarioSpec& s) {
  const std::string_view text = r.text("sharding");
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  if (text.empty()) {
    s.training.sharding = Sharding::Zero1;
  } else if (const auto known = enum_from<Sharding>(kind)) {
    s.training.sharding = *known;
  } else {
    r.wrong("sharding", "none, zero1, zero2 or zero3");
  }
  if (colon != std::string_view::npos)
    std::from_chars(text.data() + colon + 1, text.data() + text.size(), s.training.sharding_group);
}

ScenarioSpec scenario_of(RunReader& r) {
  ScenarioSpec s;
  s.phase = Phase::Training;
  s.sequence = r.count("seq_len");
  s.batch = std::max<std::int64_t>(1, r.whole("global_batch", 1));
  s.micro_batch = std::max<std::int64_t>(1, r.whole("micro_batch", 1));
  ParallelismSpec& p = s.parallelism;
  p.tp = std::max<std::int64_t>(1, r.whole("tp", 1));
  p.pp = std::max<std::int64_t>(1, r.whole("pp", 1));
  p.vpp = std::max<std::int64_t>(1, r.whole("vpp", 1));
  p.cp = std::max<std::int64_t>(1, r.whole("cp", 1));
  p.dp = std::max<std::int64_t>(1, r.whole("dp", 1));
  p.ep = std::max<std::int64_t>(1, r.whole("ep", 1));
  p.sequence_parallel = !r.has("sp") ? Toggle::Auto : r.whole("sp", 0) == 1 ? Toggle::On : Toggle::Off;
  const std::string_view precision = r.text("precision");
  s.precision.weights = precision == "fp16" ? Dtype::Fp16 : Dtype::Bf16;
  s.precision.activations = precision == "fp8" ? Dtype::Fp8 : s.precision.weights;
  s.training.schedule = schedule_of(r);
  set_recompute(r, s);
  set_sharding(r, s);
  return s;
}

/// Of experts that a loss or a bias keeps balanced, the busiest rank's share of a micro-batch over the mean
/// (maximal violation of single batches, arXiv 2408.15664, figure 2).
constexpr double kImbalance = 1.15;

MeasuredRun run_of(RunReader& r, const Csv& csv) {
  MeasuredRun m;
  const std::string chip(r.text("chip"));
  m.chip = translated(csv, "chips", chip);
  m.system = translated(csv, "systems", chip);
  m.software = std::string(r.text("source")) + " | " + std::string(r.text("note"));
  if (r.text("metric") != "step_time_s") {
    m.skipped = fmt::format("the step's batch and plan are not published ({})", r.text("metric"));
    return m;
  }
  if (r.whole("layers", 0) == 0) {
    m.skipped = "not a transformer of the set's columns";
    return m;
  }
  m.model = model_of(r);
  if (const std::string nodes = translated(csv, "max_nodes", m.model.id);
      m.model.experts && nodes != m.model.id)
    std::from_chars(nodes.data(), nodes.data() + nodes.size(), m.model.experts->max_nodes);
  if (contains(r.text("note"), "one MTP layer is trained too")) m.model.mtp_layers = 1;
  m.scenario = scenario_of(r);
  if (m.model.experts) m.scenario.training.expert_imbalance = kImbalance;
  m.devices = r.count("n_chips");
  m.scale_out_gb_s = r.number("inter_node_gbps_per_chip", 0) / 8;
  m.step_s = r.number("value", 0);
  if (m.step_s <= 0) r.wrong("value", "write a time above 0");
  return m;
}

}  // namespace

bool is_training_set(const Csv& csv) {
  const auto op = csv.attributes.find("op");
  return op != csv.attributes.end() && op->second == "training";
}

MeasuredRuns interpret_training(const Csv& csv) {
  MistakeList found;
  for (const std::string_view c :
       {"id",       "source",   "chip", "n_chips",   "layers",  "hidden",       "heads",
        "kv_heads", "head_dim", "ffn",  "vocab",     "seq_len", "global_batch", "micro_batch",
        "tp",       "pp",       "dp",   "precision", "metric",  "value"})
    if (!csv.has(c))
      found.push_back({{csv.file, 0, 0}, std::string(c), "missing column", "training sets need it"});
  found.raise();
  MeasuredRuns set;
  set.file = csv.file;
  for (const CsvRow& row : csv.rows) {
    RunReader reader(csv, row, found);
    MeasuredRun m = run_of(reader, csv);
    m.line = row.line;
    m.label = std::string(reader.text("id"));
    m.software = m.label + " | " + m.software;
    m.scenario.name = m.label;
    set.rows.push_back(std::move(m));
  }
  found.raise();
  return set;
}

const StackSpec* stack_of(const MeasuredRun& run, const std::string& family,
                          const std::vector<StackSpec>& stacks) {
  const StackSpec* best = nullptr;
  std::size_t said = 0;
  for (const StackSpec& stack : stacks)
    for (const std::string& names : stack.measured_as) {
      bool all = true;
      for (std::string_view rest = names; all && !rest.empty();) {
        const std::string_view part = rest.substr(0, rest.find('+'));
        all = contains(run.software, part);
        rest.remove_prefix(std::min(rest.size(), part.size() + 1));
      }
      if (!all || names.size() <= said) continue;
      best = &stack;
      said = names.size();
    }
  if (best != nullptr) return best;
  for (const StackSpec& stack : stacks)
    if (std::find(stack.default_for.begin(), stack.default_for.end(), family) != stack.default_for.end())
      return &stack;
  return nullptr;
}

namespace {

/// Timers that know the operators of earlier rows: one for each chip, system and network rate.
class Timers {
 public:
  Timers(const Platforms& platforms, const Options& options) : platforms_(platforms), options_(options) {}

  result::Result train(const MeasuredRun& m, const StackSpec& stack) {
    Entry& e = entry(m);
    Request q{e.chip, e.system, m.model, m.scenario, stack};
    return step::run(q, m.devices, options_, *e.timer);
  }

 private:
  struct Entry {
    ChipSpec chip;
    SystemSpec system;
    std::unique_ptr<step::OperatorTimer> timer;
  };
  Entry& entry(const MeasuredRun& m) {
    const std::string key =
        fmt::format("{} {} {} {}", m.chip, m.system, m.scale_out_gb_s, m.devices > kLargest);
    const auto [found, is_new] = known_.try_emplace(key);
    Entry& e = found->second;
    if (!is_new) return e;
    e.chip = platforms_.chips.at(m.chip);
    const SystemSpec& described = platforms_.systems.at(m.system);
    e.system = with_chips(
        described, std::max(described.chips, m.devices > kLargest ? kLargest * 16 : m.devices), e.chip.dies);
    if (m.scale_out_gb_s > 0) e.system.levels.back().bandwidth = BytesPerSecond(m.scale_out_gb_s * 1e9);
    e.timer = std::make_unique<step::OperatorTimer>(e.chip, &e.system, Launch::Graph, options_,
                                                    step::LongKernels::Sampled);
    return e;
  }

  static constexpr std::int64_t kLargest = 1024;
  const Platforms& platforms_;
  const Options& options_;
  std::map<std::string, Entry> known_;
};

Sample sample_of(const MeasuredRun& m, const StackSpec& stack, const result::Result& r) {
  Sample s{m.line, m.label, m.step_s * 1e6, r.total.count() * 1e6, r.breakdown, {}, stack.id};
  for (const result::Part& p : r.training->parts)
    if (p.time.count() > 0.005 * r.total.count())
      s.tiling +=
          fmt::format("{}{} {:.0f} %", s.tiling.empty() ? "" : ", ", p.name, 100 * (p.time / r.total));
  return s;
}

}  // namespace

SetReport replay(const MeasuredRuns& set, const Platforms& platforms, Fidelity fidelity,
                 const Progress& progress) {
  SetReport report{set.file, "", "training", "", {}, {}, {}, {}};
  Options options;
  options.fidelity = fidelity;
  options.checks_memory = false;  // these runs did fit
  Timers timers(platforms, options);
  std::size_t done = 0;
  for (const MeasuredRun& m : set.rows) {
    if (progress) progress(++done, set.rows.size());
    if (!m.skipped.empty()) {
      ++report.skipped[m.skipped];
      continue;
    }
    const StackSpec* stack = stack_of(m, platforms.chips.at(m.chip).family, platforms.stacks);
    if (stack == nullptr) {
      ++report.skipped["no stack is measured as its source"];
      continue;
    }
    try {
      report.samples.push_back(sample_of(m, *stack, timers.train(m, *stack)));
    } catch (const InfeasibleError& e) {
      ++report.skipped[fmt::format("{}: {}", m.label, e.what())];
    }
  }
  report.errors = statistics(report.samples);
  return report;
}

}  // namespace xpusim::validation
