#include <fmt/format.h>

#include <set>

#include "xpusim/core/fields.h"
#include "xpusim/report/results.h"

namespace xpusim::report {
namespace {

using result::Result;

/// Collects events; times are microseconds. Lanes (tid) never hold overlapping spans: Perfetto wants them
/// nested.
class TraceWriter {
 public:
  void process(std::size_t pid, const std::string& name) { meta("process_name", pid, 0, name); }
  void lane(std::size_t pid, std::size_t tid, const std::string& name) {
    meta("thread_name", pid, tid, name);
  }
  void span(std::size_t pid, std::size_t tid, const std::string& quoted_name, std::string_view category,
            double begin_s, double end_s) {
    event(fmt::format(R"({{"ph":"X","pid":{},"tid":{},"name":{},"cat":"{}","ts":{:.6f},"dur":{:.6f}}})", pid,
                      tid, quoted_name, category, begin_s * 1e6, (end_s - begin_s) * 1e6));
  }
  std::string take() {
    return "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n" + std::move(out_) + "\n]}\n";
  }

 private:
  void meta(std::string_view kind, std::size_t pid, std::size_t tid, const std::string& name) {
    event(fmt::format(R"({{"ph":"M","pid":{},"tid":{},"name":"{}","args":{{"name":{}}}}})", pid, tid, kind,
                      quoted(name)));
  }
  void event(const std::string& text) {
    if (!out_.empty()) out_ += ",\n";
    out_ += text;
  }
  std::string out_;
};

/// The pipeline of a training step: a lane per stage.
void write_passes(TraceWriter& w, std::size_t pid, const result::TrainingSummary& t) {
  for (std::int64_t s = 0; s < t.stages; ++s)
    w.lane(pid, static_cast<std::size_t>(s), fmt::format("stage {}", s));
  for (const result::PassSpan& p : t.spans) {
    const std::string_view kind = result::kPassKindNames[static_cast<std::size_t>(p.kind)];
    w.span(pid, static_cast<std::size_t>(p.stage),
           fmt::format("\"{} {}{}\"", kind, p.micro_batch,
                       t.chunks > 1 ? fmt::format(" chunk {}", p.virtual_stage / t.stages) : ""),
           kind, p.begin, p.end);
  }
}

void write(TraceWriter& w, std::size_t pid, const Result& r) {
  w.process(pid, r.variant.empty() ? r.system : r.system + " " + r.variant);
  if (r.training) return write_passes(w, pid, *r.training);
  w.lane(pid, result::kComputeStream, "operators");
  std::set<std::uint32_t> used;
  for (const result::Span& s : r.schedule.spans) used.insert(s.lane);
  for (const std::uint32_t s : used)
    if (s != result::kComputeStream)
      w.lane(pid, s, fmt::format("overlapped communication, {} group", kRankGroupNames[s - std::size_t{1}]));
  for (std::size_t e = 0; !r.engines.empty() && e < r.engine_names.size(); ++e)
    w.lane(pid, result::kStreams + e, fmt::format("core 0: {}", r.engine_names[e]));

  std::vector<std::string> names;
  for (const result::OperatorRow& row : r.operators) names.push_back(quoted(row.name));
  std::vector<double> first_begin(r.operators.size(), -1);
  for (const result::Span& s : r.schedule.spans) {
    const std::size_t row = r.first_row[s.section] + s.index;
    w.span(pid, s.lane, names[row], enum_name(r.operators[row].kind()), s.begin.count(), s.end.count());
    if (first_begin[row] < 0) first_begin[row] = s.begin.count();
  }
  for (const result::EngineTrace& t : r.engines) {  // inside an operator's first run; the launch comes before
    const double begin = first_begin[t.row] + r.operators[t.row].breakdown[Bound::Launch];
    for (const result::Span& s : t.spans)
      w.span(pid, result::kStreams + s.lane, names[t.row], "engine", begin + s.begin.count(),
             begin + s.end.count());
  }
}

}  // namespace

std::string to_chrome_trace(const std::vector<Result>& results) {
  TraceWriter w;
  for (std::size_t i = 0; i < results.size(); ++i) write(w, i, results[i]);
  return w.take();
}

}  // namespace xpusim::report
