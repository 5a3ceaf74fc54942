// Node: one Raft replica behind consensus::Core. References are to Ongaro and Ousterhout, "In Search of an
// Understandable Consensus Algorithm (Extended Version)" (paper), and to Ongaro's dissertation (thesis).
//
// Called by replica::Driver through Core; one thread. Parts: node.cc takes events in and hands Ready out,
// node_election.cc is paper 5.2 with pre-vote, check-quorum and leadership transfer, node_replication.cc is paper 5.3
// and 5.4.2, node_read.cc is read index, raft_invariants.cc is what must hold after every event.
//
// Events only change state and queue messages; TakeReady adds what several events can share: one append per follower,
// one confirmation round for all reads, one WriteBatch. What is not a promise (appends, heartbeats, pre-votes) leaves
// at once; a vote, a vote request (it promises that the candidate's log stays as claimed) and an acknowledgement wait
// for their batch.
//
// Not here yet: membership changes (ChangeMembers is answered kDropped) and snapshots (InstallSnapshot and SendSnapshot
// are never asked for, so the host must not release the log; an entry that a follower needs and that is gone is a
// broken invariant). Quiesce is not answered: a node never says that it may be left without ticks.
//
// Invariants (checked by CheckInvariants; numbers as in raft_invariants.cc):
//  1. Term never falls; the vote of a term, once given, never changes; commit never falls. (paper 5.1, 5.2)
//  2. emitted <= min(commit, durable) and applied <= emitted: what the host executes is committed, and durable here.
//  3. A leader never overwrites or deletes entries of its own log while it leads (Leader Append-Only, paper 5.3).
//  4. In one term a node that was leader is never candidate again, and never leads twice.
//  5. A candidate and a leader have voted for themselves; a leader counts its own log only as far as it is durable.
//  6. No follower is believed to hold more than the leader's log.
//  7. Only entries of the leader's own term are committed by counting; older ones are committed with them
//  (paper 5.4.2).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <variant>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "consensus/quorum/quorum.h"
#include "consensus/raft/hash.h"
#include "consensus/raft/log.h"
#include "consensus/raft/messages.h"
#include "consensus/raft/progress.h"
#include "consensus/raft/reads.h"
#include "consensus/raft/role.h"
#include "consensus/raft/write_queue.h"

namespace quorate::consensus::raft {

// Checks what a start was given. INVALID_ARGUMENT names the field and its range; DATA_LOSS says what contradicts what.
Status ValidateOptions(const Options& options);

class Node final : public Core {
 public:
  static Result<std::unique_ptr<Core>> Make(const Options& options, Recovered recovered);

  const Traits& traits() const override;
  void Step(Event event) override;
  bool HasReady() const override;
  Ready TakeReady() override;
  std::optional<Ticks> NextDeadline() const override;
  SnapshotMeta MetaAt(LogIndex index) const override;
  void Inspect(Inspector& out) const override;
  void CheckInvariants() const override;
  std::unique_ptr<Core> Clone() const override { return std::make_unique<Node>(*this); }
  std::uint64_t Fingerprint() const override;

  Node(const Node&) = default;
  Node& operator=(const Node&) = delete;

 private:
  struct ElectionTimer {
    std::uint64_t elapsed = 0;           // since the leader was heard from, or a vote was given or asked for
    std::uint64_t timeout = 0;           // drawn anew with every reset
    std::optional<std::uint64_t> early;  // ticks until an early election begins
    Term early_used;                     // the term in which the one early pre-vote was spent
  };
  struct Delivery {
    LogIndex emitted;
    LogIndex applied;
  };
  struct Reported {  // what the host knows
    Leadership leadership;
    std::optional<Membership> membership;
  };
  struct Watermarks {  // the state before the latest event, for the invariants that compare
    HardState hard;
    Delivery delivery;
    LogIndex last;
    bool led = false;
  };
  struct Counters {
    std::uint64_t malformed_messages = 0;
    std::uint64_t elections_started = 0;
    std::uint64_t early_elections = 0;
  };

  Node(const Options& options, HardState hard, Recovered recovered);

