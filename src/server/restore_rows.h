// RestoreRows: what a restored cluster's state differs in from the snapshot's, row by row.
//
// The member table and alarms go: they are about members that are not there any more; so does the leader whose stamp
// was the newest, as ballots begin anew. With a bump, the revision is raised and everything up to it counts as
// compacted: no watcher or cache of the old cluster's clients can take a new revision for one that it has seen, and who
// asks for an old one is told to read everything again. Leases keep their time: cluster time stands while no member
// runs. Called by restore.cc. Plain values.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "replica/state_machine.h"

namespace quorate::server {

class RestoreRows {
 public:
  // `revision` of the new cluster. `compacted`: whether it counts as compacted up to there.
  RestoreRows(Revision revision, bool compacted) : revision_(revision), compacted_(compacted) {}

  // Rows in their order; gives those of the new cluster, in order too.
  std::vector<replica::SnapshotRow> Pass(std::vector<replica::SnapshotRow> rows);
  std::vector<replica::SnapshotRow> End();
  // Add it to the old state's hash, modulo 2^64.
  std::uint64_t hash_change() const { return hash_change_; }

 private:
  void InsertCompaction(std::vector<replica::SnapshotRow>* out);

  const Revision revision_;
  const bool compacted_;
  bool inserted_ = false;
  std::uint64_t hash_change_ = 0;
};

}  // namespace quorate::server
