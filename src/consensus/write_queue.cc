#include "consensus/write_queue.h"

#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/hash.h"

namespace quorate::consensus {

void WriteQueue::Put(Entry entry) {
  last_ = entry.index;
  ops_.emplace_back(PutEntry{std::move(entry)});
}

void WriteQueue::TruncateAfter(LogIndex last_kept) {
  last_ = last_kept;
  durable_ = std::min(durable_, last_kept);
  for (Sent& sent : sent_) sent.last = std::min(sent.last, last_kept);
  ops_.emplace_back(quorate::consensus::TruncateAfter{last_kept});
}

void WriteQueue::Install(const SnapshotMeta& meta) {
  last_ = meta.last;
  durable_ = meta.last;
  for (Sent& sent : sent_) sent.last = std::min(sent.last, meta.last);
  ops_.emplace_back(InstallSnapshot{meta});
  installs_ = true;
}

PersistSeq WriteQueue::Barrier() const {
  if (NeedsSync()) return next_seq_;
  return last_sync_ > persisted_ ? last_sync_ : PersistSeq();
}

WriteBatch WriteQueue::TakeBatch(Bytes hard_state, LogIndex commit) {
  CHECK(!empty());
  WriteBatch batch;
  batch.seq = next_seq_;
  batch.sync = NeedsSync();
  batch.ops = std::exchange(ops_, {});
  const bool leave_out = installs_ && QUORATE_BUG(raft_install_without_hard_state);
  if ((written_ != hard_state || installs_) && !leave_out) {
    batch.hard_state = hard_state;
    written_ = std::move(hard_state);
    written_commit_ = commit;
  }
  hard_state_changed_ = false;
  commit_changed_ = false;
  installs_ = false;
  if (batch.sync) last_sync_ = batch.seq;
  sent_.push_back({batch.seq, last_});
  next_seq_ = next_seq_.Next();
  return batch;
}

void WriteQueue::OnPersisted(PersistSeq upto) {
  CHECK(upto < next_seq_) << "batch " << upto.value << " was never handed out";
  persisted_ = std::max(persisted_, upto);
  while (!sent_.empty() && sent_.front().seq <= persisted_) {
    durable_ = std::max(durable_, sent_.front().last);
    sent_.pop_front();
  }
}

std::uint64_t WriteQueue::Hash() const {
  Hasher h;
  h.Add(ops_.size())
      .Add(installs_ ? 1 : 0)
      .Add(hard_state_changed_ ? 1 : 0)
      .Add(commit_changed_ ? 1 : 0)
      .Add(last_)
      .Add(durable_);
  h.Add(next_seq_.value - persisted_.value).Add(last_sync_ > persisted_ ? last_sync_.value - persisted_.value : 0);
  for (const Sent& sent : sent_) h.Add(sent.last);
  return h.value();
}

void WriteQueue::CheckInvariants(LogIndex log_last) const {
  CHECK(last_ == log_last) << "to be written up to " << last_.value << ", log up to " << log_last.value;
  CHECK(durable_ <= log_last);
  CHECK(persisted_ < next_seq_);
  for (const Sent& sent : sent_) CHECK(sent.seq > persisted_ && sent.seq < next_seq_ && sent.last <= log_last);
}

}  // namespace quorate::consensus
