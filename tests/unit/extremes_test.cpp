#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "support/shipped.h"
#include "xpusim/config/scalars.h"
#include "xpusim/core/error.h"
#include "xpusim/jobs/job.h"
#include "xpusim/report/collectives.h"
#include "xpusim/report/results.h"

/// Numbers of any size in any place: a refusal, or figures; never something in between.
namespace xpusim::jobs {
namespace {

const config::Library& library() {
  static const config::Library shipped = config::Library(XPUSIM_SOURCE_ROOT).read_once();
  return shipped;
}

void expect_finite(const report::Json& j, const std::string& at) {
  if (j.is_number_float()) {
    EXPECT_TRUE(std::isfinite(j.get<double>())) << at;
  }
  if (j.is_structured())
    for (const auto& [key, value] : j.items()) expect_finite(value, at + "." + key);
}

/// Draws what-if values that replace numbers of files.
class Extremes {
 public:
  explicit Extremes(unsigned seed) : random_(seed) {}

  /// The number of a leaf, the unit of which stays.
  std::optional<config::Override> of(const config::Leaves& leaves) {
    const auto leaf = std::next(leaves.begin(), static_cast<std::ptrdiff_t>(below(leaves.size())));
    const std::string& text = leaf->second.text;
    const std::size_t end = std::min(text.find_first_not_of("0123456789.e+-"), text.size());
    const auto number = config::parse_real(text.substr(0, end));
    if (!number) return std::nullopt;
    return config::Override{leaf->first, extreme(*number) + text.substr(end)};
  }
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }

 private:
  std::string extreme(double x) {
    static constexpr std::array<const char*, 8> kTexts = {"0",   "1e-320", "1e-300", "1e-9",
                                                          "1e9", "1e18",   "1e300",  "1e400"};
    const std::size_t choice = below(3 * kTexts.size());
    if (choice < kTexts.size()) return kTexts[choice];
    return fmt::format("{}", x * std::pow(10.0, std::uniform_int_distribution<int>(-9, 9)(random_)));
  }
  std::mt19937 random_;
};

/// A question and the files that it may be asked of otherwise.
struct Question {
  Subject subject;
  std::string on;
  config::Leaves leaves;
};

std::vector<Question> questions() {
  const auto with = [](config::Leaves a, const config::Leaves& b) {
    a.insert(b.begin(), b.end());
    return a;
  };
  const auto chip = library().chip("h100_sxm").leaves, npu = library().chip("ascend_910b2").leaves;
  const auto system = library().system("dgx_h100").leaves;
  std::vector<Question> list;
  for (const auto& [id, leaves] : {std::pair("h100_sxm", chip), std::pair("ascend_910b2", npu)}) {
    list.push_back({{Kind::Op, "gemm", {"m=300", "n=4096", "k=4096"}}, id, leaves});
    list.push_back({{Kind::Op,
                     "attention",
                     {"batch=4", "q_len=1", "kv_len=4096", "heads=32", "kv_heads=8", "head_dim=128"}},
                    id,
                    leaves});
    list.push_back({{Kind::Op, "rmsnorm", {"rows=4096", "cols=4096"}}, id, leaves});
  }
  list.push_back({{Kind::Collective, "all_reduce", {"ranks=8", "size=64MiB"}}, "dgx_h100", system});
  for (const char* scenario : {"llama31_8b_decode", "llama31_70b_prefill", "llama31_8b_training"})
    list.push_back({{Kind::Scenario, scenario},
                    "dgx_h100",
                    with(with(library().scenario(scenario).leaves, chip), system)});
  return list;
}

/// Runs it; refused or not.
void ask(const Question& q, const config::Overrides& changes, Fidelity fidelity) {
  try {
    const Job job = load(library(), q.subject, q.on, changes);
    const Outcome outcome = run(job, {fidelity, false, true, {}});
    if (const auto* r = std::get_if<result::Result>(&outcome)) {
      expect_finite(report::to_json({*r}), q.subject.text);
    } else {
      const auto& t = std::get<network::CollectiveTime>(outcome);
      expect_finite(report::to_json(std::get<CollectiveJob>(job).calls.front(), t), q.subject.text);
    }
  } catch (const ConfigError&) {
  } catch (const InfeasibleError&) {
  } catch (const std::exception& e) {
    ADD_FAILURE() << q.subject.text << " on " << q.on << ": " << e.what();
  }
}

TEST(Extremes, AreRefusedOrTimed) {
  const auto list = questions();
  Extremes extremes(7);
  for (int i = 0; i < 3000; ++i) {
    const Question& q = list[extremes.below(list.size())];
    config::Overrides changes;
    std::string shown;
    for (std::size_t k = 0; k <= extremes.below(3); ++k)
      if (const auto change = extremes.of(q.leaves)) {
        changes.push_back(*change);
        shown += " " + change->where();
      }
    const bool is_short = q.subject.kind == Kind::Collective || q.subject.text == "rmsnorm";
    SCOPED_TRACE(shown);
    ask(q, changes, is_short && i % 4 == 0 ? Fidelity::Tile : Fidelity::Bound);
  }
}

/// Each number of a chip at the ends of what it may be, where a slip in a formula shows.
TEST(Extremes, OfEachNumberOfAChipAreTimed) {
  const auto list = questions();
  for (const auto& [path, leaf] : library().chip("h100_sxm").leaves) {
    const std::size_t end = std::min(leaf.text.find_first_not_of("0123456789.e+-"), leaf.text.size());
    const auto number = config::parse_real(leaf.text.substr(0, end));
    if (!number) continue;
    for (const int power : {-12, -9, -6, -3, -1, 1, 3, 6, 9, 12})
      for (std::size_t q = 0; q < 3; ++q) {
        const config::Override change{
            path, fmt::format("{}{}", *number * std::pow(10.0, power), leaf.text.substr(end))};
        SCOPED_TRACE(change.where());
        ask(list[q], {change}, Fidelity::Bound);
      }
  }
}

}  // namespace
}  // namespace xpusim::jobs
