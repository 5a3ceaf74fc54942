// MvccParts: what Mvcc and its background work (compaction, hash) share. Internal to store/.
#pragma once

#include <cstdint>
#include <memory>

#include "store/key_index.h"
#include "store/value_cache.h"
#include "store/write_buffer.h"

namespace quorate::store {

struct MvccParts {
  MvccParts(WriteBuffer& b, std::uint64_t cache_bytes) : buffer(b), cache(cache_bytes) {}

  WriteBuffer& buffer;
  KeyIndex index;
  ValueCache cache;
  Revision revision = 1;
  Revision compact_revision = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t size_in_use_bytes = 0;
  std::shared_ptr<const bool> alive = std::make_shared<const bool>(true);  // callbacks look at it

  static std::uint64_t SizeOf(const Point& point) { return kRecordKeySize + point.record_size; }
};

}  // namespace quorate::store
