#include "sim/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace quorate::sim {
namespace {

constexpr std::int64_t kWallEpochNs = 1'700'000'000'000'000'000;  // any fixed date will do

// The products would overflow 64 bits after some hours of simulated time only: a run is minutes.
std::uint64_t LocalFromTrue(std::uint64_t ns, const ClockSkew& skew) {
  return ns * skew.rate_permille / 1000;
}
std::uint64_t TrueFromLocal(std::uint64_t ns, const ClockSkew& skew) {
  return ns * 1000 / skew.rate_permille;
}

}  // namespace

ProcessId Scheduler::NewProcess() {
  const ProcessId process(++last_process_);
  processes_[process] = 0;
  return process;
}

void Scheduler::Kill(ProcessId process) {
  processes_.erase(process);
  for (auto it = queue_.begin(); it != queue_.end();) {
    if (it->second.owner == process) {
      where_.erase(it->second.id);
      it = queue_.erase(it);
    } else {
      ++it;
    }
  }
}

void Scheduler::Pause(ProcessId process, std::uint64_t until) {
  const auto it = processes_.find(process);
  if (it != processes_.end()) it->second = std::max(it->second, until);
}

bool Scheduler::paused(ProcessId process) const {
  const auto it = processes_.find(process);
  return it != processes_.end() && it->second > now_;
}

void Scheduler::Insert(std::uint64_t time, std::uint64_t due, Task task) {
  const Key key{time, due, ++last_order_};
  where_[task.id] = key;
  queue_.emplace(key, std::move(task));
}

std::uint64_t Scheduler::At(std::uint64_t time, ProcessId owner, std::function<void()> task) {
  const std::uint64_t id = ++last_task_;
  const std::uint64_t due = std::max(time, now_);
  if (alive(owner)) Insert(due, due, Task{id, owner, std::move(task)});
  return id;
}

void Scheduler::Cancel(std::uint64_t task) {
  const auto it = where_.find(task);
  if (it == where_.end()) return;
  queue_.erase(it->second);
  where_.erase(it);
}

bool Scheduler::RunUntil(std::uint64_t time, const std::function<bool()>& stop) {
  while (!queue_.empty() && queue_.begin()->first.time <= time) {
    auto node = queue_.extract(queue_.begin());
    Task task = std::move(node.mapped());
    CHECK(node.key().time >= now_) << "virtual time would go back";
    now_ = node.key().time;
    if (task.owner != kSimulator) {
      const std::uint64_t resumes = processes_.at(task.owner);
      if (resumes > now_) {
        Insert(resumes, node.key().due, std::move(task));
        continue;
      }
    }
    where_.erase(task.id);
    trace_.Mix(now_);
    trace_.Mix(task.owner.value);
    ++tasks_run_;
    task.run();
    if (task.owner != kSimulator && after_task_) after_task_(task.owner);
    if (stop && stop()) return false;
  }
  now_ = std::max(now_, time);
  return true;
}

std::uint64_t SimClock::MonotonicNs() const {
  return skew_.monotonic_start_ns + LocalFromTrue(scheduler_.now(), skew_);
}

std::int64_t SimClock::WallNs() const {
  return kWallEpochNs + skew_.wall_offset_ns + static_cast<std::int64_t>(LocalFromTrue(scheduler_.now(), skew_));
}

env::TimerId SimExecutor::After(std::uint64_t delay_ns, std::function<void()> task) {
  return scheduler_.After(TrueFromLocal(delay_ns, skew_), process_, std::move(task));
}

}  // namespace quorate::sim
