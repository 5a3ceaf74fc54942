#include "consensus/quorum/quorum.h"

namespace quorate::consensus {

bool IsVoter(const Membership& members, ReplicaId replica) {
  return std::binary_search(members.voters.begin(), members.voters.end(), replica) ||
         std::binary_search(members.outgoing.begin(), members.outgoing.end(), replica);
}

std::vector<ReplicaId> AllReplicas(const Membership& members) {
  std::vector<ReplicaId> all = members.voters;
  all.insert(all.end(), members.outgoing.begin(), members.outgoing.end());
  all.insert(all.end(), members.learners.begin(), members.learners.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace quorate::consensus
