#include "consensus/quorum/quorum.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

namespace quorate::consensus {
namespace {

std::vector<ReplicaId> Replicas(std::initializer_list<std::uint64_t> numbers) {
  std::vector<ReplicaId> replicas;
  for (const std::uint64_t number : numbers) replicas.emplace_back(number);
  return replicas;
}

// Every subset of the voters that is more than half of them: the definition, by brute force.
bool IsMajority(const std::vector<ReplicaId>& voters, const std::set<ReplicaId>& chosen) {
  std::size_t count = 0;
  for (const ReplicaId voter : voters) count += chosen.count(voter);
  return 2 * count > voters.size();
}
bool IsQuorum(const Membership& members, const std::set<ReplicaId>& chosen) {
  return IsMajority(members.voters, chosen) && (members.outgoing.empty() || IsMajority(members.outgoing, chosen));
}

// Any set of one to seven voters.
std::vector<ReplicaId> DrawVoters() {
  const std::uint64_t bits = *rc::gen::inRange<std::uint64_t>(1, 128);
  std::vector<ReplicaId> voters;
  for (std::uint64_t number = 0; number < 7; ++number) {
    if ((bits >> number & 1) != 0) voters.emplace_back(number + 1);
  }
  return voters;
}

TEST(Quorum, AgreedIsTheLargestValueThatAQuorumHasReached) {
  EXPECT_TRUE(rc::check([] {
    Membership members;
    members.voters = DrawVoters();
    if (*rc::gen::arbitrary<bool>()) members.outgoing = DrawVoters();
    std::map<ReplicaId, LogIndex> reached;
    for (const ReplicaId id : AllReplicas(members)) reached[id] = LogIndex(*rc::gen::inRange<std::uint64_t>(0, 6));
    LogIndex naive;
    for (std::uint64_t value = 1; value < 6; ++value) {
      std::set<ReplicaId> there;
      for (const auto& [id, index] : reached) {
        if (index >= LogIndex(value)) there.insert(id);
      }
      if (IsQuorum(members, there)) naive = LogIndex(value);
    }
    RC_ASSERT(Agreed<LogIndex>(members, [&](ReplicaId id) { return reached.at(id); }) == naive);
  }));
}

TEST(Quorum, AVoteIsWonByAQuorumAndLostOnceNoneIsPossible) {
  EXPECT_TRUE(rc::check([] {
    Membership members;
    members.voters = DrawVoters();
    if (*rc::gen::arbitrary<bool>()) members.outgoing = DrawVoters();
    std::map<ReplicaId, Answer> answers;
    std::set<ReplicaId> yes;
    std::set<ReplicaId> not_no;
    for (const ReplicaId id : AllReplicas(members)) {
      const Answer answer = *rc::gen::element(Answer::kMissing, Answer::kYes, Answer::kNo);
      answers[id] = answer;
      if (answer == Answer::kYes) yes.insert(id);
      if (answer != Answer::kNo) not_no.insert(id);
    }
    VoteResult naive = VoteResult::kPending;
    if (IsQuorum(members, yes)) naive = VoteResult::kWon;
    if (!IsQuorum(members, not_no)) naive = VoteResult::kLost;
    RC_ASSERT(ResultOfVote(members, [&](ReplicaId id) { return answers.at(id); }) == naive);
  }));
}

TEST(Quorum, LearnersAreMembersWithoutAVote) {
  const Membership members{Replicas({1, 3}), Replicas({2, 3}), Replicas({4})};
  EXPECT_TRUE(IsVoter(members, ReplicaId(1)));
  EXPECT_TRUE(IsVoter(members, ReplicaId(2)));
  EXPECT_FALSE(IsVoter(members, ReplicaId(4)));
  EXPECT_EQ(AllReplicas(members), Replicas({1, 2, 3, 4}));
}

TEST(Quorum, WithoutVotersNothingIsAgreedAndNoVoteEnds) {
  const Membership nobody;
  EXPECT_EQ(Agreed<LogIndex>(nobody, [](ReplicaId) { return LogIndex(9); }), LogIndex());
  EXPECT_EQ(ResultOfVote(nobody, [](ReplicaId) { return Answer::kYes; }), VoteResult::kLost);
}

}  // namespace
}  // namespace quorate::consensus
