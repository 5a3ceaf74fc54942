// Releasing the log: what a start finds, what can still be loaded, which files go, what a full disk does, what is kept.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>

#include "wal/archive.h"
#include "wal/format.h"
#include "wal/log_testing.h"

namespace quorate::wal {
namespace {

using consensus::Entry;
using consensus::PutEntry;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr GroupId kGroup(1);
constexpr GroupId kQuiet(2);
constexpr std::uint64_t kSecond = 1'000'000'000;

class SettableClock final : public env::Clock {
 public:
  std::uint64_t MonotonicNs() const override { return 0; }
  std::int64_t WallNs() const override { return now_seconds * static_cast<std::int64_t>(kSecond); }
  std::int64_t now_seconds = 1'000;
};

consensus::SnapshotMeta MetaAt(std::uint64_t index) {
  consensus::SnapshotMeta meta;
  meta.last = LogIndex(index);
  meta.ballot = {1, {}};
  meta.members.voters = {ReplicaId(3)};
  return meta;
}

class ReleaseTest : public testing::Test {
 protected:
  ReleaseTest() {
    options_.segment_bytes = 4 << 10;
    options_.clock = &clock_;
    options_.on_space = [this](bool low) { space_.push_back(low); };
  }
  void Open() {
    log_.reset();
    log_ = MustOpen(disk_, executor_, options_);
    ASSERT_NE(log_, nullptr);
    seqs_.clear();
    executor_.RunDue();
  }
  // Entries up to `last`, one batch and write each.
  void PutUpTo(std::uint64_t last, std::size_t bytes = 500, GroupId group = kGroup) {
    for (LogIndex& at = lasts_[group]; at < LogIndex(last);) {
      at = at.Next();
      entries_[group].push_back(MakeEntry(at.value, std::string(bytes, static_cast<char>('a' + at.value % 26))));
      log_->Submit(group,
                   MakeBatch(++seqs_[group], {PutEntry{entries_[group].back()}}, "state " + std::to_string(at.value)),
                   [this] { ++done_; });
      executor_.RunDue();
    }
  }
  void Settle() { executor_.RunFor(kSecond / 2); }
  std::vector<Entry> Load(std::uint64_t first, std::uint64_t last, GroupId group = kGroup) {
    std::vector<Entry> loaded;
    log_->Load(group, {LogIndex(first), LogIndex(last), 1 << 20},
               [&](std::vector<Entry> found) { loaded = std::move(found); });
    executor_.RunDue();
    return loaded;
  }
  std::vector<Entry> Written(std::uint64_t first, std::uint64_t last, GroupId group = kGroup) {
    const std::vector<Entry>& all = entries_[group];
    return {all.begin() + static_cast<std::ptrdiff_t>(first - 1), all.begin() + static_cast<std::ptrdiff_t>(last)};
  }
  std::vector<std::string> Segments(const std::string& directory = "wal") {
    std::vector<std::string> names = disk_.List(directory).value();
    std::erase_if(names, [](const std::string& name) { return name.find(".segment") == std::string::npos; });
    return names;
  }

