#include "server/keyspace.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "env/disk_testing.h"
#include "env/posix/posix_disk.h"

namespace quorate::server {
namespace {

namespace fs = std::filesystem;

class KeyspaceTest : public ::testing::Test {
 protected:
  KeyspaceTest() {
    EXPECT_NE(::mkdtemp(root_.data()), nullptr);
    disk_ = env::PosixDisk::Open(root_, executor_).value();
  }
  ~KeyspaceTest() override {
    disk_.reset();
    fs::remove_all(root_);
  }
  void MakeKeyspace(const std::string& content) {
    fs::create_directories(fs::path(root_) / "keyspace");
    std::ofstream(fs::path(root_) / "keyspace" / "CURRENT") << content;
  }
  std::string Content(const std::string& directory) const {
    std::string text;
    std::ifstream(fs::path(root_) / directory / "CURRENT") >> text;
    return text;
  }
  // Stands for an engine that cannot open what says "bad".
  Status OpenEngine() {
    ++opened_;
    if (Content("keyspace") == "bad") return Status::DataLoss("000012.sst: block checksum mismatch");
    if (Content("keyspace").empty()) MakeKeyspace("new");
    return Status::Ok();
  }
  Status Open() {
    Keyspace keyspace(*disk_);
    const Status status = keyspace.Open([this] { return OpenEngine(); });
    moved_to_ = keyspace.moved_to();
    return status;
  }

  std::string root_ = (fs::path(testing::TempDir()) / "keyspace-XXXXXX").string();
  env::QueueExecutor executor_;
  std::unique_ptr<env::PosixDisk> disk_;
  int opened_ = 0;
  std::string moved_to_;
};

TEST_F(KeyspaceTest, AGoodOneIsOpenedWhereItIs) {
  MakeKeyspace("good");
  EXPECT_TRUE(Open().ok());
  EXPECT_EQ(opened_, 1);
  EXPECT_EQ(moved_to_, "");
  EXPECT_EQ(Content("keyspace"), "good");
}

TEST_F(KeyspaceTest, ADamagedOneIsMovedAsideUnderAFreshNumberAndAnEmptyOneOpened) {
  for (const char* expected : {"keyspace.damaged-1", "keyspace.damaged-2"}) {
    MakeKeyspace("bad");
    EXPECT_TRUE(Open().ok());
    EXPECT_EQ(moved_to_, expected);
    EXPECT_EQ(Content(expected), "bad");
    EXPECT_EQ(Content("keyspace"), "new");
    fs::remove_all(fs::path(root_) / "keyspace");
  }
}

TEST_F(KeyspaceTest, AFailureThatIsNoDamageMovesNothing) {
  MakeKeyspace("good");
  Keyspace keyspace(*disk_);
  const Status status = keyspace.Open([] { return Status::Unavailable("too many open files"); });
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_EQ(Content("keyspace"), "good");
}

TEST_F(KeyspaceTest, DamageMetWhileRunningIsMovedAsideByTheNextStartAndByNoLaterOne) {
  MakeKeyspace("good");
  Keyspace running(*disk_);
  const Status why = running.MarkDamaged(Status::DataLoss("000012.sst: block checksum mismatch"));
  EXPECT_EQ(why.code(), StatusCode::kDataLoss);
  EXPECT_NE(why.message().find("000012.sst"), std::string::npos);
  EXPECT_NE(why.message().find("start this member again"), std::string::npos);
  EXPECT_TRUE(Open().ok());
  EXPECT_EQ(moved_to_, "keyspace.damaged-1");
  EXPECT_FALSE(disk_->Exists(Keyspace::kMarker));
  EXPECT_TRUE(Open().ok());
  EXPECT_EQ(moved_to_, "");
  EXPECT_EQ(Content("keyspace"), "new");
}

TEST_F(KeyspaceTest, ACrashBetweenRenamingAndRemovingTheMarkerLosesNothing) {
  MakeKeyspace("good");
  Keyspace running(*disk_);
  ASSERT_FALSE(running.MarkDamaged(Status::DataLoss("damage")).ok());
  fs::rename(fs::path(root_) / "keyspace", fs::path(root_) / "keyspace.damaged-1");
  EXPECT_TRUE(Open().ok());
  EXPECT_EQ(moved_to_, "");
  EXPECT_EQ(Content("keyspace"), "new");
  EXPECT_TRUE(Open().ok());
  EXPECT_EQ(Content("keyspace"), "new");
}

}  // namespace
}  // namespace quorate::server
