// ValueCache: the newest records of hot keys, bounded by bytes, replaced by CLOCK: a record that was read since the
// hand last came by stays.
//
// Owned by Mvcc. Thread rule: the owner's thread. A key's history names its slot, so a hit costs no lookup.
//
// Invariants: a history's slot holds its newest record; bytes() <= capacity after every call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "store/key_index.h"

namespace quorate::store {

class ValueCache {
 public:
  explicit ValueCache(std::uint64_t capacity_bytes) : capacity_bytes_(capacity_bytes), slots_(1) {}

  // The newest record of `history`, or null.
  const Bytes* Find(const KeyHistory& history) {
    if (history.slot == 0) return nullptr;
    Slot& slot = slots_[history.slot];
    slot.hot = true;
    return &slot.record;
  }
  void Put(KeyHistory* history, Bytes record);
  void Remove(KeyHistory* history);
  void set_capacity_bytes(std::uint64_t bytes);
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t capacity_bytes() const { return capacity_bytes_; }

 private:
  struct Slot {
    Bytes record;
    KeyHistory* owner = nullptr;  // null: free
    bool hot = false;
  };
  static constexpr std::uint64_t kOverheadBytes = sizeof(Slot) + 64;  // with the record's shared string

  void MakeRoom();
  void Clear(std::uint32_t slot);

  std::uint64_t capacity_bytes_;
  std::uint64_t bytes_ = 0;
  std::vector<Slot> slots_;  // 0 is nobody's
  std::vector<std::uint32_t> free_;
  std::uint32_t hand_ = 0;
};

}  // namespace quorate::store
