#include "wal/archive.h"

namespace quorate::wal {

Result<std::unique_ptr<ArchiveReader>> ArchiveReader::Open(env::Disk&, std::string directory) {
  return Status{StatusCode::kUnimplemented, directory + ": this build does not read archives"};
}

Status CreateRestored(env::Disk&, const RestoredLog& wanted) {
  return {StatusCode::kUnimplemented, wanted.directory + ": this build does not restore logs"};
}

}  // namespace quorate::wal
