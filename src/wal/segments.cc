#include "wal/segments.h"

#include <algorithm>
#include <utility>

namespace quorate::wal {

Status Segments::CreateFirst() {
  current_ = newest_ = 0;
  RETURN_IF_ERROR(MakeSegment(disk_, options_.directory, HeaderFor(1), options_.segment_bytes));
  RETURN_IF_ERROR(TakeNext());
  Rotate();
  has_reserve_ = disk_.Exists(options_.directory + "/" + std::string(kReserveName));
  return Status::Ok();
}

// The tail becomes zeros in place: shortening the file would give room away that a full disk does not give back.
Status Segments::Cut(const RecoveredLog::Cut& cut) {
  Result<std::unique_ptr<env::File>> file = disk_.Open(PathOf(cut.from.segment));
  if (!file.ok()) return file.status();
  constexpr std::uint64_t kZerosAtOnce = 1 << 20;
  for (std::uint64_t at = cut.from.offset; at < cut.end; at += kZerosAtOnce) {
    RETURN_IF_ERROR((*file)->Write(at, std::string(std::min(kZerosAtOnce, cut.end - at), '\0')));
  }
  return (*file)->Sync();
}

Status Segments::Adopt(const RecoveredLog& found, const std::vector<SegmentNumber>& numbers) {
  current_ = found.current;
  newest_ = found.newest;
  offset_ = found.end;
  for (const RecoveredLog::Cut& cut : found.cuts) RETURN_IF_ERROR(Cut(cut));
  Result<std::unique_ptr<env::File>> file = disk_.Open(PathOf(current_));
  if (!file.ok()) return file.status();
  file_ = std::move(*file);
  // One that a copy or a crash left short; a full disk may refuse, and then the next one is used the sooner.
  if (Status room = file_->Preallocate(options_.segment_bytes); !room.ok()) {
    if (room.code() != StatusCode::kResourceExhausted) return room;
  }
  // The last write may be in the operating system's cache only, and marked clean there by a sync that failed in the
  // life before: writing it again makes this sync mean something.
  if (!found.last_write.empty()) RETURN_IF_ERROR(file_->Write(found.last_begin, found.last_write));
  RETURN_IF_ERROR(file_->Sync());
  RETURN_IF_ERROR(disk_.SyncDirectory(options_.directory));
  for (const SegmentNumber number : numbers) {
    Result<std::unique_ptr<env::File>> opened = disk_.Open(PathOf(number));
    if (!opened.ok()) return opened.status();
    const Result<std::uint64_t> size = (*opened)->Size();
    if (!size.ok()) return size.status();
    sizes_[number] = *size;
    if (number > current_) next_file_ = std::move(*opened);
  }
  has_reserve_ = disk_.Exists(options_.directory + "/" + std::string(kReserveName));
  return Status::Ok();
}

std::uint64_t Segments::bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [number, size] : sizes_) bytes += size;
  return bytes;
}

Status Segments::Extend(std::uint64_t bytes) {
  RETURN_IF_ERROR(file_->Preallocate(offset_ + bytes));
  sizes_[current_] = offset_ + bytes;
  return Status::Ok();
}

// A work never touches this object: it may be gone by then, and the directory another log's.
void Segments::Run(std::function<Status()> work, Done done) {
  const std::weak_ptr<bool> alive = alive_;
  disk_.InBackground(
      [alive, work = std::move(work)] { return alive.expired() ? Status::Unavailable("the log is gone") : work(); },
      [alive, done = std::move(done)](Status status) {
        if (!alive.expired()) done(std::move(status));
      });
}

Status Segments::TakeNext() {
  const SegmentNumber number = current_ + 1;
  Result<std::unique_ptr<env::File>> file = disk_.Open(PathOf(number));
  if (!file.ok()) return file.status();
  const Result<std::uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  sizes_[number] = *size;
  next_file_ = std::move(*file);
  newest_ = number;
  return Status::Ok();
}

void Segments::PrepareNext(bool from_reserve, Done done) {
  CHECK(!busy_.preparing && !next_is_ready());
  busy_.preparing = true;
  if (from_reserve) has_reserve_ = false;
  Run(
      [&disk = disk_, directory = options_.directory, header = HeaderFor(current_ + 1), bytes = options_.segment_bytes,
       from_reserve] {
        return from_reserve ? MakeSegmentFromReserve(disk, directory, header)
                            : MakeSegment(disk, directory, header, bytes);
      },
      [this, done = std::move(done)](Status status) {
        busy_.preparing = false;
        if (status.ok()) status = TakeNext();
        done(std::move(status));
      });
}

