#include "server/data_directory.h"

#include <memory>
#include <string>

#include "base/log.h"

namespace quorate::server {
namespace {

const std::string kFile(kClusterFile);

Status WriteClusterFile(env::Disk& disk, const ServeConfig& config) {
  const std::string temporary = kFile + ".new";
  if (disk.Exists(temporary)) RETURN_IF_ERROR(disk.Remove(temporary));
  {
    Result<std::unique_ptr<env::File>> file = disk.Create(temporary);
    if (!file.ok()) return file.status();
    RETURN_IF_ERROR((*file)->Write(0, EncodeClusterFile(config)));
    RETURN_IF_ERROR((*file)->Sync());
  }
  RETURN_IF_ERROR(disk.Rename(temporary, kFile));
  return disk.SyncDirectory("");
}

Status ReadClusterFile(env::Disk& disk, ServeConfig* config) {
  const Result<std::unique_ptr<env::File>> file = disk.Open(kFile);
  if (!file.ok()) return file.status();
  const Result<std::uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  const Result<std::string> content = (*file)->Read(0, *size);
  if (!content.ok()) return content.status();
  return ApplyClusterFile(*content, config);
}

}  // namespace

Status OpenDataDirectory(env::Disk& disk, ServeConfig* config) {
  RETURN_IF_ERROR(disk.Lock("lock"));
  if (!disk.Exists(kFile)) {
    if (disk.Exists("wal")) {
      return Status::DataLoss(
          "the data directory " + config->data_dir + " has a log but no file \"" + kFile +
          "\": it no longer says who the members are. Bring the file back from a backup, or move the "
          "directory away and replace this member");
    }
    return WriteClusterFile(disk, *config);
  }
  const std::vector<Member> asked = config->members;
  RETURN_IF_ERROR(ReadClusterFile(disk, config));
  if (asked != config->members) {
    LogInfo("--initial-cluster is not what " + config->data_dir + " was made for, and is ignored");
  }
  return Status::Ok();
}

}  // namespace quorate::server
