// Who proposes, and phase 1: PMS section 2.2 (a proposer's phase 1, what an acceptor promises) and section 3 (phase 1
// once for all slots), PMMC 4.2 (scouts, preemption). PMS leaves the choice of the leader open ("an election
// algorithm"): here it is a failure detector by heartbeats, and a poll before phase 1, so that a replica which merely
// lost contact does not preempt a live leader again and again.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"
#include "consensus/change.h"
#include "consensus/paxos/node.h"
#include "consensus/quorum/quorum.h"

namespace quorate::consensus::paxos {

void Node::ResetElectionTimer() {
  timer_.elapsed = 0;
  timer_.timeout = own_.options.election_ticks + Jitter(own_.options.election_ticks);
  timer_.early.reset();
}

void Node::TickElection() {
  if (!IsSelfVoter()) {
    ++timer_.elapsed;  // it is asked by who knows of its promotion before it does (ClingsToLeader)
    return;
  }
  // Nobody else could lead, and nobody could be disturbed.
  if (IsOnlyVoter()) {
    if (std::holds_alternative<Follower>(role_)) StartPhase1(Campaign::kTimeout, Ballot());
    return;
  }
  ++timer_.elapsed;
  if (timer_.early && (*timer_.early == 0 || --*timer_.early == 0)) {
    timer_.early_used = acceptor_.promised();
    ++traces_.counters.early_elections;
    QUORATE_PROBE(paxos_early_poll);
    return StartPoll(Campaign::kRefused);
  }
  if (timer_.elapsed >= timer_.timeout) return StartPoll(Campaign::kTimeout);
  if (auto* candidate = std::get_if<Candidate>(&role_)) TickCandidate(*candidate);
}

// Messages may be lost: phase 1, and what must be learned before leading, are asked for again.
void Node::TickCandidate(Candidate& candidate) {
  if (candidate.polling || ++candidate.asked_elapsed < own_.options.heartbeat_ticks) return;
  candidate.asked_elapsed = 0;
  AskPhase1();
  if (MustLearnFirst()) AskToLearn();
}

// A refused connection says that the leader's process is gone, long before the election timeout does. A link that is
// only cut says nothing. So only a refusal counts, only acceptors that see it themselves go along (ClingsToLeader), and
// one attempt per ballot must do; then a live leader whose links are reset again and again is preempted at most once.
void Node::ConsiderEarlyElection(ReplicaId refused) {
  if (own_.options.lease_reads || !IsSelfVoter() || !std::holds_alternative<Follower>(role_)) return;
  if (KnownLeader() != refused || timer_.early_used == acceptor_.promised() || timer_.early) return;
  timer_.early = Jitter(own_.options.heartbeat_ticks);
}

// An acceptor that hears from a leader stays with it. A leader hears from itself: CheckQuorum removes one that nobody
// follows.
bool Node::ClingsToLeader(Campaign campaign) const {
  const std::optional<ReplicaId> leader = KnownLeader();
  if (!leader) return false;
  const bool leads = std::holds_alternative<Leader>(role_);
  if (!leads && timer_.elapsed >= own_.options.election_ticks) return false;
  switch (campaign) {
    case Campaign::kTimeout:
      return true;
    case Campaign::kTransfer:
      return false;  // the leader itself asked for it
    case Campaign::kRefused:
      return own_.options.lease_reads || !refused_.contains(*leader);
  }
  return true;
}

// Phase 1 may take many pages, and learning many messages: whoever is at it is left alone while it gets on, or two that
// poll in turns would keep each other from ever leading.
bool Node::ServesAnother(ReplicaId from, Campaign campaign) const {
  if (campaign == Campaign::kTransfer) return false;
  if (proposer_.active()) return true;
  const auto* follower = std::get_if<Follower>(&role_);
  if (follower == nullptr || !follower->served || follower->served == from) return false;
  return timer_.elapsed < own_.options.election_ticks && !refused_.contains(*follower->served);
}

// What is chosen is never proposed again by who can learn it, so a candidate must be able to get it from here: the
// values that it lacks are in memory. Refusing to promise is always safe, and who knows most is refused by nobody.
bool Node::IsTooFarBehind(LogIndex first_open) const {
  return first_open <= learner_.start() || first_open < learner_.first_cached();
}

// ---- The poll

void Node::StartPoll(Campaign campaign) {
  LeaveRole();
  ResetElectionTimer();
  Candidate candidate;
  candidate.polling = true;
  candidate.campaign = campaign;
  candidate.poll = ++timer_.polls;
  candidate.answers[self()] = true;
  role_ = std::move(candidate);
  for (const ReplicaId peer : Acceptors()) {
    if (peer == self()) continue;
    Send(peer, acceptor_.promised(), Poll{timer_.polls, campaign, learner_.chosen().Next()});
  }
  TallyPoll();
}

void Node::OnPoll(ReplicaId from, const Poll& poll) {
  bool granted = !acceptor_.lends(from) && !ClingsToLeader(poll.campaign) && !ServesAnother(from, poll.campaign) &&
                 !IsTooFarBehind(poll.first_open);
  const auto* candidate = std::get_if<Candidate>(&role_);
  if (granted && candidate != nullptr && candidate->polling) {
    // Two that ask each other at once would both begin phase 1 and preempt each other. The one that knows more goes on,
    // of equals the one with the smaller id, unless the other has refused it already; who does not go on steps back.
    const LogIndex own = learner_.chosen().Next();
    const auto answer = candidate->answers.find(from);
    const bool refused_us = answer != candidate->answers.end() && !answer->second;
    granted = poll.first_open > own || (poll.first_open == own && from < self()) || refused_us;
    QUORATE_PROBE(paxos_two_poll_each_other);
    if (granted) BecomeFollower(acceptor_.promised(), std::nullopt);
  }
  Send(from, acceptor_.promised(), PollReply{poll.number, granted});
}

void Node::OnPollReply(ReplicaId from, const Ballot&, const PollReply& reply) {
  auto* candidate = std::get_if<Candidate>(&role_);
  if (candidate == nullptr || !candidate->polling || reply.number != candidate->poll) return;
  candidate->answers[from] = reply.granted;
  TallyPoll();
}

void Node::TallyPoll() {
  const Candidate& candidate = std::get<Candidate>(role_);
  const auto says = [&candidate](bool wanted) {
    return [&candidate, wanted](ReplicaId replica) {
      const auto found = candidate.answers.find(replica);
      return found == candidate.answers.end() ? wanted : found->second;
    };
  };
  const LogIndex slot = learner_.chosen().Next();
  const Electorate& electorate = configurations_.Of(slot);
  if (own_.quorums.IsEnoughToLead(electorate, says(false))) return StartPhase1(candidate.campaign, Ballot());
  if (!own_.quorums.IsEnoughToLead(electorate, says(true))) BecomeFollower(acceptor_.promised(), std::nullopt);
}

// ---- Phase 1, as proposer

// PMS 2.2, phase 1 (a), for all slots that are not known to be chosen. The ballot is above every one that this replica
// has promised or heard of, and its own, so nobody ever uses it again.
void Node::StartPhase1(Campaign campaign, const Ballot& handed) {
  LeaveRole();
  ResetElectionTimer();
  ++traces_.counters.elections_started;
  const std::uint64_t round = std::max(acceptor_.promised().number, timer_.highest_round) + 1;
  const Ballot ballot{round, self()};
  timer_.highest_round = round;
  acceptor_.Promise(ballot);
  writes_.HardStateChanged();
  proposer_.Begin(ballot, learner_.chosen().Next());
  Candidate candidate;
  candidate.campaign = campaign;
  candidate.handed = handed;
  candidate.own_promise = writes_.next_seq();
  role_ = std::move(candidate);
  AskPhase1();
}

// Whom to ask: the acceptors of every slot that may be proposed now.
std::vector<ReplicaId> Node::Acceptors() const {
  const LogIndex first = learner_.chosen().Next();
  std::vector<ReplicaId> all;
  for (const Electorate* one :
       {&configurations_.Of(first), &configurations_.Of(LogIndex(learner_.chosen().value + own_.parameters.alpha))}) {
    all.insert(all.end(), one->acceptors.begin(), one->acceptors.end());
    all.insert(all.end(), one->also.begin(), one->also.end());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

// The next page from everyone who has not yet reported everything. The request waits for the own promise: a proposer
// that lost it in a crash could use its ballot twice, for two values.
void Node::AskPhase1() {
  const auto* candidate = std::get_if<Candidate>(&role_);
  const Campaign campaign = candidate != nullptr ? candidate->campaign : Campaign::kTimeout;
  const Ballot handed = candidate != nullptr ? candidate->handed : Ballot();
  for (const ReplicaId peer : Acceptors()) {
    const std::optional<LogIndex> from = proposer_.NextPage(peer, learner_.chosen().Next());
    if (peer == self() || !from) continue;
    Send(peer, proposer_.ballot(), Phase1a{campaign, *from, handed}, writes_.Barrier());
  }
}

void Node::Handle(ReplicaId from, const Phase1b& page) {
  if (!proposer_.OnPhase1b(from, page)) return;
  if (std::holds_alternative<Candidate>(role_)) timer_.elapsed = 0;
  const std::optional<LogIndex> next = proposer_.NextPage(from, learner_.chosen().Next());
  if (next && from != self()) Send(from, proposer_.ballot(), Phase1a{Campaign::kTimeout, *next, Ballot()});
  if (!next && MustLearnFirst()) AskToLearn();
}

// Whether a phase 1 quorum of the slot's own acceptors has promised and reported.
bool Node::HasPhase1(LogIndex slot) const {
  const auto promised = [this](ReplicaId replica) { return proposer_.HasPromised(replica); };
  if (QUORATE_BUG(paxos_phase1_over_old_configuration) && configurations_.IsChanging()) {
    return own_.quorums.IsPhase1({members().outgoing, {}}, promised);
  }
  return own_.quorums.IsPhase1(configurations_.Of(slot), promised);
}

// Somebody who promised knows more slots to be chosen, and reported nothing about those.
bool Node::MustLearnFirst() const {
  return proposer_.MostChosen().first > learner_.chosen();
}

void Node::AskToLearn() {
  const auto [chosen, teacher] = proposer_.MostChosen();
  if (teacher != self()) Send(teacher, proposer_.ballot(), Learn{learner_.chosen().Next()});
}

// What was learned may say that other acceptors have to be asked as well.
void Node::LearnFrom(Decision decision) {
  const LogIndex before = learner_.chosen();
  TakeChosen(std::move(decision.entries));
  Advance();
  if (learner_.chosen() > before && std::holds_alternative<Candidate>(role_)) timer_.elapsed = 0;
  if (MustLearnFirst()) return AskToLearn();
  if (!HasPhase1(learner_.chosen().Next())) AskPhase1();
}

// Phase 1 is over when a quorum of the first open slot's acceptors has reported and nothing is left to learn: what
// acceptors know to be chosen may also hold who the acceptors are.
void Node::TryLead() {
  if (HasPhase1(learner_.chosen().Next()) && !MustLearnFirst()) BecomeLeader();
}

void Node::OnPreempted(const Ballot& promised) {
  // PMMC 4.2: where one acceptor has promised more, others will have. Another ballot follows after a wait.
  if (proposer_.active() && promised > proposer_.ballot()) BecomeFollower(acceptor_.promised(), std::nullopt);
}

// ---- Phase 1, as acceptor

// PMS 2.2, phase 1 (b). The promise is for every slot there will ever be.
void Node::OnPhase1a(ReplicaId from, const Ballot& ballot, const Phase1a& request) {
  if (ballot.owner != from) {
    ++traces_.counters.malformed_messages;
    return;
  }
  if (ballot < acceptor_.promised()) return Send(from, acceptor_.promised(), Preempted{});
  if (IsTooFarBehind(request.from)) return;
  if (ballot > acceptor_.promised()) {
    const bool handed = request.campaign == Campaign::kTransfer && request.handed == acceptor_.promised();
    if (acceptor_.lends(from) && !handed) return;
    if (ClingsToLeader(request.campaign)) return;
    BecomeFollower(ballot, std::nullopt);
  }
  if (auto* follower = std::get_if<Follower>(&role_)) {
    follower->served = from;
    timer_.elapsed = 0;
  }
  AnswerPhase1(from, request.from);
}

void Node::AnswerPhase1(ReplicaId to, LogIndex from) {
  Phase1b page{from, learner_.chosen(), {}, {}};
  page.accepted = acceptor_.Report(from, own_.options.message_bytes_max, &page.next);
  const PersistSeq after = QUORATE_BUG(paxos_promise_before_durable) ? PersistSeq() : writes_.Barrier();
  Send(to, acceptor_.promised(), std::move(page), after);
}

// ---- Roles

// What the role being left was answering can no longer be answered; values that are in no slot certainly never will be.
void Node::LeaveRole() {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    FailReads(leader->reads.TakeAll());
    learner_.DropLoaded();
  }
  FailReads(forwarded_.TakeAll());
  for (const Value& value : proposer_.End()) {
    Origin origin = value.origin;
    if (value.kind == EntryKind::kMembership && !origin.replica) origin = DecodeChange(value.payload)->origin;
    if (origin.replica) out_.failed.push_back({origin, FailureReason::kNotLeader});
  }
}

void Node::BecomeFollower(const Ballot& promised, std::optional<ReplicaId> leader) {
  LeaveRole();
  if (acceptor_.Promise(promised)) writes_.HardStateChanged();
  ResetElectionTimer();
  role_ = Follower{leader, std::nullopt};
}

void Node::BecomeLeader() {
  role_ = Leader{};
  auto& leader = std::get<Leader>(role_);
  leader.caught_up_from = learner_.chosen();
  AddPeers(leader);
  SendHeartbeats(leader);
}

// A message that only the leader of the promised ballot sends has arrived.
void Node::HearLeader(ReplicaId from) {
  if (std::holds_alternative<Candidate>(role_)) BecomeFollower(acceptor_.promised(), from);
  if (auto* follower = std::get_if<Follower>(&role_)) follower->leader = from;
  timer_.elapsed = 0;
  timer_.early.reset();
}

void Node::TickLeader(Leader& leader) {
  ++leader.lease.ticks;
  if (leader.transfer && ++leader.transfer->elapsed_ticks >= own_.options.election_ticks) leader.transfer.reset();
  for (auto& [id, peer] : leader.peers) peer.Tick();
  for (auto it = leader.peers.begin(); it != leader.peers.end();) {
    Progress& peer = it->second;
    const bool gone = peer.leaving() && (peer.match() >= configurations_.latest_index() || peer.TickLeaving());
    it = gone ? leader.peers.erase(it) : std::next(it);
  }
  if (++leader.heartbeat_elapsed >= own_.options.heartbeat_ticks) {
    if (own_.options.lease_reads && KnowsAllAcknowledged()) BeginRound(leader);
    SendHeartbeats(leader);
    // Acceptors of slots to come, or of the first open one once what was learned has moved it.
    if (!HasPhase1(LogIndex(learner_.chosen().value + own_.parameters.alpha)) || !HasPhase1(learner_.chosen().Next())) {
      AskPhase1();
    }
    if (MustLearnFirst()) AskToLearn();
  }
  if (++leader.quorum_elapsed >= own_.options.election_ticks) CheckQuorum(leader);
}

// A leader that no phase 2 quorum has answered for an election timeout can choose nothing: it gives way, so that its
// clients look for another one.
void Node::CheckQuorum(Leader& leader) {
  leader.quorum_elapsed = 0;
  std::set<ReplicaId> active{self()};
  for (auto& [id, peer] : leader.peers) {
    if (peer.TakeActive()) active.insert(id);
  }
  leader.caught_up_from = learner_.chosen();
  const auto is_active = [&active](ReplicaId replica) { return active.contains(replica); };
  if (own_.quorums.IsPhase2(configurations_.Of(learner_.chosen().Next()), is_active)) return;
  BecomeFollower(acceptor_.promised(), std::nullopt);
}

// ---- Transfer

void Node::On(const TransferLeadership& event) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr || event.to == self()) return;
  // Not to a learner, nor to a voter that is about to leave.
  if (!std::binary_search(members().voters.begin(), members().voters.end(), event.to)) return;
  if (!leader->peers.contains(event.to) || (leader->transfer && leader->transfer->to == event.to)) return;
  leader->transfer = Transfer{.to = event.to};
  AdvanceTransfer(*leader);
}

// Proposals are refused meanwhile, the target is brought up to date, then told to begin phase 1 at once.
void Node::AdvanceTransfer(Leader& leader) {
  if (!leader.transfer || leader.transfer->sent) return;
  const auto peer = leader.peers.find(leader.transfer->to);
  if (peer == leader.peers.end()) return leader.transfer.reset();
  if (proposer_.HasNext() || peer->second.match() < proposer_.next().Prev()) return;
  leader.transfer->sent = true;
  leader.lease.given_up = true;
  Send(leader.transfer->to, proposer_.ballot(), TakeOver{});
}

void Node::Handle(ReplicaId, const Ballot& ballot, const TakeOver&) {
  if (IsSelfVoter()) StartPhase1(Campaign::kTransfer, ballot);
}

}  // namespace quorate::consensus::paxos
