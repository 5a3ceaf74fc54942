#include "consensus/zab/election.h"

#include <algorithm>

#include "base/bug.h"
#include "consensus/hash.h"
#include "consensus/quorum/quorum.h"

namespace quorate::consensus::zab {
namespace {

bool IsBetter(Vote a, Vote b) {
  if (QUORATE_BUG(zab_ignores_current_epoch)) a.epoch = b.epoch = Epoch();
  return a > b;
}

void AddVote(Hasher& h, const Vote& vote) {
  h.Add(vote.epoch).Add(vote.last.epoch).Add(vote.last.index).Add(vote.nominated ? 1 : 0).Add(vote.leader);
}

}  // namespace

void Election::Begin(const Vote& initial) {
  ++round_;
  initial_ = vote_ = initial;
  votes_.clear();
  settled_.clear();
}

Election::Effect Election::OnLooking(ReplicaId from, const Notification& heard) {
  settled_.erase(from);
  if (heard.round < round_) return Effect::kAnswer;
  Effect effect = Effect::kNothing;
  if (heard.round > round_) {
    round_ = heard.round;
    votes_.clear();
    vote_ = IsBetter(heard.vote, initial_) ? heard.vote : initial_;
    effect = Effect::kTell;
  } else if (IsBetter(heard.vote, vote_)) {
    vote_ = heard.vote;
    effect = Effect::kTell;
  } else if (IsBetter(vote_, heard.vote)) {
    effect = Effect::kAnswer;  // it was not looking yet when this vote was told to all
  }
  votes_[from] = heard.vote;
  return effect;
}

void Election::OnSettled(ReplicaId from, const Notification& heard) {
  settled_[from] = heard;
  if (heard.round == round_) votes_[from] = heard.vote;
}

void Election::Forget(ReplicaId peer) {
  votes_.erase(peer);
  settled_.erase(peer);
}

bool Election::AgreesWithMe(ReplicaId voter) const {
  if (voter == self_) return true;
  const auto found = votes_.find(voter);
  return found != votes_.end() && found->second.leader == vote_.leader;
}

bool Election::HasQuorum(const Membership& members) const {
  if (!vote_.leader) return false;
  return ResultOfVote(members, [this](ReplicaId voter) {
           return AgreesWithMe(voter) ? Answer::kYes : Answer::kMissing;
         }) == VoteResult::kWon;
}

bool Election::IsUnanimous(const Membership& members, const std::set<ReplicaId>& gone) const {
  const std::vector<ReplicaId> all = AllReplicas(members);
  return std::all_of(all.begin(), all.end(),
                     [&](ReplicaId one) { return !IsVoter(members, one) || gone.contains(one) || AgreesWithMe(one); });
}

bool Election::IsFollowedByQuorum(ReplicaId leader, const Membership& members) const {
  return ResultOfVote(members, [&](ReplicaId voter) {
           const auto found = settled_.find(voter);
           const bool follows = found != settled_.end() && found->second.vote.leader == leader;
           return follows ? Answer::kYes : Answer::kMissing;
         }) == VoteResult::kWon;
}

std::optional<ReplicaId> Election::FindLeader(const Membership& members) {
  const Notification* best = nullptr;
  for (const auto& [from, heard] : settled_) {
    if (heard.state != State::kLeading || heard.vote.leader != from) continue;
    if (!heard.established && !IsFollowedByQuorum(from, members)) continue;
    if (best == nullptr || heard.vote > best->vote) best = &heard;
  }
  if (best == nullptr) return std::nullopt;
  round_ = best->round;
  vote_ = best->vote;
  return best->vote.leader;
}

std::uint64_t Election::Hash() const {
  Hasher h;
  h.Add(round_);
  AddVote(h, initial_);
  AddVote(h, vote_);
  for (const auto& [from, vote] : votes_) {
    h.Add(from);
    AddVote(h, vote);
  }
  for (const auto& [from, heard] : settled_) {
    h.Add(from).Add(static_cast<std::uint64_t>(heard.state)).Add(heard.established ? 1 : 0).Add(heard.round);
    AddVote(h, heard.vote);
  }
  return h.value();
}

}  // namespace quorate::consensus::zab
