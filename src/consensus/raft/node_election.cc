// Elections: paper 5.2 and 5.4.1, pre-vote (thesis 9.6), check-quorum (thesis 6.2), leadership transfer (thesis 3.10),
// and the early election that a refused connection starts.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"
#include "consensus/raft/node.h"

namespace quorate::consensus::raft {

void Node::ResetElectionTimer() {
  timer_.elapsed = 0;
  timer_.timeout = options_.election_ticks + Jitter(options_.election_ticks);
  timer_.early.reset();
}

// A voter, or one that is none any more once the newest configuration is committed (thesis 4.2.2): it alone may hold
// that entry, and then nobody without it gets the votes that the former voters must give, this one's among them.
bool Node::MayCampaign() const {
  const LogIndex latest = configurations_.latest_index();
  if (IsSelfVoter() || latest <= hard_.commit) return IsSelfVoter();
  return IsVoter(configurations_.At(latest.Prev()), options_.self);
}

void Node::TickElection() {
  if (!MayCampaign()) {
    ++timer_.elapsed;  // it is asked for its vote by who knows of its promotion before it does (ClingsToLeader)
    return;
  }
  // Nobody else could win, and nobody could be disturbed.
  if (IsOnlyVoter()) {
    if (std::holds_alternative<Follower>(role_)) StartElection(Campaign::kTimeout);
    return;
  }
  ++timer_.elapsed;
  if (timer_.early && (*timer_.early == 0 || --*timer_.early == 0)) {
    timer_.early_used = hard_.term;
    ++counters_.early_elections;
    QUORATE_PROBE(raft_early_election);
    return StartPreVote(Campaign::kRefused);
  }
  if (timer_.elapsed >= timer_.timeout) StartPreVote(Campaign::kTimeout);
}

// A refused connection says that the leader's process is gone, long before the election timeout does. A link that is
// only cut says nothing: the leader may live. So only a refusal counts, only the voters that see it themselves go along
// (ClingsToLeader), and one attempt per term must do; then a live leader whose links are reset again and again is
// deposed at most once, for afterwards it is not the leader. The jitter, up to a heartbeat interval, keeps the
// survivors from splitting the vote.
void Node::ConsiderEarlyElection(ReplicaId refused) {
  if (options_.lease_reads || !MayCampaign() || !std::holds_alternative<Follower>(role_)) return;
  if (KnownLeader() != refused || timer_.early_used == hard_.term || timer_.early) return;
  timer_.early = Jitter(options_.heartbeat_ticks);
}

// A voter that hears from a leader stays with it, whatever a candidate says (thesis 4.2.3), so that a member that was
// cut off cannot disturb the others. A leader hears from itself: check-quorum removes one that nobody follows.
bool Node::ClingsToLeader(Campaign campaign) const {
  const std::optional<ReplicaId> leader = KnownLeader();
  if (!leader) return false;
  const bool leads = std::holds_alternative<Leader>(role_);
  if (!leads && timer_.elapsed >= options_.election_ticks) return false;
  switch (campaign) {
    case Campaign::kTimeout:
      return true;
    case Campaign::kTransfer:
      return false;  // the leader itself asked for it
    case Campaign::kRefused:
      return options_.lease_reads || !refused_.contains(*leader);
  }
  return true;
}

// Election restriction, paper 5.4.1.
bool Node::IsUpToDate(const VoteRequest& request) const {
  if (QUORATE_BUG(raft_vote_ignores_log_freshness)) return true;
  if (request.last_term != log_.last_generation()) return request.last_term > log_.last_generation();
  return request.last_index >= log_.last();
}

void Node::StartPreVote(Campaign campaign) {
  LeaveRole();
  ResetElectionTimer();
  role_ = Candidate{.pre = true, .campaign = campaign, .own_vote = {}, .answers = {{options_.self, true}}};
  for (const ReplicaId peer : Electorate()) {
    if (peer == options_.self) continue;
    Send(peer, hard_.term.Next(), VoteRequest{true, campaign, log_.last(), log_.last_generation()});
  }
  TallyVotes();
}

void Node::StartElection(Campaign campaign) {
  LeaveRole();
  ResetElectionTimer();
  ++counters_.elections_started;
  hard_.term = hard_.term.Next();
  hard_.vote = options_.self;
  writes_.HardStateChanged();
  role_ = Candidate{.pre = false, .campaign = campaign, .own_vote = writes_.next_seq(), .answers = {}};
  // The request waits for the batch too: it claims a log end, and voters go by it. A candidate that sent it, lost
  // unsynced entries in a crash and campaigned in the same term again would win with the old, longer claim.
  for (const ReplicaId peer : Electorate()) {
    if (peer == options_.self) continue;
    Send(peer, VoteRequest{false, campaign, log_.last(), log_.last_generation()}, writes_.Barrier());
  }
}

void Node::HandlePreVote(ReplicaId from, Term term, const VoteRequest& request) {
  bool granted = term > hard_.term && IsUpToDate(request) && !ClingsToLeader(request.campaign);
  const auto* candidate = std::get_if<Candidate>(&role_);
  if (granted && candidate != nullptr && candidate->pre) {
    // Two that ask each other at once would both win and then split the real vote. The one with the better log goes on,
    // of equals the one with the smaller id, unless the other has refused it already; who does not go on steps back.
    const bool equal = request.last_term == log_.last_generation() && request.last_index == log_.last();
    const auto answer = candidate->answers.find(from);
    const bool refused_us = answer != candidate->answers.end() && !answer->second;
    granted = !equal || from < options_.self || refused_us;
    QUORATE_PROBE(raft_two_ask_each_other_for_pre_votes);
    if (granted) BecomeFollower(hard_.term, std::nullopt);
  }
  Send(from, granted ? term : hard_.term, VoteReply{true, granted});
}

void Node::HandlePreVoteReply(ReplicaId from, Term term, bool granted) {
  auto* candidate = std::get_if<Candidate>(&role_);
  if (candidate == nullptr || !candidate->pre || (granted && term != hard_.term.Next())) return;
  candidate->answers[from] = granted;
  TallyVotes();
}

void Node::Handle(ReplicaId from, const VoteRequest& request) {
  const bool careless = QUORATE_BUG(raft_double_vote_in_term) && std::holds_alternative<Follower>(role_);
  const bool free = !hard_.vote || hard_.vote == from || careless;
  const bool granted = free && !KnownLeader() && IsUpToDate(request);
  if (granted && hard_.vote != from) {
    hard_.vote = from;
    writes_.HardStateChanged();
  }
  if (granted) ResetElectionTimer();
  const PersistSeq after = QUORATE_BUG(raft_vote_before_durable) ? PersistSeq() : writes_.Barrier();
  Send(from, VoteReply{false, granted}, granted ? after : PersistSeq());
}

void Node::Handle(ReplicaId from, const VoteReply& reply) {
  auto* candidate = std::get_if<Candidate>(&role_);
  if (candidate == nullptr || candidate->pre || reply.pre) return;
  candidate->answers.emplace(from, reply.granted);
  TallyVotes();
}

void Node::TallyVotes() {
  const Candidate& candidate = std::get<Candidate>(role_);
  switch (ResultOfElection(candidate)) {
    case VoteResult::kPending:
      return;
    case VoteResult::kLost:
      return BecomeFollower(hard_.term, std::nullopt);
    case VoteResult::kWon:
      return candidate.pre ? StartElection(candidate.campaign) : BecomeLeader();
  }
}

// Reads that the role being left was answering can no longer be answered.
void Node::LeaveRole() {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    FailReads(leader->reads.TakeAll());
    log_.DropLoaded();
  }
  FailReads(forwarded_.TakeAll());
}

