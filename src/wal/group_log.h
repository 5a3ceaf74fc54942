// GroupLog: what the log knows of one group: its hard state, its snapshot, where its entries stand.
//
// Used by log.cc and recovery.cc. `last` and `snapshot` change by these functions only, in a running log and at a start
// alike, so the states at the beginning of each segment can be compared exactly wherever reading begins. Thread rule:
// the owner's thread.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/core.h"
#include "wal/entry_index.h"

namespace quorate::wal {

// About what an entry takes on disk.
inline std::uint64_t EntryBytes(const consensus::Entry& entry) {
  constexpr std::uint64_t kAround = 24;
  return entry.payload.size() + kAround;
}

struct GroupLog {
  std::optional<Bytes> hard_state;
  consensus::SnapshotMeta snapshot;
  LogIndex last;  // of the log, wherever its entries stand; 0 = none since the last installed snapshot
  EntryIndex index;
  LogIndex keep_from;       // what followers may still ask for
  Incarnation incarnation;  // of the newest batch
  PersistSeq last_seq;      // in that incarnation
  // Filled by recovery and handed over once; a running log keeps no payloads.
  std::vector<consensus::Entry> entries;

  // False: the snapshot covers it, and it is ignored.
  bool NotePut(LogIndex at) {
    if (at <= snapshot.last) return false;
    last = std::max(last, at);
    return true;
  }
  void NoteTruncation(LogIndex last_kept) { last = std::min(last, last_kept); }
  void NoteInstall(consensus::SnapshotMeta meta) {
    snapshot = std::move(meta);
    last = LogIndex();
  }
  // False: it is not newer, or the log does not reach so far, and it is ignored.
  bool NoteRelease(const consensus::SnapshotMeta& meta) {
    if (meta.last <= snapshot.last || meta.last > last) return false;
    snapshot = meta;
    return true;
  }
};

}  // namespace quorate::wal
