// Node: one Raft replica behind consensus::Core. References are to Ongaro and Ousterhout, "In Search of an
// Understandable Consensus Algorithm (Extended Version)" (paper), and to Ongaro's dissertation (thesis).
//
// Called by replica::Driver through Core; one thread. Parts: node.cc takes events in and hands Ready out,
// node_election.cc is paper 5.2 with pre-vote, check-quorum and leadership transfer, node_replication.cc is paper 5.3
// and 5.4.2, node_membership.cc is paper 6, node_snapshot.cc is paper 7, node_read.cc is read index, raft_invariants.cc
// is what must hold after every event.
//
// Events only change state and queue messages; TakeReady adds what several events can share: one append per follower,
// one confirmation round for all reads, one WriteBatch. What is not a promise (appends, heartbeats, pre-votes) leaves
// at once; a vote, a vote request (it promises that the candidate's log stays as claimed) and an acknowledgement wait
// for their batch.
//
// Membership (node_membership.cc has the rules): ChangeMembers takes one entry when the voters stay the same and two
// otherwise, a joint one and, once that is committed, the final one. A new voter must be a learner that has caught up
// first. The decided entry that carries the request's origin answers it, and that is the final one; a change of voters
// whose joint entry was released before a new leader could finish it is finished without an origin, so nobody is told.
// Ready::membership reports each configuration when it enters the log, the joint one too, and again the former one when
// the entry is cut off.
//
// Snapshots (node_snapshot.cc): the host releases the log with SnapshotTaken, whose meta must be MetaAt(meta.last).
// Every Ready::send_snapshot is to be answered by SnapshotSent, unless the link to the peer goes down; one for a peer
// to which another is still under way means that the former one is given up (and may be resumed). SnapshotReceived is
// answered by the Ready that is taken next: with an InstallSnapshot of that meta, or without one, which means that the
// log has what the snapshot holds and the file is not needed. After an install Applied{meta.last} comes from the host
// once the state machine holds the snapshot; what is decided meanwhile is above it and has to wait, and so does MetaAt.
//
// Quiesce is answered (may_quiesce) by a leader all of whose members hold, and know to be committed, all that it has,
// and by a member that holds and has executed all that its leader has; while a change of members is under way by
// nobody. Wake starts the timers anew.
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
//  8. A leader begins a configuration only when the one before it, and an entry of its own term, are committed; a
//  leader that is no voter of its configuration leads only until that is committed (paper 6), and campaigns only until
//  then (thesis 4.2.2).
//  9. Nothing that a snapshot covers is in memory, and the members as of the log's start are known (paper 7).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <variant>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/configurations.h"
#include "consensus/core.h"
#include "consensus/hash.h"
#include "consensus/log.h"
#include "consensus/quorum/quorum.h"
#include "consensus/raft/messages.h"
#include "consensus/raft/progress.h"
#include "consensus/raft/role.h"
#include "consensus/reads.h"
#include "consensus/write_queue.h"

namespace quorate::consensus::raft {

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

  Node(const Options& options, HardState hard, Configurations configurations, Recovered recovered);

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
  void On(ChangeMembers event);
  void On(const TransferLeadership& event);
  void On(const SnapshotTaken& event);
  void On(SnapshotReceived event);
  void On(const SnapshotSent& event);
  void On(LogLoaded event);
  void On(const Quiesce&);
  void On(const Wake&);
  void Dispatch(ReplicaId from, Message message);
  void AnswerStale(ReplicaId from, const Message& message);
  void Send(ReplicaId to, Term term, Body body, PersistSeq after = PersistSeq());
  void Send(ReplicaId to, Body body, PersistSeq after = PersistSeq()) { Send(to, hard_.term, std::move(body), after); }
  void EmitDecided(Ready* ready);
  LogIndex Deliverable() const;
  Leadership CurrentLeadership() const;
  std::optional<ReplicaId> KnownLeader() const;
  bool MayQuiesce() const;
  const Membership& members() const { return configurations_.latest(); }
  bool IsSelfVoter() const { return IsVoter(members(), options_.self); }
  bool MayCampaign() const;
  bool IsOnlyVoter() const;

  // ---- node_election.cc
  void Handle(ReplicaId from, const VoteRequest& request);
  void Handle(ReplicaId from, const VoteReply& reply);
  void Handle(ReplicaId from, const TimeoutNow&);
  void HandlePreVote(ReplicaId from, Term term, const VoteRequest& request);
  void HandlePreVoteReply(ReplicaId from, Term term, bool granted);
  bool ClingsToLeader(Campaign campaign) const;
  bool IsUpToDate(const VoteRequest& request) const;
  std::uint64_t Jitter(std::uint64_t ticks_max) { return options_.jitter ? generator_.UpTo(ticks_max) : ticks_max; }
  void ResetElectionTimer();
  void TickElection();
  void TickLeader(Leader& leader);
  void StartPreVote(Campaign campaign);
  void StartElection(Campaign campaign);
  void TallyVotes();
  std::vector<ReplicaId> Electorate() const;
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
  void Append(Entry entry);
  void CutAfter(LogIndex last_kept);
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

  // ---- node_membership.cc
  bool MayChange(const Leader& leader, const Membership& target) const;
  bool IsCaughtUp(const Leader& leader, ReplicaId replica) const;
  void AppendChange(const Change& change);
  void Settle(Leader& leader);
  void AddPeers(Leader& leader);
  void DropPeersThatLeft(Leader& leader);
  void LeaveOffice(Leader& leader);
  LogIndex AgreedMatch(const Leader& leader) const;
  VoteResult ResultOfElection(const Candidate& candidate) const;

  // ---- node_snapshot.cc
  void Install(SnapshotMeta meta);
  void AskForSnapshot(ReplicaId to, Progress& peer, LogIndex needed);

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
  Configurations configurations_;
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
