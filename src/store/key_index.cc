#include "store/key_index.h"

#include <algorithm>
#include <cstring>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "base/bug.h"
#include "base/check.h"

namespace quorate::store {
namespace {

constexpr std::uint64_t kAllocationBytes = 16;  // of the allocator, about, for each object
constexpr std::uint64_t kOrderedBytes = 12;     // a pointer in a tree whose nodes are three quarters full

}  // namespace

std::unique_ptr<KeyHistory> KeyHistory::Make(std::string_view key) {
  std::unique_ptr<KeyHistory> history(new (key.size()) KeyHistory());
  history->key_size_ = static_cast<std::uint32_t>(key.size());
  if (!key.empty()) std::memcpy(static_cast<void*>(history.get() + 1), key.data(), key.size());
  return history;
}

void KeyHistory::Append(Point point, const NewestMeta& meta) {
  CHECK(newest_.key() < point.key()) << "record at " << point.revision << " appended after " << newest_.revision;
  if (newest_.revision != 0) older_.push_back(newest_);
  newest_ = point;
  meta_ = meta;
}

const Point* KeyHistory::At(Revision at) const {
  if (newest_.revision <= at) return &newest_;
  const auto after = std::upper_bound(older_.begin(), older_.end(), at,
                                      [](Revision revision, const Point& point) { return revision < point.revision; });
  return after == older_.begin() ? nullptr : &*std::prev(after);
}

bool KeyHistory::Contains(RecordKey key) const {
  const Point* point = At(key.revision);
  // Of one transaction that wrote the key several times, all points have one revision.
  if (point == nullptr) return false;
  if (point->key() == key) return true;
  return std::any_of(older_.begin(), older_.end(), [&](const Point& older) { return older.key() == key; });
}

bool KeyHistory::Keeps(RecordKey key, Revision at) const {
  if (key.revision > at) return true;
  const Point* point = At(at);
  return point != nullptr && point->key() == key && (point->tombstone == 0 || point->revision == at);
}

bool KeyHistory::Compact(Revision at, std::vector<Point>* dropped) {
  const auto kept = [at](const Point& point) {
    if (point.tombstone != 0) return point.revision == at && !QUORATE_BUG(mvcc_compaction_drops_tombstone_at_revision);
    return !(point.revision == at && QUORATE_BUG(mvcc_compaction_removes_live_revision));
  };
  if (newest_.revision <= at) {
    dropped->insert(dropped->end(), older_.begin(), older_.end());
    older_.clear();
    older_.shrink_to_fit();
    if (kept(newest_)) return false;
    dropped->push_back(newest_);
    return true;
  }
  auto first_kept = std::upper_bound(older_.begin(), older_.end(), at,
                                     [](Revision revision, const Point& point) { return revision < point.revision; });
  if (first_kept != older_.begin() && kept(*std::prev(first_kept))) --first_kept;
  dropped->insert(dropped->end(), older_.begin(), first_kept);
  older_.erase(older_.begin(), first_kept);
  if (older_.capacity() > 2 * older_.size()) older_.shrink_to_fit();
  return false;
}

std::size_t KeyIndex::Hash::operator()(std::string_view key) const {
  return absl::Hash<absl::string_view>{}(absl::string_view(key.data(), key.size()));
}

KeyIndex::~KeyIndex() {
  for (KeyHistory* history : ordered_) delete history;
}

KeyHistory* KeyIndex::Find(std::string_view key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : *found;
}

void KeyIndex::Insert(std::unique_ptr<KeyHistory> history) {
  CHECK(history->newest().revision != 0);
  const bool fresh = by_key_.insert(history.get()).second;
  CHECK(fresh) << "a key of " << history->key().size() << " bytes is indexed twice";
  key_bytes_ += history->key().size();
  ordered_.insert(ordered_.end(), history.release());  // right where keys come in order, harmless where not
}

void KeyIndex::Erase(KeyHistory* history) {
  ordered_.erase(ordered_.find(history->key()));
  by_key_.erase(by_key_.find(history->key()));
  key_bytes_ -= history->key().size();
  delete history;
}

std::uint64_t KeyIndex::memory_bytes() const {
  return key_bytes_ + size() * (sizeof(KeyHistory) + kAllocationBytes + kOrderedBytes) +
         by_key_.capacity() * (sizeof(KeyHistory*) + 1) + static_cast<std::uint64_t>(older_points_) * sizeof(Point);
}

}  // namespace quorate::store
