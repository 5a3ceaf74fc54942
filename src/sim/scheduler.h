// Scheduler: virtual time. A queue of tasks, run one after another in (time, order of posting); time jumps to the next.
//
// Every task belongs to a process: one life of one simulated member, or the simulator itself. A killed process never
// runs again; the tasks of a paused one wait until it resumes, while the clock goes on. Used by everything in sim/.
// Thread rule: one thread.
//
// Invariants:
//  1. No task of a dead process runs.
//  2. Tasks of one process that are due at different times run in that order, pauses or not.
//  3. The order of execution depends on nothing but the calls made: no addresses, no hashing, no real clock.
#pragma once

#include <cstdint>
#include <functional>
#include <map>

#include "base/ids.h"
#include "env/clock.h"
#include "env/executor.h"
#include "sim/trace_hash.h"

namespace quorate::sim {

class Recorder;

using ProcessId = Id<struct ProcessTag>;  // one life of one member; never reused
inline constexpr ProcessId kSimulator{0};

inline constexpr std::uint64_t kMicrosecond = 1'000;
inline constexpr std::uint64_t kMillisecond = 1'000'000;
inline constexpr std::uint64_t kSecond = 1'000'000'000;

class Scheduler {
 public:
  explicit Scheduler(TraceHash& trace) : trace_(trace) {}
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  std::uint64_t now() const { return now_; }
  std::uint64_t tasks_run() const { return tasks_run_; }

  ProcessId NewProcess();
  // REQUIRES not being called from one of the process's own tasks.
  void Kill(ProcessId process);
  void Pause(ProcessId process, std::uint64_t until);
  bool alive(ProcessId process) const { return process == kSimulator || processes_.contains(process); }
  bool paused(ProcessId process) const;

  // Runs `task` at `time` (now, if that is past). The returned number is never 0.
  std::uint64_t At(std::uint64_t time, ProcessId owner, std::function<void()> task);
  std::uint64_t After(std::uint64_t delay, ProcessId owner, std::function<void()> task) {
    return At(now_ + delay, owner, std::move(task));
  }
  void Cancel(std::uint64_t task);

  // Runs everything due up to `time`; ends early, and says false, when `stop` is true after a task.
  bool RunUntil(std::uint64_t time, const std::function<bool()>& stop);
  // Who is told what happens, for the trace page; null: nobody.
  Recorder* recorder() const { return recorder_; }
  void set_recorder(Recorder* recorder) { recorder_ = recorder; }
  // Called after every task that belongs to a process.
  void set_after_task(std::function<void(ProcessId)> hook) { after_task_ = std::move(hook); }

 private:
  struct Key {
    std::uint64_t time = 0;  // later than `due` for a task that a pause held back
    std::uint64_t due = 0;
    std::uint64_t order = 0;
    auto operator<=>(const Key&) const = default;
  };
  struct Task {
    std::uint64_t id = 0;
    ProcessId owner;
    std::function<void()> run;
  };
  void Insert(std::uint64_t time, std::uint64_t due, Task task);

  TraceHash& trace_;
  std::uint64_t now_ = 0;
  std::uint64_t tasks_run_ = 0;
  std::uint64_t last_process_ = 0;
  std::uint64_t last_order_ = 0;
  std::uint64_t last_task_ = 0;
  std::map<Key, Task> queue_;
  std::map<std::uint64_t, Key> where_;            // task -> its place in queue_
  std::map<ProcessId, std::uint64_t> processes_;  // the living -> paused until
  std::function<void(ProcessId)> after_task_;
  Recorder* recorder_ = nullptr;
};

// How a member's oscillator differs from true time.
struct ClockSkew {
  std::uint64_t rate_permille = 1000;    // local nanoseconds per thousand true ones
  std::uint64_t monotonic_start_ns = 0;  // what the monotonic clock read at time 0: another after every start
  std::int64_t wall_offset_ns = 0;
};

class SimClock final : public env::Clock {
 public:
  SimClock(const Scheduler& scheduler, ClockSkew skew) : scheduler_(scheduler), skew_(skew) {}
  std::uint64_t MonotonicNs() const override;
  std::int64_t WallNs() const override;
  void JumpWall(std::int64_t by_ns) { skew_.wall_offset_ns += by_ns; }

 private:
  const Scheduler& scheduler_;
  ClockSkew skew_;
};

// The executor of one process. Delays are measured by that member's clock.
class SimExecutor final : public env::Executor {
 public:
  SimExecutor(Scheduler& scheduler, ProcessId process, ClockSkew skew)
      : scheduler_(scheduler), process_(process), skew_(skew) {}
  void Post(std::function<void()> task) override { scheduler_.After(0, process_, std::move(task)); }
  env::TimerId After(std::uint64_t delay_ns, std::function<void()> task) override;
  void Cancel(env::TimerId timer) override { scheduler_.Cancel(timer); }

 private:
  Scheduler& scheduler_;
  ProcessId process_;
  ClockSkew skew_;
};

}  // namespace quorate::sim
