#include "sim/scheduler.h"

#include <gtest/gtest.h>

#include <vector>

namespace quorate::sim {
namespace {

class SchedulerTest : public testing::Test {
 protected:
  std::function<void()> Note(int number) {
    return [this, number] { notes_.push_back(number); };
  }
  TraceHash trace_;
  Scheduler scheduler_{trace_};
  std::vector<int> notes_;
};

TEST_F(SchedulerTest, TasksRunInTimeOrderAndThenInPostingOrder) {
  scheduler_.At(20, kSimulator, Note(3));
  scheduler_.At(10, kSimulator, Note(1));
  scheduler_.At(10, kSimulator, Note(2));
  EXPECT_TRUE(scheduler_.RunUntil(100, {}));
  EXPECT_EQ(notes_, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(scheduler_.now(), 100u);
}

TEST_F(SchedulerTest, NothingOfAKilledProcessRuns) {
  const ProcessId process = scheduler_.NewProcess();
  scheduler_.At(10, process, Note(1));
  scheduler_.Kill(process);
  scheduler_.At(11, process, Note(2));
  scheduler_.At(12, kSimulator, Note(3));
  scheduler_.RunUntil(100, {});
  EXPECT_EQ(notes_, (std::vector<int>{3}));
}

TEST_F(SchedulerTest, APausedProcessRunsItsTasksLateAndInOrder) {
  const ProcessId process = scheduler_.NewProcess();
  scheduler_.Pause(process, 50);
  scheduler_.At(50, process, Note(3));
  scheduler_.At(20, process, Note(2));
  scheduler_.At(10, process, Note(1));
  scheduler_.At(30, kSimulator, Note(0));
  scheduler_.RunUntil(49, {});
  EXPECT_EQ(notes_, (std::vector<int>{0}));
  scheduler_.RunUntil(50, {});
  EXPECT_EQ(notes_, (std::vector<int>{0, 1, 2, 3}));
}

TEST_F(SchedulerTest, ACancelledTaskDoesNotRunEvenWhenAPauseHeldItBack) {
  const ProcessId process = scheduler_.NewProcess();
  const std::uint64_t first = scheduler_.At(10, process, Note(1));
  const std::uint64_t second = scheduler_.At(200, process, Note(2));
  scheduler_.Pause(process, 50);
  scheduler_.RunUntil(20, {});
  scheduler_.Cancel(first);
  scheduler_.Cancel(second);
  scheduler_.Cancel(12345);
  scheduler_.RunUntil(300, {});
  EXPECT_TRUE(notes_.empty());
}

TEST_F(SchedulerTest, StopsWhenAskedTo) {
  scheduler_.At(10, kSimulator, Note(1));
  scheduler_.At(20, kSimulator, Note(2));
  EXPECT_FALSE(scheduler_.RunUntil(100, [this] { return notes_.size() == 1; }));
  EXPECT_EQ(scheduler_.now(), 10u);
}

TEST_F(SchedulerTest, AFastClockShowsMoreTimeAndItsTimersEndEarlier) {
  const ProcessId process = scheduler_.NewProcess();
  const ClockSkew fast{1250, 1000, 0};
  const SimClock clock(scheduler_, fast);
  SimExecutor executor(scheduler_, process, fast);
  executor.After(1000, Note(1));
  scheduler_.RunUntil(799, {});
  EXPECT_TRUE(notes_.empty());
  scheduler_.RunUntil(800, {});
  EXPECT_EQ(notes_.size(), 1u);
  EXPECT_EQ(clock.MonotonicNs(), 2000u);
}

}  // namespace
}  // namespace quorate::sim
