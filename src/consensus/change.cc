#include "consensus/change.h"

#include <algorithm>
#include <utility>

#include "base/codec.h"
#include "consensus/meta_codec.h"

namespace quorate::consensus {
namespace {

constexpr std::uint8_t kChangeVersion = 1;

bool IsSortedSet(const std::vector<ReplicaId>& replicas) {
  const auto wrong = [](ReplicaId a, ReplicaId b) { return a >= b; };
  return std::adjacent_find(replicas.begin(), replicas.end(), wrong) == replicas.end() &&
         (replicas.empty() || replicas.front());
}

}  // namespace

bool IsWellFormed(const Membership& members) {
  if (!IsSortedSet(members.voters) || !IsSortedSet(members.outgoing) || !IsSortedSet(members.learners)) return false;
  return std::none_of(members.learners.begin(), members.learners.end(), [&members](ReplicaId learner) {
    return std::binary_search(members.voters.begin(), members.voters.end(), learner);
  });
}

Bytes EncodeChange(const Change& change) {
  Writer w;
  w.Put8(kChangeVersion);
  PutReplicas(change.members.voters, &w);
  PutReplicas(change.members.outgoing, &w);
  PutReplicas(change.members.learners, &w);
  w.PutId(change.origin.replica);
  w.PutId(change.origin.incarnation);
  w.PutId(change.origin.proposal);
  return Bytes(std::move(w).Take());
}

std::optional<Change> DecodeChange(const Bytes& input) {
  Reader r(input.view());
  if (r.Get8() != kChangeVersion) return std::nullopt;
  Change change;
  change.members.voters = GetReplicas(&r);
  change.members.outgoing = GetReplicas(&r);
  change.members.learners = GetReplicas(&r);
  change.origin.replica = r.GetId<ReplicaId>();
  change.origin.incarnation = r.GetId<Incarnation>();
  change.origin.proposal = r.GetId<ProposalId>();
  if (!r.Done() || change.members.voters.empty() || !IsWellFormed(change.members)) return std::nullopt;
  if (change.members.outgoing.empty() && change.origin != Origin()) return std::nullopt;
  return change;
}

}  // namespace quorate::consensus
