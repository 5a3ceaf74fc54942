#include "store/key_index.h"

#include <algorithm>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "base/bug.h"
#include "base/check.h"

namespace quorate::store {

void KeyHistory::Append(Point point, std::string_view key, Bytes record) {
  CHECK(newest_.key() < point.key()) << "record at " << point.revision << " appended after " << newest_.revision;
  if (newest_.revision != 0) older_.push_back(newest_);
  newest_ = point;
  key_offset_ = key.empty() ? 0 : static_cast<std::uint32_t>(key.data() - record.data());
  key_size_ = static_cast<std::uint32_t>(key.size());
  record_ = std::move(record);
}

const Point* KeyHistory::At(Revision at) const {
  if (newest_.revision <= at) return &newest_;
  const auto after = std::upper_bound(older_.begin(), older_.end(), at,
                                      [](Revision revision, const Point& point) { return revision < point.revision; });
  return after == older_.begin() ? nullptr : &*std::prev(after);
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
  ordered_.insert(history.release());
}

void KeyIndex::Erase(KeyHistory* history) {
  ordered_.erase(ordered_.find(history->key()));
  by_key_.erase(by_key_.find(history->key()));
  delete history;
}

}  // namespace quorate::store
