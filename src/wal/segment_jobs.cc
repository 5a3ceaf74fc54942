#include "wal/segment_jobs.h"

#include <memory>

namespace quorate::wal {
namespace {

// A new file of `bytes` that begins with `head`, under its name once it is durable.
Status MakeFile(env::Disk& disk, const std::string& directory, const std::string& name, const std::string& head,
                std::uint64_t bytes) {
  const std::string path = directory + "/" + name;
  const std::string unfinished = path + std::string(kUnfinishedSuffix);
  if (disk.Exists(path)) return {StatusCode::kAlreadyExists, path + ": the file exists"};
  if (disk.Exists(unfinished)) RETURN_IF_ERROR(disk.Remove(unfinished));
  const auto fill = [&]() -> Status {
    Result<std::unique_ptr<env::File>> file = disk.Create(unfinished);
    if (!file.ok()) return file.status();
    RETURN_IF_ERROR((*file)->Preallocate(bytes));
    if (!head.empty()) RETURN_IF_ERROR((*file)->Write(0, head));
    return (*file)->Sync();
  };
  if (Status filled = fill(); !filled.ok()) {
    // What it took would be missed elsewhere.
    if (disk.Exists(unfinished)) (void)disk.Remove(unfinished);
    return filled;
  }
  RETURN_IF_ERROR(disk.Rename(unfinished, path));
  return disk.SyncDirectory(directory);
}

}  // namespace

Status MakeSegment(env::Disk& disk, const std::string& directory, const SegmentHeader& header, std::uint64_t bytes) {
  return MakeFile(disk, directory, SegmentName(header.number), EncodeSegmentHeader(header), bytes);
}

Status MakeSegmentFromReserve(env::Disk& disk, const std::string& directory, const SegmentHeader& header) {
  const std::string reserve = directory + "/" + std::string(kReserveName);
  const std::string path = directory + "/" + SegmentName(header.number);
  if (disk.Exists(path)) return {StatusCode::kAlreadyExists, path + ": the file exists"};
  Result<std::unique_ptr<env::File>> file = disk.Open(reserve);
  if (!file.ok()) return file.status();
  RETURN_IF_ERROR((*file)->Write(0, EncodeSegmentHeader(header)));
  RETURN_IF_ERROR((*file)->Sync());
  RETURN_IF_ERROR(disk.Rename(reserve, path));
  return disk.SyncDirectory(directory);
}

Status MakeReserve(env::Disk& disk, const std::string& directory, std::uint64_t bytes) {
  return MakeFile(disk, directory, std::string(kReserveName), "", bytes);
}

Status RemoveSegments(env::Disk& disk, const std::string& directory, const std::vector<SegmentNumber>& segments,
                      const Retention& retention) {
  const std::string archive = directory + "/" + std::string(kArchiveName);
  if (retention.seconds > 0 && !disk.Exists(archive)) {
    RETURN_IF_ERROR(disk.CreateDirectory(archive));
    RETURN_IF_ERROR(disk.SyncDirectory(directory));
  }
  for (const SegmentNumber number : segments) {
    const std::string path = directory + "/" + SegmentName(number);
    if (retention.seconds > 0) {
      const ArchivedName name{number, retention.now_seconds};
      RETURN_IF_ERROR(disk.Rename(path, archive + "/" + ArchivedSegmentName(name)));
    } else {
      RETURN_IF_ERROR(disk.Remove(path));
    }
  }
  if (retention.seconds == 0) return Status::Ok();  // one that comes back after a crash is removed again
  RETURN_IF_ERROR(disk.SyncDirectory(archive));
  return disk.SyncDirectory(directory);
}

Status PruneArchive(env::Disk& disk, const std::string& directory, const Retention& retention) {
  const std::string archive = directory + "/" + std::string(kArchiveName);
  if (retention.seconds == 0 || !disk.Exists(archive)) return Status::Ok();
  const Result<std::vector<std::string>> names = disk.List(archive);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const std::optional<ArchivedName> archived = ParseArchivedSegmentName(name);
    if (!archived || archived->seconds + retention.seconds >= retention.now_seconds) continue;
    RETURN_IF_ERROR(disk.Remove(archive + "/" + name));
  }
  return Status::Ok();
}

}  // namespace quorate::wal
