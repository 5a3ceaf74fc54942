#include "sim/checkers.h"

#include <gtest/gtest.h>

namespace quorate::sim {
namespace {

consensus::Entry MakeEntry(std::uint64_t index, std::uint64_t term, const std::string& payload) {
  consensus::Entry entry;
  entry.index = LogIndex(index);
  entry.ballot.number = term;
  entry.kind = consensus::EntryKind::kCommand;
  entry.payload = Bytes::Copy(payload);
  return entry;
}

constexpr ReplicaId kOne{1}, kTwo{2};

TEST(LogAgreementChecker, AcceptsTheSameStreamOnEveryMember) {
  LogAgreementChecker checker;
  for (const ReplicaId member : {kOne, kTwo}) {
    EXPECT_FALSE(checker.OnDecided(member, MakeEntry(1, 1, "a")));
    EXPECT_FALSE(checker.OnDecided(member, MakeEntry(2, 1, "b")));
  }
  EXPECT_EQ(checker.longest(), LogIndex(2));
}

TEST(LogAgreementChecker, FindsAnotherEntryAtTheSameIndex) {
  LogAgreementChecker checker;
  EXPECT_FALSE(checker.OnDecided(kOne, MakeEntry(1, 1, "a")));
  EXPECT_TRUE(checker.OnDecided(kTwo, MakeEntry(1, 1, "b")));
}

TEST(LogAgreementChecker, FindsTheSamePayloadUnderAnotherTerm) {
  LogAgreementChecker checker;
  EXPECT_FALSE(checker.OnDecided(kOne, MakeEntry(1, 1, "a")));
  EXPECT_TRUE(checker.OnDecided(kTwo, MakeEntry(1, 2, "a")));
}

TEST(LogAgreementChecker, FindsAGapAndARepeat) {
  LogAgreementChecker checker;
  EXPECT_FALSE(checker.OnDecided(kOne, MakeEntry(1, 1, "a")));
  EXPECT_TRUE(checker.OnDecided(kOne, MakeEntry(3, 1, "c")));
  LogAgreementChecker other;
  EXPECT_FALSE(other.OnDecided(kOne, MakeEntry(1, 1, "a")));
  EXPECT_TRUE(other.OnDecided(kOne, MakeEntry(1, 1, "a")));
}

TEST(LogAgreementChecker, ARestartedMemberGoesThroughTheStreamAgain) {
  LogAgreementChecker checker;
  EXPECT_FALSE(checker.OnDecided(kOne, MakeEntry(1, 1, "a")));
  checker.OnStart(kOne, LogIndex(0));
  EXPECT_FALSE(checker.OnDecided(kOne, MakeEntry(1, 1, "a")));
  checker.OnStart(kOne, LogIndex(0));
  EXPECT_TRUE(checker.OnDecided(kOne, MakeEntry(1, 1, "z")));
}

TEST(OneLeaderChecker, FindsTwoLeadersOfOneTerm) {
  OneLeaderChecker checker;
  consensus::Leadership leads{consensus::Role::kLeader, {3, {}}, kOne, true};
  EXPECT_FALSE(checker.OnLeadership(kOne, leads));
  EXPECT_FALSE(checker.OnLeadership(kOne, leads));
  EXPECT_TRUE(checker.OnLeadership(kTwo, leads));
  leads.ballot.number = 4;
  EXPECT_FALSE(checker.OnLeadership(kTwo, leads));
  EXPECT_EQ(checker.elections(), 2u);
}

TEST(OneLeaderChecker, FollowersOfATermAreMany) {
  OneLeaderChecker checker;
  const consensus::Leadership follows{consensus::Role::kFollower, {3, {}}, kOne, true};
  EXPECT_FALSE(checker.OnLeadership(kOne, follows));
  EXPECT_FALSE(checker.OnLeadership(kTwo, follows));
}

TEST(StateHashChecker, FindsOneIndexWithTwoHashes) {
  StateHashChecker checker;
  EXPECT_FALSE(checker.OnHash(kOne, LogIndex(5), 77));
  EXPECT_FALSE(checker.OnHash(kTwo, LogIndex(5), 77));
  EXPECT_FALSE(checker.OnHash(kTwo, LogIndex(6), 78));
  EXPECT_TRUE(checker.OnHash(kOne, LogIndex(6), 79));
}

TEST(AppliedRevisionChecker, FindsAFallAndADifference) {
  AppliedRevisionChecker checker;
  EXPECT_FALSE(checker.OnApplied(kOne, LogIndex(1), 1));
  EXPECT_FALSE(checker.OnApplied(kOne, LogIndex(2), 2));
  EXPECT_FALSE(checker.OnApplied(kTwo, LogIndex(1), 1));
  EXPECT_TRUE(checker.OnApplied(kTwo, LogIndex(2), 3));
  EXPECT_TRUE(checker.OnApplied(kOne, LogIndex(3), 1));
}

Operation Good(OperationKind kind, std::uint64_t from, std::uint64_t to, const std::string& value, Revision revision) {
  Operation operation;
  operation.kind = kind;
  operation.key = std::string("k");
  operation.invoked_ns = from;
  operation.returned_ns = to;
  operation.fate = OperationFate::kGood;
  operation.value = value;
  operation.revision = revision;
  return operation;
}

TEST(CheckRevisions, AcceptsRisingOnes) {
  EXPECT_FALSE(CheckRevisions({Good(OperationKind::kPut, 1, 2, "a", 2), Good(OperationKind::kPut, 3, 4, "b", 3),
                               Good(OperationKind::kGet, 5, 6, "", 3)}));
}

TEST(CheckRevisions, FindsAReuse) {
  EXPECT_TRUE(CheckRevisions({Good(OperationKind::kPut, 1, 9, "a", 2), Good(OperationKind::kPut, 1, 9, "b", 2)}));
}

TEST(CheckRevisions, FindsOneThatWentBackInRealTime) {
  EXPECT_TRUE(CheckRevisions({Good(OperationKind::kPut, 1, 2, "a", 5), Good(OperationKind::kGet, 3, 4, "", 4)}));
  EXPECT_FALSE(CheckRevisions({Good(OperationKind::kPut, 1, 3, "a", 5), Good(OperationKind::kGet, 3, 4, "", 4)}));
}

TEST(CheckRevisions, FindsAValueSeenUnderTwoRevisions) {
  Operation first = Good(OperationKind::kGet, 1, 2, "", 5);
  first.seen = SeenValue{"a", 4};
  Operation second = Good(OperationKind::kGet, 3, 4, "", 6);
  second.seen = SeenValue{"a", 6};
  EXPECT_TRUE(CheckRevisions({first, second}));
}

TEST(CheckDurability, FindsALostAndAChangedWrite) {
  const History history{Good(OperationKind::kPut, 1, 2, "a", 2)};
  const auto finds = [&](std::optional<SeenValue> found) {
    return CheckDurability(history, kOne, 0, [&](const std::string&, Revision) { return found; }).has_value();
  };
  EXPECT_FALSE(finds(SeenValue{"a", 2}));
  EXPECT_TRUE(finds(std::nullopt));
  EXPECT_TRUE(finds(SeenValue{"b", 2}));
  EXPECT_TRUE(finds(SeenValue{"a", 3}));
}

TEST(CheckDurability, LooksAtAcknowledgedWritesAboveTheCompactionOnly) {
  History history{Good(OperationKind::kPut, 1, 2, "a", 2), Good(OperationKind::kPut, 3, 4, "b", 3)};
  history[1].fate = OperationFate::kUnknown;
  const ReadAt nothing = [](const std::string&, Revision) { return std::nullopt; };
  EXPECT_TRUE(CheckDurability(history, kOne, 0, nothing));
  EXPECT_FALSE(CheckDurability(history, kOne, 2, nothing));
}

}  // namespace
}  // namespace quorate::sim