Status Segments::PrepareNextNow() {
  Status made = MakeSegment(disk_, options_.directory, HeaderFor(current_ + 1), options_.segment_bytes);
  if (made.code() == StatusCode::kResourceExhausted && has_reserve_) {
    has_reserve_ = false;
    made = MakeSegmentFromReserve(disk_, options_.directory, HeaderFor(current_ + 1));
  }
  RETURN_IF_ERROR(made);
  return TakeNext();
}

void Segments::Rotate() {
  CHECK(next_is_ready());
  file_ = std::move(next_file_);
  current_ = newest_;
  offset_ = kSegmentHeaderBytes;
}

void Segments::MakeReserve(Done done) {
  CHECK(!busy_.reserving && !has_reserve_);
  busy_.reserving = true;
  Run([&disk = disk_, directory = options_.directory,
       bytes = std::min(options_.segment_bytes, kReserveBytesMax)] { return wal::MakeReserve(disk, directory, bytes); },
      [this, done = std::move(done)](Status status) {
        busy_.reserving = false;
        has_reserve_ = status.ok();
        done(std::move(status));
      });
}

Status Segments::GiveUpReserve() {
  has_reserve_ = false;
  RETURN_IF_ERROR(disk_.Remove(options_.directory + "/" + std::string(kReserveName)));
  return disk_.SyncDirectory(options_.directory);
}

Retention Segments::RetentionNow() const {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  if (options_.retention_ns == 0) return {};
  return {static_cast<std::uint64_t>(options_.clock->WallNs()) / kSecond,
          std::max<std::uint64_t>(options_.retention_ns / kSecond, 1)};
}

void Segments::RemoveBelow(SegmentNumber limit, Done done) {
  CHECK(!busy_.removing && limit <= current_);
  std::vector<SegmentNumber> numbers;
  for (auto at = sizes_.begin(); at->first < limit && numbers.size() < kRemovedAtOnce; ++at) {
    numbers.push_back(at->first);
    readers_.erase(at->first);
  }
  busy_.removing = true;
  Run(
      [&disk = disk_, directory = options_.directory, numbers, retention = RetentionNow()] {
        RETURN_IF_ERROR(RemoveSegments(disk, directory, numbers, retention));
        return PruneArchive(disk, directory, retention);
      },
      [this, numbers, done = std::move(done)](Status status) {
        busy_.removing = false;
        for (const SegmentNumber number : numbers) {
          if (!status.ok() && disk_.Exists(PathOf(number))) continue;
          sizes_.erase(number);
          ++removed_;
        }
        done(std::move(status));
      });
}

Result<std::string> Segments::Read(SegmentNumber segment, std::uint32_t offset, std::uint64_t length) {
  std::unique_ptr<env::File>& reader = readers_[segment];
  if (reader == nullptr) {
    Result<std::unique_ptr<env::File>> opened = disk_.Open(PathOf(segment));
    if (!opened.ok()) {
      readers_.erase(segment);
      return opened.status();
    }
    if (readers_.size() > kReadersMax) {
      readers_.clear();
      return (readers_[segment] = std::move(*opened))->Read(offset, length);
    }
    reader = std::move(*opened);
  }
  return reader->Read(offset, length);
}

Result<IdentityFile> ReadIdentity(env::Disk& disk, const std::string& directory) {
  const std::string path = directory + "/" + std::string(kIdentityName);
  Result<std::unique_ptr<env::File>> file = disk.Open(path);
  if (!file.ok()) return file.status();
  constexpr std::uint64_t kIdentityBytesMax = 4096;  // of any format version
  Result<std::string> content = (*file)->Read(0, kIdentityBytesMax);
  if (!content.ok()) return content.status();
  Result<IdentityFile> identity = DecodeIdentityFile(*content);
  if (identity.ok()) return identity;
  return Status{identity.status().code(), path + ": offset 0: " + identity.status().message()};
}

Status WriteIdentity(env::Disk& disk, const std::string& directory, const IdentityFile& identity) {
  const std::string path = directory + "/" + std::string(kIdentityName);
  const std::string unfinished = path + std::string(kUnfinishedSuffix);
  if (disk.Exists(unfinished)) RETURN_IF_ERROR(disk.Remove(unfinished));
  Result<std::unique_ptr<env::File>> file = disk.Create(unfinished);
  if (!file.ok()) return file.status();
  RETURN_IF_ERROR((*file)->Write(0, EncodeIdentityFile(identity)));
  RETURN_IF_ERROR((*file)->Sync());
  RETURN_IF_ERROR(disk.Rename(unfinished, path));
  return disk.SyncDirectory(directory);
}

}  // namespace quorate::wal
