// Learner: what this replica knows to be chosen ("Paxos Made Simple" section 2.3; "Moderately Complex" section 2, where
// it is the replica that performs decisions in slot order).
//
// Owned by paxos::Node; one thread. Slots become known in any order; chosen() is how far there is no gap, and the
// values up to there are the log, of which memory holds the tail (first_cached() on) and disk holds all since start().
// Older ones are cold: StartLoad names what to load, FinishLoad offers one loaded stretch until it is dropped.
//
// Invariants:
//  1. chosen() never falls; what is known to be chosen never changes.
//  2. Values above the limit last given to Trim are in memory; those at or below it take no more than the given bytes.
//  3. Nothing at or below start() is in memory.
//  4. At most one load is on its way, and at most one loaded stretch is kept.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <vector>

#include "base/ids.h"
#include "consensus/core.h"

namespace quorate::consensus::paxos {

class Learner {
 public:
  // `values`: the chosen ones after `start`, without gaps.
  Learner(LogIndex start, std::vector<Entry> values);

  LogIndex start() const { return start_; }    // what a snapshot covers
  LogIndex chosen() const { return chosen_; }  // every slot up to here is known to be chosen
  LogIndex first_cached() const { return LogIndex(chosen_.value + 1 - values_.size()); }

  // The value of `slot` is chosen, and an acceptor here has it.
  void Know(LogIndex slot);
  // The leader of `ballot` says that all slots up to here are chosen. It proposed one value a slot: who accepted a slot
  // with this ballot has that value, and nobody else knows which it is.
  void Notice(const Ballot& ballot, LogIndex upto);
  // Whether the value accepted here as `held` is known to be the chosen one.
  bool IsChosen(const Entry& held) const;

  // The next slot's value. REQUIRES entry.index == chosen().Next().
  void Append(Entry entry);
  void ReleaseUpto(LogIndex last_released);  // the log starts later. REQUIRES start() <= last_released <= chosen()
  void Reset(LogIndex start);                // a snapshot took the log's place. REQUIRES start > chosen()

  // REQUIRES first_cached() <= index <= chosen().
  const Entry& At(LogIndex index) const { return values_[index.value - first_cached().value]; }
  // Values from `first` on that are in memory (tail or loaded stretch): at least one, no more payload than bytes_max
  // after it. Empty when `first` is cold or not chosen.
  std::vector<Entry> From(LogIndex first, std::uint64_t bytes_max) const;
  bool IsCold(LogIndex index) const { return index < first_cached() && !InLoaded(index); }
  std::uint64_t cached_bytes() const { return cached_bytes_; }
  void Trim(LogIndex limit, std::uint64_t cache_bytes);

  std::optional<LoadLog> StartLoad(LogIndex first, std::uint64_t bytes_max);  // empty while another is on its way
  bool loading() const { return loading_; }
  void FinishLoad(std::vector<Entry> values);
  void DropLoaded() { loaded_.clear(); }

  std::uint64_t Hash() const;
  void CheckInvariants() const;

 private:
  bool InLoaded(LogIndex index) const {
    return !loaded_.empty() && loaded_.front().index <= index && index <= loaded_.back().index;
  }
  void DropFront();

  LogIndex start_;
  LogIndex chosen_;
  std::deque<Entry> values_;
  std::uint64_t cached_bytes_ = 0;
  std::set<LogIndex> known_;  // above chosen_
  Ballot notice_ballot_;
  LogIndex notice_upto_;
  bool loading_ = false;
  std::vector<Entry> loaded_;
};

}  // namespace quorate::consensus::paxos
