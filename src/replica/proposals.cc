#include "replica/proposals.h"

#include <utility>

#include "base/bug.h"
#include "base/probe.h"

namespace quorate::replica {

bool Proposals::Admit(WaitingProposal& proposal) {
  if (bytes_ + proposal.command.size() > bytes_max_) return false;
  bytes_ += proposal.command.size();
  waiting_.push_back(std::move(proposal));
  return true;
}

std::optional<WaitingProposal> Proposals::NextWaiting() {
  if (waiting_.empty()) return std::nullopt;
  std::optional<WaitingProposal> next(std::move(waiting_.front()));
  waiting_.pop_front();
  return next;
}

ProposalId Proposals::MarkSent(WaitingProposal proposal, ReplicaId leader) {
  last_id_ = last_id_.Next();
  sent_.emplace_hint(sent_.end(), last_id_, Sent{std::move(proposal), leader});
  return last_id_;
}

void Proposals::Answer(WaitingProposal& proposal, Fate fate) {
  bytes_ -= proposal.command.size();
  ++failures_;
  ProposeResult result;
  result.fate = fate;
  proposal.done(std::move(result));
}

void Proposals::Executed(ProposalId id, LogIndex index, std::unique_ptr<Outcome> outcome) {
  const auto it = sent_.find(id);
  if (it == sent_.end()) return;  // already answered as unknown
  Sent sent = std::move(it->second);
  sent_.erase(it);
  bytes_ -= sent.proposal.command.size();
  sent.proposal.done(ProposeResult{Fate::kApplied, index, std::move(outcome)});
}

void Proposals::Refused(ProposalId id) {
  const auto it = sent_.find(id);
  if (it == sent_.end()) return;
  waiting_.push_back(std::move(it->second.proposal));
  sent_.erase(it);
}

void Proposals::Fail(ProposalId id, Fate fate) {
  const auto it = sent_.find(id);
  if (it == sent_.end()) return;
  Sent sent = std::move(it->second);
  sent_.erase(it);
  Answer(sent.proposal, fate);
}

bool Proposals::IsChange(ProposalId id) const {
  const auto it = sent_.find(id);
  return it != sent_.end() && it->second.proposal.members.has_value();
}

bool Proposals::IsSentToAnother(ProposalId id, ReplicaId than) const {
  const auto it = sent_.find(id);
  return it != sent_.end() && it->second.leader != than;
}

void Proposals::FailAllSent(Fate fate) {
  absl::btree_map<ProposalId, Sent> lost;
  lost.swap(sent_);
  if (lost.size() > 1) QUORATE_PROBE(replica_many_proposals_become_unknown);
  for (auto& [id, sent] : lost) {
    if (QUORATE_BUG(replica_retries_unknown)) {
      waiting_.push_back(std::move(sent.proposal));
    } else {
      Answer(sent.proposal, fate);
    }
  }
}

void Proposals::FailSentTo(ReplicaId leader, Fate fate) {
  std::vector<ProposalId> lost;
  for (const auto& [id, sent] : sent_) {
    if (sent.leader == leader) lost.push_back(id);
  }
  for (const ProposalId id : lost) Fail(id, fate);
}

void Proposals::Expire(std::uint64_t now_ns) {
  std::vector<ProposalId> late;
  for (const auto& [id, sent] : sent_) {
    if (sent.proposal.deadline_ns <= now_ns) late.push_back(id);
  }
  for (const ProposalId id : late) Fail(id, Fate::kTimedOut);
  std::deque<WaitingProposal> kept;
  std::vector<WaitingProposal> unsent;
  for (WaitingProposal& proposal : waiting_) {
    if (proposal.deadline_ns <= now_ns) {
      unsent.push_back(std::move(proposal));
    } else {
      kept.push_back(std::move(proposal));
    }
  }
  waiting_.swap(kept);
  for (WaitingProposal& proposal : unsent) Answer(proposal, Fate::kNoLeader);
}

bool HeldProposals::Add(ForwardedProposal proposal, std::uint64_t now_ns) {
  if (bytes_ + proposal.command.size() > bytes_max_) return false;
  bytes_ += proposal.command.size();
  held_.push_back({std::move(proposal), now_ns});
  return true;
}

std::optional<ForwardedProposal> HeldProposals::Next() {
  if (held_.empty()) return std::nullopt;
  std::optional<ForwardedProposal> next(std::move(held_.front().proposal));
  held_.pop_front();
  bytes_ -= next->command.size();
  return next;
}

void HeldProposals::Expire(std::uint64_t now_ns, std::uint64_t timeout_ns) {
  while (!held_.empty() && held_.front().since_ns + timeout_ns <= now_ns) Next();
}

}  // namespace quorate::replica
