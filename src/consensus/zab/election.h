// Election: ZooKeeper's fast leader election, the part without time or links.
//
// Called by zab::Node; one thread. Nothing here is a promise: a wrong result costs time, never an entry, because
// discovery (paper 4.1) has a quorum promise the epoch and checks that nobody of it has a fresher history. So it needs
// no disk, and it may take short cuts.
//
// A member that is looking proposes itself, takes over every better vote of its round and tells the others. Rounds
// (logical clocks) rise: a vote of a later round begins that round, one of an earlier round is answered and not
// counted. A worse vote is answered too, unlike ZooKeeper's: who gives it may have noticed the leader's end last and
// so missed the better one, which otherwise is told again only after an election timeout. Answers end, since only the
// better vote is one.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "base/ids.h"
#include "consensus/core.h"
#include "consensus/zab/messages.h"

namespace quorate::consensus::zab {

class Election {
 public:
  enum class Effect : std::uint8_t {
    kNothing,
    kTell,    // the own vote or round has changed: all others are to know
    kAnswer,  // the sender is in an earlier round, or votes for a worse one: it is to know
  };

  explicit Election(ReplicaId self) : self_(self) {}

  // A new round, in which `initial` is the own vote.
  void Begin(const Vote& initial);
  Effect OnLooking(ReplicaId from, const Notification& heard);
  // From a member that follows or leads.
  void OnSettled(ReplicaId from, const Notification& heard);
  void Forget(ReplicaId peer);  // the connection to it is gone

  std::uint64_t round() const { return round_; }
  const Vote& vote() const { return vote_; }
  // A quorum of `members` votes as this member does.
  bool HasQuorum(const Membership& members) const;
  // So does every voter that is not in `gone`: no better vote can come.
  bool IsUnanimous(const Membership& members, const std::set<ReplicaId>& gone) const;
  // Who leads already: it says so itself, and is established or has a quorum of `members` following. Takes over its
  // round.
  std::optional<ReplicaId> FindLeader(const Membership& members);

  std::uint64_t Hash() const;

 private:
  bool AgreesWithMe(ReplicaId voter) const;
  bool IsFollowedByQuorum(ReplicaId leader, const Membership& members) const;

  ReplicaId self_;
  std::uint64_t round_ = 0;
  Vote initial_;
  Vote vote_;
  std::map<ReplicaId, Vote> votes_;            // of this round
  std::map<ReplicaId, Notification> settled_;  // who follows or leads, whatever its round
};

}  // namespace quorate::consensus::zab
