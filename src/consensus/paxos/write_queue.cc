#include "consensus/paxos/write_queue.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::consensus::paxos {

void WriteQueue::Put(const Entry& entry) {
  ops_.emplace_back(PutEntry{entry});
  slots_.push_back(entry.index);
  unsynced_[entry.index] = next_seq_;
}

void WriteQueue::Install(const SnapshotMeta& meta) {
  ops_.emplace_back(InstallSnapshot{meta});
  installs_ = true;
  unsynced_.erase(unsynced_.begin(), unsynced_.upper_bound(meta.last));
}

PersistSeq WriteQueue::Barrier() const {
  if (NeedsSync()) return next_seq_;
  return last_sync_ > persisted_ ? last_sync_ : PersistSeq();
}

WriteBatch WriteQueue::TakeBatch(const HardState& hard_state) {
  CHECK(!empty());
  WriteBatch batch;
  batch.seq = next_seq_;
  batch.sync = NeedsSync();
  batch.ops = std::exchange(ops_, {});
  if (written_ != hard_state || installs_) {
    batch.hard_state = EncodeHardState(hard_state);
    written_ = hard_state;
  }
  hard_state_changed_ = chosen_changed_ = installs_ = false;
  if (batch.sync) last_sync_ = batch.seq;
  sent_.push_back({batch.seq, std::exchange(slots_, {}), written_ ? written_->chosen : LogIndex()});
  next_seq_ = next_seq_.Next();
  return batch;
}

std::vector<LogIndex> WriteQueue::OnPersisted(PersistSeq upto) {
  CHECK(upto < next_seq_) << "batch " << upto.value << " was never handed out";
  persisted_ = std::max(persisted_, upto);
  std::vector<LogIndex> durable;
  for (; !sent_.empty() && sent_.front().seq <= persisted_; sent_.pop_front()) {
    durable_chosen_ = std::max(durable_chosen_, sent_.front().chosen);
    for (const LogIndex slot : sent_.front().slots) {
      const auto found = unsynced_.find(slot);
      if (found == unsynced_.end() || found->second > persisted_) continue;
      unsynced_.erase(found);
      durable.push_back(slot);
    }
  }
  return durable;
}

std::uint64_t WriteQueue::Hash() const {
  Hasher h;
  h.Add(ops_.size()).Add(installs_ ? 1 : 0).Add(hard_state_changed_ ? 1 : 0).Add(chosen_changed_ ? 1 : 0);
  h.Add(durable_chosen_);
  h.Add(next_seq_.value - persisted_.value).Add(last_sync_ > persisted_ ? last_sync_.value - persisted_.value : 0);
  for (const Sent& sent : sent_) {
    h.Add(sent.slots.size()).Add(sent.chosen);
    for (const LogIndex slot : sent.slots) h.Add(slot);
  }
  for (const auto& [slot, seq] : unsynced_) h.Add(slot).Add(seq.value - persisted_.value);
  return h.value();
}

void WriteQueue::CheckInvariants() const {
  CHECK(persisted_ < next_seq_);
  for (const Sent& sent : sent_) CHECK(sent.seq > persisted_ && sent.seq < next_seq_);
  for (const auto& [slot, seq] : unsynced_) CHECK(seq > persisted_ && seq <= next_seq_) << "slot " << slot.value;
}

}  // namespace quorate::consensus::paxos