  // ---- node.cc
  void On(Receive event);
  void On(const Tick&);
  void On(const LinkUp& event);
  void On(const LinkDown& event);
  void On(const LinkRefused& event);
  void On(const Persisted& event);
  void On(const Applied& event);
  void On(Propose event);
  void On(const ReadBarrier& event);
  void On(const ChangeMembers& event);
  void On(const TransferLeadership& event);
  void On(const SnapshotTaken&) {}
  void On(const SnapshotReceived&) {}
  void On(const SnapshotSent&) {}
  void On(LogLoaded event);
  void On(const Quiesce&) {}
  void On(const Wake&) {}
  void Dispatch(ReplicaId from, Message message);
  void AnswerStale(ReplicaId from, const Message& message);
  void Send(ReplicaId to, Term term, Body body, PersistSeq after = PersistSeq());
  void Send(ReplicaId to, Body body, PersistSeq after = PersistSeq()) { Send(to, hard_.term, std::move(body), after); }
  void EmitDecided(Ready* ready);
  LogIndex Deliverable() const;
  Leadership CurrentLeadership() const;
  std::optional<ReplicaId> KnownLeader() const;
  bool IsSelfVoter() const { return IsVoter(members_, options_.self); }
  bool IsOnlyVoter() const;

  // ---- node_election.cc
  void Handle(ReplicaId from, const VoteRequest& request);
  void Handle(ReplicaId from, const VoteReply& reply);
  void Handle(ReplicaId from, const TimeoutNow&);
  void HandlePreVote(ReplicaId from, Term term, const VoteRequest& request);
  void HandlePreVoteReply(ReplicaId from, Term term, bool granted);
  bool ClingsToLeader(Campaign campaign) const;
  bool IsUpToDate(const VoteRequest& request) const;
  void ResetElectionTimer();
  void TickElection();
  void TickLeader(Leader& leader);
  void StartPreVote(Campaign campaign);
  void StartElection(Campaign campaign);
  void TallyVotes();
  void BecomeFollower(Term term, std::optional<ReplicaId> leader);
  void BecomeLeader();
  void LeaveRole();
  void HearLeader(ReplicaId from);
  void CheckQuorum(Leader& leader);
  void AdvanceTransfer(Leader& leader);
  void ConsiderEarlyElection(ReplicaId refused);

  // ---- node_replication.cc
  void Handle(ReplicaId from, const AppendRequest& request);
  void Handle(ReplicaId from, const AppendReply& reply);
  void Handle(ReplicaId from, const AppendReject& reject);
  void Handle(ReplicaId from, const Heartbeat& heartbeat);
  void Handle(ReplicaId from, const HeartbeatReply& reply);
  void Handle(ReplicaId from, const CommitNotice& notice);
  void AppendOwn(EntryKind kind, Origin origin, Bytes payload);
  void TakeEntries(const AppendRequest& request);
  void Acknowledge(Leader& leader, ReplicaId from, LogIndex match);
  void CommitUpto(LogIndex commit);
  void MaybeCommit();
  void SendHeartbeats(Leader& leader);
  bool CanSendAppend(const Progress& peer) const;
  bool OwesCommitNotice(const Progress& peer) const;
  void FlushAppends(Leader& leader, Ready* ready);
  void SendAppend(ReplicaId to, Progress& peer);
  WindowLimits Limits() const { return {options_.inflight_bytes_max, options_.inflight_messages_max}; }

  // ---- node_read.cc
  void Handle(ReplicaId from, const ReadRequest& request);
  void Handle(ReplicaId from, const ReadReply& reply);
  bool OwnTermCommitted(const Leader& leader) const { return hard_.commit >= leader.own_from; }
  bool CanStartRound(const Leader& leader) const;
  void FlushReads(Leader& leader);
  void ConfirmReads(Leader& leader);
  void FailReads(const std::vector<ReadId>& reads);
  void FailReads(std::vector<PendingRead> reads);

  // ---- raft_invariants.cc
  void CheckState() const;
  void CheckChange() const;
  void CheckLeader(const Leader& leader) const;

  const Options options_;
  Membership members_;
  HardState hard_;
  Log log_;
  WriteQueue writes_;
  RoleState role_;
  ElectionTimer timer_;
  Generator generator_;
  Delivery delivery_;
  ForwardedReads forwarded_;
  std::set<ReplicaId> refused_;  // peers at whose address nobody listened when last tried
  Ready out_;                    // what events have queued for the next Ready
  Reported reported_;
  Watermarks before_;
  Counters counters_;
};

}  // namespace quorate::consensus::raft
