// Node: one Multi-Paxos replica behind consensus::Core. References are to Lamport, "Paxos Made Simple" (PMS), van
// Renesse and Altinbuken, "Paxos Made Moderately Complex" (PMMC), and Howard, Malkhi and Spiegelman, "Flexible Paxos".
// docs/protocols/paxos.md has the whole, with what differs from the papers and why.
//
// Called by replica::Driver through Core; one thread. A replica is a proposer, an acceptor and a learner (proposer.h,
// acceptor.h, learner.h); Node is what makes them durable, carries their messages, and decides who proposes. Its parts:
// node.cc takes events in and hands Ready out, node_election.cc is who leads and phase 1, node_phase2.cc is phase 2 and
// learning, node_membership.cc is the change of acceptors, node_snapshot.cc the start of the log, node_read.cc reads
// without a slot, paxos_invariants.cc what must hold after every event.
//
// Events only change state and queue messages; TakeReady adds what several events can share: one message per follower,
// one confirmation round for all reads, one WriteBatch. A promise (1b) and an acceptance (2b) wait for their batch, and
// so does the first 1a of a ballot: a proposer that forgot its ballot could use it twice. A leader's 2a do not wait:
// its own acceptance counts when it is durable, like anybody's.
//
// A decided entry carries no ballot: a value is chosen once, however many ballots have proposed it, and members that
// learned it from different ones decide the same.
//
// Membership (configurations.h has the rules): ChangeMembers takes one entry when the voters stay the same and two
// otherwise. The decided entry that carries the request's origin answers it, and that is the last one, when the former
// voters are needed no more. Ready::membership reports each configuration when its entry is known to be chosen.
//
// Snapshots: as in Raft's node. The host releases the log with SnapshotTaken, whose meta must be MetaAt(meta.last).
// Every Ready::send_snapshot is to be answered by SnapshotSent, unless the link goes down. SnapshotReceived is answered
// by the Ready that is taken next: with an InstallSnapshot of that meta, or without one, which means that the log has
// what the snapshot holds. After an install Applied{meta.last} comes from the host once the state machine holds it.
//
// Invariants (checked by CheckInvariants; numbers as in paxos_invariants.cc):
//  1. The promise never falls; what is known to be chosen never shrinks.
//  2. applied <= emitted <= chosen, and what was emitted is durable here.
//  3. No acceptance is above the promise; no chosen slot is left with the acceptor.
//  4. Who proposes has promised its own ballot and no higher one; a leader has a phase 1 quorum of the next slot.
//  5. A leader proposes at most alpha slots above what is chosen, and only where it has a phase 1 quorum of that slot's
//  own acceptors; in the slots it has open it has accepted the value itself, in its ballot.
//  6. No replica is believed to hold more than the leader.
//  7. A leader begins a change only when none is under way.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "consensus/hash.h"
#include "consensus/paxos/acceptor.h"
#include "consensus/paxos/configurations.h"
#include "consensus/paxos/learner.h"
#include "consensus/paxos/messages.h"
#include "consensus/paxos/progress.h"
#include "consensus/paxos/proposer.h"
#include "consensus/paxos/quorums.h"
#include "consensus/paxos/role.h"
#include "consensus/paxos/write_queue.h"
#include "consensus/reads.h"

namespace quorate::consensus::paxos {

class Node final : public Core {
 public:
  // INVALID_ARGUMENT also when the options' quorums do not intersect or are not those of the hard state; DATA_LOSS says
  // what contradicts what.
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
  struct Own {  // this replica, as long as it lives
    Options options;
    Parameters parameters;
    Quorums quorums;
    Life life;
    Membership bootstrap;
  };
  struct ElectionTimer {
    std::uint64_t elapsed = 0;           // since the leader was heard from, a promise was given or a poll begun
    std::uint64_t timeout = 0;           // drawn anew with every reset
    std::optional<std::uint64_t> early;  // ticks until an early poll begins
    Ballot early_used;                   // the ballot against which the one early poll was spent
    std::uint64_t polls = 0;
    std::uint64_t highest_round = 0;  // that was ever heard of
  };
  struct Delivery {
    LogIndex emitted;
    LogIndex applied;
  };
  // How far this acceptor has everything that a leader's ballot says: chosen, or accepted with that ballot.
  struct Holding {
    Ballot ballot;
    LogIndex upto;
  };
  struct Reported {  // what the host knows
    Leadership leadership;
    std::optional<Membership> membership;
  };
  struct Watermarks {  // the state before the latest event, for the invariants that compare
    Ballot promised;
    LogIndex chosen;
    Delivery delivery;
  };
  struct Counters {
    std::uint64_t malformed_messages = 0;
    std::uint64_t foreign_parameters = 0;  // messages of a member with other quorums or another alpha
    std::uint64_t elections_started = 0;
    std::uint64_t early_elections = 0;
    std::uint64_t void_changes = 0;
  };
  struct Traces {  // of what went before
    Reported reported;
    Watermarks before;
    Counters counters;
  };

  Node(Own own, Configurations configurations, Ballot promised, LogIndex chosen, Recovered recovered);

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
  void GoOn();  // what follows from any event
  void Dispatch(ReplicaId from, Message message);
  template <class Request>
  void FromProposer(ReplicaId from, const Ballot& ballot, Request request);
  template <class Answer>
  void ToProposer(ReplicaId from, const Ballot& ballot, const Answer& answer);
  void Send(ReplicaId to, const Ballot& ballot, Body body, PersistSeq after = PersistSeq());
  void EmitDecided(Ready* ready);
  LogIndex Deliverable() const;
  HardState Hard() const;
  Leadership CurrentLeadership() const;
  std::optional<ReplicaId> KnownLeader() const;
  bool MayQuiesce() const;
  const Membership& members() const { return configurations_.latest(); }
  bool IsSelfVoter() const { return configurations_.IsAcceptor(own_.options.self); }
  bool IsOnlyVoter() const;
  ReplicaId self() const { return own_.options.self; }

