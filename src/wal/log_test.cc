#include "wal/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wal/log_testing.h"

namespace quorate::wal {
namespace {

using consensus::Entry;
using consensus::InstallSnapshot;
using consensus::PutEntry;
using consensus::TruncateAfter;
using testing::ElementsAre;

constexpr GroupId kGroup(1);

class LogTest : public testing::Test {
 protected:
  void Reopen() {
    log_.reset();
    log_ = MustOpen(disk_, executor_, options_);
    ASSERT_NE(log_, nullptr);
    seq_ = 0;
  }
  void Submit(std::vector<consensus::LogOp> ops, std::optional<std::string> hard_state = std::nullopt, bool sync = true,
              GroupId group = kGroup) {
    const std::uint64_t seq = ++seq_;
    log_->Submit(group, MakeBatch(seq, std::move(ops), std::move(hard_state), sync), [this, seq] {
      done_.push_back(seq);
      disk_.Note("done " + std::to_string(seq));
    });
  }
  void Put(std::uint64_t index, std::string payload, std::uint64_t term = 1) {
    Submit({PutEntry{MakeEntry(index, std::move(payload), term)}});
  }
  std::vector<Entry> Load(std::uint64_t first, std::uint64_t last, std::uint64_t bytes_max = 1 << 20,
                          GroupId group = kGroup) {
    std::optional<std::vector<Entry>> loaded;
    log_->Load(group, {LogIndex(first), LogIndex(last), bytes_max},
               [&](std::vector<Entry> entries) { loaded = std::move(entries); });
    EXPECT_FALSE(loaded.has_value()) << "answered from inside the call";
    executor_.RunDue();
    EXPECT_TRUE(loaded.has_value());
    return loaded.value_or(std::vector<Entry>{});
  }

