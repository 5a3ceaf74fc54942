// The snapshot file's format, and what its reader says about every kind of damage.
#include "replica/snapshot_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/codec.h"
#include "base/crc32c.h"
#include "env/memory_disk.h"
#include "replica/snapshot_directory.h"
#include "replica/snapshot_stream.h"
#include "replica/snapshot_testing.h"

namespace quorate::replica {
namespace {

using ::testing::HasSubstr;

std::string MakeFile(const Rows& rows, const SnapshotHeader& header = MakeHeader()) {
  SnapshotWriter writer;
  std::string file = writer.Header(header);
  if (!rows.empty()) file += writer.Rows(rows);
  file += writer.End();
  EXPECT_EQ(writer.size(), file.size());
  return file;
}

struct Parsed {
  Status status;
  Rows rows;
  std::optional<SnapshotHeader> header;
};
Parsed Parse(const std::string& file, std::size_t piece, SnapshotExpectation expected = {}) {
  SnapshotReader reader(expected);
  Parsed parsed;
  for (std::size_t at = 0; at < file.size() && parsed.status.ok(); at += piece) {
    parsed.status = reader.Add(std::string_view(file).substr(at, piece));
    for (SnapshotRow& row : reader.TakeRows()) parsed.rows.push_back(std::move(row));
  }
  if (parsed.status.ok()) parsed.status = reader.Finish();
  parsed.header = reader.header();
  return parsed;
}

class Xorshift {
 public:
  explicit Xorshift(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 1) {}
  std::uint64_t Below(std::uint64_t bound) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % bound;
  }

