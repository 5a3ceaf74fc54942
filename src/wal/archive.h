// ArchiveReader: reads a log's entries back from the files of a directory that no server uses: live segments and those
// that LogOptions::retention_ns kept, as one history. And what makes a log for a restored data directory.
//
// Called by `quorate snapshot restore`. Blocking; thread rule: one thread. Reads only; takes no lock, so it can be
// given a copy, but a directory in use moves under it.
//
// What it gives is the log as its last member knew it: entries that were cut or overwritten are not there. It cannot
// tell which of the last ones were decided: those that the member had not yet seen decided are given too.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "env/disk.h"
#include "wal/log.h"

namespace quorate::wal {

// The entries that can be read: gapless from first to last. Both zero: none.
struct ArchiveRange {
  LogIndex first;
  LogIndex last;
  consensus::SnapshotMeta snapshot;  // what a start would find as the group's snapshot
};

class ArchiveReader {
 public:
  // NOT_FOUND: there is no log. DATA_LOSS: nothing in it can be read. One pass over all files. A file that is missing
  // or damaged in the middle ends the history there: what is older cannot be reached, and gap() says so.
  static Result<std::unique_ptr<ArchiveReader>> Open(env::Disk& disk, std::string directory = "wal");
  virtual ~ArchiveReader() = default;

  virtual const Identity& identity() const = 0;
  virtual std::map<GroupId, ArchiveRange> ranges() const = 0;
  // What cut the history short, for people: file and reason. Empty: it reaches back to the oldest file that is there.
  virtual const std::string& gap() const = 0;
  // Entries from `first` on, at most bytes_max of payload but at least one; none behind the last. OUT_OF_RANGE: below
  // the range; the message has the range and the gap. DATA_LOSS: it cannot be read any more.
  virtual Result<std::vector<consensus::Entry>> Read(GroupId group, LogIndex first, std::uint64_t bytes_max) = 0;
};

// A log whose first batch installs `meta` as the group's snapshot; the incarnation is 1, and the next Open makes it 2.
// Makes the directory if absent; FAILED_PRECONDITION if it holds a log. Blocking, durable when it returns.
struct RestoredLog {
  Identity identity;
  std::string directory = "wal";
  GroupId group;
  consensus::SnapshotMeta meta;
  std::optional<Bytes> hard_state;  // none: the core starts from meta's ballot
  std::uint64_t segment_bytes = LogOptions().segment_bytes;
};
Status CreateRestored(env::Disk& disk, const RestoredLog& wanted);

}  // namespace quorate::wal