  ManualExecutor executor_;
  env::MemoryDisk disk_{executor_, 1};
  LogOptions options_ = TestOptions();
  std::unique_ptr<Log> log_;
  std::vector<std::uint64_t> done_;
  std::uint64_t seq_ = 0;
};

TEST_F(LogTest, AnEmptyDirectoryIsFreshOnce) {
  Reopen();
  EXPECT_TRUE(log_->fresh());
  EXPECT_EQ(log_->incarnation(), Incarnation(1));
  EXPECT_FALSE(log_->TakeRecovered(kGroup).hard_state.has_value());
  Reopen();
  EXPECT_FALSE(log_->fresh());
  EXPECT_EQ(log_->incarnation(), Incarnation(2));
}

TEST_F(LogTest, WhatWasSubmittedIsRecovered) {
  Reopen();
  Submit({PutEntry{MakeEntry(1, "one")}, PutEntry{MakeEntry(2, "two")}}, "vote 7");
  Put(3, "");
  executor_.RunDue();
  EXPECT_THAT(done_, ElementsAre(1, 2));
  disk_.Crash(env::Survival::kNothing);
  Reopen();
  const consensus::Recovered found = log_->TakeRecovered(kGroup);
  EXPECT_EQ(found.hard_state->view(), "vote 7");
  EXPECT_THAT(found.log, ElementsAre(MakeEntry(1, "one"), MakeEntry(2, "two"), MakeEntry(3, "")));
}

TEST_F(LogTest, WhatIsQueuedDuringASyncSharesTheNextOne) {
  Reopen();
  Put(1, "first");
  for (std::uint64_t i = 2; i <= 50; ++i) Put(i, "entry");
  EXPECT_TRUE(done_.empty());
  executor_.RunDue();
  EXPECT_EQ(done_.size(), 50u);
  EXPECT_TRUE(std::is_sorted(done_.begin(), done_.end()));
  EXPECT_EQ(log_->stats().batches, 50u);
  EXPECT_EQ(log_->stats().syncs, 2u);
}

TEST_F(LogTest, AFullSegmentIsFollowedByTheNextAndAllIsRecovered) {
  Reopen();
  std::vector<Entry> expected;
  for (std::uint64_t i = 1; i <= 200; ++i) {
    expected.push_back(MakeEntry(i, std::string(1000, static_cast<char>('a' + i % 26))));
    Submit({PutEntry{expected.back()}}, "state " + std::to_string(i));
    executor_.RunDue();
  }
  EXPECT_EQ(done_.size(), 200u);
  EXPECT_GE(log_->stats().segments, 12u);
  EXPECT_EQ(Load(1, 200), expected);
  disk_.Crash(env::Survival::kNothing);
  Reopen();
  EXPECT_EQ(Load(1, 200), expected);
  const consensus::Recovered found = log_->TakeRecovered(kGroup);
  EXPECT_EQ(found.log, expected);
  EXPECT_EQ(found.hard_state->view(), "state 200");
}

TEST_F(LogTest, LoadKeepsToItsBoundsButGivesAtLeastOneEntry) {
  Reopen();
  for (std::uint64_t i = 1; i <= 10; ++i) Put(i, std::string(100, 'x'));
  executor_.RunDue();
  EXPECT_EQ(Load(3, 5).size(), 3u);
  EXPECT_EQ(Load(3, 10, 250).size(), 2u);
  EXPECT_EQ(Load(3, 10, 0).size(), 1u);
  EXPECT_EQ(Load(8, 99).size(), 3u);
  EXPECT_TRUE(Load(11, 12).empty());
  EXPECT_TRUE(Load(1, 2, 1 << 20, GroupId(9)).empty());
}

TEST_F(LogTest, LoadSeesEverythingSubmittedBeforeIt) {
  Reopen();
  Put(1, "old");
  Put(1, "new", 2);
  EXPECT_THAT(Load(1, 1), ElementsAre(MakeEntry(1, "new", 2)));
  Submit({PutEntry{MakeEntry(2, "two")}}, std::nullopt, /*sync=*/false);
  EXPECT_THAT(Load(2, 2), ElementsAre(MakeEntry(2, "two")));
}

TEST_F(LogTest, TruncationAndOverwritingAreRecoveredAndLoaded) {
  Reopen();
  for (std::uint64_t i = 1; i <= 5; ++i) Put(i, "old");
  Submit({TruncateAfter{LogIndex(2)}, PutEntry{MakeEntry(3, "new", 2)}});
  Put(1, "again", 3);
  executor_.RunDue();
  const std::vector<Entry> expected = {MakeEntry(1, "again", 3), MakeEntry(2, "old"), MakeEntry(3, "new", 2)};
  EXPECT_EQ(Load(1, 9), expected);
  disk_.Crash(env::Survival::kNothing);
  Reopen();
  EXPECT_EQ(Load(1, 9), expected);
  EXPECT_EQ(log_->TakeRecovered(kGroup).log, expected);
}

TEST_F(LogTest, HolesAreLegalAndMayBeFilled) {
  Reopen();
  Put(3, "three");
  Put(6, "six");
  Put(4, "four");
  executor_.RunDue();
  const std::vector<Entry> expected = {MakeEntry(3, "three"), MakeEntry(4, "four"), MakeEntry(6, "six")};
  EXPECT_EQ(Load(3, 9), expected);
  Reopen();
  EXPECT_EQ(log_->TakeRecovered(kGroup).log, expected);
}

TEST_F(LogTest, AnInstalledSnapshotReplacesTheLog) {
  Reopen();
  for (std::uint64_t i = 1; i <= 5; ++i) Put(i, "old");
  consensus::SnapshotMeta meta;
  meta.id = 9;
  meta.last = LogIndex(100);
  meta.ballot = {4, ReplicaId(2)};
  meta.members.voters = {ReplicaId(1), ReplicaId(2), ReplicaId(3)};
  meta.members.learners = {ReplicaId(4)};
  Submit({InstallSnapshot{meta}}, "term 4");
  Put(101, "after", 4);
  executor_.RunDue();
  EXPECT_TRUE(Load(5, 5).empty());
  Reopen();
  const consensus::Recovered found = log_->TakeRecovered(kGroup);
  EXPECT_EQ(found.snapshot, meta);
  EXPECT_EQ(found.hard_state->view(), "term 4");
  EXPECT_THAT(found.log, ElementsAre(MakeEntry(101, "after", 4)));
}

TEST_F(LogTest, WhatFollowsASnapshotInItsBatchSurvivesItAndOverwritingLeavesTheOthersAlone) {
  Reopen();
  Put(3, "below");
  Put(8, "accepted");
  Put(10, "accepted as well");
  consensus::SnapshotMeta meta;
  meta.last = LogIndex(7);
  meta.members.voters = {ReplicaId(1)};
  Submit({InstallSnapshot{meta}, PutEntry{MakeEntry(8, "accepted")}, PutEntry{MakeEntry(10, "accepted as well")}});
  Put(8, "of a higher ballot", 2);
  executor_.RunDue();
  disk_.Crash(env::Survival::kNothing);
  Reopen();
  EXPECT_THAT(log_->TakeRecovered(kGroup).log,
              ElementsAre(MakeEntry(8, "of a higher ballot", 2), MakeEntry(10, "accepted as well")));
  EXPECT_THAT(Load(8, 8), ElementsAre(MakeEntry(8, "of a higher ballot", 2)));
}

TEST_F(LogTest, GroupsShareTheLogAndAreKeptApart) {
  Reopen();
  for (std::uint64_t g = 1; g <= 3; ++g) {
    Submit({PutEntry{MakeEntry(1, "of " + std::to_string(g))}}, "state " + std::to_string(g), true, GroupId(g));
  }
  executor_.RunDue();
  Reopen();
  for (std::uint64_t g = 1; g <= 3; ++g) {
    const consensus::Recovered found = log_->TakeRecovered(GroupId(g));
    EXPECT_EQ(found.hard_state->view(), "state " + std::to_string(g));
    EXPECT_THAT(found.log, ElementsAre(MakeEntry(1, "of " + std::to_string(g))));
  }
}

TEST_F(LogTest, ABatchThatMayWaitRidesAlongWithTheNextThatSyncs) {
  Reopen();
  Submit({}, "commit 5", /*sync=*/false);
  executor_.RunDue();
  EXPECT_TRUE(done_.empty());
  EXPECT_EQ(log_->stats().syncs, 0u);
  Put(1, "x");
  executor_.RunDue();
  EXPECT_THAT(done_, ElementsAre(1, 2));
  EXPECT_EQ(log_->stats().syncs, 1u);
}

TEST_F(LogTest, ABatchThatMayWaitDoesNotWaitForEver) {
  Reopen();
  Submit({}, "commit 5", /*sync=*/false);
  executor_.RunFor(options_.mark_delay_ns);
  EXPECT_THAT(done_, ElementsAre(1));
}

TEST_F(LogTest, ALoneMarkFollowsTheLastBatch) {
  Reopen();
  Put(1, "x");
  executor_.RunDue();
  EXPECT_EQ(log_->stats().syncs, 1u);
  executor_.RunFor(options_.mark_delay_ns);
  EXPECT_EQ(log_->stats().syncs, 2u);
  executor_.RunFor(100 * options_.mark_delay_ns);
  EXPECT_EQ(log_->stats().syncs, 2u) << "an idle log stays idle";
  EXPECT_EQ(executor_.waiting(), 0u);
}

TEST_F(LogTest, EveryAckFollowsTheSyncThatCoversIt) {
  Reopen();
  disk_.SetJournal(true);
  disk_.SetLatency([](const std::string&, std::uint64_t) { return 90'000; });
  for (std::uint64_t i = 1; i <= 300; ++i) {
    Put(i, "payload <" + std::to_string(i) + ">");
    executor_.RunFor(i % 7 * 20'000);
  }
  executor_.RunFor(1'000'000'000);
  EXPECT_EQ(done_.size(), 300u);
  // Reads the disk's own journal: a write's bytes stand in the file, so each done is matched with the write that holds
  // its payload, and a sync of that file must stand between the two.
  std::size_t acks = 0;
  std::map<std::string, std::vector<env::DiskRecord>> unsynced;
  for (const env::DiskRecord& record : disk_.journal()) {
    if (record.op == env::DiskOp::kWrite) unsynced[record.path].push_back(record);
    if (record.op == env::DiskOp::kSync) unsynced[record.path].clear();
    if (record.op != env::DiskOp::kNote) continue;
    ++acks;
    const std::string payload = "payload <" + record.path.substr(std::string("done ").size()) + ">";
    for (const auto& [path, writes] : unsynced) {
      for (const env::DiskRecord& write : writes) {
        EXPECT_EQ(disk_.Content(path).substr(write.offset, write.length).find(payload), std::string::npos)
            << record.path << " came before the sync of the write at " << write.offset << " in " << path;
      }
    }
  }
  EXPECT_EQ(acks, 300u);
}

TEST_F(LogTest, AFailedSyncStopsTheLogForGood) {
  std::vector<std::string> failures;
  options_.on_failure = [&](const Status& status) { failures.push_back(status.message()); };
  Reopen();
  disk_.FailSyncs("wal/0000000001.segment", 1, Status::Unavailable("wal/0000000001.segment: Input/output error"));
  Put(1, "lost");
  executor_.RunDue();
  Put(2, "refused");
  executor_.RunFor(1'000'000'000);
  EXPECT_TRUE(done_.empty());
  EXPECT_THAT(failures, ElementsAre("wal/0000000001.segment: Input/output error"));
}

TEST_F(LogTest, NothingIsCalledAfterTheLogIsGone) {
  Reopen();
  Put(1, "x");
  log_.reset();
  executor_.RunFor(1'000'000'000);
  EXPECT_TRUE(done_.empty());
}

}  // namespace
}  // namespace quorate::wal
