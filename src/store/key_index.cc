#include "store/key_index.h"

#include <algorithm>

#include "base/bug.h"
#include "base/check.h"

namespace quorate::store {

void KeyHistory::Append(Point point, Bytes record, Revision create, std::int64_t version) {
  CHECK(newest_.key() < point.key()) << "record at " << point.revision << " appended after " << newest_.revision;
  if (newest_.revision != 0) {
    if (!older_) older_ = std::make_unique<std::vector<Point>>();
    older_->push_back(newest_);
  }
  newest_ = point;
  record_ = std::move(record);
  create_ = create;
  version_ = version;
}

const Point* KeyHistory::At(Revision at) const {
  if (newest_.revision <= at) return &newest_;
  if (!older_) return nullptr;
  const auto after = std::upper_bound(older_->begin(), older_->end(), at,
                                      [](Revision revision, const Point& point) { return revision < point.revision; });
  return after == older_->begin() ? nullptr : &*std::prev(after);
}

bool KeyHistory::Compact(Revision at, std::vector<Point>* dropped) {
  const auto kept = [at](const Point& point) {
    if (point.tombstone != 0) return point.revision == at && !QUORATE_BUG(mvcc_compaction_drops_tombstone_at_revision);
    return !(point.revision == at && QUORATE_BUG(mvcc_compaction_removes_live_revision));
  };
  if (newest_.revision <= at) {
    if (older_) dropped->insert(dropped->end(), older_->begin(), older_->end());
    older_.reset();
    if (kept(newest_)) return false;
    dropped->push_back(newest_);
    return true;
  }
  if (!older_) return false;
  auto first_kept = std::upper_bound(older_->begin(), older_->end(), at,
                                     [](Revision revision, const Point& point) { return revision < point.revision; });
  if (first_kept != older_->begin() && kept(*std::prev(first_kept))) --first_kept;
  dropped->insert(dropped->end(), older_->begin(), first_kept);
  older_->erase(older_->begin(), first_kept);
  if (older_->empty()) {
    older_.reset();
  } else if (older_->capacity() > 2 * older_->size()) {
    older_->shrink_to_fit();
  }
  return false;
}

const KeyHistory* KeyIndex::Find(std::string_view key) const {
  const auto it = keys_.find(key);
  return it == keys_.end() ? nullptr : it->second.get();
}

KeyHistory* KeyIndex::Find(std::string_view key) {
  const auto it = keys_.find(key);
  return it == keys_.end() ? nullptr : it->second.get();
}

KeyHistory& KeyIndex::FindOrInsert(std::string_view key) {
  const auto it = keys_.lower_bound(key);
  if (it != keys_.end() && it->first == key) return *it->second;
  return *keys_.emplace_hint(it, std::string(key), std::make_unique<KeyHistory>())->second;
}

}  // namespace quorate::store
