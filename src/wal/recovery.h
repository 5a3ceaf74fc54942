// Recovery: reads each segment that a start needs once, tells a torn tail from damage, and replays the rest.
//
// Where to begin: the first write of the newest segment that has one names the oldest segment that was needed then, and
// what is needed only shrinks. Older files are not looked at: they are there for followers of the life before, or wait
// to be removed.
//
// Called by Log::Open. The rule (docs/disk-format.md, "Damage"): write N+1 began after the sync of N returned, so a bad
// write that anything later follows was durable, and is damage; a bad one at the very end is torn, was never
// acknowledged, and is cut. Blocking; thread rule: the owner's thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "env/disk.h"
#include "wal/format.h"
#include "wal/group_log.h"

namespace quorate::wal {

struct RecoveryOptions {
  std::string directory;
  Identity identity;
  Incarnation incarnation;  // the identity file's
  bool alone = false;
};

struct RecoveredLog {
  std::map<GroupId, GroupLog> groups;
  SegmentNumber begin = 0;    // the first that was read
  SegmentNumber oldest = 0;   // the last write's "oldest segment"
  SegmentNumber current = 0;  // where writing goes on
  SegmentNumber newest = 0;   // current, or the prepared one after it
  std::uint32_t end = 0;      // of the last good write in `current`
  std::uint32_t last_begin = 0;
  std::string last_write;    // its bytes
  std::uint64_t number = 0;  // its number
  Incarnation incarnation;   // its incarnation
  bool has_batches = false;
  struct Cut {
    RecordPlace from;
    std::uint64_t end = 0;  // of what is not zero
  };
  std::vector<Cut> cuts;  // torn tails: zeros are wanted there
};

// `segments`: the numbers that the directory holds, ascending, not empty.
Result<RecoveredLog> Recover(env::Disk& disk, const RecoveryOptions& options,
                             const std::vector<SegmentNumber>& segments);

// DATA_LOSS with what to do, for a member or for a server that is alone.
Status Damage(const std::string& what, const std::string& directory, bool alone);

}  // namespace quorate::wal
