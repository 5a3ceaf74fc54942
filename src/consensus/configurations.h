// Configurations: who takes part, by log index.
//
// Called by raft::Node and zab::Node; one thread. A configuration is in force from the moment its entry is in the log,
// committed or not (Raft paper section 6), and goes when the entry is cut off again; so the history since the log's
// start is kept.
//
// Invariants:
//  1. Indices rise. The first is at or below the log's start: it is what the snapshot says, or what the member began
//     with (index 0).
//  2. Each follows from the one before it: a joint one keeps the former voters as outgoing, what follows a joint one
//  has
//     its voters, and voters never change otherwise. (The first may be empty: a member that joins knows nobody.)
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/change.h"
#include "consensus/core.h"

namespace quorate::consensus {

class Configurations {
 public:
  Configurations(LogIndex index, Membership members) { Reset(index, std::move(members)); }

  const Membership& latest() const { return history_.back().members; }
  // Who asked for the change that a joint one begins; zero when that is not known any more (the entry was released).
  Origin latest_origin() const { return history_.back().origin; }
  LogIndex latest_index() const { return history_.back().index; }
  // The index of the one before the latest; that of the latest when there is no other.
  LogIndex previous_index() const { return history_[history_.size() < 2 ? 0 : history_.size() - 2].index; }
  bool IsJoint() const { return !latest().outgoing.empty(); }
  // What is in force at `index`. REQUIRES index not below the log's start.
  const Membership& At(LogIndex index) const;
  // Everyone who takes part in one of them, ascending.
  std::vector<ReplicaId> Everyone() const;

  // REQUIRES index above latest_index().
  void Append(LogIndex index, Change change);
  void TruncateAfter(LogIndex last_kept);
  // The log starts after `last_released`: only what is in force there, and what comes later, is kept.
  void ReleaseUpto(LogIndex last_released);
  void Reset(LogIndex index, Membership members);

  std::uint64_t Hash() const;
  void CheckInvariants() const;

 private:
  struct Configuration {
    LogIndex index;
    Membership members;
    Origin origin;
  };
  std::vector<Configuration> history_;  // never empty
};

// Those that a start finds on disk; `bootstrap` is used unless there is a snapshot. DATA_LOSS says what does not
// decode.
Result<Configurations> RecoverConfigurations(const Membership& bootstrap, const Recovered& recovered);

}  // namespace quorate::consensus
