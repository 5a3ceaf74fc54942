// EntryIndex: where each entry of one group's log stands on disk.
//
// 16 bytes an entry, in index order, holes legal. Appending and cutting at the end are constant time; filling a hole
// costs the distance to the end. Owned by the log. Thread rule: the owner's thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "base/ids.h"
#include "wal/format.h"

namespace quorate::wal {

struct RecordPlace {
  SegmentNumber segment = 0;
  std::uint32_t offset = 0;  // of the record that holds the entry
  friend bool operator==(const RecordPlace&, const RecordPlace&) = default;
};

class EntryIndex {
 public:
  struct Slot {
    LogIndex index;
    RecordPlace place;
  };
  static_assert(sizeof(Slot) == 16);

  void Put(LogIndex index, RecordPlace place) {
    if (slots_.empty() || slots_.back().index < index) {
      slots_.push_back({index, place});
      return;
    }
    const auto at = Find(index);
    if (at->index == index) {
      at->place = place;
    } else {
      slots_.insert(at, {index, place});
    }
  }
  void TruncateAfter(LogIndex last_kept) {
    while (!slots_.empty() && slots_.back().index > last_kept) slots_.pop_back();
  }
  void Clear() { slots_.clear(); }

  LogIndex first() const { return slots_.empty() ? LogIndex() : slots_.front().index; }
  LogIndex last() const { return slots_.empty() ? LogIndex() : slots_.back().index; }
  std::size_t size() const { return slots_.size(); }

  // From the first entry at or after `index` on.
  std::deque<Slot>::const_iterator From(LogIndex index) const {
    return std::lower_bound(slots_.begin(), slots_.end(), index, Before);
  }
  std::deque<Slot>::const_iterator end() const { return slots_.end(); }

 private:
  static bool Before(const Slot& slot, LogIndex index) { return slot.index < index; }
  std::deque<Slot>::iterator Find(LogIndex index) {
    return std::lower_bound(slots_.begin(), slots_.end(), index, Before);
  }

  std::deque<Slot> slots_;
};

}  // namespace quorate::wal
