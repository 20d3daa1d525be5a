#include "xpusim/des/calendar.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <stdexcept>
#include <thread>
#include <utility>

#include "xpusim/core/error.h"

namespace {

using xpusim::des::Actor;
using xpusim::des::run;

class Scripted : public Actor {
 public:
  explicit Scripted(std::function<std::int64_t(std::int64_t)> f) : turn_(std::move(f)) {}
  std::int64_t turn(std::int64_t now) override { return turn_(now); }

 private:
  std::function<std::int64_t(std::int64_t)> turn_;
};

using Log = std::vector<std::pair<std::int64_t, int>>;  ///< (time, actor)

/// An actor whose turns come at time 0 and then at the given times.
Scripted walker(Log& log, int name, std::vector<std::int64_t> times) {
  return Scripted([&log, name, times = std::move(times), next = std::size_t{0}](std::int64_t now) mutable {
    log.emplace_back(now, name);
    return next < times.size() ? times[next++] : Actor::kIdle;
  });
}

TEST(Calendar, TakesTurnsInOrderOfTimeAndThenOfIndex) {
  Log log;
  Scripted a = walker(log, 0, {10, 20}), b = walker(log, 1, {5, 10, 20}), c = walker(log, 2, {20});
  EXPECT_EQ(run({&a, &b, &c}), 20);
  EXPECT_EQ(log, (Log{{0, 0}, {0, 1}, {0, 2}, {5, 1}, {10, 0}, {10, 1}, {20, 0}, {20, 1}, {20, 2}}));
}

TEST(Calendar, GivesRandomTurnsInOrder) {
  for (std::uint32_t seed = 0; seed < 30; ++seed) {
    std::mt19937 engine(seed);
    Log log, expected;
    std::vector<Scripted> actors;
    for (int i = 0; i < 40; ++i) {
      std::vector<std::int64_t> times;
      std::int64_t t = 0;
      expected.emplace_back(0, i);
      for (int k = 0; k < 50; ++k) {
        t += std::uniform_int_distribution<std::int64_t>(1, 20)(engine);
        times.push_back(t);
        expected.emplace_back(t, i);
      }
      actors.push_back(walker(log, i, times));
    }
    std::vector<Actor*> all;
    for (Scripted& s : actors) all.push_back(&s);
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(run(all), expected.back().first);
    ASSERT_EQ(log, expected) << "seed " << seed;
  }
}

TEST(Calendar, ATimeBeforeNowIsNow) {
  Log log;
  Scripted a = walker(log, 0, {10, 3});
  EXPECT_EQ(run({&a}), 10);
  EXPECT_EQ(log, (Log{{0, 0}, {10, 0}, {10, 0}}));
}

TEST(Calendar, RunsWithoutActors) { EXPECT_EQ(run({}), 0); }

TEST(Calendar, HandsExceptionsToTheCallerWithTheirType) {
  const auto throws = [](auto error) {
    Scripted good([](std::int64_t now) { return now + 1; });  // would go on for ever
    Scripted bad([error](std::int64_t now) -> std::int64_t {
      if (now == 5) throw error;
      return now + 1;
    });
    static_cast<void>(run({&good, &bad}));
  };
  EXPECT_THROW(throws(xpusim::InfeasibleError("too big")), xpusim::InfeasibleError);
  EXPECT_THROW(throws(std::out_of_range("no such tile")), std::out_of_range);
  EXPECT_THROW(throws(42), int);
  try {
    throws(xpusim::ModelError("the message"));
    FAIL();
  } catch (const xpusim::ModelError& e) {
    EXPECT_STREQ(e.what(), "the message");
  }
}

TEST(Calendar, RunsAgainInOneProcess) {
  for (int i = 0; i < 3; ++i) {
    Log log;
    Scripted a = walker(log, 0, {7}), b = walker(log, 1, {3});
    EXPECT_EQ(run({&a, &b}), 7);
    EXPECT_EQ(log, (Log{{0, 0}, {0, 1}, {3, 1}, {7, 0}}));
  }
}

TEST(Calendar, RunsAgainAfterAnException) {
  Scripted bad([](std::int64_t) -> std::int64_t { throw std::runtime_error("stop"); });
  EXPECT_THROW(static_cast<void>(run({&bad})), std::runtime_error);
  Log log;
  Scripted good = walker(log, 0, {4});
  EXPECT_EQ(run({&good}), 4);
}

TEST(Calendar, IdleActorsChangeNothing) {
  const auto turns = [](int idle) {
    Log log;
    std::vector<Scripted> actors;
    for (int i = 0; i < idle; ++i) actors.emplace_back([](std::int64_t) { return Actor::kIdle; });
    actors.push_back(walker(log, 0, {4, 9}));
    for (int i = 0; i < idle; ++i) actors.emplace_back([](std::int64_t) { return Actor::kIdle; });
    actors.push_back(walker(log, 1, {4, 8}));
    std::vector<Actor*> all;
    for (Scripted& s : actors) all.push_back(&s);
    log.emplace_back(run(all), -1);
    return log;
  };
  EXPECT_EQ(turns(0), turns(100));
}

TEST(Calendar, ReachesTimesOfManySeconds) {
  const std::int64_t hour = 3'600'000'000'000'000;  // ps
  Log log;
  Scripted a = walker(log, 0, {hour, hour + 1});
  EXPECT_EQ(run({&a}), hour + 1);
}

TEST(Calendar, RunsOfTwoThreadsDoNotMeet) {
  std::vector<Log> logs(2);
  std::vector<std::thread> threads;
  for (Log& log : logs)
    threads.emplace_back([&log] {
      for (int i = 0; i < 20; ++i) {
        log.clear();
        Scripted a = walker(log, 0, {2, 6}), b = walker(log, 1, {4});
        static_cast<void>(run({&a, &b}));
      }
    });
  for (std::thread& t : threads) t.join();
  const Log expected{{0, 0}, {0, 1}, {2, 0}, {4, 1}, {6, 0}};
  EXPECT_EQ(logs[0], expected);
  EXPECT_EQ(logs[1], expected);
}

TEST(Calendar, ABellWakesAnIdleActorOnce) {
  xpusim::des::Bell bell;
  Log log;
  Scripted sleeper([&log](std::int64_t now) {
    log.emplace_back(now, 0);
    return Actor::kIdle;
  });
  Scripted ringer([&bell](std::int64_t now) {
    if (now == 0) return std::int64_t{10};
    bell.ring(0, 25);
    return Actor::kIdle;
  });
  EXPECT_EQ(run({&sleeper, &ringer}, &bell), 25);
  EXPECT_EQ(log, (Log{{0, 0}, {25, 0}}));
}

}  // namespace