void Node::BecomeFollower(Term term, std::optional<ReplicaId> leader) {
  LeaveRole();
  if (term > hard_.term) {
    hard_.term = term;
    hard_.vote = ReplicaId();
    writes_.HardStateChanged();
  }
  ResetElectionTimer();
  role_ = Follower{.leader = leader, .verified = {}};
}

void Node::BecomeLeader() {
  LeaveRole();
  Leader leader;
  leader.own_from = log_.last().Next();
  leader.caught_up_from = leader.own_from;
  AddPeers(leader);
  for (LogIndex index = hard_.commit.Next(); index <= log_.last(); index = index.Next()) {
    leader.uncommitted_bytes += log_.At(index).payload.size();
  }
  role_ = std::move(leader);
  // An entry of the own term, so that those of earlier terms can be committed and reads be answered (paper 5.4.2, 8).
  AppendOwn(EntryKind::kNoop, Origin(), Bytes());
}

// A message that only this term's leader sends has arrived.
void Node::HearLeader(ReplicaId from) {
  CHECK(!std::holds_alternative<Leader>(role_)) << "two leaders in term " << hard_.term.value;
  if (std::holds_alternative<Candidate>(role_)) BecomeFollower(hard_.term, from);
  Follower& follower = std::get<Follower>(role_);
  CHECK(!follower.leader || follower.leader == from) << "two leaders in term " << hard_.term.value;
  follower.leader = from;
  timer_.elapsed = 0;
  timer_.early.reset();
}

void Node::TickLeader(Leader& leader) {
  if (leader.transfer && ++leader.transfer->elapsed_ticks >= options_.election_ticks) leader.transfer.reset();
  for (auto& [id, peer] : leader.peers) peer.Tick();
  if (++leader.heartbeat_elapsed >= options_.heartbeat_ticks) SendHeartbeats(leader);
  if (++leader.quorum_elapsed >= options_.election_ticks) CheckQuorum(leader);
}

// Thesis 6.2: a leader that no quorum has answered for an election timeout steps down, so that its clients look for
// another.
void Node::CheckQuorum(Leader& leader) {
  leader.quorum_elapsed = 0;
  std::set<ReplicaId> active{options_.self};
  for (auto& [id, peer] : leader.peers) {
    if (peer.TakeActive()) active.insert(id);
  }
  leader.caught_up_from = std::max(leader.own_from, hard_.commit);
  const VoteResult result = ResultOfVote(
      members(), [&active](ReplicaId voter) { return active.contains(voter) ? Answer::kYes : Answer::kMissing; });
  if (result != VoteResult::kWon) BecomeFollower(hard_.term, std::nullopt);
}

void Node::On(const TransferLeadership& event) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr || event.to == options_.self) return;
  // Not to a learner, nor to a voter that is about to leave.
  if (!std::binary_search(members().voters.begin(), members().voters.end(), event.to)) return;
  if (leader->transfer && leader->transfer->to == event.to) return;
  leader->transfer = Transfer{.to = event.to};
  AdvanceTransfer(*leader);
}

// Thesis 3.10: proposals are refused meanwhile, the target is brought up to date, then told to campaign at once.
void Node::AdvanceTransfer(Leader& leader) {
  if (!leader.transfer || leader.transfer->sent) return;
  if (leader.peers.at(leader.transfer->to).match() < log_.last()) return;
  leader.transfer->sent = true;
  Send(leader.transfer->to, TimeoutNow{});
}

void Node::Handle(ReplicaId from, const TimeoutNow&) {
  HearLeader(from);
  if (IsSelfVoter()) StartElection(Campaign::kTransfer);
}

}  // namespace quorate::consensus::raft
