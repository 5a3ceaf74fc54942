// What a replica knows only in its present role: the sum type behind paxos::Node.
//
// Used by paxos::Node alone. A candidate asks first (polling) and has a ballot of its own only after that; a leader's
// ballot has gone through phase 1. Both propose through Node's Proposer.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <variant>

#include "base/ids.h"
#include "consensus/paxos/messages.h"
#include "consensus/paxos/progress.h"
#include "consensus/reads.h"

namespace quorate::consensus::paxos {

struct Follower {
  std::optional<ReplicaId> leader;
  std::optional<ReplicaId> served;  // whose phase 1 it answers, in the promised ballot
};

struct Candidate {
  bool polling = false;
  Campaign campaign = Campaign::kTimeout;
  std::uint64_t poll = 0;
  std::map<ReplicaId, bool> answers;  // to the poll
  Ballot handed;                      // of the leader that told this one to take over
  PersistSeq own_promise;             // the batch that makes it durable; it does not count before
  std::uint64_t asked_elapsed = 0;    // since phase 1 (or what is missing of it) was last asked for
};

struct Transfer {
  ReplicaId to;
  std::uint64_t elapsed_ticks = 0;
  bool sent = false;
};

// A lease is as long as a quorum of acceptors answers nobody else, counted from when the round they answered was sent.
struct Lease {
  std::uint64_t ticks = 0;                                 // of this leadership so far
  std::uint64_t until_ticks = 0;                           // reads are served without asking before this
  std::deque<std::pair<ReadRound, std::uint64_t>> rounds;  // sent, and when; not yet answered by a quorum
  bool given_up = false;                                   // another one was told to take over
};

struct Leader {
  std::map<ReplicaId, Progress> peers;  // every other replica, and those that leave until they know of it
  std::uint64_t heartbeat_elapsed = 0;
  std::uint64_t quorum_elapsed = 0;
  std::optional<Transfer> transfer;
  LogIndex settled;         // the latest configuration whose consequences were drawn
  bool confirming = false;  // the second entry of the change under way was proposed
  LogIndex caught_up_from;  // what was chosen at the last check of the quorum: who has less is behind
  LeaderReads reads;
  Lease lease;
};

using RoleState = std::variant<Follower, Candidate, Leader>;

}  // namespace quorate::consensus::paxos
