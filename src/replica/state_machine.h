// StateMachine: what a group executes its decided entries on. coord::Machine is the real one.
//
// Called by replica::Group only, on its executor's thread. Apply is pure and synchronous: the same entries give the
// same state, hash and outcomes on every member.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/ids.h"
#include "consensus/core.h"

namespace quorate::replica {

// What a command's execution gave; the proposer knows the concrete type.
class Outcome {
 public:
  virtual ~Outcome() = default;
};

class StateMachine {
 public:
  virtual ~StateMachine() = default;
  // Executes the entry after applied(). No-op and membership entries come as well: they only move applied().
  virtual std::unique_ptr<Outcome> Apply(const consensus::Entry& entry) = 0;
  virtual LogIndex applied() const = 0;
  // On the leader, just before a command enters the log: writes cluster time (the last one applied or stamped, advanced
  // by this member's monotonic clock since then, never going back) and wall time into the envelope.
  virtual void Stamp(std::string& command, std::uint64_t monotonic_ns, std::int64_t wall_ns) = 0;
  virtual void OnLeadership(const consensus::Leadership& leadership, std::uint64_t monotonic_ns) = 0;
  // Equal at equal applied(), on every member.
  virtual std::uint64_t StateHash() const = 0;
};

}  // namespace quorate::replica
