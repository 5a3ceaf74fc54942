#include "consensus/paxos/proposer.h"

#include "base/bug.h"
#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::consensus::paxos {

void Proposer::Begin(const Ballot& ballot, LogIndex first_open) {
  *this = Proposer();
  ballot_ = ballot;
  next_ = first_open;
}

std::vector<Value> Proposer::End() {
  std::vector<Value> left(waiting_.begin(), waiting_.end());
  *this = Proposer();
  return left;
}

std::optional<LogIndex> Proposer::NextPage(ReplicaId acceptor, LogIndex from) const {
  const auto found = promises_.find(acceptor);
  if (found == promises_.end()) return from;
  if (found->second.complete) return std::nullopt;
  return found->second.next;
}

bool Proposer::OnPhase1b(ReplicaId acceptor, const Phase1b& page) {
  const auto known = promises_.find(acceptor);
  // The first page must begin where nothing was proposed yet, the others where the one before them ended.
  if (known == promises_.end() ? page.from > next_ : known->second.complete || page.from != known->second.next) {
    return false;
  }
  Promise& promise = promises_[acceptor];
  promise.chosen = std::max(promise.chosen, page.chosen);
  promise.next = page.next;
  promise.complete = !page.next;
  for (const Entry& entry : page.accepted) {
    last_seen_ = std::max(last_seen_, entry.index);
    if (entry.index < next_) continue;  // proposed by now, by a phase 1 quorum without this acceptor
    const auto [best, is_new] = reported_.try_emplace(entry.index, entry);
    const bool better = QUORATE_BUG(paxos_adopts_lowest_ballot) ? entry.ballot < best->second.ballot
                                                                : entry.ballot > best->second.ballot;
    if (!is_new && better) best->second = entry;
  }
  return true;
}

std::optional<LogIndex> Proposer::PositionOf(ReplicaId acceptor) const {
  if (!HasPromised(acceptor)) return std::nullopt;
  return promises_.at(acceptor).chosen;
}

std::pair<LogIndex, ReplicaId> Proposer::MostChosen() const {
  std::pair<LogIndex, ReplicaId> most;
  for (const auto& [acceptor, promise] : promises_) {
    if (promise.complete) most = std::max(most, {promise.chosen, acceptor});
  }
  return most;
}

void Proposer::OnChosen(LogIndex chosen) {
  while (!open_.empty() && open_.begin()->first <= chosen) {
    open_bytes_ -= open_.begin()->second.bytes;
    open_.erase(open_.begin());
  }
  reported_.erase(reported_.begin(), reported_.upper_bound(chosen));
  next_ = std::max(next_, chosen.Next());
}

Entry Proposer::OpenNext() {
  Entry entry;
  entry.index = next_;
  entry.ballot = *ballot_;
  const auto reported = reported_.find(next_);
  const bool fills = QUORATE_BUG(paxos_fills_reported_hole) && next_ < last_seen_;
  if (reported != reported_.end() && !fills) {
    entry.kind = reported->second.kind;
    entry.origin = reported->second.origin;
    entry.payload = reported->second.payload;
  } else if (next_ > last_seen_) {
    CHECK(!waiting_.empty());
    Value value = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= value.payload.size();
    entry.kind = value.kind;
    entry.origin = value.origin;
    entry.payload = std::move(value.payload);
  }
  open_[next_].bytes = entry.payload.size();
  open_bytes_ += entry.payload.size();
  reported_.erase(next_);
  next_ = next_.Next();
  return entry;
}

void Proposer::OnAccepted(ReplicaId acceptor, LogIndex slot) {
  const auto found = open_.find(slot);
  if (found == open_.end()) return;
  std::vector<ReplicaId>& accepted = found->second.accepted;
  if (std::find(accepted.begin(), accepted.end(), acceptor) == accepted.end()) accepted.push_back(acceptor);
}

bool Proposer::HasAccepted(ReplicaId acceptor, LogIndex slot) const {
  const auto found = open_.find(slot);
  if (found == open_.end()) return false;
  const std::vector<ReplicaId>& accepted = found->second.accepted;
  return std::find(accepted.begin(), accepted.end(), acceptor) != accepted.end();
}

void Proposer::Enqueue(Value value) {
  waiting_bytes_ += value.payload.size();
  waiting_.push_back(std::move(value));
}

bool Proposer::HasMembership() const {
  return std::any_of(waiting_.begin(), waiting_.end(),
                     [](const Value& value) { return value.kind == EntryKind::kMembership; });
}

std::uint64_t Proposer::Hash() const {
  Hasher h;
  if (!ballot_) return h.value();
  h.Add(ballot_->number).Add(ballot_->owner).Add(last_seen_).Add(next_);
  for (const auto& [acceptor, promise] : promises_) {
    h.Add(acceptor).Add(promise.next).Add(promise.chosen).Add(promise.complete ? 1 : 0);
  }
  for (const auto& [slot, entry] : reported_) {
    h.Add(slot).Add(entry.ballot.number).Add(entry.ballot.owner).Add(static_cast<std::uint64_t>(entry.kind));
    h.Add(entry.origin.replica).Add(entry.origin.incarnation).Add(entry.origin.proposal);
    h.AddBytes(entry.payload.view());
  }
  for (const auto& [slot, open] : open_) {
    std::vector<ReplicaId> accepted = open.accepted;
    std::sort(accepted.begin(), accepted.end());
    h.Add(slot).Add(accepted.size());
    for (const ReplicaId acceptor : accepted) h.Add(acceptor);
  }
  for (const Value& value : waiting_) {
    h.Add(static_cast<std::uint64_t>(value.kind)).Add(value.origin.replica).Add(value.origin.incarnation);
    h.Add(value.origin.proposal).AddBytes(value.payload.view());
  }
  return h.value();
}

void Proposer::CheckInvariants(LogIndex chosen) const {
  if (!ballot_) return;
  CHECK(next_ > chosen);
  CHECK(open_.empty() || (open_.begin()->first > chosen && open_.rbegin()->first < next_));
  CHECK(reported_.empty() || reported_.begin()->first >= next_);
  std::uint64_t bytes = 0;
  for (const auto& [slot, open] : open_) bytes += open.bytes;
  CHECK(bytes == open_bytes_);
}

}  // namespace quorate::consensus::paxos
