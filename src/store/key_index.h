// KeyIndex: from every key that has a retained record to where its records lie, ordered by key.
//
// Owned by Mvcc. Thread rule: the owner's thread. A rebuilt view: everything in it comes from the kKv table.
//
// Invariants, per key: the points rise in (revision, sub); none is missing between the oldest and the newest; there is
// at least one. `create` and `version` belong to the newest point and are 0 when that is a tombstone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "store/record.h"

namespace quorate::store {

// One record's place and what can be told without reading it; 16 bytes.
struct Point {
  Revision revision = 0;
  std::uint32_t tombstone : 1 = 0;
  std::uint32_t sub : 31 = 0;
  std::uint32_t record_size = 0;  // of the encoded record, without its table key

  RecordKey key() const { return {revision, sub}; }
};

class KeyHistory {
 public:
  // REQUIRES `point` to be after the newest.
  void Append(Point point, Bytes record, Revision create, std::int64_t version);
  const Point& newest() const { return newest_; }
  bool alive() const { return newest_.tombstone == 0; }
  const Bytes& newest_record() const { return record_; }
  Revision create_revision() const { return create_; }
  std::int64_t version() const { return version_; }
  // The newest point at or below revision `at`; null if there is none. Tombstones are points like any other.
  const Point* At(Revision at) const;
  // Forgets what compaction at `at` does not keep and appends it to `dropped`. True if nothing is left.
  bool Compact(Revision at, std::vector<Point>* dropped);

 private:
  Point newest_;  // revision 0: empty
  Bytes record_;  // the newest point's; shares memory with the engine's
  Revision create_ = 0;
  std::int64_t version_ = 0;
  std::unique_ptr<std::vector<Point>> older_;  // null for the common key with one retained record
};

class KeyIndex {
 public:
  const KeyHistory* Find(std::string_view key) const;
  KeyHistory* Find(std::string_view key);
  KeyHistory& FindOrInsert(std::string_view key);
  void Erase(std::string_view key) { keys_.erase(keys_.find(key)); }
  std::size_t size() const { return keys_.size(); }

  // Calls visit(key, history) for every key in [key, end), ascending; `end` as in Mvcc::Range.
  template <class Visit>
  void ForEach(std::string_view key, std::string_view end, Visit&& visit) const {
    if (end.empty()) {
      if (const KeyHistory* history = Find(key)) visit(key, *history);
      return;
    }
    const bool open = end == std::string_view("\0", 1);
    if (!open && end <= key) return;
    const auto last = open ? keys_.end() : keys_.lower_bound(end);
    for (auto it = keys_.lower_bound(key); it != last; ++it) visit(std::string_view(it->first), *it->second);
  }

 private:
  absl::btree_map<std::string, std::unique_ptr<KeyHistory>, std::less<>> keys_;
};

}  // namespace quorate::store
