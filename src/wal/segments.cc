#include "wal/segments.h"

#include <utility>

namespace quorate::wal {

std::string Segments::HeaderOf(SegmentNumber number) const {
  return EncodeSegmentHeader({options_.identity.cluster, options_.identity.self, number});
}

Result<std::unique_ptr<env::File>> Segments::CreateUnnamed(SegmentNumber number) {
  const std::string path = PathOf(number) + std::string(kUnfinishedSuffix);
  if (disk_.Exists(path)) RETURN_IF_ERROR(disk_.Remove(path));
  Result<std::unique_ptr<env::File>> file = disk_.Create(path);
  if (!file.ok()) return file.status();
  RETURN_IF_ERROR((*file)->Preallocate(options_.segment_bytes));
  return file;
}

Status Segments::GiveName(SegmentNumber number) {
  RETURN_IF_ERROR(disk_.Rename(PathOf(number) + std::string(kUnfinishedSuffix), PathOf(number)));
  return disk_.SyncDirectory(options_.directory);
}

Status Segments::CreateFirst() {
  Result<std::unique_ptr<env::File>> file = CreateUnnamed(1);
  if (!file.ok()) return file.status();
  file_ = std::move(*file);
  RETURN_IF_ERROR(file_->Write(0, HeaderOf(1)));
  RETURN_IF_ERROR(file_->Sync());
  RETURN_IF_ERROR(GiveName(1));
  oldest_ = current_ = newest_ = 1;
  offset_ = kSegmentHeaderBytes;
  return Status::Ok();
}

Status Segments::Adopt(const RecoveredLog& found) {
  oldest_ = found.oldest;
  current_ = found.current;
  newest_ = found.newest;
  offset_ = found.end;
  for (const RecordPlace& cut : found.cuts) {
    Result<std::unique_ptr<env::File>> file = disk_.Open(PathOf(cut.segment));
    if (!file.ok()) return file.status();
    RETURN_IF_ERROR((*file)->Truncate(cut.offset));
    RETURN_IF_ERROR((*file)->Preallocate(options_.segment_bytes));
    RETURN_IF_ERROR((*file)->Sync());
  }
  Result<std::unique_ptr<env::File>> file = disk_.Open(PathOf(current_));
  if (!file.ok()) return file.status();
  file_ = std::move(*file);
  // The last write may be in the operating system's cache only, and marked clean there by a sync that failed in the
  // life before: writing it again makes this sync mean something.
  if (!found.last_write.empty()) RETURN_IF_ERROR(file_->Write(found.last_begin, found.last_write));
  RETURN_IF_ERROR(file_->Sync());
  RETURN_IF_ERROR(disk_.SyncDirectory(options_.directory));
  if (!next_is_ready()) return Status::Ok();
  Result<std::unique_ptr<env::File>> next = disk_.Open(PathOf(newest_));
  if (!next.ok()) return next.status();
  next_file_ = std::move(*next);
  return Status::Ok();
}

void Segments::PrepareNext(std::function<void(Status)> done) {
  CHECK(!preparing_ && !next_is_ready());
  preparing_ = true;
  const SegmentNumber number = current_ + 1;
  Result<std::unique_ptr<env::File>> file = CreateUnnamed(number);
  if (!file.ok()) {
    done(file.status());
    return;
  }
  next_file_ = std::move(*file);
  next_file_->WriteAndSync(0, HeaderOf(number),
                           [this, number, alive = std::weak_ptr<bool>(alive_), done = std::move(done)](Status status) {
                             if (alive.expired()) return;
                             if (status.ok()) status = GiveName(number);
                             preparing_ = false;
                             if (status.ok()) newest_ = number;
                             done(std::move(status));
                           });
}

Status Segments::Rotate() {
  CHECK(next_is_ready());
  file_ = std::move(next_file_);
  current_ = newest_;
  offset_ = kSegmentHeaderBytes;
  return Status::Ok();
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
