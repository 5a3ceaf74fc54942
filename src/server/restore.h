// Restore: makes a data directory from a snapshot file, or from a snapshot and the kept log of an old directory, as of
// a revision or a moment. `quorate snapshot restore`.
//
// The new cluster has an id of its own, made from members, token and what is restored: members of the old cluster and
// of another restore cannot mix with it, and all members that restore the same thing agree. Blocking; one thread. The
// directory is made under the name DIR.part and gets its name at the end, so nothing is half done.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "server/config.h"

namespace quorate::server {

inline constexpr Revision kDefaultBump = 1'000'000'000;  // more writes than a cluster makes between two backups

struct RestoreOptions {
  std::string file;           // the snapshot; may be empty with from_data_dir
  std::string from_data_dir;  // whose log goes on where the snapshot ends; empty: the snapshot as it is
  std::optional<Revision> to_revision;
  std::optional<std::int64_t> to_wall_ns;
  Revision bump = kDefaultBump;                      // 0: revisions go on as they were
  ServeConfig config;                                // the new member's; its token is only a part of the new one
  std::function<void(const std::string&)> progress;  // one line for people; may be empty
};

struct RestoreReport {
  ClusterId cluster;
  ReplicaId member;
  LogIndex last;  // of the old cluster's log
  Revision old_revision = 0;
  Revision revision = 0;
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;  // of the state
};

// FAILED_PRECONDITION: the directory exists, or file and old directory are of different clusters. OUT_OF_RANGE: what
// was asked for is not there; the message says what is. DATA_LOSS and others: about the file.
Result<RestoreReport> Restore(const RestoreOptions& options);

// What Restore could go to.
struct RestoreRange {
  LogIndex first, last;                              // entries of the old log
  std::int64_t first_wall_ns = 0, last_wall_ns = 0;  // of the commands among them
  // Empty: nothing is there that the log could be replayed on.
  std::optional<Revision> from_revision, to_revision;
  std::string gap;  // why it goes back no further
};
Result<RestoreRange> ShowRestoreRange(const RestoreOptions& options);

}  // namespace quorate::server
