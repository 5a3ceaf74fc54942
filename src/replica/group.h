// Group: one consensus group on one member. Owns the core, drives it (driver.cc is the one place where a Ready becomes
// actions), and answers proposals and read barriers of this member's clients.
//
// Called by server/ (through coord::Backend) and by sim/. Thread rule: the executor's thread; callbacks run on it,
// never from inside the call that registered them.
//
// Invariants:
//  1. Every callback is called exactly once.
//  2. A proposal whose outcome is unknown is never sent again; one that certainly entered no log is, to the next
//  leader, until its deadline.
//  3. Entries are applied in index order, each once per life.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "env/clock.h"
#include "env/executor.h"
#include "env/transport.h"
#include "replica/state_machine.h"
#include "wal/log.h"

namespace quorate::replica {

enum class Fate : std::uint8_t {
  kApplied = 1,     // decided and executed here; `outcome` has the result
  kTimedOut = 2,    // the deadline passed; it may still be decided
  kLeaderLost = 3,  // the leader it was sent to is gone; it may still be decided
  kNoLeader = 4,    // the deadline passed and it was sent to nobody: certainly not decided
  kOverloaded = 5,  // over a bound: certainly not decided
};

struct ProposeResult {
  Fate fate = Fate::kTimedOut;
  LogIndex index;  // of the decided entry, with kApplied
  std::unique_ptr<Outcome> outcome;
};

struct GroupOptions {
  GroupId group{1};
  consensus::Protocol protocol = consensus::Protocol::kRaft;
  consensus::Options core;
  std::uint64_t tick_ns = 10'000'000;  // heartbeat 50 ms = 5 ticks, election 300 to 600 ms = 30 to 60 ticks
  std::uint64_t request_timeout_ns = 7'000'000'000;  // etcd's 5 s plus two election timeouts
  std::uint64_t pending_bytes_max = 64 << 20;        // proposals of this member's clients that are not yet answered
  std::function<void()> on_applied;  // after each turn of the loop in which entries were applied; may be empty
};

struct GroupStatus {
  consensus::Leadership leadership;
  LogIndex commit;
  LogIndex applied;
  std::uint64_t proposals_pending = 0;
  std::uint64_t proposals_failed = 0;
};

class Group : public env::TransportListener {
 public:
  // `log`, `transport`, `machine` outlive the group. Frames of other groups are not this group's: server/ dispatches by
  // group id.
  static Result<std::unique_ptr<Group>> Start(GroupOptions options, wal::Log& log, env::Transport& transport,
                                              env::Executor& executor, const env::Clock& clock, StateMachine& machine);

  // Proposes on the leader, wherever that is. deadline_ns is of the monotonic clock; 0 = request_timeout_ns from now.
  virtual void Propose(std::string command, std::uint64_t deadline_ns, std::function<void(ProposeResult)> done) = 0;
  // kApplied: the state machine covers every write acknowledged anywhere before this call. Otherwise kTimedOut or
  // kNoLeader.
  virtual void ReadBarrier(std::uint64_t deadline_ns, std::function<void(Fate)> done) = 0;
  virtual void TransferLeadership(ReplicaId to) = 0;
  virtual GroupStatus status() const = 0;
  virtual const consensus::Membership& membership() const = 0;
  virtual const consensus::Core& core() const = 0;
};

}  // namespace quorate::replica
