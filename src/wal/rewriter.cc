#include "wal/rewriter.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace quorate::wal {
namespace {

constexpr std::uint64_t kStretchBytes = 256 << 10;
constexpr SegmentNumber kBehind = 4;        // younger segments are left alone: releases are likely to free them
constexpr std::uint64_t kThinFraction = 4;  // rewriting costs at most a quarter of what it frees

}  // namespace

struct Rewriter::Victims {
  std::string path;
  std::vector<Copy> copies;
};

bool Rewriter::Worth(const std::map<GroupId, GroupLog>& groups, SegmentNumber segment, SegmentNumber current) const {
  if (segment == unreadable_ || segment + kBehind > current) return false;
  const std::uint64_t span = std::uint64_t{current - segment} * segment_bytes_;
  std::uint64_t bytes = 0;
  for (const auto& [id, group] : groups) {
    const std::uint64_t here = group.index.BytesIn(segment);
    bytes += here;
    // A busy group's releases pass over the segment soon, or its followers' entries fill what is behind it as well.
    if (here > 0 && group.index.bytes() > span / kThinFraction) return false;
  }
  return bytes <= segment_bytes_ / kThinFraction;
}

void Rewriter::Consider(const std::map<GroupId, GroupLog>& groups, SegmentNumber current,
                        const std::function<std::string(SegmentNumber)>& path_of, std::function<void()> ready) {
  if (reading_ || staged()) return;
  SegmentNumber oldest = current;
  for (const auto& [id, group] : groups) {
    if (const SegmentNumber segment = group.index.oldest(); segment != 0) oldest = std::min(oldest, segment);
  }
  if (!Worth(groups, oldest, current)) return;
  const auto victims = std::make_shared<Victims>();
  victims->path = path_of(oldest);
  std::uint64_t bytes = 0;
  for (const auto& [id, group] : groups) {
    std::uint64_t left = group.index.EntriesIn(oldest);
    if (left == 0) continue;
    const std::uint64_t each = group.index.BytesIn(oldest) / left;
    for (auto slot = group.index.begin(); left > 0 && bytes < kStretchBytes; ++slot) {
      if (slot->place.segment != oldest) continue;
      --left;
      bytes += each;
      victims->copies.push_back({id, slot->place, {}});
      victims->copies.back().entry.index = slot->index;
    }
  }
  reading_ = true;
  const std::weak_ptr<bool> alive = alive_;
  auto read = [&disk = disk_, victims]() -> Status {
    Result<std::unique_ptr<env::File>> file = disk.Open(victims->path);
    if (!file.ok()) return file.status();
    RecordReader reader(
        [&](SegmentNumber, std::uint32_t offset, std::uint64_t length) { return (*file)->Read(offset, length); });
    RecordPlace place;
    std::map<LogIndex, consensus::Entry> entries;
    for (Copy& copy : victims->copies) {
      if (copy.place != place) {
        Result<std::map<LogIndex, consensus::Entry>> found = reader.Read(copy.place);
        if (!found.ok()) return found.status();
        entries = std::move(*found);
        place = copy.place;
      }
      const auto entry = entries.find(copy.entry.index);
      if (entry == entries.end()) return Status::DataLoss("the record does not hold the entry");
      copy.entry = entry->second;
    }
    return Status::Ok();
  };
  disk_.InBackground(std::move(read), [this, alive, victims, oldest, ready = std::move(ready)](const Status& status) {
    if (alive.expired()) return;
    reading_ = false;
    if (!status.ok()) {
      // Nothing is lost by leaving it where it is. If a start needs it, the start will say what is damaged.
      if (status.code() != StatusCode::kNotFound) {
        LogWarn(victims->path + ": cannot be rewritten forward: " + status.message());
      }
      unreadable_ = oldest;
      return;
    }
    staged_ = std::move(victims->copies);
    ready();
  });
}

}  // namespace quorate::wal
