// Executor: runs tasks one after another, later, on one thread. In the server it is a reactor's event loop, in the
// simulator the event queue. Thread rule: Post from any thread, the rest from the executor's own.
#pragma once

#include <cstdint>
#include <functional>

namespace quorate::env {

using TimerId = std::uint64_t;  // never 0

class Executor {
 public:
  virtual ~Executor() = default;
  virtual void Post(std::function<void()> task) = 0;
  virtual TimerId After(std::uint64_t delay_ns, std::function<void()> task) = 0;
  virtual void Cancel(TimerId timer) = 0;  // the task will not run; unknown or past timers are ignored
};

}  // namespace quorate::env