 private:
  std::uint64_t state_;
};

TEST(SnapshotFileTest, WhatWasWrittenIsReadWhateverTheSplit) {
  const Rows rows = MakeRows(700, 900);
  const std::string file = MakeFile(rows);
  for (const std::size_t piece :
       {std::size_t{1}, std::size_t{7}, std::size_t{4096}, std::size_t{300'000}, file.size()}) {
    const Parsed parsed = Parse(file, piece, {ClusterId(0x1234), GroupId(1)});
    ASSERT_TRUE(parsed.status.ok()) << parsed.status.message();
    EXPECT_EQ(*parsed.header, MakeHeader());
    EXPECT_TRUE(SameRows(parsed.rows, rows));
  }
}

TEST(SnapshotFileTest, AStateWithoutRowsAndARowLargerThanAChunkAreFiles) {
  EXPECT_TRUE(Parse(MakeFile({}), 10).status.ok());
  const Rows rows = MakeRows(3, 3 * kSnapshotChunkBytes);
  const Parsed parsed = Parse(MakeFile(rows), 50'000);
  ASSERT_TRUE(parsed.status.ok()) << parsed.status.message();
  EXPECT_TRUE(SameRows(parsed.rows, rows));
}

TEST(SnapshotFileTest, TheLastBytesAreTheDigestOfWhatStandsBeforeAndTheLengthIsWhatEtcdsClientsExpect) {
  for (const std::size_t count : {0, 1, 10, 500}) {
    const std::string file = MakeFile(MakeRows(count, 100));
    EXPECT_EQ(file.size() % kSnapshotAlignment, kSnapshotDigestBytes);
    Sha256 sha;
    sha.Add(std::string_view(file).substr(0, file.size() - kSnapshotDigestBytes));
    EXPECT_EQ(sha.Digest(), file.substr(file.size() - kSnapshotDigestBytes));
  }
}

TEST(SnapshotFileTest, Sha256IsTheStandards) {
  Sha256 sha;
  sha.Add("a");
  sha.Add("bc");
  EXPECT_EQ(SnapshotDigestText(sha.Digest()), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(SnapshotFileTest, NoChunkIsLargerThanItsBoundUnlessOneRowIs) {
  const std::string encoded = EncodeSnapshotRows(MakeRows(5000, 300));
  std::size_t chunks = 0;
  for (std::size_t at = 0; at < encoded.size(); ++chunks) {
    Reader length(std::string_view(encoded).substr(at + 4, 4));
    const std::size_t chunk = length.Get32() + 12;
    EXPECT_LE(chunk, kSnapshotChunkBytes);
    at += chunk;
  }
  EXPECT_GE(chunks, 6u);
}

TEST(SnapshotFileTest, AFileCutAnywhereIsRefusedAndSaysWhere) {
  const std::string file = MakeFile(MakeRows(40, 50));
  for (std::size_t length = 0; length < file.size(); ++length) {
    const Parsed parsed = Parse(file.substr(0, length), 1000);
    ASSERT_EQ(parsed.status.code(), StatusCode::kDataLoss) << length;
    if (length == 0) continue;
    EXPECT_THAT(parsed.status.message(), HasSubstr("cut off at offset " + std::to_string(length)));
  }
  EXPECT_EQ(Parse(file + "x", 1000).status.code(), StatusCode::kDataLoss);
}

TEST(SnapshotFileTest, AFlippedBitAnywhereIsRefused) {
  const std::string file = MakeFile(MakeRows(30, 40));
  for (std::size_t at = 0; at < file.size(); ++at) {
    std::string damaged = file;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    const Parsed parsed = Parse(damaged, 512);
    ASSERT_FALSE(parsed.status.ok()) << "a bit of byte " << at << " changed nothing";
    if (at >= 12) {
      ASSERT_THAT(parsed.status.message(), HasSubstr("offset")) << at;
    }
  }
}

TEST(SnapshotFileTest, DamageIsNamedWithTheOffsetOfItsChunk) {
  const Rows rows = MakeRows(60, 100);
  SnapshotWriter writer;
  std::string file = writer.Header(MakeHeader());
  const std::size_t chunk = file.size();
  file += writer.Rows(rows);
  file += writer.End();
  file[chunk + 500] ^= 4;
  const Status status = Parse(file, 100).status;
  EXPECT_THAT(status.message(), HasSubstr("damaged at offset " + std::to_string(chunk)));
  EXPECT_THAT(status.message(), HasSubstr("wrong checksum"));
}

TEST(SnapshotFileTest, ChunksThatWereSwappedOrLeftOutAreFoundThoughEachIsRight) {
  const Rows rows = MakeRows(8, 60'000);
  const Rows first(rows.begin(), rows.begin() + 4);
  const Rows second(rows.begin() + 4, rows.end());
  SnapshotWriter writer;
  const std::string header = writer.Header(MakeHeader());
  const std::string a = writer.Rows(first);
  const std::string b = writer.Rows(second);
  const std::string end = writer.End();
  EXPECT_TRUE(Parse(header + a + b + end, 5000).status.ok());
  EXPECT_THAT(Parse(header + b + a + end, 5000).status.message(), HasSubstr("not in order"));
  EXPECT_THAT(Parse(header + a + end, 5000).status.message(), HasSubstr("rows"));
}

TEST(SnapshotFileTest, ANewerFormatAnotherClusterAndSomethingElseAreToldApart) {
  const std::string file = MakeFile(MakeRows(5, 5));
  std::string newer = file;
  newer[4] = 7;
  const std::size_t length = static_cast<unsigned char>(file[8]) + (static_cast<unsigned char>(file[9]) << 8);
  Writer checksum;
  checksum.Put32(Crc32c(std::string_view(newer).substr(0, length - 4)));
  newer.replace(length - 4, 4, checksum.str());
  const Status version = Parse(newer, 64).status;
  EXPECT_EQ(version.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(version.message(), HasSubstr("version 7"));

  const Status cluster = Parse(file, 64, {ClusterId(5), std::nullopt}).status;
  EXPECT_EQ(cluster.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(cluster.message(), HasSubstr("0000000000001234"));

  EXPECT_EQ(Parse("SQLite format 3", 64).status.code(), StatusCode::kInvalidArgument);
}

TEST(SnapshotFileTest, GarbageNeverCrashesTheReader) {
  const std::string file = MakeFile(MakeRows(50, 30));
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    Xorshift random(seed);
    std::string input = file;
    for (std::uint64_t changes = 1 + random.Below(4); changes > 0; --changes) {
      const std::size_t at = random.Below(input.size());
      switch (random.Below(3)) {
        case 0:
          input[at] = static_cast<char>(random.Below(256));
          break;
        case 1:
          input.erase(at, 1 + random.Below(20));
          break;
        default:
          input.insert(at, std::string(1 + random.Below(20), static_cast<char>(random.Below(256))));
      }
      if (input.empty()) break;
    }
    const Parsed parsed = Parse(input, 1 + random.Below(700));
    EXPECT_EQ(parsed.status.ok(), input == file);
  }
}

class SnapshotStreamTest : public ::testing::Test {
 protected:
  SnapshotStream::Piece Read(std::uint64_t offset) {
    std::optional<Result<SnapshotStream::Piece>> answer;
    stream_->Read(offset, [&](Result<SnapshotStream::Piece> piece) { answer = std::move(piece); });
    EXPECT_FALSE(answer.has_value()) << "answered from inside the call";
    EXPECT_TRUE(loop_.RunUntil([&] { return answer.has_value(); }));
    EXPECT_TRUE(answer->ok()) << answer->status().message();
    return answer->ok() ? **answer : SnapshotStream::Piece{};
  }

  VirtualLoop loop_;
  Rows rows_ = MakeRows(3000, 500);
  std::shared_ptr<SnapshotStream> stream_ =
      std::make_shared<SnapshotStream>(MakeHeader(), std::make_shared<RowsSource>(rows_, loop_), loop_);
};

TEST_F(SnapshotStreamTest, IsTheFileAndTheSameBytesFromAnyOffset) {
  std::string file;
  for (;;) {
    const SnapshotStream::Piece piece = Read(file.size());
    EXPECT_EQ(piece.offset, file.size());
    EXPECT_LE(piece.bytes.size(), kSnapshotChunkBytes + kSnapshotAlignment);
    file += piece.bytes.view();
    if (piece.last) break;
  }
  const Parsed parsed = Parse(file, 10'000);
  ASSERT_TRUE(parsed.status.ok()) << parsed.status.message();
  EXPECT_TRUE(SameRows(parsed.rows, rows_));
  Xorshift random(3);
  for (int i = 0; i < 50; ++i) {
    const std::uint64_t offset = random.Below(file.size());
    const SnapshotStream::Piece piece = Read(offset);
    ASSERT_FALSE(piece.bytes.empty());
    EXPECT_EQ(piece.bytes.view(), std::string_view(file).substr(offset, piece.bytes.size())) << offset;
    EXPECT_EQ(piece.last, offset + piece.bytes.size() == file.size());
  }
  EXPECT_TRUE(Read(file.size()).last);
}

TEST_F(SnapshotStreamTest, AnOffsetThatWasNeverReachedIsRefused) {
  std::optional<Result<SnapshotStream::Piece>> answer;
  stream_->Read(1 << 20, [&](Result<SnapshotStream::Piece> piece) { answer = std::move(piece); });
  ASSERT_TRUE(loop_.RunUntil([&] { return answer.has_value(); }));
  EXPECT_EQ(answer->status().code(), StatusCode::kOutOfRange);
}

// Takes rows as coord::Machine would.
class RowsSink final : public SnapshotSink {
 public:
  RowsSink(VirtualLoop& loop, Rows* rows, std::uint64_t* hash) : loop_(loop), rows_(rows), hash_(hash) {}
  void Add(Rows rows, std::function<void(Status)> done) override {
    rows_->insert(rows_->end(), rows.begin(), rows.end());
    loop_.After(1000, [done = std::move(done)] { done(Status::Ok()); });
  }
  void Finish(std::uint64_t state_hash, std::function<void(Status)> done) override {
    *hash_ = state_hash;
    loop_.After(1000, [done = std::move(done)] { done(Status::Ok()); });
  }

 private:
  VirtualLoop& loop_;
  Rows* rows_;
  std::uint64_t* hash_;
};

class InstallingMachine final : public StateMachine {
 public:
  explicit InstallingMachine(VirtualLoop& loop) : loop_(loop) {}
  std::unique_ptr<Outcome> Apply(const consensus::Entry&) override { return nullptr; }
  bool Prepare(const consensus::Entry&, std::function<void()>) override { return true; }
  LogIndex applied() const override { return last; }
  LogIndex flushed() const override { return last; }
  std::shared_ptr<SnapshotSource> OpenSnapshot() override { return nullptr; }
  std::unique_ptr<SnapshotSink> BeginInstall(LogIndex index) override {
    last = index;
    return std::make_unique<RowsSink>(loop_, &rows, &hash);
  }
  void Stamp(std::string&, std::uint64_t, std::int64_t) override {}
  void OnLeadership(const consensus::Leadership&, std::uint64_t) override {}
  std::uint64_t StateHash() const override { return hash; }

  LogIndex last;
  Rows rows;
  std::uint64_t hash = 0;

 private:
  VirtualLoop& loop_;
};

class SnapshotDirectoryTest : public ::testing::Test {
 protected:
  SnapshotDirectoryTest() { EXPECT_TRUE(PrepareSnapshotDirectory(disk_).ok()); }
  Result<SnapshotHeader> LoadIt(std::uint64_t id) {
    std::optional<Result<SnapshotHeader>> answer;
    const auto load = LoadSnapshot(disk_, loop_, id, {ClusterId(0x1234), GroupId(1)}, machine_,
                                   [&](Result<SnapshotHeader> header) { answer = std::move(header); });
    EXPECT_TRUE(loop_.RunUntil([&] { return answer.has_value(); }));
    return *std::move(answer);
  }

  VirtualLoop loop_;
  env::MemoryDisk disk_{loop_, 1};
  InstallingMachine machine_{loop_};
};

TEST_F(SnapshotDirectoryTest, AFileIsLoadedIntoTheMachine) {
  const Rows rows = MakeRows(2000, 400);
  disk_.Install(SnapshotPath(77), MakeFile(rows));
  const Result<SnapshotHeader> header = LoadIt(77);
  ASSERT_TRUE(header.ok()) << header.status().message();
  EXPECT_EQ(*header, MakeHeader());
  EXPECT_TRUE(SameRows(machine_.rows, rows));
  EXPECT_EQ(machine_.hash, 99u);
  EXPECT_EQ(machine_.last, LogIndex(4711));
  EXPECT_EQ(*ReadSnapshotHeader(disk_, SnapshotPath(77)), MakeHeader());
}

TEST_F(SnapshotDirectoryTest, ADamagedCutOrMissingFileIsNamed) {
  std::string file = MakeFile(MakeRows(2000, 400));
  file[file.size() / 2] ^= 1;
  disk_.Install(SnapshotPath(77), file);
  const Status damaged = LoadIt(77).status();
  EXPECT_EQ(damaged.code(), StatusCode::kDataLoss);
  EXPECT_THAT(damaged.message(), HasSubstr(SnapshotPath(77)));
  disk_.Install(SnapshotPath(77), file.substr(0, 1000));
  EXPECT_EQ(LoadIt(77).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(LoadIt(78).status().code(), StatusCode::kNotFound);
}

TEST_F(SnapshotDirectoryTest, ALargeFileLosesItsNameAtOnceAndItsBytesInTheBackground) {
  const std::string part = SnapshotPartPath(7);
  disk_.Install(part, std::string(33 << 20, 'x'));
  ASSERT_TRUE(RemoveSnapshotFile(disk_, part).ok());
  EXPECT_FALSE(disk_.Exists(part));
  EXPECT_TRUE(disk_.Exists(part + ".gone"));
  disk_.Install(part, "another");
  loop_.RunFor(1'000'000'000);
  EXPECT_TRUE(disk_.Exists(part)) << "one that came later went with it";
  EXPECT_FALSE(disk_.Exists(part + ".gone"));
  ASSERT_TRUE(RemoveSnapshotFile(disk_, part).ok());
  EXPECT_FALSE(disk_.Exists(part));
}

TEST_F(SnapshotDirectoryTest, WhatACrashLeftHalfReceivedGoesAndWhatIsNotKeptToo) {
  disk_.Install(SnapshotPath(4) + ".gone", "e");
  disk_.Install(SnapshotPath(5), "a");
  disk_.Install(SnapshotPath(0xabc), "b");
  disk_.Install(SnapshotPartPath(6), "c");
  disk_.Install("snapshots/notes.txt", "d");
  ASSERT_TRUE(PrepareSnapshotDirectory(disk_).ok());
  EXPECT_EQ(ListSnapshots(disk_), (std::vector<std::uint64_t>{5, 0xabc}));
  EXPECT_FALSE(disk_.Exists(SnapshotPartPath(6)));
  EXPECT_FALSE(disk_.Exists(SnapshotPath(4) + ".gone"));
  ASSERT_TRUE(RemoveSnapshotsExcept(disk_, 5).ok());
  EXPECT_EQ(ListSnapshots(disk_), (std::vector<std::uint64_t>{5}));
  EXPECT_TRUE(disk_.Exists("snapshots/notes.txt"));
}

}  // namespace
}  // namespace quorate::replica
