// Replica: one replica as its host sees it, for exhaustive exploration: the shipped core, what the host holds for it,
// and its disk. Every method is one event of the explored system: it steps the core, does what replica::Driver does
// with what the core asks for, and returns what the rest of the world sees of it.
//
// Used by explore::StateSpace. A plain value (Clone copies all of it). Thread rule: one thread.
//
// What is modelled, and what is not (docs/TESTING.md has the list with the reasons):
//  - Ready is taken until there is none right after each event, as the Driver's pump does when one event arrives in a
//    turn of its loop.
//  - A batch is pending until Persist, which makes the next batch that syncs durable, with those before it that do not;
//    a prompt replica does that by itself after each event, until it is doomed.
//  - Messages wait for the batch they name as in replica::Driver::Send, and are dropped when the session they name is
//    over.
//  - A decided entry is executed at once, and the state machine's image is never flushed: a restart executes all again.
//  - The log is never released, so no snapshot is ever needed; a core that asks for one ends the exploration.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/core.h"

namespace quorate::sim::explore {

struct Disk {
  std::optional<Bytes> hard_state;
  std::map<LogIndex, consensus::Entry> log;
};

// What one event let out.
struct Outputs {
  std::vector<std::pair<ReplicaId, Bytes>> sent;  // in order, over a session that this replica believes in
  std::vector<consensus::Entry> decided;
  std::vector<consensus::Leadership> leaderships;  // as reported
  std::vector<std::pair<ReadId, LogIndex>> reads;  // confirmed
  std::string broken;                              // what the core or its host may never do; empty if nothing
};

class Replica {
 public:
  // With an empty disk: its first start.
  // With `prompt`, what it writes is durable when the event that wrote it is over.
  Replica(consensus::Protocol protocol, consensus::Options options, bool prompt);
  Replica(const Replica& other);
  Replica& operator=(const Replica&) = delete;

  // The first start, or a crash and the start after it: everything but the disk is lost. It finds `links` to `peers`.
  Outputs Start(const std::map<ReplicaId, LinkId>& links, const std::map<ReplicaId, Incarnation>& peers);
  Outputs Deliver(ReplicaId from, const Bytes& payload);
  // `late`: so much time passes first that the next tick would be the deadline.
  Outputs DeliverLate(ReplicaId from, const Bytes& payload);
  // Only the time passes.
  Outputs BecomeLate();
  Outputs ReplaceLink(ReplicaId peer, LinkId link, Incarnation incarnation);
  Outputs Persist();
  Outputs TickToDeadline();
  Outputs Propose();
  // From now on nothing becomes durable, until the start after the crash.
  void Doom() { doomed_ = true; }
  Outputs Read(ReadId read);

  ReplicaId id() const { return options_.self; }
  Incarnation incarnation() const { return incarnation_; }
  const consensus::Core& core() const { return *core_; }
  const Disk& disk() const { return disk_; }
  const consensus::Leadership& leadership() const { return leadership_; }
  bool leads() const { return leadership_.role == consensus::Role::kLeader; }
  bool may_propose() const { return leads() && leadership_.established; }
  bool can_persist() const;
  bool has_pending() const { return !host_.pending.empty(); }
  bool doomed() const { return doomed_; }
  bool has_deadline() const { return core_->NextDeadline().has_value(); }
  // Whether time can pass that the core does not act on by itself.
  bool can_be_late() const;
  LinkId link(ReplicaId peer) const { return links_.at(peer); }
  // The entry that its log holds at `index` once all that is pending is written; null: none.
  const consensus::Entry* LogAt(LogIndex index) const;
  std::uint64_t Fingerprint() const;

 private:
  struct Host {
    PersistSeq persisted;
    std::deque<consensus::WriteBatch> pending;
    std::map<ReplicaId, std::deque<consensus::Outbound>> held;
    LogIndex applied;
  };

  void Boot();
  Outputs Step(consensus::Event event);
  void StepAndPump(consensus::Event event, Outputs* out);
  void Pump(Outputs* out);
  void Act(consensus::Ready ready, Outputs* out);
  void Send(std::vector<consensus::Outbound> outbound, Outputs* out);
  void SendNow(const consensus::Outbound& message, Outputs* out) const;
  void PersistOne(Outputs* out);
  void Execute(std::vector<consensus::Entry> decided, Outputs* out);
  std::vector<consensus::Entry> Load(const consensus::LoadLog& wanted) const;

  const consensus::Protocol protocol_;
  const consensus::Options options_;
  const bool prompt_;
  bool doomed_ = false;
  std::unique_ptr<consensus::Core> core_;
  Incarnation incarnation_;
  Disk disk_;
  Disk written_;  // the disk once all that is pending is durable
  Host host_;
  ProposalId proposed_;  // in all lives
  std::map<ReplicaId, LinkId> links_;
  consensus::Leadership leadership_;
};

// Two entries are the same decision whatever ballot carries them.
std::uint64_t DecisionHash(const consensus::Entry& entry);

}  // namespace quorate::sim::explore
