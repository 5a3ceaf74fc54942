#include "sim/membership_checker.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "consensus/change.h"

namespace quorate::sim {
namespace {

using consensus::Membership;

std::vector<ReplicaId> Ids(std::vector<std::uint64_t> numbers) {
  std::vector<ReplicaId> ids;
  for (const std::uint64_t number : numbers) ids.emplace_back(number);
  return ids;
}

class MembershipCheckerTest : public testing::Test {
 protected:
  bool Violated(Membership members) {
    consensus::Entry entry;
    entry.kind = consensus::EntryKind::kMembership;
    entry.payload = consensus::EncodeChange({std::move(members), {}});
    return checker_.OnDecided(entry).has_value();
  }
  bool LegallyElected(const Membership& members, std::set<std::uint64_t> voted) {
    return !MembershipChecker::OnElected(ReplicaId(1), {}, members, [&](ReplicaId voter) {
              return voted.contains(voter.value);
            }).has_value();
  }

  MembershipChecker checker_{VoterChange::kJoint, {Ids({1, 2, 3}), {}, {}}};
};

TEST_F(MembershipCheckerTest, ALearnerIsAddedAndPromotedThroughAJointConfiguration) {
  EXPECT_FALSE(Violated({Ids({1, 2, 3}), {}, Ids({4})}));
  EXPECT_FALSE(Violated({Ids({2, 3, 4}), Ids({1, 2, 3}), {}}));
  EXPECT_FALSE(Violated({Ids({2, 3, 4}), {}, {}}));
  EXPECT_EQ(checker_.members(), (Membership{Ids({2, 3, 4}), {}, {}}));
}

TEST_F(MembershipCheckerTest, FindsAVoterThatWasNoLearner) {
  EXPECT_TRUE(Violated({Ids({1, 2, 3, 4}), Ids({1, 2, 3}), {}}));
}

TEST_F(MembershipCheckerTest, FindsAChangeOfVotersInOneStep) {
  EXPECT_TRUE(Violated({Ids({1, 2}), {}, {}}));
}

TEST_F(MembershipCheckerTest, FindsAJointConfigurationOfOthers) {
  EXPECT_TRUE(Violated({Ids({1, 2}), Ids({2, 3}), {}}));
}

TEST_F(MembershipCheckerTest, FindsAJointConfigurationThatEndsElsewhere) {
  EXPECT_FALSE(Violated({Ids({1, 2}), Ids({1, 2, 3}), {}}));
  EXPECT_TRUE(Violated({Ids({1, 3}), {}, {}}));
}

TEST_F(MembershipCheckerTest, ALeaderNeedsAMajorityOfItsVoters) {
  const Membership members{Ids({1, 2, 3}), {}, Ids({4})};
  EXPECT_TRUE(LegallyElected(members, {2}));
  EXPECT_FALSE(LegallyElected(members, {}));
  EXPECT_FALSE(LegallyElected(members, {4, 5}));
}

TEST_F(MembershipCheckerTest, ALeaderInAJointConfigurationNeedsBoth) {
  const Membership members{Ids({1, 4, 5}), Ids({1, 2, 3}), {}};
  EXPECT_TRUE(LegallyElected(members, {2, 4}));
  EXPECT_FALSE(LegallyElected(members, {4, 5}));
  EXPECT_FALSE(LegallyElected(members, {2, 3}));
}

TEST_F(MembershipCheckerTest, PaxosChangesVotersByTwoEntriesOfWhichOneThatDoesNotFollowIsVoid) {
  checker_ = MembershipChecker(VoterChange::kAlphaWindow, {Ids({1, 2, 3}), {}, {}});
  EXPECT_FALSE(Violated({Ids({1, 2, 3}), {}, Ids({4})}));
  EXPECT_FALSE(Violated({Ids({2, 3, 4}), Ids({1, 2, 3}), {}}));
  EXPECT_FALSE(Violated({Ids({1, 2}), Ids({1, 2, 3}), {}}));
  EXPECT_EQ(checker_.members(), (Membership{Ids({2, 3, 4}), Ids({1, 2, 3}), {}}));
  EXPECT_FALSE(Violated({Ids({2, 3, 4}), {}, {}}));
  EXPECT_FALSE(Violated({Ids({1, 2}), Ids({1, 2, 3}), {}}));
  EXPECT_EQ(checker_.members(), (Membership{Ids({2, 3, 4}), {}, {}}));
  EXPECT_TRUE(Violated({Ids({2, 3}), {}, {}}));
}

}  // namespace
}  // namespace quorate::sim
