// Reactor: what all connections of one event loop share: the end-of-turn flush, timers, and the two big buffers that no
// idle connection should own.
//
// One per io_context, which exactly one thread runs (build it with concurrency hint 1). Called by listeners, sessions
// and channels; created at wiring. Thread rule: the loop's thread. Invariant: an object queued with QueueFlush is
// flushed once, after the handlers that were ready with the one that queued it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "net/timer_wheel.h"

namespace boost::asio {
class io_context;
}

namespace quorate::net {

class Flushable {
 public:
  virtual ~Flushable() = default;
  virtual void FlushNow() = 0;

 private:
  friend class Reactor;
  bool flush_queued_ = false;
};

class Reactor {
 public:
  static constexpr std::size_t kReadBufferBytes = 64 * 1024;

  explicit Reactor(boost::asio::io_context& context);
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;
  ~Reactor();

  boost::asio::io_context& context();
  void QueueFlush(std::shared_ptr<Flushable> who);
  void Arm(Timer& timer, std::uint64_t due_ns);
  // Scratch memory, valid until the current handler returns.
  std::span<char> read_buffer();
  std::string& write_buffer();

  static std::uint64_t NowNs();  // monotonic

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace quorate::net
