// Configurations: who the acceptors of a slot are.
//
// Called by paxos::Node only; one thread. Membership is part of the replicated state (Lamport, "Paxos Made Simple",
// section 3): an entry chosen at slot s says who the acceptors of the slots from s + alpha on are, and nobody proposes
// at a slot before it knows everything up to alpha slots below to be chosen. So no slot is ever proposed by anyone who
// does not know its acceptors.
//
// A change of voters takes two entries (change.h). The first, joint one is the change; the second, chosen at
// s + alpha or later, changes nothing: it says that the former voters are needed no more, and carries the origin of
// the request. Between the two no other change has any effect. The rules, the same on every member because they follow
// from the chosen sequence alone:
//   - a joint entry counts only if its `outgoing` are the voters of now, and none is under way;
//   - another entry counts only if its voters are those of now (of a joint one: the new ones).
// What does not count (an old leader's change that a later one found accepted, and had to propose again) is void.
//
// A snapshot taken between the two entries does not say where the first one stands. A member that begins with one takes
// for up to alpha slots a quorum of both sets, which meets the quorums of either.
//
// Invariants:
//  1. Indices rise. The first is at or below the log's start: what the snapshot says, or what the member began with.
//  2. Each follows from the one before it by the rules above.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "consensus/change.h"
#include "consensus/core.h"
#include "consensus/paxos/quorums.h"

namespace quorate::consensus::paxos {

class Configurations {
 public:
  Configurations(LogIndex index, Membership members, std::uint64_t alpha) : alpha_(alpha) { Reset(index, members); }

  // As of the last chosen slot.
  const Membership& latest() const { return history_.back().members; }
  LogIndex latest_index() const { return history_.back().index; }
  bool IsChanging() const { return !latest().outgoing.empty(); }
  // Who asked for the change under way; zero when that is not known any more.
  Origin latest_origin() const { return history_.back().origin; }
  // The first slot that surely has the acceptors of latest(). Of what was not told otherwise: the slot after it.
  LogIndex InForceFrom() const { return LogIndex(latest_index().value + (IsChanging() ? alpha_ : 1)); }
  // As of `index`. REQUIRES index not below the log's start.
  const Membership& At(LogIndex index) const;
  // The acceptors of `slot`. REQUIRES latest_index() < slot, and everything up to slot - alpha appended.
  const Electorate& Of(LogIndex slot) const { return slot < InForceFrom() ? before_ : after_; }
  // Whether `replica` is an acceptor of any slot that may be proposed now.
  bool IsAcceptor(ReplicaId replica) const;

  // Whether an entry with these members would count as the next one.
  bool Counts(const Membership& members) const;
  // `index` is chosen and holds this; false: it is void. REQUIRES index above latest_index().
  bool Append(LogIndex index, const Change& change);
  // The log starts after `last_released`: only what is in force there, and what comes later, is kept.
  void ReleaseUpto(LogIndex last_released);
  void Reset(LogIndex index, Membership members);

  std::uint64_t Hash() const;
  void CheckInvariants() const;

 private:
  struct Step {
    LogIndex index;
    Membership members;
    Origin origin;
    bool placed = false;  // its entry stands at `index`; otherwise at or below
  };

  void NoteLatest();

  std::uint64_t alpha_;
  std::vector<Step> history_;  // never empty
  Electorate before_;          // of slots below InForceFrom()
  Electorate after_;           // of those from there on
};

}  // namespace quorate::consensus::paxos
