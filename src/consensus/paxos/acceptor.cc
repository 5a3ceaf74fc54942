#include "consensus/paxos/acceptor.h"

#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::consensus::paxos {

bool Acceptor::Promise(const Ballot& ballot) {
  CHECK(ballot >= promised_) << "a promise taken back";
  if (ballot == promised_) return false;
  promised_ = ballot;
  return true;
}

Acceptor::Answer Acceptor::Accept(Entry entry) {
  if (entry.ballot < promised_ && !QUORATE_BUG(paxos_accepts_below_promise)) return Answer::kRefused;
  const auto [at, is_new] = accepted_.try_emplace(entry.index);
  if (!is_new && at->second.ballot >= entry.ballot) return at->second == entry ? Answer::kHeld : Answer::kRefused;
  if (entry.ballot > promised_) promised_ = entry.ballot;
  at->second = std::move(entry);
  return Answer::kAccepted;
}

void Acceptor::Restore(Entry entry) {
  const LogIndex slot = entry.index;
  accepted_.insert_or_assign(slot, std::move(entry));
}

bool Acceptor::Learn(Entry entry) {
  const auto [at, is_new] = accepted_.try_emplace(entry.index);
  // A ballot above the one it was chosen in carries the same value (P2b).
  if (!is_new && at->second.ballot >= entry.ballot) return false;
  at->second = std::move(entry);
  return true;
}

const Entry* Acceptor::At(LogIndex slot) const {
  const auto found = accepted_.find(slot);
  return found == accepted_.end() ? nullptr : &found->second;
}

Entry Acceptor::TakeOut(LogIndex slot) {
  auto node = accepted_.extract(slot);
  CHECK(!node.empty()) << "slot " << slot.value << " is chosen, and its value is not here";
  return std::move(node.mapped());
}

void Acceptor::ForgetUpto(LogIndex slot) {
  accepted_.erase(accepted_.begin(), accepted_.upper_bound(slot));
}

std::vector<Entry> Acceptor::Report(LogIndex from, std::uint64_t bytes_max, LogIndex* next) const {
  std::vector<Entry> page;
  std::uint64_t bytes = 0;
  *next = LogIndex();
  for (auto at = accepted_.lower_bound(from); at != accepted_.end(); ++at) {
    const std::uint64_t size = at->second.payload.size();
    if (!page.empty() && bytes + size > bytes_max) {
      *next = at->first;
      break;
    }
    bytes += size;
    page.push_back(at->second);
  }
  return page;
}

std::uint64_t Acceptor::Hash() const {
  Hasher h;
  h.Add(promised_.number).Add(promised_.owner).Add(lease_ticks_);
  for (const auto& [slot, entry] : accepted_) {
    h.Add(slot).Add(entry.ballot.number).Add(entry.ballot.owner).Add(static_cast<std::uint64_t>(entry.kind));
    h.Add(entry.origin.replica).Add(entry.origin.incarnation).Add(entry.origin.proposal);
    h.AddBytes(entry.payload.view());
  }
  return h.value();
}

void Acceptor::CheckInvariants(LogIndex chosen) const {
  CHECK(accepted_.empty() || accepted_.begin()->first > chosen) << "a chosen slot was not taken out";
  for (const auto& [slot, entry] : accepted_) {
    CHECK(entry.index == slot);
    CHECK(entry.ballot <= promised_) << "slot " << slot.value << " was accepted above the promise";
  }
}

}  // namespace quorate::consensus::paxos