  // ---- node_election.cc
  void OnPoll(ReplicaId from, const Poll& poll);
  void OnPollReply(ReplicaId from, const Ballot& promised, const PollReply& reply);
  void OnPhase1a(ReplicaId from, const Ballot& ballot, const Phase1a& request);
  void OnPreempted(const Ballot& promised);
  void Handle(ReplicaId from, const Phase1b& page);
  void Handle(ReplicaId from, const Ballot& ballot, const TakeOver&);
  void AnswerPhase1(ReplicaId to, LogIndex from);
  bool ClingsToLeader(Campaign campaign) const;
  bool ServesAnother(ReplicaId from, Campaign campaign) const;
  bool IsTooFarBehind(LogIndex first_open) const;
  std::uint64_t Jitter(std::uint64_t ticks) { return own_.options.jitter ? generator_.UpTo(ticks) : ticks; }
  void ResetElectionTimer();
  void TickElection();
  void TickCandidate(Candidate& candidate);
  void TickLeader(Leader& leader);
  void StartPoll(Campaign campaign);
  void StartPhase1(Campaign campaign, const Ballot& handed);
  void TallyPoll();
  std::vector<ReplicaId> Acceptors() const;
  bool HasPhase1(LogIndex slot) const;
  bool MustLearnFirst() const;
  void AskPhase1();
  void AskToLearn();
  void LearnFrom(Decision decision);
  void TryLead();
  void BecomeFollower(const Ballot& promised, std::optional<ReplicaId> leader);
  void BecomeLeader();
  void LeaveRole();
  void HearLeader(ReplicaId from);
  void CheckQuorum(Leader& leader);
  void AdvanceTransfer(Leader& leader);
  void ConsiderEarlyElection(ReplicaId refused);

  // ---- node_phase2.cc
  void Handle(ReplicaId from, const Ballot& ballot, Phase2a request);
  void Handle(ReplicaId from, const Ballot& ballot, const Chosen& notice);
  void Handle(ReplicaId from, const Ballot& ballot, Decision decision);
  void Handle(ReplicaId from, const Ballot& ballot, const Learn& request);
  void Handle(ReplicaId from, const Ballot& ballot, const Heartbeat& heartbeat);
  void Handle(ReplicaId from, const Phase2b& answer);
  void Handle(ReplicaId from, const Learned& answer);
  void Handle(ReplicaId from, const HeartbeatReply& reply);
  bool AcceptHere(Entry entry);
  void TakeChosen(std::vector<Entry> entries);
  void Advance();
  LogIndex Held(const Ballot& ballot);
  void CountAccepted(ReplicaId acceptor, const SlotRange& range);
  void ProposeMore();
  bool MayProposeNext() const;
  void SendHeartbeats(Leader& leader);
  bool CanSend(ReplicaId to, const Progress& peer) const;
  bool OwesNotice(const Progress& peer) const;
  void FlushPeers(Leader& leader, Ready* ready);
  void SendNext(ReplicaId to, Progress& peer);
  WindowLimits Limits() const { return {own_.options.inflight_bytes_max, own_.options.inflight_messages_max}; }

  // ---- node_membership.cc
  bool MayChange(const Leader& leader, const Membership& target) const;
  bool IsCaughtUp(const Leader& leader, ReplicaId replica) const;
  bool HasOpenMembership() const;
  void Settle(Leader& leader);
  void EndChange(Leader& leader);
  void AddPeers(Leader& leader);
  void DropPeersThatLeft(Leader& leader);
  bool HasLeft() const;
  void LeaveOffice(Leader& leader);

  // ---- node_snapshot.cc
  void Install(const SnapshotMeta& meta);
  void AskForSnapshot(ReplicaId to, Progress& peer, LogIndex needed);

  // ---- node_read.cc
  void OnReadRequest(ReplicaId from, const ReadRequest& request);
  void OnReadReply(const ReadReply& reply);
  bool KnowsAllAcknowledged() const;
  bool CanStartRound(const Leader& leader) const;
  void FlushReads(Leader& leader);
  void BeginRound(Leader& leader);
  void ConfirmReads(Leader& leader);
  void ExtendLease(Leader& leader);
  void AnswerReads(Leader& leader, ReadRound upto);
  void FailReads(const std::vector<ReadId>& reads);
  void FailReads(const std::vector<PendingRead>& reads);

  // ---- paxos_invariants.cc
  void CheckState() const;
  void CheckProposer() const;
  void CheckLeader(const Leader& leader) const;
  void HashRole(Hasher& h) const;

  const Own own_;
  Configurations configurations_;
  Acceptor acceptor_;
  Learner learner_;
  Proposer proposer_;
  WriteQueue writes_;
  RoleState role_;
  ElectionTimer timer_;
  Generator generator_;
  Delivery delivery_;
  Holding holding_;
  ForwardedReads forwarded_;
  std::set<ReplicaId> refused_;  // peers at whose address nobody listened when last tried
  Ready out_;                    // what events have queued for the next Ready
  Traces traces_;
};

}  // namespace quorate::consensus::paxos
