// The contract of env::Disk, on both disks, and what is special to each.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "env/disk_testing.h"
#include "env/memory_disk.h"
#include "env/posix/posix_disk.h"

namespace quorate::env {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string NameOf(int i) {
  return std::string("f").append(std::to_string(i));
}

std::string MakeTemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "quorate_disk_XXXXXX").string();
  CHECK(::mkdtemp(name.data()) != nullptr);
  return name;
}

class DiskContract : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) == "memory") {
      disk_ = std::make_unique<MemoryDisk>(executor_, 1);
      return;
    }
    root_ = MakeTemporaryDirectory();
    Result<std::unique_ptr<PosixDisk>> opened = PosixDisk::Open(root_ + "/new/root", executor_);
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    disk_ = std::move(*opened);
  }
  void TearDown() override {
    disk_.reset();
    if (!root_.empty()) std::filesystem::remove_all(root_);
  }
  std::unique_ptr<File> MustCreate(const std::string& path) {
    Result<std::unique_ptr<File>> file = disk_->Create(path);
    EXPECT_TRUE(file.ok()) << file.status().message();
    return std::move(*file);
  }

  QueueExecutor executor_;
  std::string root_;
  std::unique_ptr<Disk> disk_;
};

TEST_P(DiskContract, WhatIsWrittenIsRead) {
  const std::unique_ptr<File> file = MustCreate("f");
  EXPECT_EQ(*file->Size(), 0u);
  EXPECT_TRUE(file->Write(3, "abc").ok());
  EXPECT_EQ(*file->Read(0, 100), std::string("\0\0\0abc", 6));
  EXPECT_TRUE(file->Write(4, "X").ok());
  EXPECT_EQ(*file->Read(3, 2), "aX");
  EXPECT_EQ(*file->Read(6, 5), "");
  EXPECT_TRUE(file->Sync().ok());
  const Result<std::unique_ptr<File>> again = disk_->Open("f");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*(*again)->Read(3, 3), "aXc");
}

