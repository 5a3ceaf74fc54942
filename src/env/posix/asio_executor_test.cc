#include "env/posix/asio_executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "env/posix/os_random.h"
#include "env/posix/posix_clock.h"

namespace quorate::env {
namespace {

constexpr std::uint64_t kLimitNs = 30'000'000'000;
constexpr std::uint64_t kMs = 1'000'000;

TEST(AsioExecutorTest, RunsPostedTasksInOrderAndNotInsidePost) {
  AsioExecutor executor;
  std::string seen;
  executor.Post([&] {
    executor.Post([&] { seen += "c"; });
    seen += "a";
  });
  executor.Post([&] { seen += "b"; });
  EXPECT_EQ(seen, "");
  EXPECT_TRUE(executor.RunUntil([&] { return seen.size() == 3; }, kLimitNs));
  EXPECT_EQ(seen, "abc");
}

TEST(AsioExecutorTest, TimersRunInTheOrderOfTheirTimesAndNotBefore) {
  AsioExecutor executor;
  const PosixClock clock;
  const std::uint64_t start = clock.MonotonicNs();
  std::string seen;
  std::uint64_t last_at = 0;
  executor.After(30 * kMs, [&] {
    seen += "c";
    last_at = clock.MonotonicNs();
  });
  executor.After(10 * kMs, [&] { seen += "b"; });
  executor.After(0, [&] { seen += "a"; });
  EXPECT_TRUE(executor.RunUntil([&] { return seen.size() == 3; }, kLimitNs));
  EXPECT_EQ(seen, "abc");
  EXPECT_GE(last_at - start, 30 * kMs);
}

TEST(AsioExecutorTest, ACancelledTimerDoesNotRunEvenWhenItIsDueTogetherWithTheOneThatCancels) {
  AsioExecutor executor;
  bool ran = false;
  TimerId second = 0;
  executor.After(0, [&] { executor.Cancel(second); });
  second = executor.After(1, [&] { ran = true; });
  bool over = false;
  executor.After(5 * kMs, [&] { over = true; });
  EXPECT_TRUE(executor.RunUntil([&] { return over; }, kLimitNs));
  EXPECT_FALSE(ran);
  executor.Cancel(second);  // past
  executor.Cancel(0);
  executor.Cancel(12345);  // unknown
}

TEST(AsioExecutorTest, AnEarlierTimerArmedLaterRunsFirst) {
  AsioExecutor executor;
  std::string seen;
  const TimerId never = executor.After(~std::uint64_t{0}, [&] { seen += "x"; });
  EXPECT_NE(never, 0u);
  executor.After(20 * kMs, [&] { seen += "b"; });
  executor.Post([&] { executor.After(kMs, [&] { seen += "a"; }); });
  EXPECT_TRUE(executor.RunUntil([&] { return seen.size() == 2; }, kLimitNs));
  EXPECT_EQ(seen, "ab");
}

TEST(AsioExecutorTest, ManyTimersArmedAndCancelled) {
  AsioExecutor executor;
  int ran = 0;
  for (int i = 0; i < 2000; ++i) {
    const TimerId id = executor.After(static_cast<std::uint64_t>(i % 7) * kMs, [&] { ++ran; });
    if (i % 2 == 0) executor.Cancel(id);
  }
  EXPECT_TRUE(executor.RunUntil([&] { return ran == 1000; }, kLimitNs));
  bool over = false;
  executor.After(10 * kMs, [&] { over = true; });
  EXPECT_TRUE(executor.RunUntil([&] { return over; }, kLimitNs));
  EXPECT_EQ(ran, 1000);
}

TEST(AsioExecutorTest, RunUntilGivesUpAtItsLimit) {
  AsioExecutor executor;
  EXPECT_FALSE(executor.RunUntil([] { return false; }, kMs));
}

TEST(AsioExecutorTest, PostAndStopWorkFromAnotherThread) {
  AsioExecutor executor;
  int ran = 0;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) executor.Post([&] { ++ran; });
    executor.Post([&] { executor.Stop(); });
  });
  executor.Run();
  other.join();
  EXPECT_EQ(ran, 1000);
}

TEST(PosixClockTest, MonotonicTimeNeverGoesBackAndWallTimeIsOfThisCentury) {
  const PosixClock clock;
  const std::uint64_t first = clock.MonotonicNs();
  EXPECT_LE(first, clock.MonotonicNs());
  EXPECT_GT(clock.WallNs(), 1'700'000'000LL * 1'000'000'000);
}

TEST(OsRandomTest, ManyLotsHoldNoRepeatedNumber) {
  OsRandom random;
  std::vector<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.push_back(random.Next());
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
}

}  // namespace
}  // namespace quorate::env
