#include "consensus/zab/election.h"

#include "gtest/gtest.h"

namespace quorate::consensus::zab {
namespace {

constexpr ReplicaId kOne{1}, kTwo{2};

Notification LookingWith(const Election& election) {
  Notification said;
  said.round = election.round();
  said.vote = election.vote();
  return said;
}

Vote VoteFor(ReplicaId leader, std::uint64_t last) {
  return {.epoch = Epoch(1), .last = {Epoch(1), LogIndex(last)}, .nominated = false, .leader = leader};
}

TEST(Election, AMemberThatNoticedLateIsToldTheBetterVote) {
  Election better(kTwo), late(kOne);
  better.Begin(VoteFor(kTwo, 8));  // member 1 was still following then, and did not keep what it was told
  late.Begin(VoteFor(kOne, 7));

  EXPECT_EQ(better.OnLooking(kOne, LookingWith(late)), Election::Effect::kAnswer);
  EXPECT_EQ(late.OnLooking(kTwo, LookingWith(better)), Election::Effect::kTell);
  EXPECT_EQ(late.vote().leader, kTwo);
  EXPECT_EQ(better.OnLooking(kOne, LookingWith(late)), Election::Effect::kNothing) << "they agree";
}

TEST(Election, WhoAgreesIsNotAnswered) {
  Election one(kOne), two(kTwo);
  one.Begin(VoteFor(kOne, 7));
  two.Begin(VoteFor(kOne, 7));
  EXPECT_EQ(one.OnLooking(kTwo, LookingWith(two)), Election::Effect::kNothing);
}

TEST(Election, AnEarlierRoundIsAnsweredAndNotCounted) {
  Election one(kOne), two(kTwo);
  one.Begin(VoteFor(kOne, 7));
  two.Begin(VoteFor(kTwo, 9));
  const Notification old = LookingWith(two);
  one.Begin(VoteFor(kOne, 7));
  EXPECT_EQ(one.OnLooking(kTwo, old), Election::Effect::kAnswer);
  EXPECT_EQ(one.vote().leader, kOne);
}

TEST(Election, ALaterRoundIsJoinedWithTheBetterOfBothVotes) {
  Election one(kOne), two(kTwo);
  one.Begin(VoteFor(kOne, 9));
  two.Begin(VoteFor(kTwo, 7));
  two.Begin(VoteFor(kTwo, 7));
  EXPECT_EQ(one.OnLooking(kTwo, LookingWith(two)), Election::Effect::kTell);
  EXPECT_EQ(one.round(), 2u);
  EXPECT_EQ(one.vote().leader, kOne);
}

}  // namespace
}  // namespace quorate::consensus::zab
