// What is done to whole segment files: made, taken from the reserve, removed, archived. Blocking, for the background of
// the Disk or for a start.
//
// A file gets its final name only when its content is durable, so one under its final name is never half made. Thread
// rule: any thread; one at a time for a directory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "env/disk.h"
#include "wal/format.h"

namespace quorate::wal {

inline constexpr std::string_view kReserveName = "reserve";
inline constexpr std::string_view kArchiveName = "archive";
inline constexpr std::string_view kUnfinishedSuffix = ".new";  // of files that have not got their name yet

// A segment with its header, `bytes` of room and nothing else. What was half made is removed when it fails.
Status MakeSegment(env::Disk& disk, const std::string& directory, const SegmentHeader& header, std::uint64_t bytes);
// The same from the reserve, which is then gone. Needs no room. NOT_FOUND: there is none.
Status MakeSegmentFromReserve(env::Disk& disk, const std::string& directory, const SegmentHeader& header);
Status MakeReserve(env::Disk& disk, const std::string& directory, std::uint64_t bytes);

struct Retention {
  std::uint64_t now_seconds = 0;
  std::uint64_t seconds = 0;  // 0: nothing goes to the archive, and what is there stays
};
// Removes or archives segments, in this order; stops at the first failure.
Status RemoveSegments(env::Disk& disk, const std::string& directory, const std::vector<SegmentNumber>& segments,
                      const Retention& retention);
// Removes what the archive has kept long enough.
Status PruneArchive(env::Disk& disk, const std::string& directory, const Retention& retention);

}  // namespace quorate::wal
