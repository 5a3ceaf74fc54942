// What can happen next in an explored system, packed into 16 bits: a state's path is a chain of them.
#pragma once

#include <cstdint>

namespace quorate::sim::explore {

constexpr std::uint64_t kReplicasMax = 5;

enum class EventKind : std::uint8_t {
  kDeliver = 0,      // the oldest message from `a` reaches `b`, or `b` learns that the link from `a` was replaced
  kDeliverLate = 1,  // the same message, after almost all of b's patience has passed
  kSkipToReset = 2,  // `b` learns of the replaced link before what was still under way on the old one: that is lost
  kPersist = 3,      // a's next batch becomes durable
  kTimeout = 4,      // time passes at `a` until its core does something by itself
  kPropose = 5,      // a client's command at `a`, which leads
  kRead = 6,         // a read barrier at `a`
  kCrash = 7,        // `a` loses what was not durable and starts again; its links are new
  kLose = 8,         // the oldest message from `a` to `b` is lost
  kReset = 9,        // `b` finds its link to `a` replaced; `a` learns of it later
  kDoom = 10,        // nothing that `a` writes from now on becomes durable; its crash is still to come
};

struct Event {
  EventKind kind = EventKind::kDeliver;
  std::uint8_t a = 0;  // places of replicas, from 0
  std::uint8_t b = 0;

  std::uint16_t Pack() const { return static_cast<std::uint16_t>(static_cast<unsigned>(kind) << 6 | a << 3 | b); }
  static Event Unpack(std::uint16_t packed) {
    return {static_cast<EventKind>(packed >> 6), static_cast<std::uint8_t>(packed >> 3 & 7),
            static_cast<std::uint8_t>(packed & 7)};
  }
};

}  // namespace quorate::sim::explore
