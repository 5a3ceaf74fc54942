// Node: one Zab 1.0 replica behind consensus::Core. messages.h names the papers.
//
// Called by replica::Driver through Core; one thread. Parts: node.cc takes events in and hands Ready out,
// node_election.cc finds a leader (election.h is the part without time), node_discovery.cc is phase 1 and
// node_synchronization.cc phase 2 of the leader, node_follower.cc is phases 1 to 3 of the follower, node_broadcast.cc
// phase 3 of the leader, node_membership.cc reconfiguration, node_snapshot.cc the log's start, node_read.cc the read
// barrier, zab_invariants.cc what must hold after every event. docs/protocols/zab.md draws the flows.
//
// An entry's zxid is (ballot.number, index): the epoch and a counter that goes on through epochs without gaps. Entries
// with the same zxid are the same, and so is all before them; that makes a common point provable.
//
// Every message of phases 1 to 3 belongs to a session: it names its link (Outbound::link), the session's number and the
// leader's epoch, and is ignored unless all three are current. Within a session order is FIFO, by the host's promise.
//
// What a node says of its own log (ACK-E, ACK-LD, ACK) waits for the batch that makes it true; so does NEWEPOCH, for
// the leader's own promise. Everything else leaves at once.
//
// SnapshotReceived is answered by nothing: the snapshot is an offer, which SNAP of a later moment may name. Until then
// its file must stay. All else of the host's part is as for Raft (SnapshotTaken, Quiesce, ChangeMembers).
//
// Invariants (checked by CheckInvariants; numbers as in zab_invariants.cc):
//  1. acceptedEpoch, currentEpoch and commit never fall; currentEpoch <= acceptedEpoch; the leader that an epoch was
//     promised to changes only when another has secured it.
//  2. emitted <= min(commit, durable) and applied <= emitted.
//  3. A leader never shortens its log.
//  4. A leader's epoch is its own promise; NEWEPOCH, and so every promise of another, comes after that is durable. Once
//     secured it is currentEpoch, and once established the initial history is committed.
//  5. Only an established leader has entries of its epoch, or commits (ZOOKEEPER-3104, -3911).
//  6. No session is believed to hold more than the log, and none was sent more.
//  7. A leader begins a configuration only when the one before it is committed and it is established; a leader that is
//     no voter leads only until that is committed.
//  8. Nothing that a snapshot covers is in memory, and the members as of the log's start are known.
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
#include "consensus/reads.h"
#include "consensus/write_queue.h"
#include "consensus/zab/election.h"
#include "consensus/zab/messages.h"
#include "consensus/zab/role.h"

namespace quorate::consensus::zab {

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
  struct Peers {
    std::map<ReplicaId, LinkId> links;
    std::set<ReplicaId> refused;  // at whose address nobody listened when last tried
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
    std::uint64_t stale_messages = 0;
    std::uint64_t elections_started = 0;
    std::uint64_t early_elections = 0;
    std::uint64_t broken_sessions = 0;
  };
  struct Memory {  // of this life, across roles
    SessionNumber sessions;
    std::optional<SnapshotMeta> offered;  // the last snapshot that arrived
    Staging staged;                       // what the last session was sent and did not accept,
    Ballot staged_for;                    // by the leader of this epoch
    Epoch early_used;                     // the epoch in which the one early election was spent
    Counters counters;
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
  void On(consensus::Propose event);
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
  void Send(ReplicaId to, Message message, PersistSeq after = PersistSeq());
  void Append(Entry entry);
  void CutAfter(LogIndex last_kept);
  void CommitUpto(LogIndex commit) { hard_.commit = std::max(hard_.commit, commit); }
  void EmitDecided(Ready* ready);
  LogIndex Deliverable() const;
  Leadership CurrentLeadership() const;
  std::optional<ReplicaId> ActiveLeader() const;
  bool MayQuiesce() const;
  Zxid LastZxid() const { return {log_.last_generation(), log_.last()}; }
  std::optional<Zxid> ZxidAt(LogIndex index) const;
  const Membership& members() const { return configurations_.latest(); }
  Zxid ConfigZxid() const { return ZxidAt(configurations_.latest_index()).value_or(Zxid()); }
  bool IsSelfVoter() const { return IsVoter(members(), options_.self); }
  bool MayLead() const;
  std::uint64_t Jitter(std::uint64_t bound) { return options_.jitter ? generator_.UpTo(bound) : bound; }

  // ---- node_election.cc
  void Handle(ReplicaId from, const Notification& heard);
  void HandleLooking(ReplicaId from, const Notification& heard);
  void HandleSettled(ReplicaId from, const Notification& heard);
  bool MayVoteWith(ReplicaId from, const Notification& heard) const;
  Notification OwnNotification() const;
  void Notify(ReplicaId peer);
  void NotifyAll();
  void GoLooking(std::optional<Vote> initial = std::nullopt);
  Vote VoteForSelf() const;
  void Conclude();
  void TickLooking(Looking& looking);
  void LeaveRole();
  void Follow(ReplicaId leader);
  void Lead();

  // ---- node_discovery.cc
  void Handle(ReplicaId from, SessionNumber number, const CEpoch& cepoch);
  void HandleBody(Leading& leading, ReplicaId from, Session& session, const AckEpoch& ack);
  void TryChooseEpoch(Leading& leading);
  void ChooseEpoch(Leading& leading, std::uint64_t number);
  void AnswerCEpoch(Leading& leading, ReplicaId from, Session& session);
  void TrySecure(Leading& leading);
  template <class Counts>
  bool HasQuorum(const Leading& leading, bool self_counts, const Counts& counts) const;
  void DropSession(Leading& leading, ReplicaId peer);

