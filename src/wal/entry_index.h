// EntryIndex: where each entry of one group's log stands on disk, and how much of it each segment holds.
//
// 16 bytes an entry, in index order, holes legal. Appending and cutting at either end are constant time; filling a hole
// costs the distance to the nearer end. Entries at or below `released` are here for followers only: a start does not
// need them. Owned by the log. Thread rule: the owner's thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>

#include "base/check.h"
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

  // `bytes`: about what it takes on disk.
  void Put(LogIndex index, RecordPlace place, std::uint64_t bytes) {
    if (slots_.empty() || slots_.back().index < index) {
      slots_.push_back({index, place});
    } else if (const auto at = Find(index); at->index == index) {
      Forget(*at);
      at->place = place;
    } else {
      slots_.insert(at, {index, place});
    }
    Use& use = UseOf(place.segment);
    ++use.entries;
    if (index > released_) ++use.needed;
    use.bytes += bytes;
    bytes_ += bytes;
  }
  void TruncateAfter(LogIndex last_kept) {
    for (; !slots_.empty() && slots_.back().index > last_kept; slots_.pop_back()) Forget(slots_.back());
  }
  // A start does not need entries up to `upto`.
  void Release(LogIndex upto) {
    for (auto slot = From(released_.Next()); slot != end() && slot->index <= upto; ++slot) {
      --UseOf(slot->place.segment).needed;
    }
    released_ = std::max(released_, upto);
  }
  // REQUIRES that everything below is released.
  void DropBefore(LogIndex first_kept) {
    CHECK(first_kept <= released_.Next());
    for (; !slots_.empty() && slots_.front().index < first_kept; slots_.pop_front()) Forget(slots_.front());
  }
  void Clear() { TruncateAfter(LogIndex()); }

  LogIndex first() const { return slots_.empty() ? LogIndex() : slots_.front().index; }
  LogIndex last() const { return slots_.empty() ? LogIndex() : slots_.back().index; }
  LogIndex first_needed() const {
    const auto slot = From(released_.Next());
    return slot == end() ? LogIndex() : slot->index;
  }
  std::size_t size() const { return slots_.size(); }
  std::uint64_t bytes() const { return bytes_; }

  // The oldest segment with an entry, and with one that a start needs; 0 = none.
  SegmentNumber oldest() const { return uses_.empty() ? 0 : uses_.begin()->first; }
  SegmentNumber oldest_needed() const {
    for (const auto& [segment, use] : uses_) {
      if (use.needed > 0) return segment;
    }
    return 0;
  }
  std::uint64_t BytesIn(SegmentNumber segment) const {
    const auto use = uses_.find(segment);
    return use == uses_.end() ? 0 : use->second.bytes;
  }
  std::uint64_t EntriesIn(SegmentNumber segment) const {
    const auto use = uses_.find(segment);
    return use == uses_.end() ? 0 : use->second.entries;
  }

  // From the first entry at or after `index` on.
  std::deque<Slot>::const_iterator From(LogIndex index) const {
    return std::lower_bound(slots_.begin(), slots_.end(), index, Before);
  }
  std::deque<Slot>::const_iterator begin() const { return slots_.begin(); }
  std::deque<Slot>::const_iterator end() const { return slots_.end(); }

 private:
  struct Use {
    std::uint64_t entries = 0;
    std::uint64_t needed = 0;  // of them, by a start
    std::uint64_t bytes = 0;   // single entries leave with their average
  };

  static bool Before(const Slot& slot, LogIndex index) { return slot.index < index; }
  std::deque<Slot>::iterator Find(LogIndex index) {
    return std::lower_bound(slots_.begin(), slots_.end(), index, Before);
  }
  Use& UseOf(SegmentNumber segment) {
    if (!uses_.empty() && uses_.rbegin()->first == segment) return uses_.rbegin()->second;
    return uses_[segment];
  }
  void Forget(const Slot& slot) {
    const auto at = uses_.find(slot.place.segment);
    Use& use = at->second;
    const std::uint64_t share = use.bytes / use.entries;
    use.bytes -= share;
    bytes_ -= share;
    if (slot.index > released_) --use.needed;
    if (--use.entries == 0) {
      bytes_ -= use.bytes;
      uses_.erase(at);
    }
  }

  std::deque<Slot> slots_;
  std::map<SegmentNumber, Use> uses_;
  LogIndex released_;
  std::uint64_t bytes_ = 0;
};

}  // namespace quorate::wal
