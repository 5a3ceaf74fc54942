// RecordTable: a map from RecordKey to Bytes that is nearly always appended to. Sorted chunks in a tree of chunks: 48
// bytes a record, no node of its own.
//
// Used by MemoryEngine for the kKv table. A value: copies are deep, but share the records' bytes. Thread rule: the
// owner's thread.
//
// Invariants: no chunk is empty; a chunk's label in the tree is at or below its first key and above every key of the
// chunk before it; a chunk holds at most 2 * kChunkRecords.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "base/bytes.h"
#include "store/record.h"

namespace quorate::store {

class RecordTable {
 public:
  void Put(RecordKey key, Bytes value);
  void Erase(RecordKey key);
  const Bytes* Find(RecordKey key) const;
  // Calls visit(key, value) from the first key at or above `from` on, ascending, until it returns false.
  template <class Visit>
  void ScanFrom(RecordKey from, Visit&& visit) const {
    auto chunk = chunks_.upper_bound(from);
    if (chunk != chunks_.begin()) --chunk;
    for (; chunk != chunks_.end(); ++chunk) {
      for (auto entry = LowerBound(chunk->second, from); entry != chunk->second.end(); ++entry) {
        if (!visit(entry->key, entry->value)) return;
      }
    }
  }

 private:
  struct Entry {
    RecordKey key;
    Bytes value;
  };
  using Chunk = std::vector<Entry>;
  using Chunks = absl::btree_map<RecordKey, Chunk>;
  static constexpr std::size_t kChunkRecords = 64;

  static Chunk::const_iterator LowerBound(const Chunk& chunk, RecordKey key);
  void Append(RecordKey key, Bytes value);
  void Split(Chunks::iterator chunk);

  Chunks chunks_;
};

}  // namespace quorate::store
