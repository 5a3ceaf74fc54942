#include "env/posix/log_thread.h"

#include <utility>

namespace quorate::env {

LogThread::LogThread() : thread_([this] { Run(); }) {}

LogThread::~LogThread() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void LogThread::Add(std::function<void()> job) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void LogThread::Run() {
  std::vector<std::function<void()>> taken;
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      taken.swap(jobs_);
    }
    for (const auto& job : taken) job();
    taken.clear();
  }
}

}  // namespace quorate::env
