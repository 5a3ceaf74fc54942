// The checkers: what must hold of every run, whatever the faults. Each has a name, under which a violation is reported.
//
//   log-agreement     the same entry at the same index in every member's decided stream, without gaps, each once per
//                     life
//   one-leader        at most one leader per term (ballot, epoch)
//   state-hash        equal state at equal applied index, and the rows on the disk have the hash that they carry
//   revision          an entry's revision is the same on every member, rises with the index, is never used for two
//                     writes, never seems to fall to a client, and a value is always seen under the same one
//   linearizability   each key's operations, see sim/linearizability.h
//   durability        every acknowledged write is in every member's history at the end, under its revision
//   answered          every request is answered, exactly once
//   promise           see sim/raft_promises.h
//   membership        see sim/membership_checker.h
//   model             every outcome and read is what sim/model says
//   watch             a watch gives every event, once, in order, with the right previous values
//   lease             a lease does not end before its time, and ends
//   invariant         the core's own invariants and every CHECK (sim/runner reports it: a CHECK ends the process)
//   recovery          a member that only crashed opens its disk again, and finds at least what it had called durable
//   liveness          a healed cluster serves a write and a read on every member in bounded time
//   effort            at least 500 operations, half of them good, and 5 faults
//
// The first four, model, watch and lease watch a run as it goes, the others judge its history. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "consensus/core.h"
#include "sim/history.h"

namespace quorate::sim {

struct Violation {
  std::string checker;
  std::string message;
};
using Verdict = std::optional<Violation>;

class LogAgreementChecker {
 public:
  // `keeps_ballot`: an entry has the same ballot wherever it is decided.
  explicit LogAgreementChecker(bool keeps_ballot = true) : keeps_ballot_(keeps_ballot) {}
  // A new life of `member` begins, or it has loaded a snapshot: its state covers everything up to `applied`.
  void OnStart(ReplicaId member, LogIndex applied) { last_[member] = applied; }
  Verdict OnDecided(ReplicaId member, const consensus::Entry& entry);
  LogIndex longest() const { return decided_.empty() ? LogIndex() : decided_.rbegin()->first; }

 private:
  struct First {
    ReplicaId member;
    consensus::Entry entry;
  };
  bool Same(const consensus::Entry& a, const consensus::Entry& b) const;

  const bool keeps_ballot_;
  std::map<ReplicaId, LogIndex> last_;
  std::map<LogIndex, First> decided_;
};

class OneLeaderChecker {
 public:
  Verdict OnLeadership(ReplicaId member, const consensus::Leadership& leadership);
  std::uint64_t elections() const { return leaders_.size(); }

 private:
  std::map<consensus::Ballot, ReplicaId> leaders_;
};

class StateHashChecker {
 public:
  Verdict OnHash(ReplicaId member, LogIndex applied, std::uint64_t hash);

 private:
  struct First {
    ReplicaId member;
    std::uint64_t hash = 0;
  };
  std::map<LogIndex, First> hashes_;
};

class AppliedRevisionChecker {
 public:
  // `revision` is the store's after the entry.
  Verdict OnApplied(ReplicaId member, LogIndex index, Revision revision);

 private:
  std::map<LogIndex, Revision> revisions_;
};

// What the clients saw of revisions.
Verdict CheckRevisions(const History& history);
Verdict CheckLinearizability(const History& history);

// Reads a member's keyspace as of a revision: empty = absent there. Not called below the compact revision.
using ReadAt = std::function<std::optional<SeenValue>(const std::string& key, Revision at)>;
// Every acknowledged write above `compacted` is what `read` finds at its revision.
Verdict CheckDurability(const History& history, ReplicaId member, Revision compacted, const ReadAt& read);

}  // namespace quorate::sim
