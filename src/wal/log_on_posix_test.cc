// The log on the real disk.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "env/posix/posix_disk.h"
#include "wal/log_testing.h"

namespace quorate::wal {
namespace {

using consensus::PutEntry;
using consensus::TruncateAfter;
using testing::HasSubstr;

constexpr GroupId kGroup(1);

class LogOnPosixDisk : public testing::Test {
 protected:
  void SetUp() override {
    root_ = (std::filesystem::temp_directory_path() / "quorate_log_XXXXXX").string();
    ASSERT_NE(::mkdtemp(root_.data()), nullptr);
    Reopen();
  }
  void TearDown() override {
    log_.reset();
    disk_.reset();
    std::filesystem::remove_all(root_);
  }
  void Reopen() {
    log_.reset();
    disk_.reset();
    disk_ = std::move(*env::PosixDisk::Open(root_, executor_));
    log_ = MustOpen(*disk_, executor_);
    ASSERT_NE(log_, nullptr);
    seq_ = done_ = 0;
  }
  void Submit(std::vector<consensus::LogOp> ops, std::optional<std::string> hard_state = std::nullopt) {
    const std::uint64_t seq = ++seq_;
    log_->Submit(kGroup, MakeBatch(seq, std::move(ops), std::move(hard_state)),
                 [this, seq] { EXPECT_EQ(++done_, seq); });
  }
  bool WaitForAll() {
    return executor_.RunUntil([this] { return done_ == seq_; });
  }
  std::vector<consensus::Entry> Load(std::uint64_t first, std::uint64_t last) {
    std::optional<std::vector<consensus::Entry>> loaded;
    log_->Load(kGroup, {LogIndex(first), LogIndex(last), 1 << 20},
               [&](std::vector<consensus::Entry> entries) { loaded = std::move(entries); });
    EXPECT_TRUE(executor_.RunUntil([&] { return loaded.has_value(); }));
    return *loaded;
  }

  env::QueueExecutor executor_;
  std::string root_;
  std::unique_ptr<env::PosixDisk> disk_;
  std::unique_ptr<Log> log_;
  std::uint64_t seq_ = 0;
  std::uint64_t done_ = 0;
};

TEST_F(LogOnPosixDisk, RoundTripThroughManySegmentsWithTruncationAndHardState) {
  EXPECT_TRUE(log_->fresh());
  std::vector<consensus::Entry> expected;
  for (std::uint64_t i = 1; i <= 300; ++i) {
    expected.push_back(MakeEntry(i, std::string(500, static_cast<char>('a' + i % 26))));
    Submit({PutEntry{expected.back()}}, "state " + std::to_string(i));
    ASSERT_TRUE(i % 3 != 0 || WaitForAll());
  }
  Submit({TruncateAfter{LogIndex(299)}, PutEntry{MakeEntry(300, "new", 2)}});
  expected.back() = MakeEntry(300, "new", 2);
  ASSERT_TRUE(WaitForAll());
  EXPECT_GE(log_->stats().segments, 8u);
  EXPECT_LT(log_->stats().syncs, 301u);
  EXPECT_EQ(Load(1, 300), expected);
  EXPECT_TRUE(log_->Close().ok());
  for (int start = 0; start < 2; ++start) {
    Reopen();
    EXPECT_FALSE(log_->fresh());
    EXPECT_EQ(log_->incarnation(), Incarnation(2 + static_cast<std::uint64_t>(start)));
    EXPECT_EQ(Load(1, 300), expected);
    const consensus::Recovered found = log_->TakeRecovered(kGroup);
    EXPECT_EQ(found.log, expected);
    EXPECT_EQ(found.hard_state->view(), "state 300");
  }
}

TEST_F(LogOnPosixDisk, ALogThatGoesDuringAWriteIsFoundAgain) {
  for (std::uint64_t i = 1; i <= 20; ++i) Submit({PutEntry{MakeEntry(i, "x")}});
  Reopen();
  const std::size_t found = log_->TakeRecovered(kGroup).log.size();
  EXPECT_TRUE(found == 0 || found == 1) << "the first write held one batch, and none was acknowledged";
}

TEST_F(LogOnPosixDisk, WhatIsReleasedGoesInTheBackgroundAndTheRestIsFoundAgain) {
  consensus::SnapshotMeta meta;
  meta.members.voters = {ReplicaId(3)};
  std::vector<consensus::Entry> expected;
  for (std::uint64_t i = 1; i <= 400; ++i) {
    expected.push_back(MakeEntry(i, std::string(500, 'x')));
    Submit({PutEntry{expected.back()}}, "state " + std::to_string(i));
    ASSERT_TRUE(i % 4 != 0 || WaitForAll());
    if (i % 50 != 0) continue;
    meta.last = LogIndex(i - 10);
    log_->Release(kGroup, meta);
  }
  ASSERT_TRUE(WaitForAll());
  executor_.RunTimers();
  ASSERT_TRUE(executor_.RunUntil([this] {
    executor_.RunTimers();
    return log_->stats().segments <= 3;
  }));
  EXPECT_GE(log_->stats().released, 8u);
  EXPECT_TRUE(log_->Close().ok());
  Reopen();
  const consensus::Recovered found = log_->TakeRecovered(kGroup);
  EXPECT_EQ(found.snapshot, meta);
  EXPECT_EQ(found.log, std::vector<consensus::Entry>(expected.begin() + 390, expected.end()));
}

TEST_F(LogOnPosixDisk, ASecondServerIsRefusedAndToldWhoHoldsTheDirectory) {
  Result<std::unique_ptr<env::PosixDisk>> other = env::PosixDisk::Open(root_, executor_);
  const Result<std::unique_ptr<Log>> log = Log::Open(**other, executor_, TestOptions());
  EXPECT_EQ(log.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(log.status().message(), HasSubstr(root_ + "/wal/lock: process "));
}

TEST_F(LogOnPosixDisk, DamageIsRefusedAndATornTailIsCut) {
  for (std::uint64_t i = 1; i <= 3; ++i) {
    Submit({PutEntry{MakeEntry(i, std::string(100, 'x'))}});
    ASSERT_TRUE(WaitForAll());
  }
  log_.reset();
  const std::string path = root_ + "/wal/0000000001.segment";
  const auto flip = [&](std::streamoff at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const char old = static_cast<char>(file.get());
    file.seekp(at);
    file.put(static_cast<char>(old ^ 1));
  };
  constexpr std::streamoff kInTheFirstBatch = 64 + 48 + 60;  // behind the segment's header and the start's own write
  flip(kInTheFirstBatch);
  Result<std::unique_ptr<Log>> log = Log::Open(*disk_, executor_, TestOptions());
  EXPECT_EQ(log.status().code(), StatusCode::kDataLoss);
  EXPECT_THAT(log.status().message(), HasSubstr("wal/0000000001.segment: offset 112: "));
  flip(kInTheFirstBatch);
  std::ifstream file(path, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  flip(static_cast<std::streamoff>(content.find_last_not_of('\0')));
  Reopen();
  EXPECT_EQ(log_->TakeRecovered(kGroup).log.size(), 2u);
}

}  // namespace
}  // namespace quorate::wal
