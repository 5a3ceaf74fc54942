#include "store/engine_memory/record_table.h"

#include <algorithm>
#include <iterator>

namespace quorate::store {

RecordTable::Chunk::const_iterator RecordTable::LowerBound(const Chunk& chunk, RecordKey key) {
  return std::lower_bound(chunk.begin(), chunk.end(), key,
                          [](const Entry& entry, const RecordKey& wanted) { return entry.key < wanted; });
}

void RecordTable::Put(RecordKey key, Bytes value) {
  if (chunks_.empty() || std::prev(chunks_.end())->second.back().key < key) return Append(key, std::move(value));
  auto chunk = chunks_.upper_bound(key);
  if (chunk == chunks_.begin()) {
    chunks_.emplace_hint(chunk, key, Chunk{{key, std::move(value)}});
    return;
  }
  --chunk;
  Chunk& entries = chunk->second;
  const auto place = entries.begin() + (LowerBound(entries, key) - entries.cbegin());
  if (place != entries.end() && place->key == key) {
    place->value = std::move(value);
    return;
  }
  entries.insert(place, {key, std::move(value)});
  if (entries.size() > 2 * kChunkRecords) Split(chunk);
}

void RecordTable::Append(RecordKey key, Bytes value) {
  if (chunks_.empty() || std::prev(chunks_.end())->second.size() >= kChunkRecords) {
    const auto chunk = chunks_.emplace_hint(chunks_.end(), key, Chunk{});
    chunk->second.reserve(kChunkRecords);
  }
  std::prev(chunks_.end())->second.push_back({key, std::move(value)});
}

void RecordTable::Split(Chunks::iterator chunk) {
  Chunk& entries = chunk->second;
  const auto middle = entries.begin() + static_cast<std::ptrdiff_t>(kChunkRecords);
  Chunk upper(std::make_move_iterator(middle), std::make_move_iterator(entries.end()));
  entries.erase(middle, entries.end());
  const RecordKey label = upper.front().key;
  chunks_.emplace(label, std::move(upper));
}

void RecordTable::Erase(RecordKey key) {
  auto chunk = chunks_.upper_bound(key);
  if (chunk == chunks_.begin()) return;
  --chunk;
  Chunk& entries = chunk->second;
  const auto place = LowerBound(entries, key);
  if (place == entries.end() || place->key != key) return;
  entries.erase(place);
  if (entries.empty()) {
    chunks_.erase(chunk);
  } else if (entries.capacity() > 2 * entries.size()) {
    entries.shrink_to_fit();
  }
}

const Bytes* RecordTable::Find(RecordKey key) const {
  auto chunk = chunks_.upper_bound(key);
  if (chunk == chunks_.begin()) return nullptr;
  --chunk;
  const auto place = LowerBound(chunk->second, key);
  return place == chunk->second.end() || place->key != key ? nullptr : &place->value;
}

}  // namespace quorate::store
