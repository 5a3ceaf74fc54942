#include "server/keyspace.h"

#include <memory>
#include <utility>

#include "base/log.h"

namespace quorate::server {
namespace {

Status WriteDurably(env::Disk& disk, const std::string& path, const std::string& content) {
  if (disk.Exists(path)) return Status::Ok();  // the first reason is the one to keep
  Result<std::unique_ptr<env::File>> file = disk.Create(path);
  if (!file.ok()) return file.status();
  RETURN_IF_ERROR((*file)->Write(0, content));
  RETURN_IF_ERROR((*file)->Sync());
  return disk.SyncDirectory("");
}

std::string ReadWhole(env::Disk& disk, const std::string& path) {
  Result<std::unique_ptr<env::File>> file = disk.Open(path);
  if (!file.ok()) return "";
  const Result<std::uint64_t> size = (*file)->Size();
  if (!size.ok()) return "";
  Result<std::string> content = (*file)->Read(0, *size);
  return content.ok() ? *std::move(content) : "";
}

}  // namespace

Status Keyspace::Open(const std::function<Status()>& open) {
  RETURN_IF_ERROR(MoveAsideIfMarked());
  RETURN_IF_ERROR(MakeDirectory());
  const Status first = open();
  if (first.code() != StatusCode::kDataLoss) return first;
  RETURN_IF_ERROR(MoveAside(first.message()));
  RETURN_IF_ERROR(MakeDirectory());
  return open();
}

Status Keyspace::MakeDirectory() {
  RETURN_IF_ERROR(disk_.CreateDirectory(kDirectory));
  return disk_.SyncDirectory("");
}

Status Keyspace::MarkDamaged(const Status& why) {
  const Status marked = WriteDurably(disk_, kMarker, why.message() + "\n");
  if (!marked.ok()) LogError("the damage could not be noted, so move the keyspace away by hand: " + marked.message());
  return Status::DataLoss("the keyspace is damaged: " + why.message() +
                          ". The log is whole: start this member again, and it moves the damaged keyspace aside and "
                          "builds a new one from its log or from the leader's state");
}

Status Keyspace::MoveAsideIfMarked() {
  if (!disk_.Exists(kMarker)) return Status::Ok();
  // A crash between the renaming and the removal of the marker leaves no keyspace to move.
  if (disk_.Exists(kDirectory)) RETURN_IF_ERROR(MoveAside(ReadWhole(disk_, kMarker)));
  RETURN_IF_ERROR(disk_.Remove(kMarker));
  return disk_.SyncDirectory("");
}

Status Keyspace::MoveAside(const std::string& why) {
  int number = 1;
  const auto name = [&number] { return std::string(kMarker) + "-" + std::to_string(number); };
  while (disk_.Exists(name())) ++number;
  RETURN_IF_ERROR(disk_.Rename(kDirectory, name()));
  RETURN_IF_ERROR(disk_.SyncDirectory(""));
  moved_to_ = name();
  LogError(
      "the keyspace was damaged and is now " + moved_to_ +
      " (nobody reads it again; delete it when you have no use for it). A new one is built. What was wrong: " + why);
  return Status::Ok();
}

}  // namespace quorate::server
