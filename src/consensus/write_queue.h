// WriteQueue: what this node still has to make durable, and how far it is.
//
// Called by raft::Node and zab::Node; one thread. Log operations and hard-state changes gather until TakeBatch makes
// one WriteBatch of them; Persisted(upto) then moves the durable index. Barrier() is what a promise must wait for.
//
// Invariants:
//  1. durable() never runs ahead of what the disk was told and has confirmed: truncating takes it back at once, because
//     a confirmed entry that is replaced says nothing about its successor. An installed snapshot counts at once: what
//     it covers is committed, and whatever is promised on it waits for its batch (Barrier).
//  2. Only entries, truncations and what HardStateChanged announces cause a sync; the commit index travels with the
//  next batch.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/core.h"

namespace quorate::consensus {

class WriteQueue {
 public:
  explicit WriteQueue(LogIndex durable) : last_(durable), durable_(durable) {}

  void Put(Entry entry);
  void TruncateAfter(LogIndex last_kept);
  // The log becomes this snapshot with nothing above it. The batch carries the hard state whether it changed or not.
  void Install(const SnapshotMeta& meta);
  // More than the commit index changed: the next batch carries the hard state and syncs.
  void HardStateChanged() { hard_state_changed_ = true; }
  // The commit index may be written by itself now, if it has moved since it was last written.
  void OfferCommit(LogIndex commit) { commit_changed_ = commit_changed_ || (written_ && written_commit_ < commit); }

  bool empty() const { return ops_.empty() && !hard_state_changed_ && !commit_changed_; }
  // The batch that must be durable before a promise made now may be sent; 0 when everything already is.
  PersistSeq Barrier() const;
  // The number of the batch that TakeBatch makes next.
  PersistSeq next_seq() const { return next_seq_; }
  PersistSeq persisted() const { return persisted_; }
  // Everything gathered, as one batch. REQUIRES !empty(). `hard_state`, which holds `commit`, is written if it differs
  // from what was written last.
  WriteBatch TakeBatch(Bytes hard_state, LogIndex commit);
  void OnPersisted(PersistSeq upto);

  // Entries up to here are durable as the log in memory has them.
  LogIndex durable() const { return durable_; }

  std::uint64_t Hash() const;
  void CheckInvariants(LogIndex log_last) const;

 private:
  struct Sent {
    PersistSeq seq;
    LogIndex last;  // the log's end as of this batch, lowered by later truncations
  };
  bool NeedsSync() const { return !ops_.empty() || hard_state_changed_; }

  std::vector<LogOp> ops_;
  bool installs_ = false;  // an InstallSnapshot is among them
  bool hard_state_changed_ = false;
  bool commit_changed_ = false;
  std::optional<Bytes> written_;
  LogIndex written_commit_;
  LogIndex last_;  // the log's end once everything gathered is written
  LogIndex durable_;
  PersistSeq next_seq_{1};
  PersistSeq last_sync_;
  PersistSeq persisted_;
  std::deque<Sent> sent_;  // not yet persisted
};

}  // namespace quorate::consensus
