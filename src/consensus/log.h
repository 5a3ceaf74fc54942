// Log: a node's log, of which memory holds the tail and disk holds all.
//
// Called by raft::Node and zab::Node; one thread. A generation is Raft's term, Zab's epoch. The generation of every
// entry since the snapshot is known from runs (the first index of each generation, so as many as there were generations
// with entries); the entries themselves are in memory from first_cached() on. Older ones are cold: Cold() names what to
// load, and Loaded() offers one loaded stretch until it is dropped.
//
// Invariants:
//  1. Indices are gapless from snapshot to last(); generations never fall along the log (Raft paper 5.3, Log Matching;
//  Zab: zxids rise).
//  2. Entries above the limit last given to Trim are in memory.
//  3. Entries at or below the limit take no more than the cache bytes given to Trim.
//  4. At most one load is on its way, and at most one loaded stretch is kept.
//  5. Nothing at or below the snapshot's last entry is in memory; of that entry the generation is known, so
//     that logs can be compared right behind it (Raft paper section 7).
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "consensus/core.h"

namespace quorate::consensus {

using Generation = Id<struct GenerationTag>;  // of a leadership, rising; 0 = before the first

inline Generation GenerationOf(const Entry& entry) {
  return Generation(entry.ballot.number);
}

// A stretch of a log whose entries have one generation.
struct Run {
  Generation generation;
  LogIndex last;
  friend bool operator==(const Run&, const Run&) = default;
};

class Log {
 public:
  // The log after `snapshot_last` (generation `snapshot_generation`). REQUIRES: entries gapless from there, generations
  // not falling.
  Log(LogIndex snapshot_last, Generation snapshot_generation, std::vector<Entry> entries);

  LogIndex last() const { return last_; }
  Generation last_generation() const { return runs_.back().generation; }
  LogIndex snapshot_last() const { return runs_.front().first; }
  LogIndex first_cached() const { return LogIndex(last_.value + 1 - entries_.size()); }

  // The entry's generation; empty above last() and below the snapshot's last entry.
  std::optional<Generation> GenerationAt(LogIndex index) const;
  bool Matches(LogIndex index, Generation generation) const { return GenerationAt(index) == generation; }
  // The last index at or below `index` whose generation is not above `generation`; what both sides of the consistency
  // check use to skip what cannot match. Of entries below the snapshot's last nothing is known: there it is `index`
  // itself.
  LogIndex LastNotAbove(LogIndex index, Generation generation) const;
  // All that is known of the generations, ascending; the first run ends at the snapshot's last entry or later.
  std::vector<Run> Runs() const;

  // REQUIRES entry.index == last() + 1 and a generation not below last_generation().
  void Append(Entry entry);
  // Forgets everything above. REQUIRES last_kept >= snapshot_last() and every entry up to first_cached() kept.
  void TruncateAfter(LogIndex last_kept);
  // The log starts after `last_released` from now on. REQUIRES snapshot_last() <= last_released <= last().
  void ReleaseUpto(LogIndex last_released);
  // The log is empty and starts after `snapshot_last`.
  void Reset(LogIndex snapshot_last, Generation snapshot_generation);

  // REQUIRES first_cached() <= index <= last().
  const Entry& At(LogIndex index) const { return entries_[index.value - first_cached().value]; }
  // Bytes of payload in memory, the loaded stretch not counted.
  std::uint64_t cached_bytes() const { return cached_bytes_; }

  // Entries from `first` on in memory (tail or loaded stretch): at least one, and no more payload than bytes_max after
  // it. Empty when `first` is cold or above last().
  std::vector<Entry> From(LogIndex first, std::uint64_t bytes_max) const;
  bool IsCold(LogIndex index) const { return index < first_cached() && !InLoaded(index); }

  // Drops entries at or below `limit` from memory, oldest first, until those at or below it take at most `cache_bytes`.
  void Trim(LogIndex limit, std::uint64_t cache_bytes);

  // What to load so that From(first, ...) has something. Empty while another load is on its way.
  std::optional<LoadLog> StartLoad(LogIndex first, std::uint64_t bytes_max);
  bool loading() const { return loading_; }
  // The answer to the load. What was released meanwhile is left out.
  void FinishLoad(std::vector<Entry> entries);
  void DropLoaded() { loaded_.clear(); }

  std::uint64_t Hash() const;
  void CheckInvariants() const;

 private:
  struct Start {  // entries from `first` on have `generation`, up to the next run; the first run begins at the
                  // snapshot's last
    LogIndex first;
    Generation generation;
  };

  bool InLoaded(LogIndex index) const {
    return !loaded_.empty() && loaded_.front().index <= index && index <= loaded_.back().index;
  }
  void NoteGeneration(LogIndex index, Generation generation);

  std::vector<Start> runs_;  // never empty; generations rise strictly
  std::deque<Entry> entries_;
  LogIndex last_;
  std::uint64_t cached_bytes_ = 0;
  bool loading_ = false;
  std::vector<Entry> loaded_;
};

}  // namespace quorate::consensus
