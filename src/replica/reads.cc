#include "replica/reads.h"

#include <iterator>
#include <utility>

namespace quorate::replica {
namespace {

template <class T>
void MoveInto(std::vector<T>& to, std::vector<T>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

void Reads::Add(std::uint64_t deadline_ns, std::function<void(Fate)> done) {
  waiting_.push_back({deadline_ns, std::move(done)});
}

std::optional<ReadId> Reads::BeginRound(std::uint64_t now_ns) {
  if (waiting_.empty() || rounds_.size() >= kRoundsMax) return std::nullopt;
  last_id_ = last_id_.Next();
  rounds_.emplace_hint(rounds_.end(), last_id_, Round{now_ns, std::exchange(waiting_, {})});
  return last_id_;
}

void Reads::Ready(ReadId id, LogIndex index) {
  const auto it = rounds_.find(id);
  if (it == rounds_.end()) return;
  MoveInto(confirmed_[index], std::move(it->second.barriers));
  rounds_.erase(it);
}

void Reads::Failed(ReadId id) {
  const auto it = rounds_.find(id);
  if (it == rounds_.end()) return;
  MoveInto(waiting_, std::move(it->second.barriers));
  rounds_.erase(it);
}

void Reads::ServeUpTo(LogIndex applied) {
  while (!confirmed_.empty() && confirmed_.begin()->first <= applied) {
    const Barriers served = std::move(confirmed_.begin()->second);
    confirmed_.erase(confirmed_.begin());
    for (const Barrier& barrier : served) barrier.done(Fate::kApplied);
  }
}

void Reads::FailAll(Fate fate) {
  Barriers all = std::exchange(waiting_, {});
  for (auto& [id, round] : rounds_) MoveInto(all, std::move(round.barriers));
  for (auto& [index, barriers] : confirmed_) MoveInto(all, std::move(barriers));
  rounds_.clear();
  confirmed_.clear();
  for (const Barrier& barrier : all) barrier.done(fate);
}

void Reads::TakeLate(Barriers& from, std::uint64_t now_ns, Barriers* late) {
  Barriers kept;
  for (Barrier& barrier : from) (barrier.deadline_ns <= now_ns ? *late : kept).push_back(std::move(barrier));
  from = std::move(kept);
}

void Reads::Expire(std::uint64_t now_ns, bool leader_known) {
  std::vector<ReadId> given_up;
  for (const auto& [id, round] : rounds_) {
    if (round.began_ns + kRoundTimeoutNs <= now_ns) given_up.push_back(id);
  }
  for (const ReadId id : given_up) Failed(id);
  Barriers late;
  TakeLate(waiting_, now_ns, &late);
  for (auto& [id, round] : rounds_) TakeLate(round.barriers, now_ns, &late);
  for (auto& [index, barriers] : confirmed_) TakeLate(barriers, now_ns, &late);
  for (const Barrier& barrier : late) barrier.done(leader_known ? Fate::kTimedOut : Fate::kNoLeader);
}

}  // namespace quorate::replica
