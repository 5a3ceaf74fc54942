#include "store/value_cache.h"

#include <utility>

#include "base/bug.h"

namespace quorate::store {

void ValueCache::Put(KeyHistory* history, Bytes record) {
  if (history->slot != 0) {
    if (QUORATE_BUG(store_cache_serves_stale)) return;
    Slot& slot = slots_[history->slot];
    bytes_ += record.size();
    bytes_ -= slot.record.size();
    slot.record = std::move(record);
  } else {
    if (record.size() + kOverheadBytes > capacity_bytes_) return;
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    history->slot = free_.back();
    free_.pop_back();
    bytes_ += record.size() + kOverheadBytes;
    slots_[history->slot] = {std::move(record), history, false};
  }
  MakeRoom();
}

void ValueCache::Remove(KeyHistory* history) {
  if (history->slot != 0) Clear(history->slot);
}

void ValueCache::set_capacity_bytes(std::uint64_t bytes) {
  capacity_bytes_ = bytes;
  MakeRoom();
}

void ValueCache::MakeRoom() {
  while (bytes_ > capacity_bytes_) {
    hand_ = hand_ + 1 < slots_.size() ? hand_ + 1 : 1;
    Slot& slot = slots_[hand_];
    if (slot.owner == nullptr) continue;
    if (std::exchange(slot.hot, false)) continue;
    Clear(hand_);
  }
}

void ValueCache::Clear(std::uint32_t at) {
  Slot& slot = slots_[at];
  bytes_ -= slot.record.size() + kOverheadBytes;
  slot.owner->slot = 0;
  slot = {};
  free_.push_back(at);
}

}  // namespace quorate::store
