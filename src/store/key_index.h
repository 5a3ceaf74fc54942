// KeyIndex: from every key that has a record to where its records lie and what can be told without reading them: by key
// for one, in order for ranges.
//
// Owned by Mvcc. Thread rule: the owner's thread. A rebuilt view: everything in it comes from the kKv table.
//
// Memory: a key costs its KeyHistory (72 bytes and the key's own), and its places in the two structures (about 30); an
// older record 16 bytes, the first of which is inside the KeyHistory. docs/PERFORMANCE.md has the measured numbers.
//
// Invariants, per key: the points rise in (revision, sub); none is missing between the oldest and the newest; there is
// at least one. Above the engine's rows only background compaction makes a difference: it takes points away first.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "base/ids.h"
#include "store/record.h"

namespace quorate::store {

// One record's place and what can be told without reading it; 16 bytes.
struct Point {
  Revision revision = 0;
  std::uint32_t tombstone : 1 = 0;
  std::uint32_t sub : 31 = 0;
  std::uint32_t record_size = 0;  // of the record in one piece, without its table key

  RecordKey key() const { return {revision, sub}; }
};

// What the newest record says besides its value; of a tombstone: nothing.
struct NewestMeta {
  Revision create = 0;
  std::int64_t version = 0;
  std::int64_t lease = 0;
};

class KeyHistory {
 public:
  static std::unique_ptr<KeyHistory> Make(std::string_view key);
  KeyHistory(const KeyHistory&) = delete;
  KeyHistory& operator=(const KeyHistory&) = delete;
  static void operator delete(void* memory) { ::operator delete(memory); }

  void Append(Point point, const NewestMeta& meta);  // REQUIRES `point` to be after the newest
  std::string_view key() const { return {reinterpret_cast<const char*>(this + 1), key_size_}; }
  const Point& newest() const { return newest_; }
  const NewestMeta& meta() const { return meta_; }
  bool alive() const { return newest_.tombstone == 0; }
  // The newest point at or below revision `at`; null if there is none. Tombstones are points like any other.
  const Point* At(Revision at) const;
  bool Contains(RecordKey key) const;
  // Whether compaction at `at` keeps the record, which may no longer be in here.
  bool Keeps(RecordKey key, Revision at) const;
  // Forgets what compaction at `at` does not keep and appends it to `dropped`. True if nothing is left; the key then is
  // to be erased.
  bool Compact(Revision at, std::vector<Point>* dropped);
  std::size_t older_count() const { return older_.size(); }

  std::uint32_t slot = 0;  // of the newest record in the ValueCache; 0 = not there

 private:
  KeyHistory() = default;
  static void* operator new(std::size_t size, std::size_t key_size) { return ::operator new(size + key_size); }

  Point newest_;  // revision 0: empty
  NewestMeta meta_;
  absl::InlinedVector<Point, 1> older_;
  std::uint32_t key_size_ = 0;  // the key's bytes follow the object
};

class KeyIndex {
 public:
  KeyIndex() = default;
  KeyIndex(const KeyIndex&) = delete;
  KeyIndex& operator=(const KeyIndex&) = delete;
  ~KeyIndex();

  KeyHistory* Find(std::string_view key) const;
  // REQUIRES the key to be absent, and `history` to have a point.
  void Insert(std::unique_ptr<KeyHistory> history);
  void Erase(KeyHistory* history);
  std::size_t size() const { return by_key_.size(); }
  // What all of it takes: counted for the objects, estimated for the two structures.
  std::uint64_t memory_bytes() const;
  // A history's points became more or fewer by `change`.
  void CountOlder(std::int64_t change) { older_points_ += change; }

  // Calls visit(history) for every key in [key, end), ascending; `end` as in Mvcc::Range.
  template <class Visit>
  void ForEach(std::string_view key, std::string_view end, Visit&& visit) const {
    if (end.empty()) {
      if (const KeyHistory* history = Find(key)) visit(*history);
      return;
    }
    const bool open = end == std::string_view("\0", 1);
    if (!open && end <= key) return;
    const auto last = open ? ordered_.end() : ordered_.lower_bound(end);
    for (auto it = ordered_.lower_bound(key); it != last; ++it) visit(static_cast<const KeyHistory&>(**it));
  }

 private:
  static std::string_view KeyOf(std::string_view key) { return key; }
  static std::string_view KeyOf(const KeyHistory* history) { return history->key(); }
  // Equality, order and hash are those of the keys, never of the pointers. The hash is seeded by the process, which no
  // one can see: nothing walks by_key_.
  struct Equal {
    using is_transparent = void;
    bool operator()(const auto& a, const auto& b) const { return KeyOf(a) == KeyOf(b); }
  };
  struct Less {
    using is_transparent = void;
    bool operator()(const auto& a, const auto& b) const { return KeyOf(a) < KeyOf(b); }
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const;
    std::size_t operator()(const KeyHistory* history) const { return (*this)(history->key()); }
  };

  absl::flat_hash_set<KeyHistory*, Hash, Equal> by_key_;
  absl::btree_set<KeyHistory*, Less> ordered_;  // owns
  std::uint64_t key_bytes_ = 0;
  std::int64_t older_points_ = 0;
};

}  // namespace quorate::store
