#include "consensus/reads.h"

#include <algorithm>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::consensus {

ReadRound LeaderReads::StartRound(LogIndex commit) {
  if (!QUORATE_BUG(raft_read_round_reused) || last_round_.value == 0) last_round_ = last_round_.Next();
  rounds_.push_back({last_round_, commit, std::exchange(waiting_, {})});
  return last_round_;
}

std::vector<std::pair<PendingRead, LogIndex>> LeaderReads::Confirm(ReadRound round) {
  std::vector<std::pair<PendingRead, LogIndex>> confirmed;
  while (!rounds_.empty() && rounds_.front().number <= round) {
    for (const PendingRead& read : rounds_.front().reads) confirmed.emplace_back(read, rounds_.front().index);
    rounds_.pop_front();
  }
  return confirmed;
}

void LeaderReads::DropPeer(ReplicaId peer) {
  const auto of_peer = [peer](const PendingRead& read) {
    const auto* forwarded = std::get_if<PeerRead>(&read);
    return forwarded != nullptr && forwarded->from == peer;
  };
  std::erase_if(waiting_, of_peer);
  for (Round& round : rounds_) std::erase_if(round.reads, of_peer);
}

std::vector<PendingRead> LeaderReads::TakeAll() {
  std::vector<PendingRead> all;
  for (Round& round : rounds_) all.insert(all.end(), round.reads.begin(), round.reads.end());
  all.insert(all.end(), waiting_.begin(), waiting_.end());
  rounds_.clear();
  waiting_.clear();
  return all;
}

namespace {
void AddRead(Hasher& h, const PendingRead& read) {
  if (const auto* own = std::get_if<OwnRead>(&read)) {
    h.Add(1).Add(own->id);
  } else {
    const auto& peer = std::get<PeerRead>(read);
    h.Add(2).Add(peer.from).Add(peer.id.life).Add(peer.id.counter);
  }
}
}  // namespace

std::uint64_t LeaderReads::Hash() const {
  Hasher h;
  h.Add(last_round_).Add(waiting_.size());
  for (const PendingRead& read : waiting_) AddRead(h, read);
  for (const Round& round : rounds_) {
    h.Add(round.number).Add(round.index);
    for (const PendingRead& read : round.reads) AddRead(h, read);
  }
  return h.value();
}

void LeaderReads::CheckInvariants() const {
  for (std::size_t i = 1; i < rounds_.size(); ++i) {
    CHECK(rounds_[i - 1].number <= rounds_[i].number);
    CHECK(rounds_[i - 1].index <= rounds_[i].index);
  }
  CHECK(rounds_.empty() || rounds_.back().number <= last_round_);
}

ReadRequestId ForwardedReads::Send(Life life) {
  const ReadRequestId id{life, ++counter_};
  sent_[id].reads = std::exchange(waiting_, {});
  return id;
}

std::vector<ReadId> ForwardedReads::Answered(ReadRequestId id) {
  const auto found = sent_.find(id);
  if (found == sent_.end()) return {};
  std::vector<ReadId> reads = std::move(found->second.reads);
  sent_.erase(found);
  return reads;
}

std::vector<ReadId> ForwardedReads::Expire(std::uint64_t ticks_max) {
  std::vector<ReadId> expired;
  for (auto it = sent_.begin(); it != sent_.end();) {
    if (++it->second.age_ticks < ticks_max) {
      ++it;
      continue;
    }
    expired.insert(expired.end(), it->second.reads.begin(), it->second.reads.end());
    it = sent_.erase(it);
  }
  return expired;
}

std::vector<ReadId> ForwardedReads::TakeAll() {
  std::vector<ReadId> all;
  for (const auto& [id, request] : sent_) all.insert(all.end(), request.reads.begin(), request.reads.end());
  all.insert(all.end(), waiting_.begin(), waiting_.end());
  sent_.clear();
  waiting_.clear();
  return all;
}

std::uint64_t ForwardedReads::Hash() const {
  Hasher h;
  h.Add(counter_).Add(waiting_.size());
  for (const ReadId id : waiting_) h.Add(id);
  for (const auto& [id, request] : sent_) {
    h.Add(id.life).Add(id.counter).Add(request.age_ticks);
    for (const ReadId read : request.reads) h.Add(read);
  }
  return h.value();
}

}  // namespace quorate::consensus
