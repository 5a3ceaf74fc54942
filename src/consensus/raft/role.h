// What a node knows only in its present role: the sum type behind raft::Node.
//
// Used by raft::Node alone. A node is in one of the three at a time (paper figure 4), so a follower has no progress of
// others to read and a leader no leader to follow. A pre-candidate is a candidate that has not entered a term.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <variant>

#include "base/ids.h"
#include "consensus/raft/messages.h"
#include "consensus/raft/progress.h"
#include "consensus/reads.h"

namespace quorate::consensus::raft {

struct Follower {
  std::optional<ReplicaId> leader;
  LogIndex verified;  // this log equals the leader's up to here
};

struct Candidate {
  bool pre = false;
  Campaign campaign = Campaign::kTimeout;
  PersistSeq own_vote;  // the batch that makes the own vote durable; it does not count before
  std::map<ReplicaId, bool> answers;
};

struct Transfer {
  ReplicaId to;
  std::uint64_t elapsed_ticks = 0;
  bool sent = false;
};

struct Leader {
  std::map<ReplicaId, Progress> peers;  // every other member, and those that leave until that is committed
  LogIndex own_from;                    // the first entry of this term
  std::uint64_t uncommitted_bytes = 0;  // payload above the commit index
  std::uint64_t heartbeat_elapsed = 0;
  std::uint64_t quorum_elapsed = 0;
  std::optional<Transfer> transfer;
  LogIndex settled;         // the latest configuration known to be committed, and what follows from that was done
  LogIndex caught_up_from;  // the commit index at the last check of the quorum: who has less is behind
  bool removed = false;     // a configuration without this voter is committed: it leads no longer than this event
  LeaderReads reads;
};

using RoleState = std::variant<Follower, Candidate, Leader>;

}  // namespace quorate::consensus::raft
