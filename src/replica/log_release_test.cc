#include "replica/log_release.h"

#include <gtest/gtest.h>

namespace quorate::replica {
namespace {

// Entries of 10 bytes each.
class LogReleaseTest : public ::testing::Test {
 protected:
  void Fill(std::uint64_t upto) {
    for (std::uint64_t i = filled_ + 1; i <= upto; ++i) release_.Note(LogIndex(i), 10);
    filled_ = upto;
  }

  LogRelease release_{{.keep_bytes = 500, .keep_always_bytes = 100, .step_bytes = 80}};
  std::uint64_t filled_ = 0;
};

TEST_F(LogReleaseTest, NothingAboveTheFlushedIndexEverGoes) {
  Fill(1'000);
  EXPECT_FALSE(release_.Worth(LogIndex(0)));
  const auto point = release_.Decide(LogIndex(40), std::nullopt, std::nullopt);
  ASSERT_TRUE(point);
  EXPECT_EQ(point->covered, LogIndex(40));
  EXPECT_EQ(point->keep_from, LogIndex(41));
}

TEST_F(LogReleaseTest, TheLastBytesAlwaysStayForAMemberThatRestarts) {
  Fill(100);
  const auto point = release_.Decide(LogIndex(100), std::nullopt, std::nullopt);
  ASSERT_TRUE(point);
  EXPECT_EQ(point->covered, LogIndex(100));
  EXPECT_EQ(point->keep_from, LogIndex(91));
}

TEST_F(LogReleaseTest, AFollowerThatIsBehindKeepsWhatItNeeds) {
  Fill(100);
  const auto point = release_.Decide(LogIndex(100), LogIndex(60), std::nullopt);
  ASSERT_TRUE(point);
  EXPECT_EQ(point->keep_from, LogIndex(61));
}

TEST_F(LogReleaseTest, ButNeverMoreThanTheCap) {
  Fill(1'000);
  const auto point = release_.Decide(LogIndex(1'000), LogIndex(1), std::nullopt);
  ASSERT_TRUE(point);
  EXPECT_EQ(point->keep_from, LogIndex(951));
  EXPECT_EQ(release_.start(), LogIndex(950));
}

TEST_F(LogReleaseTest, WhatFollowsASnapshotThatIsBeingSentStaysAsLongAsItIsNotMoreThanTheCapAndItsSize) {
  Fill(1'000);
  const SnapshotsUnderWay sending{LogIndex(930), 300};
  auto point = release_.Decide(LogIndex(1'000), LogIndex(0), sending);
  ASSERT_TRUE(point);
  EXPECT_EQ(point->keep_from, LogIndex(931)) << "or the follower would need another snapshot when this one arrives";
  Fill(2'000);
  point = release_.Decide(LogIndex(2'000), LogIndex(0), sending);
  ASSERT_TRUE(point);
  EXPECT_EQ(point->keep_from, LogIndex(1'921)) << "500 and 300 bytes";
}

TEST_F(LogReleaseTest, LessThanAStepIsNotWorthARecord) {
  Fill(100);
  ASSERT_TRUE(release_.Decide(LogIndex(100), std::nullopt, std::nullopt));
  Fill(107);
  EXPECT_FALSE(release_.Worth(LogIndex(107)));
  EXPECT_FALSE(release_.Decide(LogIndex(107), std::nullopt, std::nullopt));
  Fill(108);
  EXPECT_TRUE(release_.Worth(LogIndex(108)));
  EXPECT_TRUE(release_.Decide(LogIndex(108), std::nullopt, std::nullopt));
}

TEST_F(LogReleaseTest, WhatWasReleasedDoesNotComeBackWhenAFollowerFallsBehind) {
  Fill(200);
  ASSERT_TRUE(release_.Decide(LogIndex(200), std::nullopt, std::nullopt));
  Fill(300);
  const auto point = release_.Decide(LogIndex(300), LogIndex(5), std::nullopt);
  ASSERT_TRUE(point);
  EXPECT_EQ(point->keep_from, LogIndex(251));
  Fill(320);
  ASSERT_TRUE(release_.Decide(LogIndex(320), LogIndex(5), std::nullopt));
  EXPECT_GE(release_.start(), LogIndex(250));
}

TEST_F(LogReleaseTest, AfterASnapshotTheLogBeginsThere) {
  Fill(100);
  release_.Restart(LogIndex(500));
  filled_ = 500;
  EXPECT_FALSE(release_.Worth(LogIndex(500)));
  Fill(520);
  const auto point = release_.Decide(LogIndex(520), std::nullopt, std::nullopt);
  ASSERT_TRUE(point);
  EXPECT_EQ(point->keep_from, LogIndex(511));
}

}  // namespace
}  // namespace quorate::replica
