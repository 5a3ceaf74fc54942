// Acceptor: what this replica has promised and accepted ("Paxos Made Simple" section 2.2; van Renesse and Altinbuken,
// "Paxos Made Moderately Complex", section 4.1).
//
// Owned by paxos::Node; one thread. It decides and remembers; the node makes it durable before anybody is answered.
// Acceptances of slots that are known to be chosen, all before them as well, are taken out (Learner has them): what is
// left is what phase 1 must report, and all of it is in memory.
//
// Invariants:
//  1. The promise never falls, and no acceptance has a ballot above it.
//  2. P1a: a ballot below the promise is never accepted. An acceptance is only ever replaced by one of a higher ballot.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/ids.h"
#include "consensus/core.h"

namespace quorate::consensus::paxos {

class Acceptor {
 public:
  explicit Acceptor(Ballot promised) : promised_(promised) {}

  const Ballot& promised() const { return promised_; }
  // Phase 1, and any other message of a proposer. False: the promise was already that. REQUIRES ballot >= promised().
  bool Promise(const Ballot& ballot);

  enum class Answer : std::uint8_t {
    kAccepted,  // and must become durable
    kHeld,      // accepted with this very ballot before
    kRefused,   // below the promise, or a second value in one ballot, which no proposer ever sends
  };
  // Phase 2. REQUIRES a slot that was not taken out.
  Answer Accept(Entry entry);
  // What was accepted before a start: under this promise or a lower one.
  void Restore(Entry entry);
  // The value is known to be chosen, whatever was accepted before. False: the acceptance has it already. The entry is
  // as some acceptor accepted it, which this one might have done as well.
  bool Learn(Entry entry);

  const Entry* At(LogIndex slot) const;
  // The slot is chosen, and all before it are.
  Entry TakeOut(LogIndex slot);
  void ForgetUpto(LogIndex slot);

  // What is accepted in slots from `from` on: at least one, and no more payload than bytes_max after it. `next` is set
  // to the slot of the first that did not fit, or to 0.
  std::vector<Entry> Report(LogIndex from, std::uint64_t bytes_max, LogIndex* next) const;
  const std::map<LogIndex, Entry>& accepted() const { return accepted_; }

  // ---- Leases: for so many ticks no phase 1 of another proposer than the promised one is answered.
  void GrantLease(std::uint64_t ticks) { lease_ticks_ = ticks; }
  bool lends(ReplicaId proposer) const { return lease_ticks_ > 0 && promised_.owner != proposer; }
  std::uint64_t lease_ticks() const { return lease_ticks_; }
  void Tick() { lease_ticks_ -= lease_ticks_ > 0 ? 1 : 0; }

  std::uint64_t Hash() const;
  void CheckInvariants(LogIndex chosen) const;

 private:
  Ballot promised_;
  std::map<LogIndex, Entry> accepted_;
  std::uint64_t lease_ticks_ = 0;
};

}  // namespace quorate::consensus::paxos
