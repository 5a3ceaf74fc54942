// Each kind of file against each kind of damage: the outcome is exactly a cut, or an error that names file and offset.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/crc32c.h"
#include "wal/format.h"
#include "wal/log_testing.h"

namespace quorate::wal {
namespace {

using consensus::PutEntry;
using testing::AllOf;
using testing::HasSubstr;

using Files = std::map<std::string, std::string>;  // path, content

constexpr GroupId kGroup(1);
const char kFirst[] = "wal/0000000001.segment";
const char kSecond[] = "wal/0000000002.segment";

// A directory as a member left it, with the place of each of its writes.
struct Left {
  Files files;
  struct Span {
    std::string path;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
  };
  std::vector<Span> writes;  // of the log, the start's own first
  std::vector<consensus::Entry> entries;
};

Files FilesOf(const env::MemoryDisk& disk) {
  Files files;
  const Result<std::vector<std::string>> names = disk.List("wal");
  for (const std::string& name : names.value()) {
    const std::string path = std::string("wal/").append(name);
    files[path] = disk.Content(path);
  }
  return files;
}

// `sizes`: payloads, one write each. `marked`: the lone mark has followed.
Left Leave(const std::vector<std::size_t>& sizes, bool marked, LogOptions options = TestOptions()) {
  ManualExecutor executor;
  env::MemoryDisk disk(executor, 1);
  disk.SetJournal(true);
  const std::unique_ptr<Log> log = MustOpen(disk, executor, options);
  Left left;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    left.entries.push_back(MakeEntry(i + 1, std::string(sizes[i], static_cast<char>('a' + i % 26))));
    log->Submit(kGroup, MakeBatch(i + 1, {PutEntry{left.entries.back()}}, "state"), [] {});
    executor.RunDue();
  }
  if (marked) executor.RunFor(options.mark_delay_ns);
  left.files = FilesOf(disk);
  for (const env::DiskRecord& record : disk.journal()) {
    const bool is_segment = record.path.find(".segment") != std::string::npos;
    if (record.op != env::DiskOp::kWrite || !is_segment || record.offset == 0) continue;
    left.writes.push_back({record.path, record.offset, record.length});
  }
  return left;
}

struct Outcome {
  Status status;
  std::vector<consensus::Entry> entries;
};

Outcome OpenWith(const Files& files, LogOptions options = TestOptions()) {
  ManualExecutor executor;
  env::MemoryDisk disk(executor, 1);
  for (const auto& [path, content] : files) disk.Install(path, content);
  Result<std::unique_ptr<Log>> log = Log::Open(disk, executor, options);
  if (!log.ok()) return {log.status(), {}};
  Outcome outcome{Status::Ok(), (*log)->TakeRecovered(kGroup).log};
  // What was accepted once must be accepted again, and be of use.
  (*log)->Submit(kGroup, MakeBatch(1, {PutEntry{MakeEntry(1000, "after")}}), [] {});
  executor.RunDue();
  log->reset();
  disk.Crash(env::Survival::kNothing);
  log = Log::Open(disk, executor, options);
  EXPECT_TRUE(log.ok()) << "the second start: " << log.status().message();
  if (!log.ok()) return outcome;
  std::vector<consensus::Entry> again = (*log)->TakeRecovered(kGroup).log;
  EXPECT_EQ(again.size(), outcome.entries.size() + 1);
  return outcome;
}

std::string Flipped(std::string content, std::uint64_t offset, unsigned bit) {
  content[offset] = static_cast<char>(content[offset] ^ (1u << bit));
  return content;
}

std::vector<consensus::Entry> Without(std::vector<consensus::Entry> entries, std::size_t last) {
  entries.resize(entries.size() - last);
  return entries;
}

TEST(Damage, ATailTornAtAnyByteIsCut) {
  const Left left = Leave({100, 900, 700}, /*marked=*/false);
  const Left::Span torn = left.writes.back();
  const std::string& whole = left.files.at(torn.path);
  for (std::uint64_t kept = 0; kept < torn.length; ++kept) {
    Files files = left.files;
    std::string& content = files[torn.path];
    content.resize(torn.offset + kept);
    Outcome outcome = OpenWith(files);
    ASSERT_TRUE(outcome.status.ok()) << kept << ": " << outcome.status.message();
    ASSERT_EQ(outcome.entries, Without(left.entries, 1)) << kept;
    content.resize(whole.size());    // and with zeros behind
    if (content == whole) continue;  // the checksum's own last byte was a zero
    outcome = OpenWith(files);
    ASSERT_TRUE(outcome.status.ok()) << kept << ": " << outcome.status.message();
    ASSERT_EQ(outcome.entries, Without(left.entries, 1)) << kept;
  }
}

TEST(Damage, ATailThatLostAnyOfItsSectorsIsCut) {
  const Left left = Leave({100, 3'000}, /*marked=*/false);
  const Left::Span torn = left.writes.back();
  const std::uint64_t first = torn.offset / 512;
  const std::uint64_t sectors = (torn.offset + torn.length - 1) / 512 - first + 1;
  ASSERT_GE(sectors, 6u);
  for (std::uint64_t lost = 1; lost < (1u << sectors); ++lost) {
    Files files = left.files;
    for (std::uint64_t s = 0; s < sectors; ++s) {
      if ((lost >> s & 1) == 0) continue;
      const std::uint64_t from = std::max(torn.offset, (first + s) * 512);
      const std::uint64_t to = std::min(torn.offset + torn.length, (first + s + 1) * 512);
      std::memset(files[torn.path].data() + from, 0, to - from);
    }
    const Outcome outcome = OpenWith(files);
    ASSERT_TRUE(outcome.status.ok()) << lost << ": " << outcome.status.message();
    ASSERT_EQ(outcome.entries, Without(left.entries, 1)) << lost;
  }
}

TEST(Damage, AFlippedBitInAWriteThatWasMarkedIsDataLossWithFileAndOffset) {
  const Left left = Leave({40, 200, 60}, /*marked=*/true);
  for (std::size_t w = 0; w + 1 < left.writes.size(); ++w) {
    const Left::Span& write = left.writes[w];
    for (std::uint64_t at = write.offset; at < write.offset + write.length; ++at) {
      Files files = left.files;
      files[write.path] = Flipped(files[write.path], at, static_cast<unsigned>(at % 8));
      const Outcome outcome = OpenWith(files);
      ASSERT_EQ(outcome.status.code(), StatusCode::kDataLoss) << at << ": " << outcome.status.message();
      const std::string where = std::string(kFirst) + ": offset " + std::to_string(write.offset) + ": ";
      ASSERT_THAT(outcome.status.message(),
                  AllOf(HasSubstr(where), HasSubstr("must not vote again under its id"), HasSubstr("Move wal away")));
    }
  }
}

TEST(Damage, AFlippedBitInTheLastWriteIsATornTailWhileNoMarkHasFollowed) {
  const Left left = Leave({40, 200}, /*marked=*/false);
  const Left::Span& write = left.writes.back();
  for (std::uint64_t at = write.offset; at < write.offset + write.length; ++at) {
    Files files = left.files;
    files[write.path] = Flipped(files[write.path], at, static_cast<unsigned>(at % 8));
    const Outcome outcome = OpenWith(files);
    ASSERT_TRUE(outcome.status.ok()) << at << ": " << outcome.status.message();
    ASSERT_EQ(outcome.entries, Without(left.entries, 1)) << at;
  }
}

TEST(Damage, ADamagedMarkCostsNothing) {
  const Left left = Leave({40, 200}, /*marked=*/true);
  const Left::Span& mark = left.writes.back();
  for (std::uint64_t at = mark.offset; at < mark.offset + mark.length; ++at) {
    Files files = left.files;
    files[mark.path] = Flipped(files[mark.path], at, 3);
    const Outcome outcome = OpenWith(files);
    ASSERT_TRUE(outcome.status.ok()) << at << ": " << outcome.status.message();
    ASSERT_EQ(outcome.entries, left.entries);
  }
}

TEST(Damage, AFlippedBitInASegmentHeaderIsDataLoss) {
  const Left left = Leave(std::vector<std::size_t>(30, 1'000), /*marked=*/true);
  ASSERT_TRUE(left.files.contains(kSecond));
  for (const char* path : {kFirst, kSecond}) {
    for (std::uint64_t at = 0; at < kSegmentHeaderBytes; ++at) {
      Files files = left.files;
      files[path] = Flipped(files[path], at, static_cast<unsigned>(at % 8));
      const Outcome outcome = OpenWith(files);
      ASSERT_EQ(outcome.status.code(), StatusCode::kDataLoss) << at << ": " << outcome.status.message();
      ASSERT_THAT(outcome.status.message(), HasSubstr(std::string(path) + ": offset 0: "));
    }
  }
}

TEST(Damage, GarbageBehindTheLastWriteIsNoDamage) {
  const Left left = Leave(std::vector<std::size_t>(30, 1'000), /*marked=*/true);
  for (const char* path : {kFirst, kSecond}) {
    Files files = left.files;
    files[path].append(100, 'y');
    const Outcome outcome = OpenWith(files);
    EXPECT_TRUE(outcome.status.ok()) << outcome.status.message();
    EXPECT_EQ(outcome.entries, left.entries);
  }
}

TEST(Damage, AWriteThatWasZeroedOrMovedIsDataLoss) {
  const Left left = Leave({300, 300, 300}, /*marked=*/true);
  const Left::Span& second = left.writes[2];
  Files zeroed = left.files;
  std::memset(zeroed[second.path].data() + second.offset, 0, second.length);
  EXPECT_EQ(OpenWith(zeroed).status.code(), StatusCode::kDataLoss);
  Files moved = left.files;  // a copy of the write before stands in its place
  moved[second.path].replace(second.offset, second.length,
                             moved[second.path].substr(left.writes[1].offset, second.length));
  const Outcome outcome = OpenWith(moved);
  EXPECT_EQ(outcome.status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(outcome.status.message(), HasSubstr("offset " + std::to_string(second.offset)));
}

TEST(Damage, ASegmentTornAwayAtAnyLengthIsNoticed) {
  const Left left = Leave(std::vector<std::size_t>(30, 1'000), /*marked=*/true);
  std::uint64_t end = 0;  // of the segment's last write; zeros are behind it
  for (const Left::Span& write : left.writes) {
    if (write.path == kFirst) end = write.offset + write.length;
  }
  for (std::size_t length = 0; length < end; length += 397) {
    Files files = left.files;
    files[kFirst].resize(length);
    const Outcome outcome = OpenWith(files);
    EXPECT_EQ(outcome.status.code(), StatusCode::kDataLoss) << length;
    EXPECT_THAT(outcome.status.message(), HasSubstr("wal/000000000"));
  }
}

TEST(Damage, EveryMissingFileIsNamed) {
  const Left left = Leave(std::vector<std::size_t>(40, 1'000), /*marked=*/true);
  ASSERT_GE(left.files.size(), 4u);
  for (const auto& [path, content] : left.files) {
    if (path == "wal/reserve") continue;  // it is made again
    Files files = left.files;
    files.erase(path);
    const Outcome outcome = OpenWith(files);
    EXPECT_EQ(outcome.status.code(), StatusCode::kDataLoss) << path;
    EXPECT_THAT(outcome.status.message(), HasSubstr(path + ": the "));
    EXPECT_THAT(outcome.status.message(), HasSubstr("missing"));
  }
  Files only_identity = {{"wal/identity", left.files.at("wal/identity")}};
  EXPECT_THAT(OpenWith(only_identity).status.message(), HasSubstr(std::string(kFirst) + ": the segment is missing"));
}

TEST(Damage, AnOlderCopyOfTheLogUnderANewerIdentityIsNoticed) {
  const Left left = Leave({10, 10}, /*marked=*/true);
  Files files = left.files;
  files["wal/identity"] = EncodeIdentityFile({TestOptions().identity, Incarnation(5)});
  const Outcome outcome = OpenWith(files);
  EXPECT_EQ(outcome.status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(outcome.status.message(), HasSubstr("start 5 had completed"));
}

TEST(Damage, ADamagedIdentityIsDataLoss) {
  const Left left = Leave({10}, /*marked=*/true);
  const std::string identity = left.files.at("wal/identity");
  for (std::size_t at = 0; at < identity.size(); ++at) {
    Files files = left.files;
    files["wal/identity"] = Flipped(identity, at, static_cast<unsigned>(at % 8));
    EXPECT_EQ(OpenWith(files).status.code(), StatusCode::kDataLoss) << at;
    files["wal/identity"] = identity.substr(0, at);
    const Outcome cut = OpenWith(files);
    EXPECT_EQ(cut.status.code(), StatusCode::kDataLoss) << at;
    EXPECT_THAT(cut.status.message(), HasSubstr("wal/identity: offset 0: "));
  }
}

TEST(Damage, AForeignDirectoryIsRefusedWithBothNames) {
  const Left left = Leave({10}, /*marked=*/true);
  LogOptions options = TestOptions();
  options.identity.cluster = ClusterId(78);
  Outcome outcome = OpenWith(left.files, options);
  EXPECT_EQ(outcome.status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(outcome.status.message(), AllOf(HasSubstr("cluster 77"), HasSubstr("cluster 78")));
  options = TestOptions();
  options.identity.self = ReplicaId(4);
  outcome = OpenWith(left.files, options);
  EXPECT_EQ(outcome.status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(outcome.status.message(), AllOf(HasSubstr("member 3"), HasSubstr("member 4")));
  options = TestOptions();
  options.identity.protocol = consensus::Protocol::kZab;
  outcome = OpenWith(left.files, options);
  EXPECT_EQ(outcome.status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(outcome.status.message(), AllOf(HasSubstr("raft"), HasSubstr("zab")));
}

TEST(Damage, ASegmentOfAnotherMemberIsRefused) {
  LogOptions other = TestOptions();
  other.identity.self = ReplicaId(4);
  Files files = Leave({10}, /*marked=*/true).files;
  files[kFirst] = Leave({10}, /*marked=*/true, other).files.at(kFirst);
  const Outcome outcome = OpenWith(files);
  EXPECT_EQ(outcome.status.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(outcome.status.message(), AllOf(HasSubstr(kFirst), HasSubstr("member 4"), HasSubstr("member 3")));
}

std::string WithVersion(std::string content, std::uint32_t version, std::size_t header_bytes) {
  std::memcpy(content.data() + 8, &version, sizeof version);
  const std::uint32_t crc = Crc32c(std::string_view(content).substr(0, header_bytes - sizeof(std::uint32_t)));
  std::memcpy(content.data() + header_bytes - sizeof crc, &crc, sizeof crc);
  return content;
}

TEST(Damage, ANewerFormatIsNamedAndIsNotCalledDamage) {
  const Left left = Leave({10}, /*marked=*/true);
  for (const std::string path : {"wal/identity", kFirst}) {
    Files files = left.files;
    files[path] = WithVersion(files[path], 2, 64);
    const Outcome outcome = OpenWith(files);
    EXPECT_EQ(outcome.status.code(), StatusCode::kUnimplemented);
    EXPECT_THAT(outcome.status.message(), AllOf(HasSubstr(path), HasSubstr("format version 2")));
  }
  const Left::Span& write = left.writes.back();
  WriteHeader header;
  header.version = 2;
  header.number = left.writes.size();
  header.durable = header.number - 1;
  Files files = left.files;
  EncodeWriteHeader(header, {ClusterId(77), ReplicaId(3), 1, static_cast<std::uint32_t>(write.offset)},
                    files[write.path].data() + write.offset);
  const Outcome outcome = OpenWith(files);
  EXPECT_EQ(outcome.status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(outcome.status.message(), HasSubstr("offset " + std::to_string(write.offset)));
}

TEST(Damage, AServerThatIsAloneGetsOtherAdvice) {
  LogOptions options = TestOptions();
  options.alone = true;
  const Left left = Leave({10, 10}, /*marked=*/true, options);
  Files files = left.files;
  files[kFirst] = Flipped(files[kFirst], left.writes[1].offset + 60, 0);
  const std::string message = OpenWith(files, options).status.message();
  EXPECT_THAT(message, AllOf(HasSubstr("this server is alone"), HasSubstr("snapshot")));
  EXPECT_EQ(message.find("vote"), std::string::npos);
}

// A value that is itself a copy of the log must not be taken for later writes when the write that holds it is torn.
TEST(Damage, AValueThatHoldsACopyOfTheLogIsNotTakenForIt) {
  const Left inner = Leave({50, 50, 50}, /*marked=*/true);
  ManualExecutor executor;
  env::MemoryDisk disk(executor, 1);
  const std::unique_ptr<Log> log = MustOpen(disk, executor);
  log->Submit(kGroup, MakeBatch(1, {PutEntry{MakeEntry(1, inner.files.at(kFirst).substr(0, 2'000))}}), [] {});
  executor.RunDue();
  Files files = FilesOf(disk);
  const std::size_t end = files[kFirst].find_last_not_of('\0');
  files[kFirst][end] = static_cast<char>(files[kFirst][end] ^ 1);
  const std::size_t header = files[kFirst].find(kWriteMagic, kSegmentHeaderBytes + 1);
  files[kFirst][header] = 'x';
  const Outcome outcome = OpenWith(files);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status.message();
  EXPECT_TRUE(outcome.entries.empty());
}

// splitmix64, for bytes without meaning.
std::uint64_t NextRandom(std::uint64_t* state) {
  std::uint64_t z = (*state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

TEST(Damage, NoBytesCrashTheOpener) {
  const Left left = Leave(std::vector<std::size_t>(20, 1'000), /*marked=*/true);
  std::uint64_t state = 7;
  for (int round = 0; round < 3'000; ++round) {
    Files files = left.files;
    auto victim = std::next(files.begin(), static_cast<std::ptrdiff_t>(NextRandom(&state) % files.size()));
    std::string& content = victim->second;
    switch (NextRandom(&state) % 4) {
      case 0:
        content.resize(NextRandom(&state) % 300);
        for (char& c : content) c = static_cast<char>(NextRandom(&state));
        break;
      case 1:
        for (int i = 0; i < 20 && !content.empty(); ++i) {
          content[NextRandom(&state) % content.size()] = static_cast<char>(NextRandom(&state));
        }
        break;
      case 2:
        content.resize(NextRandom(&state) % (content.size() + 1));
        break;
      default:  // a piece of it elsewhere
        if (content.size() > 200) {
          content.replace(NextRandom(&state) % (content.size() - 100), 100, content,
                          NextRandom(&state) % (content.size() - 100), 100);
        }
    }
    ManualExecutor executor;
    env::MemoryDisk disk(executor, 1);
    for (const auto& [path, bytes] : files) disk.Install(path, bytes);
    const Result<std::unique_ptr<Log>> log = Log::Open(disk, executor, TestOptions());
    EXPECT_NE(log.ok(), !log.status().message().empty());
  }
}

TEST(Damage, NoBytesCrashTheDecoders) {
  std::uint64_t state = 11;
  Writer writer;
  AppendBatch(kGroup, Incarnation(1),
              MakeBatch(1,
                        {PutEntry{MakeEntry(1, "x")}, consensus::TruncateAfter{LogIndex(0)},
                         consensus::InstallSnapshot{{1, LogIndex(5), {}, {{ReplicaId(1)}, {}, {}}}}},
                        "state"),
              &writer);
  const std::string good = writer.str().substr(kRecordHeaderBytes);
  EXPECT_TRUE(DecodeBatch(Bytes::Copy(good)).has_value());
  for (int round = 0; round < 20'000; ++round) {
    std::string body = good;
    for (std::uint64_t i = NextRandom(&state) % 4; i-- > 0;) {
      body[NextRandom(&state) % body.size()] = static_cast<char>(NextRandom(&state));
    }
    body.resize(NextRandom(&state) % (body.size() + 1));
    DecodeBatch(Bytes::Copy(body));
    DecodeGroupState(Bytes::Copy(body));
    DecodeRelease(Bytes::Copy(body));
    DecodeRewritten(Bytes::Copy(body));
    DecodeRecord(body);
    DecodeWriteHeader(body, {});
    EXPECT_FALSE(DecodeIdentityFile(body).ok());
    EXPECT_FALSE(DecodeSegmentHeader(body).ok());
  }
}

}  // namespace
}  // namespace quorate::wal
