// AsioExecutor: a reactor's event loop over Boost.Asio. Owns the io_context that sockets and listeners of that reactor
// use as well.
//
// Made by server/ wiring, one per reactor; outlives everything that runs on it. Thread rule: Post and Stop from any
// thread, the rest from the reactor's own, which is the one that calls Run or RunUntil.
//
// Invariants:
//  1. Tasks run in the order in which they were posted; a timer never before its time.
//  2. All timers together are one timer of the kernel, set anew only when the earliest changes: arming and cancelling
//  cost a map
//     operation.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "env/executor.h"

namespace boost::asio {
class io_context;
}

namespace quorate::env {

class AsioExecutor final : public Executor {
 public:
  AsioExecutor();
  AsioExecutor(const AsioExecutor&) = delete;
  AsioExecutor& operator=(const AsioExecutor&) = delete;
  ~AsioExecutor() override;  // tasks that have not run are destroyed unrun

  void Post(std::function<void()> task) override;
  TimerId After(std::uint64_t delay_ns, std::function<void()> task) override;
  void Cancel(TimerId timer) override;

  void Run();   // the calling thread is the reactor's until Stop
  void Stop();  // Run returns after the task that is running
  // Runs until the condition holds (looked at after every handler) or the limit has passed; says whether it holds. For
  // tests and for tools that wait for one thing.
  bool RunUntil(const std::function<bool()>& condition, std::uint64_t limit_ns);

  boost::asio::io_context& context();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quorate::env
