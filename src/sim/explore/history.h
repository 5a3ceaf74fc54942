// History: what must be remembered of the past to say whether a state is legal: what was decided, who led which ballot,
// and which reads are open. It is part of every explored state. Used by explore::Explorer. Thread rule: one thread.
//
// Invariant: but for reads, the same events in another order of independent ones give the same history (the reduced
// walk counts on it).
//
//   log-agreement        two replicas decide the same entry at an index, through restarts too
//   one-leader           a ballot has one leader
//   durability           what was decided is on the disks of a majority, in every state from then on
//   leader-completeness  who leads a higher ballot than that under which an entry was decided has the entry in its log
//                        (protocols without holes; a Paxos leader learns it in phase 1 and is checked by the others)
//   linearizability      a read is confirmed at or above everything that was decided when it was asked
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "consensus/core.h"
#include "sim/checkers.h"
#include "sim/explore/local_states.h"

namespace quorate::sim::explore {

class History {
 public:
  // What `replica`, in its state after the event, let out.
  Verdict On(const Replica& replica, const Effects& effects);
  void OnReadAsked(ReadId read) { open_reads_[read] = LogIndex(decided_.size()); }
  // In every state.
  bool IsDurable(std::span<const LocalState* const> replicas, Verdict* verdict) const;
  std::uint64_t decided() const { return decided_.size(); }
  std::uint64_t Hash() const;

 private:
  struct Decision {
    std::uint64_t hash = 0;
    std::uint64_t under =
        0;  // the lowest ballot in which a replica was that decided it; it was chosen in that or before
  };
  struct Leader {
    ReplicaId id;
    std::vector<std::uint64_t> log;  // DecisionHash by index, from 1, when it took office
  };
  Verdict OnDecided(const Replica& replica, const consensus::Entry& entry);
  Verdict OnLeadership(const Replica& replica, const consensus::Leadership& leadership);
  Verdict OnRead(const Replica& replica, ReadId read, LogIndex index);
  Verdict CheckCompleteness() const;

  std::vector<Decision> decided_;  // by index, from 1
  std::map<consensus::Ballot, Leader> leaders_;
  std::map<ReadId, LogIndex> open_reads_;
};

}  // namespace quorate::sim::explore
