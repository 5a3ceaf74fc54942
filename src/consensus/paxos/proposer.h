// Proposer: one ballot of this replica, from phase 1 to the last slot it proposes in ("Paxos Made Simple" sections 2.2
// and 3; "Moderately Complex" section 4.2, where it is the leader with its scout and commanders).
//
// Owned by paxos::Node; one thread. It knows who has promised and what they reported, which value may be proposed in
// the next slot, and who has accepted in each open slot. The values themselves are in this replica's acceptor.
//
// Invariants:
//  1. P2c: in a slot with reports the value of the highest reported ballot is proposed and no other; in a slot without
//     any, below one that has, a no-op; only above all reports a client's value.
//  2. One value a slot and ballot: slots are proposed in order, each once.
//  3. A slot is chosen when a phase 2 quorum of its own acceptors has accepted in this very ballot.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/core.h"
#include "consensus/paxos/messages.h"

namespace quorate::consensus::paxos {

struct Value {
  EntryKind kind = EntryKind::kNoop;
  Origin origin;
  Bytes payload;
};

class Proposer {
 public:
  // Phase 1 of `ballot` begins, for all slots from `first_open` on.
  void Begin(const Ballot& ballot, LogIndex first_open);
  // The ballot is given up: the values that were proposed in no slot.
  std::vector<Value> End();
  bool active() const { return ballot_.has_value(); }
  const Ballot& ballot() const { return *ballot_; }

  // ---- Phase 1
  // From where the acceptor is to be asked next: `from` at first, then the pages that it has announced. Empty once it
  // has reported everything.
  std::optional<LogIndex> NextPage(ReplicaId acceptor, LogIndex from) const;
  // False: not the page that is awaited.
  bool OnPhase1b(ReplicaId acceptor, const Phase1b& page);
  bool HasPromised(ReplicaId acceptor) const { return promises_.contains(acceptor) && promises_.at(acceptor).complete; }
  // What the acceptor said it knows to be chosen; empty before its last page.
  std::optional<LogIndex> PositionOf(ReplicaId acceptor) const;
  // The most that an acceptor of those who promised knows to be chosen, and who that is.
  std::pair<LogIndex, ReplicaId> MostChosen() const;
  // The last slot in which an acceptance was reported.
  LogIndex last_seen() const { return last_seen_; }

  // ---- Phase 2
  LogIndex next() const { return next_; }
  // All slots up to here are chosen, whoever proposed in them.
  void OnChosen(LogIndex chosen);
  // Whether there is anything to propose in slot next().
  bool HasNext() const { return next_ <= last_seen_ || !waiting_.empty(); }
  // The entry of slot next(), which is open from now on. REQUIRES HasNext().
  Entry OpenNext();
  void OnAccepted(ReplicaId acceptor, LogIndex slot);
  bool HasAccepted(ReplicaId acceptor, LogIndex slot) const;
  bool IsOpen(LogIndex slot) const { return open_.contains(slot); }

  // ---- Values that wait for a slot
  void Enqueue(Value value);
  std::size_t waiting() const { return waiting_.size(); }
  std::uint64_t pending_bytes() const { return waiting_bytes_ + open_bytes_; }  // of payload, not yet chosen
  bool HasMembership() const;                                                   // among what waits

  std::uint64_t Hash() const;
  void CheckInvariants(LogIndex chosen) const;

 private:
  struct Promise {
    LogIndex next;    // the page that is awaited
    LogIndex chosen;  // as of its last page
    bool complete = false;
  };
  struct Open {
    std::vector<ReplicaId> accepted;
    std::uint64_t bytes = 0;
  };

  std::optional<Ballot> ballot_;
  std::map<ReplicaId, Promise> promises_;
  std::map<LogIndex, Entry> reported_;  // per slot, that of the highest ballot
  LogIndex last_seen_;
  LogIndex next_;
  std::map<LogIndex, Open> open_;
  std::deque<Value> waiting_;
  std::uint64_t waiting_bytes_ = 0;
  std::uint64_t open_bytes_ = 0;
};

}  // namespace quorate::consensus::paxos
