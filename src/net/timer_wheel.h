// TimerWheel: many coarse timers of one reactor (call deadlines, header timeouts), armed and disarmed in constant time.
//
// A Timer is embedded in the object that waits, so arming allocates nothing. Thread rule: the reactor's thread.
// Invariants:
//  1. OnTimer is called at most once per Arm, never before its time and at most two ticks after it (as long as Advance
//  is called every tick).
//  2. A timer that is destroyed or disarmed never fires, even when that happens inside another timer's OnTimer.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace quorate::net {

class TimerWheel;

class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer() { Disarm(); }
  bool armed() const { return wheel_ != nullptr; }
  void Disarm();

 protected:
  virtual void OnTimer() = 0;

 private:
  friend class TimerWheel;
  TimerWheel* wheel_ = nullptr;
  Timer** link_ = nullptr;  // the pointer that points at this timer
  Timer* next_ = nullptr;
  std::uint64_t due_tick_ = 0;
};

class TimerWheel {
 public:
  static constexpr std::uint64_t kTickNs = 10'000'000;
  static constexpr std::size_t kSlots = 512;  // 5.12 s a turn: etcd clients' 5 s deadlines are looked at once

  TimerWheel() = default;
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel();

  // Arms (or arms anew) for the monotonic time `due_ns`.
  void Arm(Timer& timer, std::uint64_t due_ns, std::uint64_t now_ns);
  void Advance(std::uint64_t now_ns);  // fires what is due
  bool empty() const { return armed_ == 0; }

 private:
  friend class Timer;
  static void Link(Timer& timer, Timer** head);
  static void Unlink(Timer& timer);

  std::array<Timer*, kSlots> slots_{};
  std::uint64_t next_tick_ = 0;  // the first tick not yet looked at
  std::size_t armed_ = 0;
};

}  // namespace quorate::net
