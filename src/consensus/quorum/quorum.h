// Quorums: what a majority of the voters has agreed on, and how a vote stands.
//
// Called by the protocols. Pure functions, no thread rule. While a membership is joint (`outgoing` is not empty) a
// decision needs a majority of the voters AND a majority of the outgoing voters (Raft thesis 4.3). Learners never
// count.
//
// Invariants:
//  1. Two quorums of one membership share a replica.
//  2. Without voters nothing is agreed on: Agreed gives zero, and every vote is lost.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "consensus/core.h"

namespace quorate::consensus {

enum class VoteResult : std::uint8_t { kPending, kWon, kLost };
enum class Answer : std::uint8_t { kMissing, kYes, kNo };

namespace internal {

// The largest value that a majority of `voters` has reached.
template <class Value, class Reached>
Value AgreedByMajority(const std::vector<ReplicaId>& voters, const Reached& reached) {
  if (voters.empty()) return Value{};
  std::vector<Value> values;
  values.reserve(voters.size());
  for (const ReplicaId voter : voters) values.push_back(reached(voter));
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(voters.size() / 2);
  std::nth_element(values.begin(), middle, values.end(), std::greater<>());
  return *middle;
}

template <class Answered>
VoteResult VoteOfMajority(const std::vector<ReplicaId>& voters, const Answered& answered) {
  const std::size_t majority = voters.size() / 2 + 1;
  std::size_t yes = 0;
  std::size_t no = 0;
  for (const ReplicaId voter : voters) {
    const Answer answer = answered(voter);
    yes += answer == Answer::kYes ? 1 : 0;
    no += answer == Answer::kNo ? 1 : 0;
  }
  if (yes >= majority) return VoteResult::kWon;
  return yes + (voters.size() - yes - no) < majority ? VoteResult::kLost : VoteResult::kPending;
}

}  // namespace internal

// The largest value that a quorum has reached; `reached(replica)` gives each voter's, which must be one that implies
// all smaller ones (a match index, a confirmation round).
template <class Value, class Reached>
Value Agreed(const Membership& members, const Reached& reached) {
  const Value incoming = internal::AgreedByMajority<Value>(members.voters, reached);
  if (members.outgoing.empty()) return incoming;
  return std::min(incoming, internal::AgreedByMajority<Value>(members.outgoing, reached));
}

// How a vote stands: won once a quorum said yes, lost once no quorum can any more.
template <class Answered>
VoteResult ResultOfVote(const Membership& members, const Answered& answered) {
  const VoteResult incoming = internal::VoteOfMajority(members.voters, answered);
  if (members.outgoing.empty()) return incoming;
  const VoteResult outgoing = internal::VoteOfMajority(members.outgoing, answered);
  if (incoming == VoteResult::kLost || outgoing == VoteResult::kLost) return VoteResult::kLost;
  return incoming == outgoing ? incoming : VoteResult::kPending;
}

// Whether `replica` has a vote in either half.
bool IsVoter(const Membership& members, ReplicaId replica);

// Every replica of `members` once, ascending.
std::vector<ReplicaId> AllReplicas(const Membership& members);

}  // namespace quorate::consensus
