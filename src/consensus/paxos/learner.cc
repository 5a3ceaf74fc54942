#include "consensus/paxos/learner.h"

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::consensus::paxos {

Learner::Learner(LogIndex start, std::vector<Entry> values) : start_(start), chosen_(start) {
  for (Entry& entry : values) Append(std::move(entry));
}

void Learner::Know(LogIndex slot) {
  if (slot > chosen_) known_.insert(slot);
}

void Learner::Notice(const Ballot& ballot, LogIndex upto) {
  if (ballot < notice_ballot_) return;
  notice_upto_ = ballot == notice_ballot_ ? std::max(notice_upto_, upto) : upto;
  notice_ballot_ = ballot;
}

bool Learner::IsChosen(const Entry& held) const {
  if (known_.contains(held.index)) return true;
  if (held.index > notice_upto_) return false;
  return held.ballot == notice_ballot_ || QUORATE_BUG(paxos_notice_ignores_ballot);
}

void Learner::Append(Entry entry) {
  CHECK(entry.index == chosen_.Next()) << entry.index.value << " after " << chosen_.value;
  chosen_ = entry.index;
  known_.erase(chosen_);
  cached_bytes_ += entry.payload.size();
  values_.push_back(std::move(entry));
}

void Learner::DropFront() {
  cached_bytes_ -= values_.front().payload.size();
  values_.pop_front();
}

void Learner::ReleaseUpto(LogIndex last_released) {
  CHECK(start_ <= last_released && last_released <= chosen_);
  start_ = last_released;
  while (!values_.empty() && values_.front().index <= start_) DropFront();
  std::erase_if(loaded_, [this](const Entry& entry) { return entry.index <= start_; });
}

void Learner::Reset(LogIndex start) {
  CHECK(start > chosen_);
  start_ = chosen_ = start;
  values_.clear();
  loaded_.clear();
  cached_bytes_ = 0;
  known_.erase(known_.begin(), known_.upper_bound(start));
}

std::vector<Entry> Learner::From(LogIndex first, std::uint64_t bytes_max) const {
  std::vector<Entry> out;
  std::uint64_t bytes = 0;
  for (LogIndex index = first; index <= chosen_; index = index.Next()) {
    const Entry* entry = nullptr;
    if (index >= first_cached()) {
      entry = &At(index);
    } else if (InLoaded(index)) {
      entry = &loaded_[index.value - loaded_.front().index.value];
    } else {
      break;
    }
    if (!out.empty() && bytes + entry->payload.size() > bytes_max) break;
    bytes += entry->payload.size();
    out.push_back(*entry);
  }
  return out;
}

void Learner::Trim(LogIndex limit, std::uint64_t cache_bytes) {
  if (cached_bytes_ <= cache_bytes) return;
  std::uint64_t above = 0;
  for (auto it = values_.rbegin(); it != values_.rend() && it->index > limit; ++it) above += it->payload.size();
  while (!values_.empty() && values_.front().index <= limit && cached_bytes_ - above > cache_bytes) DropFront();
}

std::optional<LoadLog> Learner::StartLoad(LogIndex first, std::uint64_t bytes_max) {
  if (loading_) return std::nullopt;
  loading_ = true;
  loaded_.clear();
  return LoadLog{first, first_cached().Prev(), bytes_max};
}

void Learner::FinishLoad(std::vector<Entry> values) {
  loading_ = false;
  std::erase_if(values, [this](const Entry& entry) { return entry.index <= start_; });
  for (std::size_t i = 1; i < values.size(); ++i) {
    CHECK(values[i].index == values[i - 1].index.Next()) << "a hole below the chosen slot " << values[i].index.value;
  }
  CHECK(values.empty() || values.back().index <= chosen_);
  loaded_ = std::move(values);
}

std::uint64_t Learner::Hash() const {
  Hasher h;
  h.Add(start_).Add(chosen_).Add(first_cached()).Add(loading_ ? 1 : 0).Add(loaded_.size());
  if (!loaded_.empty()) h.Add(loaded_.front().index);
  h.Add(notice_ballot_.number).Add(notice_ballot_.owner).Add(notice_upto_ > chosen_ ? notice_upto_ : LogIndex());
  for (const LogIndex slot : known_) h.Add(slot);
  for (const Entry& entry : values_) {
    h.Add(entry.ballot.number).Add(entry.ballot.owner).Add(static_cast<std::uint64_t>(entry.kind));
    h.Add(entry.origin.replica).Add(entry.origin.incarnation).Add(entry.origin.proposal);
    h.AddBytes(entry.payload.view());
  }
  return h.value();
}

void Learner::CheckInvariants() const {
  CHECK(start_ <= chosen_);
  CHECK(first_cached() > start_) << "a value that the snapshot covers is in memory";
  CHECK(loaded_.empty() || loaded_.front().index > start_);
  CHECK(known_.empty() || *known_.begin() > chosen_);
  constexpr std::size_t kNewest = 32;  // older ones were the newest once
  for (std::size_t i = values_.size() - std::min(values_.size(), kNewest); i < values_.size(); ++i) {
    CHECK(values_[i].index.value == first_cached().value + i) << "gap in the cached tail";
  }
}

}  // namespace quorate::consensus::paxos
