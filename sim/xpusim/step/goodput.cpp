#include "xpusim/step/goodput.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace xpusim::step {
namespace {

constexpr double kDay = 86400;

/// Plays a job from failure to failure. Time that ends in a checkpoint is work and writing; else it is lost.
class Days {
 public:
  Days(const FailingJob& job, std::int64_t days, std::uint64_t seed)
      : job_(job),
        engine_(seed),
        end_(kDay * static_cast<double>(days)),
        work_(static_cast<std::size_t>(days), 0) {}

  GoodputRun run() {
    double now = 0, failure = next_failure(0);
    while (now < end_) {
      const double done = now + job_.interval + job_.write;
      if (done <= failure) {
        add(now, now + job_.interval);
        spent_.checkpoints += job_.write;
        now = done;
        continue;
      }
      spent_.lost += failure - now;
      now = restarted(failure);
    }
    return summary(now);
  }

 private:
  /// Not std::exponential_distribution, which may differ between libraries.
  double next_failure(double after) {
    const double uniform = static_cast<double>(engine_() >> 11) * 0x1p-53;
    return after - job_.mtbf * std::log1p(-uniform);
  }
  /// When work goes on after a failure, or the days are over; sets `failure` to the next one.
  double restarted(double& failure) {
    while (failure < end_) {
      ++failures_;
      const double begin = failure;
      failure = next_failure(begin);
      const double back = std::min(begin + job_.restart, failure);
      spent_.restarts += back - begin;
      if (back < failure) return back;
    }
    return failure;
  }
  /// Work of the days that it falls on.
  void add(double from, double to) {
    spent_.work += to - from;
    for (auto day = static_cast<std::size_t>(from / kDay); day < work_.size() && from < to; ++day) {
      const double until = std::min(to, kDay * static_cast<double>(day + 1));
      work_[day] += until - from;
      from = until;
    }
  }
  [[nodiscard]] GoodputRun summary(double total) const {
    GoodputRun r;
    r.mean = {spent_.work / total, spent_.checkpoints / total, spent_.lost / total, spent_.restarts / total};
    r.failures = failures_;
    r.worst_day = *std::min_element(work_.begin(), work_.end()) / kDay;
    r.best_day = *std::max_element(work_.begin(), work_.end()) / kDay;
    double square = 0;
    for (const double w : work_) square += (w / kDay - r.mean.work) * (w / kDay - r.mean.work);
    const auto days = static_cast<double>(work_.size());
    r.standard_error = days > 1 ? std::sqrt(square / (days - 1) / days) : 0;
    return r;
  }

  const FailingJob& job_;
  std::mt19937_64 engine_;
  double end_;
  std::vector<double> work_;  ///< seconds of each day that are not lost
  Goodput spent_;             ///< seconds
  std::int64_t failures_ = 0;
};

}  // namespace

double best_interval(double mtbf, double write) {
  if (write >= 2 * mtbf) return mtbf;
  const double x = std::sqrt(write / (2 * mtbf));
  return std::max(std::sqrt(2 * write * mtbf) * (1 + x / 3 + x * x / 9) - write, write * 1e-3);
}

Goodput goodput(const FailingJob& job) {
  const double segment = job.interval + job.write;
  const double failures = std::expm1(segment / job.mtbf);  // until one segment succeeds
  const double restarts = failures * job.mtbf * std::expm1(job.restart / job.mtbf);
  const double total = failures * job.mtbf * std::exp(job.restart / job.mtbf);
  Goodput g;
  if (!std::isfinite(total)) return {0, 0, 0, 1};  // never gets through a restart or a segment
  g.work = job.interval / total;
  g.checkpoints = job.write / total;
  g.restarts = restarts / total;
  g.lost = 1 - g.work - g.checkpoints - g.restarts;
  return g;
}

GoodputRun play_days(const FailingJob& job, std::int64_t days, std::uint64_t seed) {
  return Days(job, days, seed).run();
}

}  // namespace xpusim::step
