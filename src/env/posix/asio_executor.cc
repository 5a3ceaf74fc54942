#include "env/posix/asio_executor.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <limits>
#include <map>
#include <unordered_map>
#include <utility>

namespace quorate::env {

using SteadyClock = std::chrono::steady_clock;

class AsioExecutor::Impl {
 public:
  Impl() : context_(1), work_(context_.get_executor()), alarm_(context_) {}  // 1: one thread runs it

  TimerId After(std::uint64_t delay_ns, std::function<void()> task) {
    const std::uint64_t now = NowNs();
    constexpr std::uint64_t kForever = std::numeric_limits<std::int64_t>::max();
    const std::uint64_t due = delay_ns < kForever - now ? now + delay_ns : kForever;
    const TimerId id = next_id_++;
    timers_.emplace(std::pair(due, id), std::move(task));
    due_of_.emplace(id, due);
    Arm();
    return id;
  }

  void Cancel(TimerId id) {
    const auto found = due_of_.find(id);
    if (found == due_of_.end()) return;
    timers_.erase({found->second, id});
    due_of_.erase(found);
  }

  boost::asio::io_context& context() { return context_; }

 private:
  static std::uint64_t NowNs() {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(SteadyClock::now().time_since_epoch()).count());
  }

  // An alarm that is already set for an earlier time stays: it finds nothing due and is then set for what is left.
  void Arm() {
    if (firing_ || timers_.empty()) return;
    const std::uint64_t due = timers_.begin()->first.first;
    if (due >= alarm_due_) return;
    alarm_due_ = due;
    alarm_.expires_at(SteadyClock::time_point(std::chrono::nanoseconds(due)));
    alarm_.async_wait([this](const boost::system::error_code& error) {
      if (!error) Fire();
    });
  }

  void Fire() {
    alarm_due_ = kNoAlarm;
    firing_ = true;
    const std::uint64_t now = NowNs();
    while (!timers_.empty() && timers_.begin()->first.first <= now) {
      auto task = std::move(timers_.begin()->second);
      due_of_.erase(timers_.begin()->first.second);
      timers_.erase(timers_.begin());
      task();
    }
    firing_ = false;
    Arm();
  }

  static constexpr std::uint64_t kNoAlarm = std::numeric_limits<std::uint64_t>::max();

  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer alarm_;
  std::uint64_t alarm_due_ = kNoAlarm;
  bool firing_ = false;
  TimerId next_id_ = 1;
  std::map<std::pair<std::uint64_t, TimerId>, std::function<void()>> timers_;  // by due time, then age
  std::unordered_map<TimerId, std::uint64_t> due_of_;
};

AsioExecutor::AsioExecutor() : impl_(std::make_unique<Impl>()) {}
AsioExecutor::~AsioExecutor() = default;

void AsioExecutor::Post(std::function<void()> task) {
  boost::asio::post(impl_->context(), std::move(task));
}
TimerId AsioExecutor::After(std::uint64_t delay_ns, std::function<void()> task) {
  return impl_->After(delay_ns, std::move(task));
}
void AsioExecutor::Cancel(TimerId timer) {
  impl_->Cancel(timer);
}

void AsioExecutor::Run() {
  impl_->context().restart();
  impl_->context().run();
}
void AsioExecutor::Stop() {
  impl_->context().stop();
}

bool AsioExecutor::RunUntil(const std::function<bool()>& condition, std::uint64_t limit_ns) {
  impl_->context().restart();
  const auto deadline = SteadyClock::now() + std::chrono::nanoseconds(limit_ns);
  while (!condition()) {
    if (impl_->context().run_one_until(deadline) == 0) return condition();
  }
  return true;
}

boost::asio::io_context& AsioExecutor::context() {
  return impl_->context();
}

}  // namespace quorate::env
