// RaftPromises: what a member said to another on the wire must still be true in its next life.
//
// Reads the frames that leave a member. Two messages of Raft are promises that rest on stable storage (paper, figure
// 2): a vote (granted, or its own that a candidacy implies), and the acknowledgement of entries up to an index.
// Checked: one vote per term (5.2), over all lives; and at each start the recovered term is not below a promised one,
// and if it is the same, so is the vote, and the log reaches what was acknowledged (a follower cuts nothing that the
// leader of that term gave it). Reported as `promise`. Owned by Monitor. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <map>

#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/core.h"
#include "sim/checkers.h"

namespace quorate::sim {

class RaftPromises {
 public:
  Verdict OnSent(ReplicaId from, ReplicaId to, const Bytes& frame);
  // A new life of `member` has recovered this core.
  Verdict OnStart(ReplicaId member, const consensus::Core& core) const;
  bool Voted(ReplicaId voter, std::uint64_t term, ReplicaId candidate) const;

 private:
  struct Promised {
    std::map<std::uint64_t, ReplicaId> votes;  // by term
    std::uint64_t acknowledged_term = 0;       // of the highest term in which something was acknowledged
    std::uint64_t acknowledged_index = 0;
  };
  Verdict OnVote(ReplicaId voter, std::uint64_t term, ReplicaId candidate);

  std::map<ReplicaId, Promised> promised_;
};

}  // namespace quorate::sim
