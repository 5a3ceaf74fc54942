// Recovery: reads every segment once, tells a torn tail from damage, and replays the rest.
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
#include "wal/entry_index.h"
#include "wal/format.h"

namespace quorate::wal {

// What the log knows of one group.
struct GroupLog {
  std::optional<Bytes> hard_state;
  consensus::SnapshotMeta snapshot;
  EntryIndex index;
  Incarnation incarnation;  // of the newest batch
  PersistSeq last_seq;      // in that incarnation
  // Filled by recovery and handed over once; a running log keeps no payloads.
  std::vector<consensus::Entry> entries;
};

struct RecoveryOptions {
  std::string directory;
  Identity identity;
  Incarnation incarnation;  // the identity file's
  bool alone = false;
};

struct RecoveredLog {
  std::map<GroupId, GroupLog> groups;
  SegmentNumber oldest = 0;
  SegmentNumber current = 0;  // where writing goes on
  SegmentNumber newest = 0;   // current, or the prepared one after it
  std::uint32_t end = 0;      // of the last good write in `current`
  std::uint32_t last_begin = 0;
  std::string last_write;    // its bytes
  std::uint64_t number = 0;  // its number
  Incarnation incarnation;   // its incarnation
  bool has_batches = false;
  std::vector<RecordPlace> cuts;  // torn tails: zeros are wanted from there on
};

// `segments`: the numbers that the directory holds, ascending, not empty.
Result<RecoveredLog> Recover(env::Disk& disk, const RecoveryOptions& options,
                             const std::vector<SegmentNumber>& segments);

// DATA_LOSS with what to do, for a member or for a server that is alone.
Status Damage(const std::string& what, const std::string& directory, bool alone);

}  // namespace quorate::wal
