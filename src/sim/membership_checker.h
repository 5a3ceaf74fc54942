// MembershipChecker: follows the decided changes of the members.
//
// Checked: a new voter was a learner before (it must have caught up before it votes; Raft thesis 4.2.1); voters change
// through an entry of both configurations and one that ends the change (sim/protocols.h: of Paxos some are void). Of
// Raft besides: who leads a term was voted for by a majority of its voters, of both halves when it is joint. Reported
// as `membership`. Owned by Monitor. Thread rule: one thread.
#pragma once

#include <functional>

#include "base/ids.h"
#include "consensus/core.h"
#include "sim/checkers.h"
#include "sim/protocols.h"

namespace quorate::sim {

class MembershipChecker {
 public:
  MembershipChecker(VoterChange rule, consensus::Membership initial) : rule_(rule), members_(std::move(initial)) {}
  // The first member executes this entry of kind kMembership.
  Verdict OnDecided(const consensus::Entry& entry);
  // `candidate` leads; `members` are those in force on it. `voted` says who has voted for it in this term.
  static Verdict OnElected(ReplicaId candidate, const consensus::Leadership& leadership,
                           const consensus::Membership& members, const std::function<bool(ReplicaId)>& voted);

  const consensus::Membership& members() const { return members_; }  // as of the newest decided change

 private:
  VoterChange rule_;
  consensus::Membership members_;
};

bool Contains(const std::vector<ReplicaId>& ids, ReplicaId id);
// Voter of either half, or learner.
bool IsIn(const consensus::Membership& members, ReplicaId id);

}  // namespace quorate::sim