  // ---- node_synchronization.cc
  void BeginSync(ReplicaId to, Session& session);
  std::optional<Zxid> CommonPoint(const AckEpoch& history) const;
  std::optional<LogIndex> LastOfEpoch(Epoch epoch) const;
  void HandleBody(Leading& leading, ReplicaId from, Session& session, const Received& received);
  void HandleBody(Leading& leading, ReplicaId from, Session& session, const AckLeader& ack);
  void TryEstablish(Leading& leading);
  void SendNewLeader(ReplicaId to, Session& session);
  void SendUpToDate(ReplicaId to, Session& session);

  // ---- node_broadcast.cc
  void HandleBody(Leading& leading, ReplicaId from, Session& session, const Ack& ack);
  void HandleBody(Leading& leading, ReplicaId from, Session& session, const Pong& pong);
  void HandleBody(Leading& leading, ReplicaId from, Session& session, const ReadRequest& request);
  void DispatchToLeader(ReplicaId from, const Message& message);
  void SendToFollower(Leading& leading, ReplicaId to, Session& session, Body body, PersistSeq after = PersistSeq());
  void AppendOwn(EntryKind kind, Origin origin, Bytes payload);
  void MaybeCommit();
  void AdvanceCommit(Leading& leading, LogIndex commit);
  bool TakesProposals(ReplicaId replica) const;
  LogIndex StreamEnd(const Leading& leading, ReplicaId to, const Session& session) const;
  bool WantsEntries(const Leading& leading, ReplicaId to, const Session& session) const;
  bool OwesWord(const Leading& leading, ReplicaId to, const Session& session) const;
  void FlushStreams(Leading& leading, Ready* ready);
  bool FlushStream(Leading& leading, ReplicaId to, Session& session, Ready* ready);
  void SendEntries(Leading& leading, ReplicaId to, Session& session);
  void SendPings(Leading& leading);
  void TickLeading(Leading& leading);
  void CheckQuorum(Leading& leading);
  WindowLimits Limits() const { return {options_.inflight_bytes_max, options_.inflight_messages_max}; }

  // ---- node_follower.cc
  void OpenSession(Following& following);
  void SendToLeader(const Following& following, Body body, PersistSeq after = PersistSeq());
  void BreakSession();
  void KeepStaging(Following& following);
  Staging TakeStaged(const Ballot& epoch);
  void TickFollowing(Following& following);
  void HandleBody(Following& following, const NewEpoch& offer, Epoch epoch);
  void HandleBody(Following& following, const Trunc& trunc);
  void HandleBody(Following& following, const Snap& snap);
  void HandleBody(Following& following, Diff diff);
  void HandleBody(Following& following, const NewLeader& leader);
  void HandleBody(Following& following, const UpToDate& uptodate);
  void HandleBody(Following& following, Propose propose);
  void HandleBody(Following& following, const Commit& commit);
  void HandleBody(Following& following, Inform inform);
  void HandleBody(Following& following, const Ping& ping);
  void HandleBody(Following& following, const ReadReply& reply);
  void HandleBody(Following& following, const Handover& handover);
  void DispatchToFollower(ReplicaId from, Message message);
  void AcceptHistory(Following& following);
  bool AppendProposed(Following& following, const Zxid& after, std::vector<Entry> entries);

  // ---- node_membership.cc
  bool MayChange(const Leading& leading, const Membership& target) const;
  bool IsCaughtUp(const Leading& leading, ReplicaId replica) const;
  void AppendChange(const Change& change);
  void Settle(Leading& leading);
  void LeaveOffice(Leading& leading, std::optional<ReplicaId> heir);
  bool TransferIsDue(const Leading& leading) const;
  std::optional<ReplicaId> BestHeir(const Leading& leading) const;
  LogIndex AgreedMatch(const Leading& leading) const;

  // ---- node_snapshot.cc
  void Install(const SnapshotMeta& meta);
  void AskForSnapshot(ReplicaId to, Session& session);
  void RestartSession(Leading& leading, ReplicaId to);

  // ---- node_read.cc
  bool CanStartRound(const Leading& leading) const;
  void FlushReads(Leading& leading);
  void ConfirmReads(Leading& leading);
  void FailReads(const std::vector<ReadId>& reads);
  void FailReads(Leading& leading);

  // ---- node_inspect.cc
  void InspectSessions(Inspector& out, const Leading& leading) const;

  // ---- zab_invariants.cc
  void CheckState() const;
  void CheckChange() const;
  void CheckLeading(const Leading& leading) const;

  const Options options_;
  Configurations configurations_;
  HardState hard_;
  Log log_;
  WriteQueue writes_;
  RoleState role_;
  Election election_;
  Generator generator_;
  Peers peers_;
  Delivery delivery_;
  ForwardedReads forwarded_;
  Memory memory_;
  Ready out_;  // what events have queued for the next Ready
  Reported reported_;
  Watermarks before_;
};

template <class Counts>
bool Node::HasQuorum(const Leading& leading, bool self_counts, const Counts& counts) const {
  return ResultOfVote(members(), [&](ReplicaId voter) {
           if (voter == options_.self) return self_counts ? Answer::kYes : Answer::kMissing;
           const auto found = leading.sessions.find(voter);
           return found != leading.sessions.end() && counts(found->second) ? Answer::kYes : Answer::kMissing;
         }) == VoteResult::kWon;
}

}  // namespace quorate::consensus::zab
