#include "net/timer_wheel.h"

#include <algorithm>

namespace quorate::net {

void Timer::Disarm() {
  if (wheel_ == nullptr) return;
  --wheel_->armed_;
  wheel_ = nullptr;
  TimerWheel::Unlink(*this);
}

TimerWheel::~TimerWheel() {
  for (Timer* head : slots_) {
    while (head != nullptr) {
      Timer* timer = head;
      head = timer->next_;
      timer->wheel_ = nullptr;
    }
  }
}

void TimerWheel::Link(Timer& timer, Timer** head) {
  timer.link_ = head;
  timer.next_ = *head;
  if (timer.next_ != nullptr) timer.next_->link_ = &timer.next_;
  *head = &timer;
}

void TimerWheel::Unlink(Timer& timer) {
  *timer.link_ = timer.next_;
  if (timer.next_ != nullptr) timer.next_->link_ = timer.link_;
  timer.next_ = nullptr;
}

void TimerWheel::Arm(Timer& timer, std::uint64_t due_ns, std::uint64_t now_ns) {
  timer.Disarm();
  if (armed_ == 0) next_tick_ = now_ns / kTickNs;
  timer.due_tick_ = std::max(due_ns / kTickNs + 1, next_tick_);
  timer.wheel_ = this;
  ++armed_;
  Link(timer, &slots_[timer.due_tick_ % kSlots]);
}

void TimerWheel::Advance(std::uint64_t now_ns) {
  const std::uint64_t now_tick = now_ns / kTickNs;
  // After a long pause every slot is looked at once, not once per missed tick.
  const std::uint64_t first = std::max(next_tick_, now_tick >= kSlots ? now_tick - kSlots + 1 : 0);
  next_tick_ = std::max(next_tick_, now_tick + 1);
  for (std::uint64_t tick = first; tick <= now_tick; ++tick) {
    // The slot's timers move to a local list first: OnTimer may arm into the same slot.
    Timer* due = slots_[tick % kSlots];
    slots_[tick % kSlots] = nullptr;
    if (due != nullptr) due->link_ = &due;
    while (due != nullptr) {
      Timer& timer = *due;
      Unlink(timer);
      if (timer.due_tick_ > now_tick) {
        Link(timer, &slots_[tick % kSlots]);
        continue;
      }
      timer.wheel_ = nullptr;
      --armed_;
      timer.OnTimer();
    }
  }
}

}  // namespace quorate::net
