// Linearizable reads without a log entry: read index (Raft paper section 8, thesis 6.4; in Paxos a confirmation of the
// same ballot).
//
// Called by raft::Node and paxos::Node; one thread. LeaderReads is the leader's side: reads wait for a round of
// heartbeats that begins after they arrived; a quorum's answers to that round prove that no newer leader had decided
// anything when the read arrived, so the commit index taken with the round covers all acknowledged writes.
// ForwardedReads is the other members' side.
//
// Invariants:
//  1. A round's number is used once per leadership, and a leadership (term, ballot) has one leader, once: so
//  (leadership,
//     round) is never reused, and a late answer to an old round confirms nothing newer.
//  2. A round starts only once the leader knows to be decided all that earlier leaders may have acknowledged (Raft: an
//     entry of its own term is committed; Paxos: every slot that phase 1 saw is chosen).
//  3. A forwarded request's id is (life, counter). The life is durable before the id leaves the node, so no id is used
//     twice, through restarts either.
#pragma once

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <variant>
#include <vector>

#include "base/ids.h"

namespace quorate::consensus {

using ReadRound = Id<struct ReadRoundTag>;  // one leadership confirmation; unique within a leadership, rising
using Life = Id<struct LifeTag>;            // how often this node has started; durable before it is used in a message

// Names a read that a follower forwards; no pair is ever used twice by one replica, so a late reply to an old request
// cannot answer a new one.
struct ReadRequestId {
  Life life;
  std::uint64_t counter = 0;
  auto operator<=>(const ReadRequestId&) const = default;
};

struct OwnRead {  // asked by this member's host
  ReadId id;
};
struct PeerRead {  // forwarded by a follower
  ReplicaId from;
  ReadRequestId id;
};
using PendingRead = std::variant<OwnRead, PeerRead>;

class LeaderReads {
 public:
  void Add(PendingRead read) { waiting_.push_back(read); }
  bool waiting() const { return !waiting_.empty(); }
  bool confirming() const { return !rounds_.empty(); }
  ReadRound last_round() const { return last_round_; }

  // Puts all waiting reads into a new round that answers with `commit`. REQUIRES invariant 2's condition.
  ReadRound StartRound(LogIndex commit);
  // The reads of every round up to `round`, each with the index it may be served at.
  std::vector<std::pair<PendingRead, LogIndex>> Confirm(ReadRound round);
  // The peer's connection is gone, and with it whoever waits for these.
  void DropPeer(ReplicaId peer);
  // All reads that are not confirmed, at the end of the leadership.
  std::vector<PendingRead> TakeAll();

  std::uint64_t Hash() const;
  void CheckInvariants() const;

 private:
  struct Round {
    ReadRound number;
    LogIndex index;
    std::vector<PendingRead> reads;
  };
  std::vector<PendingRead> waiting_;  // for the next round
  std::deque<Round> rounds_;          // waiting for a quorum's answers, oldest first
  ReadRound last_round_;
};

class ForwardedReads {
 public:
  void Add(ReadId id) { waiting_.push_back(id); }
  bool waiting() const { return !waiting_.empty(); }
  bool empty() const { return waiting_.empty() && sent_.empty(); }

  // All waiting reads become one request.
  ReadRequestId Send(Life life);
  // The reads of an answered request; none for one that is unknown or was given up.
  std::vector<ReadId> Answered(ReadRequestId id);
  // One tick passed: the reads whose request has been out for `ticks_max`.
  std::vector<ReadId> Expire(std::uint64_t ticks_max);
  std::vector<ReadId> TakeAll();

  std::uint64_t Hash() const;

 private:
  struct Request {
    std::uint64_t age_ticks = 0;
    std::vector<ReadId> reads;
  };
  std::vector<ReadId> waiting_;
  std::map<ReadRequestId, Request> sent_;
  std::uint64_t counter_ = 0;  // of this life
};

}  // namespace quorate::consensus
