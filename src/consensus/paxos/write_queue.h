// WriteQueue: what this replica still has to make durable, and which slots are.
//
// Called by paxos::Node; one thread. Operations and hard-state changes gather until TakeBatch makes one WriteBatch of
// them. Barrier() is what a promise or an acceptance must wait for. Slots become durable in any order.
//
// Invariants:
//  1. A slot that was put again is not durable until its latest entry is. An installed snapshot counts at once: what it
//     covers is chosen, and whatever is promised on it waits for its batch (Barrier).
//  2. Only entries, snapshots, promise and life cause a sync; how far slots are chosen travels with the next batch.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "consensus/core.h"
#include "consensus/paxos/messages.h"

namespace quorate::consensus::paxos {

class WriteQueue {
 public:
  void Put(const Entry& entry);
  // The log becomes this snapshot with nothing above it. The batch carries the hard state whether it changed or not.
  void Install(const SnapshotMeta& meta);
  void HardStateChanged() { hard_state_changed_ = true; }  // promise or life: the next batch carries it and syncs
  // How far slots are chosen may be written by itself now, if it has moved since it was last written.
  void OfferChosen(LogIndex chosen) { chosen_changed_ = chosen_changed_ || (written_ && written_->chosen < chosen); }

  bool empty() const { return ops_.empty() && !hard_state_changed_ && !chosen_changed_; }
  bool NeedsSync() const { return !ops_.empty() || hard_state_changed_; }
  // The batch that must be durable before a promise made now may be sent; 0 when everything already is.
  PersistSeq Barrier() const;
  PersistSeq next_seq() const { return next_seq_; }
  PersistSeq persisted() const { return persisted_; }
  // Everything gathered, as one batch. REQUIRES !empty().
  WriteBatch TakeBatch(const HardState& hard_state);
  // The slots that this made durable.
  std::vector<LogIndex> OnPersisted(PersistSeq upto);

  bool IsDurable(LogIndex slot) const { return !unsynced_.contains(slot); }
  // What a restart would find known to be chosen.
  LogIndex durable_chosen() const { return durable_chosen_; }
  // Every slot up to here that was ever put is durable.
  LogIndex DurableUpto() const { return unsynced_.empty() ? LogIndex(UINT64_MAX) : unsynced_.begin()->first.Prev(); }

  std::uint64_t Hash() const;
  void CheckInvariants() const;

 private:
  struct Sent {
    PersistSeq seq;
    std::vector<LogIndex> slots;
    LogIndex chosen;
  };

  std::vector<LogOp> ops_;
  std::vector<LogIndex> slots_;  // put by ops_
  bool installs_ = false;
  bool hard_state_changed_ = false;
  bool chosen_changed_ = false;
  std::optional<HardState> written_;
  PersistSeq next_seq_{1};
  PersistSeq last_sync_;
  PersistSeq persisted_;
  LogIndex durable_chosen_;
  std::deque<Sent> sent_;                    // not yet persisted
  std::map<LogIndex, PersistSeq> unsynced_;  // the batch that holds the slot's latest entry
};

}  // namespace quorate::consensus::paxos
