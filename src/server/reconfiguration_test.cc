#include "server/reconfiguration.h"

#include <gtest/gtest.h>

#include <string>

namespace quorate::server {
namespace {

using consensus::Membership;

std::vector<ReplicaId> Ids(std::vector<std::uint64_t> ids) {
  std::vector<ReplicaId> out;
  for (const std::uint64_t id : ids) out.emplace_back(id);
  return out;
}
Membership Of(std::vector<std::uint64_t> voters, std::vector<std::uint64_t> learners = {}) {
  return {Ids(std::move(voters)), {}, Ids(std::move(learners))};
}
std::vector<coord::MemberInfo> Table(std::vector<std::uint64_t> voters, std::vector<std::uint64_t> learners = {}) {
  std::vector<coord::MemberInfo> table;
  for (std::uint64_t id = 1; id < 10; ++id) {
    const bool votes = std::find(voters.begin(), voters.end(), id) != voters.end();
    const bool learns = std::find(learners.begin(), learners.end(), id) != learners.end();
    if (votes || learns) table.push_back({ReplicaId(id), "", {}, {}, learns});
  }
  return table;
}

class FakeControl final : public MembershipControl {
 public:
  bool leads() const override { return leading; }
  const Membership& membership() const override { return now; }
  std::set<ReplicaId> CaughtUp() const override { return caught_up; }
  void Change(Membership target, std::function<void()> done) override {
    ++changes;
    asked = std::move(target);
    answer = std::move(done);
  }
  void TransferLeadership(ReplicaId to) override { transferred.insert(to); }
  void Finish() {
    now = asked;
    answer();
  }

  bool leading = true;
  Membership now, asked;
  std::set<ReplicaId> caught_up, transferred;
  std::function<void()> answer;
  int changes = 0;
};

TEST(NextMembershipTest, NothingToDoIsNothing) {
  EXPECT_EQ(NextMembership(Of({1, 2, 3}), Table({1, 2, 3}), {}), std::nullopt);
  EXPECT_EQ(NextMembership(Of({1}, {2}), Table({1}, {2}), {ReplicaId(2)}), std::nullopt) << "the table wants a learner";
}

TEST(NextMembershipTest, ANewVoterLearnsFirstAndVotesWhenItHasCaughtUp) {
  EXPECT_EQ(NextMembership(Of({1}), Table({1, 2}), {}), Of({1}, {2}));
  EXPECT_EQ(NextMembership(Of({1}), Table({1, 2}), {ReplicaId(2)}), Of({1}, {2})) << "whatever is said of it";
  EXPECT_EQ(NextMembership(Of({1}, {2}), Table({1, 2}), {}), std::nullopt);
  EXPECT_EQ(NextMembership(Of({1}, {2}), Table({1, 2}), {ReplicaId(2)}), Of({1, 2}));
}

TEST(NextMembershipTest, AReplacedVoterLeavesAtOnceAndTheNewOneLearns) {
  EXPECT_EQ(NextMembership(Of({1, 2, 3}), Table({1, 3, 4}), {}), Of({1, 3}, {4}));
  EXPECT_EQ(NextMembership(Of({1, 3}, {4}), Table({1, 3, 4}), {ReplicaId(4)}), Of({1, 3, 4}));
}

TEST(NextMembershipTest, APromotedLearnerVotesWhenItHasCaughtUp) {
  EXPECT_EQ(NextMembership(Of({1}, {2}), Table({1, 2}), {ReplicaId(2)}), Of({1, 2}));
}

TEST(NextMembershipTest, ThereIsAlwaysAVoter) {
  EXPECT_EQ(NextMembership(Of({1}), Table({2}), {}), std::nullopt);
}

TEST(ReconfigurationTest, OneChangeAtATimeAndOnlyOnTheLeader) {
  FakeControl control;
  control.now = Of({1});
  Reconfiguration reconfiguration(ReplicaId(1), control);
  control.leading = false;
  reconfiguration.Tick(Table({1, 2}));
  EXPECT_EQ(control.changes, 0);
  control.leading = true;
  reconfiguration.Tick({});
  EXPECT_EQ(control.changes, 0) << "an empty table says nothing";
  reconfiguration.Tick(Table({1, 2}));
  reconfiguration.Tick(Table({1, 2}));
  EXPECT_EQ(control.changes, 1);
  control.Finish();
  reconfiguration.Tick(Table({1, 2}));
  EXPECT_EQ(control.changes, 1) << "it has not caught up";
  control.caught_up = {ReplicaId(2)};
  reconfiguration.Tick(Table({1, 2}));
  EXPECT_EQ(control.asked, Of({1, 2}));
  control.answer();  // it failed: tried again
  reconfiguration.Tick(Table({1, 2}));
  EXPECT_EQ(control.changes, 3);
}

TEST(ReconfigurationTest, AJointChangeUnderWayIsWaitedFor) {
  FakeControl control;
  control.now = Membership{Ids({1, 2}), Ids({1}), {}};
  Reconfiguration reconfiguration(ReplicaId(1), control);
  reconfiguration.Tick(Table({1}));
  EXPECT_EQ(control.changes, 0);
}

TEST(ReconfigurationTest, ALeaderThatLeavesHandsOverFirstAndThenGoesAnyway) {
  FakeControl control;
  control.now = Of({1, 2, 3});
  Reconfiguration reconfiguration(ReplicaId(1), control);
  reconfiguration.Tick(Table({2, 3}));
  EXPECT_EQ(control.changes, 0);
  EXPECT_EQ(control.transferred.size(), 1u);
  for (int i = 0; i < 100 && control.changes == 0; ++i) reconfiguration.Tick(Table({2, 3}));
  EXPECT_EQ(control.transferred.size(), 2u) << "each voter was asked";
  EXPECT_EQ(control.asked, Of({2, 3}));
}

}  // namespace
}  // namespace quorate::server