  ManualExecutor executor_;
  env::MemoryDisk disk_{executor_, 1};
  SettableClock clock_;
  LogOptions options_ = TestOptions();
  std::unique_ptr<Log> log_;
  std::map<GroupId, std::uint64_t> seqs_;
  std::map<GroupId, LogIndex> lasts_;
  std::map<GroupId, std::vector<Entry>> entries_;
  std::uint64_t done_ = 0;
  std::vector<bool> space_;
};

TEST_F(ReleaseTest, AStartFindsTheReleasesSnapshotAndTheLogAfterIt) {
  Open();
  PutUpTo(60);
  log_->Release(kGroup, MetaAt(50));
  Settle();
  EXPECT_EQ(log_->first(kGroup), LogIndex(51));
  EXPECT_THAT(Load(50, 60), IsEmpty());
  EXPECT_EQ(Load(51, 60), Written(51, 60));
  EXPECT_LE(log_->stats().segments, 4u);
  EXPECT_GE(log_->stats().released, 5u);
  EXPECT_EQ(Segments().size(), log_->stats().segments);
  disk_.Crash(env::Survival::kNothing);
  Open();
  const consensus::Recovered found = log_->TakeRecovered(kGroup);
  EXPECT_EQ(found.snapshot, MetaAt(50));
  EXPECT_EQ(found.log, Written(51, 60));
  EXPECT_EQ(found.hard_state->view(), "state 60");
  EXPECT_EQ(log_->first(kGroup), LogIndex(51));
}

TEST_F(ReleaseTest, AReleaseThatWasNotYetDurableIsAsIfItHadNotBeen) {
  Open();
  PutUpTo(20);
  log_->Release(kGroup, MetaAt(15));
  disk_.Crash(env::Survival::kNothing);
  Open();
  EXPECT_EQ(log_->TakeRecovered(kGroup).log, Written(1, 20));
}

TEST_F(ReleaseTest, WhatFollowersNeedStaysUntilItIsGivenUp) {
  Open();
  PutUpTo(60);
  const std::uint64_t segments = log_->stats().segments;
  log_->Release(kGroup, MetaAt(60), LogIndex(5));
  Settle();
  EXPECT_EQ(log_->stats().segments, segments);
  EXPECT_EQ(Load(5, 60), Written(5, 60));
  EXPECT_THAT(Load(4, 60), IsEmpty());
  log_->Release(kGroup, MetaAt(60), LogIndex(58));
  Settle();
  EXPECT_LE(log_->stats().segments, 3u);
  EXPECT_EQ(Load(58, 60), Written(58, 60));
}

TEST_F(ReleaseTest, AReleaseBeyondTheLogOrBehindTheLastOneIsIgnored) {
  Open();
  PutUpTo(20);
  log_->Release(kGroup, MetaAt(10));
  log_->Release(kGroup, MetaAt(21));
  log_->Release(kGroup, MetaAt(5));
  Settle();
  Open();
  const consensus::Recovered found = log_->TakeRecovered(kGroup);
  EXPECT_EQ(found.snapshot, MetaAt(10));
  EXPECT_EQ(found.log, Written(11, 20));
}

TEST_F(ReleaseTest, EntriesOfAQuietGroupAreRewrittenForwardSoThatItPinsNothing) {
  Open();
  PutUpTo(3, 20, kQuiet);
  for (std::uint64_t last = 10; last <= 200; last += 10) {
    PutUpTo(last);
    log_->Release(kGroup, MetaAt(last - 5));
    Settle();
  }
  EXPECT_GE(log_->stats().rewritten, 3u);
  EXPECT_LE(log_->stats().segments, 8u);
  EXPECT_EQ(Load(1, 3, kQuiet), Written(1, 3, kQuiet));
  disk_.Crash(env::Survival::kNothing);
  Open();
  const consensus::Recovered found = log_->TakeRecovered(kQuiet);
  EXPECT_EQ(found.log, Written(1, 3, kQuiet));
  EXPECT_EQ(found.hard_state->view(), "state 3");
}

TEST_F(ReleaseTest, RewritingForwardKeepsHolesAndBringsBackNothingThatWasOverwritten) {
  Open();
  PutUpTo(3, 20, kQuiet);
  const auto overwrite = [this](std::uint64_t index, std::uint64_t term) {
    log_->Submit(kQuiet, MakeBatch(++seqs_[kQuiet], {PutEntry{MakeEntry(index, "new", term)}}), [] {});
    executor_.RunDue();
  };
  for (std::uint64_t last = 10; last <= 400; last += 10) {
    PutUpTo(last);
    log_->Release(kGroup, MetaAt(last - 5));
    Settle();
    if (last % 70 == 0) overwrite(2, last);
    if (last == 200) overwrite(9, 2);
  }
  EXPECT_GE(log_->stats().rewritten, 3u);
  const std::vector<Entry> expected = {Written(1, 1, kQuiet)[0], MakeEntry(2, "new", 350), Written(3, 3, kQuiet)[0],
                                       MakeEntry(9, "new", 2)};
  EXPECT_EQ(Load(1, 9, kQuiet), expected);
  disk_.Crash(env::Survival::kNothing);
  Open();
  EXPECT_EQ(log_->TakeRecovered(kQuiet).log, expected);
}

TEST_F(ReleaseTest, AStartReadsOnlyWhatItNeedsAndLeavesOlderFilesUntilTheFirstRelease) {
  Open();
  PutUpTo(100);
  log_->Release(kGroup, MetaAt(95), LogIndex(1));
  PutUpTo(120);
  log_->Release(kGroup, MetaAt(118), LogIndex(1));
  PutUpTo(140);
  Settle();
  const std::size_t files = Segments().size();
  ASSERT_GE(files, 15u);
  // Older files are not looked at: damage in them is nothing to a start.
  disk_.Corrupt("wal/0000000002.segment", 0, 4'000);
  EXPECT_TRUE(disk_.Remove("wal/0000000004.segment").ok());
  Open();
  EXPECT_EQ(log_->TakeRecovered(kGroup).log, Written(119, 140));
  Settle();
  EXPECT_EQ(Segments().size(), files - 1);
  log_->Release(kGroup, MetaAt(139));
  Settle();
  EXPECT_LE(Segments().size(), 3u);
}

TEST_F(ReleaseTest, DamageInAReleasedEntryCostsAFollowerASnapshotAndNothingElse) {
  Open();
  PutUpTo(60);
  log_->Release(kGroup, MetaAt(50), LogIndex(1));
  Settle();
  disk_.Corrupt("wal/0000000001.segment", 1'000, 500);
  const std::vector<Entry> before = Load(1, 60);
  EXPECT_LT(before.size(), 5u);
  EXPECT_GT(log_->first(kGroup), LogIndex(before.size() + 1));
  EXPECT_THAT(Load(before.size() + 1, 60), IsEmpty());
  EXPECT_EQ(Load(20, 60), Written(20, 60));
}

TEST_F(ReleaseTest, DamageInAnEntryThatAStartNeedsStopsTheNode) {
  std::optional<Status> failure;
  options_.on_failure = [&](Status status) { failure = std::move(status); };
  Open();
  PutUpTo(60);
  disk_.Corrupt("wal/0000000001.segment", 1'000, 500);
  Load(1, 60);
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code(), StatusCode::kDataLoss);
}

TEST_F(ReleaseTest, AFullDiskIsAnnouncedTheReserveIsUsedAndRoomBringsItBack) {
  Open();
  PutUpTo(3);
  Settle();
  ASSERT_TRUE(disk_.Exists("wal/reserve"));
  disk_.SetCapacity(disk_.used() + 100);
  PutUpTo(12);  // into the prepared segment and the reserve
  EXPECT_THAT(space_, ElementsAre(true));
  EXPECT_TRUE(log_->low_on_space());
  EXPECT_TRUE(log_->stats().low_on_space);
  const std::uint64_t acknowledged = done_;
  EXPECT_GE(acknowledged, 11u);
  EXPECT_FALSE(disk_.Exists("wal/reserve"));
  PutUpTo(40);
  executor_.RunFor(10 * kSecond);
  EXPECT_LT(done_, 25u) << "what does not fit waits";
  disk_.SetCapacity(0);
  executor_.RunFor(3 * kSecond);
  EXPECT_EQ(done_, 40u);
  EXPECT_THAT(space_, ElementsAre(true, false));
  EXPECT_TRUE(disk_.Exists("wal/reserve"));
  disk_.Crash(env::Survival::kNothing);
  Open();
  EXPECT_EQ(log_->TakeRecovered(kGroup).log, Written(1, 40));
}

TEST(FullDisk, AStartLosesNothingAndWorksAtTheLatestWhenThereIsRoom) {
  for (std::uint64_t entries = 1; entries <= 24; ++entries) {
    ManualExecutor executor;
    env::MemoryDisk disk(executor, entries);
    LogOptions options = TestOptions();
    options.segment_bytes = 4 << 10;
    std::uint64_t done = 0;
    {
      const std::unique_ptr<Log> log = MustOpen(disk, executor, options);
      executor.RunDue();
      for (std::uint64_t i = 1; i <= entries; ++i) {
        if (i == entries / 2) disk.SetCapacity(disk.used() + 300);
        log->Submit(kGroup, MakeBatch(i, {PutEntry{MakeEntry(i, std::string(500, 'x'))}}), [&] { ++done; });
        executor.RunDue();
      }
    }
    disk.Crash(env::Survival::kTornSectors);
    for (int attempt = 0; attempt < 3; ++attempt) {
      disk.SetCapacity(attempt == 2 ? 0 : disk.used());
      const Result<std::unique_ptr<Log>> log = Log::Open(disk, executor, options);
      if (!log.ok()) {
        ASSERT_LT(attempt, 2) << log.status().message();
        EXPECT_EQ(log.status().code(), StatusCode::kResourceExhausted);
        EXPECT_THAT(log.status().message(), HasSubstr("No space left"));
        continue;
      }
      EXPECT_GE((*log)->TakeRecovered(kGroup).log.size(), done) << entries;
    }
  }
}

TEST_F(ReleaseTest, ReleasedSegmentsAreKeptForAsLongAsAskedAndReadBackAsOneHistory) {
  options_.retention_ns = 3'600 * kSecond;
  Open();
  PutUpTo(60);
  log_->Release(kGroup, MetaAt(50));
  Settle();
  const std::size_t kept = Segments("wal/archive").size();
  EXPECT_GE(kept, 5u);
  EXPECT_EQ(Segments("wal/archive").front(), "0000000001-1000.segment");
  PutUpTo(80);
  log_->Release(kGroup, MetaAt(75));
  Settle();
  EXPECT_TRUE(log_->Close().ok());
  {
    Result<std::unique_ptr<ArchiveReader>> reader = ArchiveReader::Open(disk_);
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    const ArchiveRange range = (*reader)->ranges().at(kGroup);
    EXPECT_EQ(range.first, LogIndex(1));
    EXPECT_EQ(range.last, LogIndex(80));
    EXPECT_EQ(range.snapshot, MetaAt(75));
    EXPECT_EQ((*reader)->identity(), options_.identity);
    EXPECT_EQ((*reader)->Read(kGroup, LogIndex(1), 1 << 20).value(), Written(1, 80));
    EXPECT_EQ((*reader)->Read(kGroup, LogIndex(30), 1'200).value().size(), 2u);
    EXPECT_THAT((*reader)->Read(kGroup, LogIndex(81), 1).value(), IsEmpty());
  }
  ASSERT_TRUE(disk_.Remove("wal/archive/" + Segments("wal/archive").at(2)).ok());
  {
    Result<std::unique_ptr<ArchiveReader>> reader = ArchiveReader::Open(disk_);
    ASSERT_TRUE(reader.ok()) << reader.status().message();
    EXPECT_THAT((*reader)->gap(), HasSubstr("0000000003.segment: the segment is missing"));
    const ArchiveRange range = (*reader)->ranges().at(kGroup);
    EXPECT_GT(range.first, LogIndex(15));
    EXPECT_EQ((*reader)->Read(kGroup, range.first, 1 << 20).value(), Written(range.first.value, 80));
    const Status below = (*reader)->Read(kGroup, LogIndex(1), 1).status();
    EXPECT_EQ(below.code(), StatusCode::kOutOfRange);
    EXPECT_THAT(below.message(), AllOf(HasSubstr("to 80 are"), HasSubstr("0000000003.segment")));
  }
  clock_.now_seconds += 2 * 3'600;
  lasts_[kGroup] = LogIndex(80);
  Open();
  PutUpTo(100);
  log_->Release(kGroup, MetaAt(95));
  Settle();
  for (const std::string& name : Segments("wal/archive")) EXPECT_THAT(name, HasSubstr("-8200.")) << "the old ones go";
}

TEST_F(ReleaseTest, TheArchiveGivesWhatTheLogSaysInTheEnd) {
  Open();
  PutUpTo(10);
  log_->Submit(kGroup, MakeBatch(11, {consensus::TruncateAfter{LogIndex(7)}, PutEntry{MakeEntry(8, "new", 2)}}), [] {});
  Settle();
  std::vector<Entry> expected = Written(1, 7);
  expected.push_back(MakeEntry(8, "new", 2));
  const Result<std::unique_ptr<ArchiveReader>> reader = ArchiveReader::Open(disk_);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->Read(kGroup, LogIndex(1), 1 << 20).value(), expected);
}

TEST_F(ReleaseTest, ARestoredLogBeginsWithItsSnapshot) {
  RestoredLog wanted;
  wanted.identity = options_.identity;
  wanted.group = kGroup;
  wanted.meta = MetaAt(1'000);
  wanted.segment_bytes = options_.segment_bytes;
  ASSERT_TRUE(CreateRestored(disk_, wanted).ok());
  EXPECT_EQ(CreateRestored(disk_, wanted).code(), StatusCode::kFailedPrecondition);
  disk_.Crash(env::Survival::kNothing);
  Open();
  EXPECT_FALSE(log_->fresh());
  EXPECT_EQ(log_->incarnation(), Incarnation(2));
  const consensus::Recovered found = log_->TakeRecovered(kGroup);
  EXPECT_EQ(found.snapshot, MetaAt(1'000));
  EXPECT_FALSE(found.hard_state.has_value());
  EXPECT_THAT(found.log, IsEmpty());
  EXPECT_EQ(log_->first(kGroup), LogIndex(1'001));
}

}  // namespace
}  // namespace quorate::wal
