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
//  4. A byte of the log is released only when the state machine has flushed what it says (machine.flushed()).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
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
  kNotReady = 6,    // this member's state is being replaced by a snapshot: nothing was read
  kNoSpace = 7,     // the disk is nearly full: certainly not decided
  kRefused = 8,     // a change of members, or a transfer, that is not legal now: certainly not decided
};

struct ProposeResult {
  Fate fate = Fate::kTimedOut;
  LogIndex index;  // of the decided entry, with kApplied
  std::unique_ptr<Outcome> outcome;
};

// How far a peer is, as its leader knows it.
struct PeerProgress {
  LogIndex match;          // its log is known to be the leader's up to here
  bool live = false;       // there is a link now, or was one less than GroupOptions::liveness_ns ago
  bool snapshot = false;   // it is behind the start of the log: a snapshot is under way
  bool caught_up = false;  // close enough to vote (Raft thesis 4.2.1); learners are promoted then
};

class Snapshots;     // replica/snapshots.h
class SnapshotHost;  // replica/snapshots.h

struct GroupOptions {
  GroupId group{1};
  consensus::Protocol protocol = consensus::Protocol::kRaft;
  consensus::Options core;
  std::uint64_t tick_ns = 10'000'000;  // heartbeat 50 ms = 5 ticks, election 300 to 600 ms = 30 to 60 ticks
  std::uint64_t request_timeout_ns = 7'000'000'000;  // etcd's 5 s plus two election timeouts
  std::uint64_t pending_bytes_max = 64 << 20;        // proposals of this member's clients that are not yet answered
  // Decided entries that are not executed yet. Over it this member refuses its clients' proposals and, as leader, what
  // is forwarded to it; as follower it lets appends pass by, as if the network had lost them.
  std::uint64_t apply_queue_bytes_max = 64 << 20;

  // ---- how much of the log stays (replica/log_release.h)
  std::uint64_t log_keep_bytes = 256 << 20;        // for a live follower that is behind; what it pins at most
  std::uint64_t log_keep_always_bytes = 16 << 20;  // for one that restarts
  std::uint64_t log_release_step_bytes = 8 << 20;  // less than this is not worth a record in the log
  std::uint64_t liveness_ns = 60'000'000'000;      // a peer without a link for this long pins nothing

  // Makes what sends, receives and loads snapshots; empty: none are, and the log is never released.
  std::function<std::unique_ptr<Snapshots>(SnapshotHost& host, StateMachine& machine)> make_snapshots;

  // Asked before a proposal of this member's clients, and on the leader before a forwarded one, is taken: kOverloaded,
  // kNoSpace (the log is low on space), or empty. May be empty.
  std::function<std::optional<Fate>()> refuse;
  // While it says yes (flushing is behind), proposals wait where they are, until their deadline; more than
  // pending_bytes_max of them are refused. Asked again with every tick. May be empty.
  std::function<bool()> hold;
  std::function<void()> on_applied;        // after each turn of the loop in which entries were applied; may be empty
  std::function<void()> on_removed;        // a committed membership is without this member; once; may be empty
  std::function<void(Status)> on_failure;  // the state machine cannot go on: the node must stop; may be empty
};

struct GroupStatus {
  consensus::Leadership leadership;
  LogIndex commit;
  LogIndex applied;
  std::uint64_t proposals_pending = 0;
  std::uint64_t proposals_failed = 0;
  bool installing = false;  // the state is being replaced, or waits for a snapshot: no reads
  std::uint64_t apply_queue_entries = 0;
  std::uint64_t apply_queue_bytes = 0;
  LogIndex log_first;                     // the oldest entry that this member can still send
  std::uint64_t snapshot_bytes_sent = 0;  // of all snapshots, since the start
  std::uint64_t snapshot_bytes_received = 0;
  std::uint64_t snapshot_sending_ns = 0;  // SnapshotTraffic::sending_ns
  std::uint64_t snapshots_installed = 0;
};

class Group : public env::TransportListener {
 public:
  // `log`, `transport`, `machine` outlive the group. Frames of other groups are not this group's: server/ dispatches by
  // group id.
  static Result<std::unique_ptr<Group>> Start(GroupOptions options, wal::Log& log, env::Transport& transport,
                                              env::Executor& executor, const env::Clock& clock, StateMachine& machine);

  // Proposes on the leader, wherever that is. deadline_ns is of the monotonic clock; 0 = request_timeout_ns from now.
  virtual void Propose(std::string command, std::uint64_t deadline_ns, std::function<void(ProposeResult)> done) = 0;
  // kApplied: the state machine covers every write acknowledged anywhere before this call. Otherwise kTimedOut,
  // kNoLeader or kNotReady.
  virtual void ReadBarrier(std::uint64_t deadline_ns, std::function<void(Fate)> done) = 0;
  // Asks the leader, wherever that is, for `target` (outgoing empty). kApplied: the change is decided, and no joint
  // configuration is left. kRefused: another change is under way, or this one is not legal.
  virtual void ChangeMembers(consensus::Membership target, std::uint64_t deadline_ns,
                             std::function<void(Fate)> done) = 0;
  // kApplied: `to` leads. kNoLeader: this member does not lead. kRefused: `to` is no voter, or a transfer is under way.
  // kLeaderLost: a third one leads. kTimedOut: at the deadline this member still leads, or nobody is known to.
  virtual void TransferLeadership(ReplicaId to, std::uint64_t deadline_ns, std::function<void(Fate)> done) = 0;
  virtual GroupStatus status() const = 0;
  virtual const consensus::Membership& membership() const = 0;     // in force: as of the newest entry in the log
  virtual std::map<ReplicaId, PeerProgress> progress() const = 0;  // of the others; empty unless this member leads
  // The voter that a leader had best hand over to: live, and the furthest. Empty unless this member leads.
  virtual std::optional<ReplicaId> Successor() const = 0;
  virtual const consensus::Core& core() const = 0;
  // Of linked members, since the start: of another version or group, malformed, in another member's name, or (as the
  // core says) of another configuration.
  virtual std::uint64_t messages_dropped() const = 0;
};

}  // namespace quorate::replica