TEST_P(DiskContract, PreallocatedRoomReadsAsZerosAndTruncationCuts) {
  const std::unique_ptr<File> file = MustCreate("f");
  EXPECT_TRUE(file->Preallocate(10'000).ok());
  EXPECT_EQ(*file->Size(), 10'000u);
  EXPECT_EQ(*file->Read(9'000, 2'000), std::string(1'000, '\0'));
  EXPECT_TRUE(file->Write(0, "abcdef").ok());
  EXPECT_TRUE(file->Preallocate(5'000).ok());
  EXPECT_EQ(*file->Size(), 10'000u);
  EXPECT_TRUE(file->Truncate(3).ok());
  EXPECT_TRUE(file->Preallocate(8).ok());
  EXPECT_EQ(*file->Read(0, 100), std::string("abc\0\0\0\0\0", 8));
}

TEST_P(DiskContract, WriteAndSyncCompletesLaterOnTheExecutor) {
  const std::unique_ptr<File> file = MustCreate("f");
  std::optional<Status> result;
  file->WriteAndSync(2, "xyz", [&](Status status) { result = std::move(status); });
  EXPECT_FALSE(result.has_value());
  ASSERT_TRUE(executor_.RunUntil([&] { return result.has_value(); }));
  EXPECT_TRUE(result->ok()) << result->message();
  EXPECT_EQ(*file->Read(2, 3), "xyz");
}

TEST_P(DiskContract, AFileMayGoWhileItsWriteIsUnderWay) {
  std::unique_ptr<File> file = MustCreate("f");
  bool done = false;
  file->WriteAndSync(0, "xyz", [&](const Status& status) { done = status.ok(); });
  file.reset();
  ASSERT_TRUE(executor_.RunUntil([&] { return done; }));
}

TEST_P(DiskContract, WorkInTheBackgroundIsDoneInOrderAndAnswersOnTheExecutor) {
  MustCreate("f");
  std::vector<std::string> done;
  disk_->InBackground([this] { return disk_->Rename("f", "g"); },
                      [&](const Status& status) { done.push_back(status.ok() ? "renamed" : status.message()); });
  disk_->InBackground([this] { return disk_->Remove("g"); },
                      [&](const Status& status) { done.push_back(status.ok() ? "removed" : status.message()); });
  disk_->InBackground([this] { return disk_->Remove("g"); },
                      [&](const Status& status) { done.push_back(status.ok() ? "again" : "not there"); });
  EXPECT_THAT(done, ElementsAre());
  ASSERT_TRUE(executor_.RunUntil([&] { return done.size() == 3; }));
  EXPECT_THAT(done, ElementsAre("renamed", "removed", "not there"));
  EXPECT_FALSE(disk_->Exists("g"));
}

TEST_P(DiskContract, NamesAreCreatedListedRenamedAndRemoved) {
  EXPECT_TRUE(disk_->CreateDirectory("d").ok());
  EXPECT_TRUE(disk_->CreateDirectory("d").ok());
  MustCreate("d/b");
  MustCreate("d/a");
  MustCreate("c");
  EXPECT_THAT(*disk_->List("d"), ElementsAre("a", "b"));
  EXPECT_THAT(*disk_->List("."), ElementsAre("c", "d"));
  EXPECT_TRUE(disk_->Exists("d/a"));
  EXPECT_TRUE(disk_->Exists("d"));
  EXPECT_TRUE((*disk_->Open("d/a"))->Write(0, "of a").ok());
  EXPECT_TRUE(disk_->Rename("d/a", "d/b").ok());
  EXPECT_FALSE(disk_->Exists("d/a"));
  EXPECT_EQ(*(*disk_->Open("d/b"))->Read(0, 10), "of a");
  EXPECT_TRUE(disk_->Remove("d/b").ok());
  EXPECT_TRUE(disk_->SyncDirectory("d").ok());
  EXPECT_TRUE(disk_->SyncDirectory(".").ok());
  EXPECT_THAT(*disk_->List("d"), ElementsAre());
}

TEST_P(DiskContract, FailuresNameTheFileAndHaveTheirOwnCodes) {
  MustCreate("f");
  EXPECT_EQ(disk_->Create("f").status().code(), StatusCode::kAlreadyExists);
  EXPECT_THAT(disk_->Create("f").status().message(), HasSubstr("f: "));
  for (const Status& status :
       {disk_->Open("absent").status(), disk_->Rename("absent", "x"), disk_->Remove("absent"),
        disk_->SyncDirectory("absent"), disk_->List("absent").status(), disk_->Create("absent/x").status()}) {
    EXPECT_EQ(status.code(), StatusCode::kNotFound) << status.message();
    EXPECT_THAT(status.message(), HasSubstr("absent"));
  }
  EXPECT_FALSE(disk_->CreateDirectory("f").ok());
}

TEST_P(DiskContract, ALockMayBeTakenAgainByItsHolder) {
  EXPECT_TRUE(disk_->Lock("lock").ok());
  EXPECT_TRUE(disk_->Lock("lock").ok());
}

INSTANTIATE_TEST_SUITE_P(Disks, DiskContract, testing::Values("memory", "posix"),
                         [](const auto& test) { return std::string(test.param); });

TEST(PosixDisk, ALockSaysWhichProcessHoldsIt) {
  const std::string root = MakeTemporaryDirectory();
  QueueExecutor executor;
  std::unique_ptr<PosixDisk> first = std::move(*PosixDisk::Open(root, executor));
  std::unique_ptr<PosixDisk> second = std::move(*PosixDisk::Open(root, executor));
  EXPECT_TRUE(first->Lock("lock").ok());
  const Status refused = second->Lock("lock");
  EXPECT_EQ(refused.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.message(), HasSubstr(root + "/lock: process " + std::to_string(::getpid()) + " uses"));
  first.reset();
  EXPECT_TRUE(second->Lock("lock").ok());
  second.reset();
  std::filesystem::remove_all(root);
}

TEST(PosixDisk, WritesThatWaitAreDoneBeforeTheDiskGoes) {
  const std::string root = MakeTemporaryDirectory();
  QueueExecutor executor;
  std::unique_ptr<PosixDisk> disk = std::move(*PosixDisk::Open(root, executor));
  int done = 0;
  for (int i = 0; i < 20; ++i) {
    const std::unique_ptr<File> file = std::move(*disk->Create(std::to_string(i)));
    file->WriteAndSync(0, "x", [&](const Status& status) { done += status.ok() ? 1 : 0; });
  }
  disk.reset();
  EXPECT_TRUE(executor.RunUntil([&] { return done == 20; }));
  std::filesystem::remove_all(root);
}

class MemoryDiskTest : public testing::Test {
 protected:
  std::unique_ptr<File> MustCreate(const std::string& path) {
    std::unique_ptr<File> file = std::move(*disk_.Create(path));
    EXPECT_TRUE(disk_.SyncDirectory(".").ok());
    return file;
  }
  std::string ReadAll(const std::string& path) { return disk_.Content(path); }

  ManualExecutor executor_;
  MemoryDisk disk_{executor_, 42};
};

TEST_F(MemoryDiskTest, ACrashKeepsWhatWasSyncedAndLosesTheRest) {
  const std::unique_ptr<File> file = MustCreate("f");
  EXPECT_TRUE(file->Write(0, "kept").ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_TRUE(file->Write(0, "lost and longer").ok());
  EXPECT_TRUE(disk_.Create("never synced").ok());
  disk_.Crash(Survival::kNothing);
  EXPECT_EQ(ReadAll("f"), "kept");
  EXPECT_FALSE(disk_.Exists("never synced"));
  EXPECT_EQ(file->Write(0, "x").code(), StatusCode::kUnavailable) << "files of before the crash are dead";
}

TEST_F(MemoryDiskTest, APrefixMaySurvive) {
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) {
    const std::string name = NameOf(i);
    const std::unique_ptr<File> file = MustCreate(name);
    EXPECT_TRUE(file->Write(0, "abc").ok());
    disk_.Crash(Survival::kPrefix);
    seen.insert(ReadAll(name));
  }
  EXPECT_THAT(seen, testing::UnorderedElementsAre("", "a", "ab", "abc"));
}

TEST_F(MemoryDiskTest, ATornWriteIsOldOrNewSectorBySector) {
  std::set<std::string> seen;
  const std::string old_text(1536, 'o');
  for (int i = 0; i < 100; ++i) {
    const std::string name = NameOf(i);
    const std::unique_ptr<File> file = MustCreate(name);
    EXPECT_TRUE(file->Write(0, old_text).ok());
    EXPECT_TRUE(file->Sync().ok());
    EXPECT_TRUE(file->Write(100, std::string(1000, 'n')).ok());
    disk_.Crash(Survival::kTornSectors);
    const std::string found = ReadAll(name);
    ASSERT_EQ(found.size(), 1536u);
    EXPECT_EQ(found.substr(0, 100), std::string(100, 'o'));
    EXPECT_EQ(found.substr(1100), std::string(436, 'o'));
    std::string sectors;
    for (const auto& [from, to] : {std::pair(100, 512), std::pair(512, 1024), std::pair(1024, 1100)}) {
      const std::string sector = found.substr(from, to - from);
      EXPECT_EQ(sector.find_first_not_of(sector[0]), std::string::npos);
      sectors += sector[0];
    }
    seen.insert(sectors);
  }
  EXPECT_EQ(seen.size(), 8u);
}

TEST_F(MemoryDiskTest, ARenameIsDurableWithItsDirectory) {
  std::unique_ptr<File> file = MustCreate("new");
  EXPECT_TRUE(file->Write(0, "x").ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_TRUE(disk_.Rename("new", "f").ok());
  disk_.Crash(Survival::kNothing);
  EXPECT_TRUE(disk_.Exists("new"));
  EXPECT_TRUE(disk_.Rename("new", "f").ok());
  EXPECT_TRUE(disk_.SyncDirectory("").ok());
  disk_.Crash(Survival::kNothing);
  EXPECT_THAT(*disk_.List(""), ElementsAre("f"));
}

TEST_F(MemoryDiskTest, ACompletionOutstandingAtTheCrashNeverArrives) {
  const std::unique_ptr<File> file = MustCreate("f");
  disk_.SetLatency([](const std::string&, std::uint64_t) { return 1'000; });
  bool done = false;
  file->WriteAndSync(0, "x", [&](const Status&) { done = true; });
  disk_.Crash(Survival::kNothing);
  executor_.RunFor(1'000'000);
  EXPECT_FALSE(done);
}

TEST_F(MemoryDiskTest, AWriteUnderWayIsDurableOnlyOnceItsDelayHasPassed) {
  disk_.SetLatency([](const std::string&, std::uint64_t bytes) { return bytes * 1'000; });
  const std::unique_ptr<File> file = MustCreate("f");
  bool done = false;
  file->WriteAndSync(0, "xy", [&](const Status&) { done = true; });
  executor_.RunFor(1'999);
  EXPECT_FALSE(done);
  executor_.RunFor(1);
  EXPECT_TRUE(done);
  disk_.Crash(Survival::kNothing);
  EXPECT_EQ(ReadAll("f"), "xy");
}

TEST_F(MemoryDiskTest, AFailedSyncDropsTheDirtyBytesForGood) {
  const std::unique_ptr<File> file = MustCreate("f");
  disk_.FailSyncs("f", 1, Status::Unavailable("f: Input/output error"));
  EXPECT_TRUE(file->Write(0, "dropped").ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_TRUE(file->Sync().ok());
  EXPECT_EQ(*file->Read(0, 7), "dropped");
  disk_.Crash(Survival::kEverything);
  EXPECT_EQ(ReadAll("f"), "");
}

TEST_F(MemoryDiskTest, ASyncThatLiesKeepsNothing) {
  const std::unique_ptr<File> file = MustCreate("f");
  disk_.SetSyncLies(true);
  EXPECT_TRUE(file->Write(0, "lost").ok());
  EXPECT_TRUE(file->Sync().ok());
  disk_.Crash(Survival::kNothing);
  EXPECT_EQ(ReadAll("f"), "");
}

TEST_F(MemoryDiskTest, ThePowerMayGoAtAnyOperation) {
  const std::unique_ptr<File> file = MustCreate("f");
  disk_.StopAfter(2);
  EXPECT_TRUE(file->Write(0, "one").ok());
  EXPECT_FALSE(file->Sync().ok());
  EXPECT_FALSE(file->Write(0, "two").ok());
  EXPECT_FALSE(disk_.Create("x").ok());
  disk_.Crash(Survival::kEverything);
  EXPECT_EQ(ReadAll("f"), "one");
}

TEST_F(MemoryDiskTest, OneSeedReplaysExactly) {
  const auto run = [](std::uint64_t seed) {
    ManualExecutor executor;
    MemoryDisk disk(executor, seed);
    std::string all;
    for (int i = 0; i < 20; ++i) {
      const std::string name = NameOf(i);
      std::unique_ptr<File> file = std::move(*disk.Create(name));
      EXPECT_TRUE(file->Write(0, std::string(5'000, 'x')).ok());
      disk.Crash(i % 2 == 0 ? Survival::kPrefix : Survival::kTornSectors);
      all.append(disk.Content(name)).append("|");
    }
    return all;
  };
  EXPECT_EQ(run(5), run(5));
  EXPECT_NE(run(5), run(6));
}

TEST_F(MemoryDiskTest, AFullDiskRefusesWhateverNeedsRoomAndTakesWhatDoesNot) {
  const std::unique_ptr<File> file = MustCreate("f");
  EXPECT_TRUE(file->Preallocate(1'000).ok());
  disk_.SetCapacity(disk_.used() + 10);
  EXPECT_EQ(disk_.used(), 1'000 + MemoryDisk::kNameBytes);
  EXPECT_TRUE(file->Write(0, std::string(1'000, 'x')).ok()) << "it has its room already";
  EXPECT_EQ(file->Preallocate(2'000).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(disk_.Create("g").status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(disk_.CreateDirectory("d").code(), StatusCode::kResourceExhausted);
  EXPECT_TRUE(disk_.Rename("f", "h").ok());
  const Status cut = file->Write(995, std::string(100, 'y'));
  EXPECT_EQ(cut.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(cut.message(), HasSubstr("h: No space left on device"));
  EXPECT_EQ(ReadAll("h"), std::string(995, 'x') + std::string(15, 'y')) << "what fits is written, as Linux does";
  EXPECT_TRUE(disk_.Remove("h").ok());
  EXPECT_TRUE(disk_.Create("g").ok());
}

TEST_F(MemoryDiskTest, TheNthOperationOfAKindFailsWithoutEffect) {
  const std::unique_ptr<File> file = MustCreate("f");
  disk_.FailOperation(DiskOp::kWrite, 2, Status::Unavailable("f: Input/output error"));
  disk_.FailOperation(DiskOp::kRename, 1, Status::Unavailable("f: Input/output error"));
  EXPECT_TRUE(file->Write(0, "one").ok());
  EXPECT_FALSE(file->Write(0, "two").ok());
  EXPECT_TRUE(file->Write(3, "three").ok());
  EXPECT_FALSE(disk_.Rename("f", "g").ok());
  EXPECT_TRUE(disk_.Rename("f", "g").ok());
  EXPECT_EQ(ReadAll("g"), "onethree");
}

TEST_F(MemoryDiskTest, CorruptionStaysWithinItsStretchAndSurvivesACrash) {
  const std::unique_ptr<File> file = MustCreate("f");
  const std::string good(300, 'x');
  EXPECT_TRUE(file->Write(0, good).ok());
  EXPECT_TRUE(file->Sync().ok());
  disk_.Corrupt("f", 100, 50);
  disk_.Crash(Survival::kNothing);
  const std::string found = ReadAll("f");
  EXPECT_EQ(found.substr(0, 100), good.substr(0, 100));
  EXPECT_NE(found.substr(100, 50), good.substr(100, 50));
  EXPECT_EQ(found.substr(150), good.substr(150));
}

TEST_F(MemoryDiskTest, ABitFlipSurvivesACrash) {
  const std::unique_ptr<File> file = MustCreate("f");
  EXPECT_TRUE(file->Write(0, "abc").ok());
  EXPECT_TRUE(file->Sync().ok());
  disk_.FlipBit("f", 1, 0);
  EXPECT_EQ(ReadAll("f"), "acc");
  disk_.Crash(Survival::kNothing);
  EXPECT_EQ(ReadAll("f"), "acc");
}

}  // namespace
}  // namespace quorate::env
