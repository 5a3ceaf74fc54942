// Executors for tests of disks and of what stands on them: one whose time the test moves, and one that real threads
// post to. Tests only.
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "env/executor.h"

namespace quorate::env {

// Thread rule: one thread.
class ManualExecutor final : public Executor {
 public:
  void Post(std::function<void()> task) override { tasks_[{now_, ++last_}] = std::move(task); }
  TimerId After(std::uint64_t delay_ns, std::function<void()> task) override {
    tasks_[{now_ + delay_ns, ++last_}] = std::move(task);
    return last_;
  }
  void Cancel(TimerId timer) override {
    std::erase_if(tasks_, [&](const auto& item) { return item.first.second == timer; });
  }

  // Runs everything that is due now, and what that posts.
  void RunDue() {
    while (!tasks_.empty() && tasks_.begin()->first.first <= now_) RunFirst();
  }
  // Runs everything there is up to `ns` from now, moving the clock along.
  void RunFor(std::uint64_t ns) {
    const std::uint64_t until = now_ + ns;
    while (!tasks_.empty() && tasks_.begin()->first.first <= until) RunFirst();
    now_ = until;
  }
  bool RunFirst() {
    if (tasks_.empty()) return false;
    auto first = tasks_.extract(tasks_.begin());
    now_ = std::max(now_, first.key().first);
    first.mapped()();
    return true;
  }
  std::size_t waiting() const { return tasks_.size(); }

 private:
  std::uint64_t now_ = 0;
  std::uint64_t last_ = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::function<void()>> tasks_;  // by time, then order
};

// Runs on the test's thread what other threads post, in order; a timer runs once nothing else is left to run. Thread
// rule: Post from any thread.
class QueueExecutor final : public Executor {
 public:
  void Post(std::function<void()> task) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks_[{0, ++last_}] = std::move(task);
    wake_.notify_one();
  }
  TimerId After(std::uint64_t delay_ns, std::function<void()> task) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    tasks_[{delay_ns, ++last_}] = std::move(task);
    return last_;
  }
  void Cancel(TimerId timer) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::erase_if(tasks_, [&](const auto& item) { return item.first.second == timer; });
  }

  // Runs tasks until `ready` holds; false when a minute passes without anything to run.
  bool RunUntil(const std::function<bool()>& ready) {
    while (!ready()) {
      std::function<void()> task;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        const auto due = [this] { return !tasks_.empty() && tasks_.begin()->first.first == 0; };
        if (!wake_.wait_for(lock, std::chrono::minutes(1), due)) return false;
        task = std::move(tasks_.extract(tasks_.begin()).mapped());
      }
      task();
    }
    return true;
  }
  // Runs the timers that wait, whatever their delay.
  void RunTimers() {
    for (;;) {
      std::function<void()> task;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (tasks_.empty()) return;
        task = std::move(tasks_.extract(tasks_.begin()).mapped());
      }
      task();
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::uint64_t last_ = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::function<void()>> tasks_;
};

}  // namespace quorate::env
