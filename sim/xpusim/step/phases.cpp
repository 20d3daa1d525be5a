#include "xpusim/step/phases.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace xpusim::step {
namespace {

/// Adds results up: their times, their operators by section and name.
class Sum {
 public:
  explicit Sum(result::Result first) : sum_(std::move(first)) {
    rows_.swap(sum_.operators);
    for (result::OperatorRow& row : rows_) {
      places_.emplace(key(row), &row - rows_.data());
      whole(row);
    }
  }

  /// `label`: in front of its sections' names.
  void add(const result::Result& r, const std::string& label) {
    sum_.total += r.total;
    sum_.breakdown.add(r.breakdown);
    sum_.flops += r.flops;
    matrix_seconds_ += r.matrix_utilisation * r.total.count();
    hbm_seconds_ += r.hbm_utilisation * r.total.count();
    if (r.memory.total() > sum_.memory.total()) sum_.memory = r.memory;
    sum_.serving->dispatch += r.serving->dispatch;
    sum_.serving->combine += r.serving->combine;
    for (std::size_t i = 0; i < r.serving->parts.size(); ++i)
      sum_.serving->parts[i].time += r.serving->parts[i].time;
    for (result::OperatorRow row : r.operators) {
      row.section = label + row.section;
      add_row(std::move(row));
    }
  }

  result::Result take(double first_total) {
    for (result::OperatorRow& row : rows_) {
      const double share = 1 / d(row.count);
      Breakdown one;
      row.breakdown = one.add(row.breakdown, share);
      row.time = row.time * share;
      row.flops = row.flops * share;
      row.hbm_bytes *= share;
    }
    sum_.operators = std::move(rows_);
    sum_.classes = result::by_class(sum_.operators);
    const double total = sum_.total.count();
    sum_.matrix_utilisation = (matrix_seconds_ + sum_.matrix_utilisation * first_total) / total;
    sum_.hbm_utilisation = (hbm_seconds_ + sum_.hbm_utilisation * first_total) / total;
    return std::move(sum_);
  }

 private:
  static std::pair<std::string, std::string> key(const result::OperatorRow& row) {
    return {row.section, row.name};
  }
  /// From one run to all of them.
  static void whole(result::OperatorRow& row) {
    const double count = d(row.count);
    Breakdown all;
    row.breakdown = all.add(row.breakdown, count);
    row.time = row.time * count;
    row.flops = row.flops * count;
    row.hbm_bytes *= count;
  }
  void add_row(result::OperatorRow row) {
    whole(row);
    const auto [found, is_new] = places_.try_emplace(key(row), rows_.size());
    if (is_new) return rows_.push_back(std::move(row));
    result::OperatorRow& sum = rows_[found->second];
    sum.count += row.count;
    sum.breakdown.add(row.breakdown);
    sum.time += row.time;
    sum.flops += row.flops;
    sum.hbm_bytes += row.hbm_bytes;
    sum.op = std::move(row.op);  // the last step's
    sum.detail = std::move(row.detail);
  }

  result::Result sum_;
  std::vector<result::OperatorRow> rows_;
  std::map<std::pair<std::string, std::string>, std::size_t> places_;
  double matrix_seconds_ = 0, hbm_seconds_ = 0;
};

}  // namespace

result::Result generate(const Request& q, std::int64_t devices, const Options& options,
                        OperatorTimer& timer) {
  static_cast<void>(
      graph::resolve(q.model, q.scenario, q.stack, devices));  // names this phase in what is wrong
  Request prefill = q, decode = q;
  prefill.scenario.phase = Phase::Prefill;
  prefill.scenario.speculation.reset();
  decode.scenario.phase = Phase::Decode;
  const double each = q.scenario.speculation ? q.scenario.speculation->tokens() : 1;
  const double output = d(q.scenario.output);
  const auto steps = static_cast<std::int64_t>(std::ceil((output - 1) / each - 1e-9));
  Options quiet = options;
  quiet.progress = {};
  result::Result first = run(prefill, devices, quiet, timer);
  const double first_total = first.total.count();
  Sum sum(std::move(first));
  for (std::int64_t i = 0; i < steps; ++i) {
    decode.scenario.context = q.scenario.sequence + static_cast<std::int64_t>(d(i) * each);
    sum.add(run(decode, devices, quiet, timer), "decode ");
    if (options.progress) options.progress(static_cast<std::size_t>(i + 1), static_cast<std::size_t>(steps));
  }
  result::Result r = sum.take(first_total);
  r.tokens = d(q.scenario.batch) * output;
  result::ServingSummary& s = *r.serving;
  s.phase = enum_name(Phase::Generate);
  s.ttft = Seconds(first_total);
  s.steps = steps;
  s.tokens_per_sequence = output;
  s.tpot = Seconds(output > 1 ? (r.total.count() - first_total) / (output - 1) : 0);
  return r;
}

result::Result denoise(const Request& q, std::int64_t devices, const Options& options, OperatorTimer& timer) {
  result::Result r = run(q, devices, options, timer);
  const DenoiseSpec& spec = q.scenario.denoise;
  const std::int64_t passes = spec.steps * spec.passes / q.scenario.parallelism.cfg;
  const double times = d(passes), other = r.total.count() * times * spec.other_share / (1 - spec.other_share);
  result::ServingSummary& s = *r.serving;
  for (result::OperatorRow& row : r.operators) row.count *= passes;
  for (result::Part& p : s.parts) p.time = p.time * times;
  s.parts.push_back({"text encoder and VAE", Seconds(other)});
  Breakdown all;
  r.breakdown = all.add(r.breakdown, times);
  r.breakdown[Bound::Host] += other;
  r.flops = r.flops * times;
  const double before = r.total.count() * times;
  r.total = Seconds(before + other);
  r.matrix_utilisation *= before / r.total.count();
  r.hbm_utilisation *= before / r.total.count();
  r.classes = result::by_class(r.operators);
  s.steps = spec.steps;
  s.samples = q.scenario.batch;
  return r;
}

}  // namespace xpusim::step
