// Format version 1, byte for byte: what a build wrote once, every later build must read. A change of these strings is a
// change of the format.
#include "wal/format.h"

#include <gtest/gtest.h>

#include "wal/log_testing.h"

namespace quorate::wal {
namespace {

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out.push_back(kDigits[static_cast<unsigned char>(c) >> 4]);
    out.push_back(kDigits[static_cast<unsigned char>(c) & 15]);
  }
  return out;
}

TEST(Format, IdentityFile) {
  const std::string bytes =
      EncodeIdentityFile({{ClusterId(0x1122334455667788), ReplicaId(3), consensus::Protocol::kPaxos}, Incarnation(9)});
  EXPECT_EQ(Hex(bytes),
            "51554f52415445490100000040000000"
            "88776655443322110300000000000000"
            "02090000000000000000000000000000"
            "00000000000000000000000080dc9b06");
}

TEST(Format, SegmentHeader) {
  const std::string bytes = EncodeSegmentHeader({ClusterId(0x1122334455667788), ReplicaId(3), 7});
  EXPECT_EQ(Hex(bytes),
            "51554f52415445530100000040000000"
            "88776655443322110300000000000000"
            "07000000000000000000000000000000"
            "0000000000000000000000007b1beee8");
  EXPECT_EQ(SegmentName(7), "0000000007.segment");
  EXPECT_EQ(ParseSegmentName("0000000007.segment"), SegmentNumber{7});
  for (const char* name : {"0000000000.segment", "7.segment", "0000000007.segment.new", "9999999999.segment", "lock"}) {
    EXPECT_EQ(ParseSegmentName(name), std::nullopt) << name;
  }
}

TEST(Format, WriteHeader) {
  WriteHeader header;
  header.body_bytes = 0x20;
  header.number = 5;
  header.durable = 4;
  header.incarnation = Incarnation(2);
  header.oldest_segment = 1;
  header.newest_segment = 3;
  const WritePlace place{ClusterId(1), ReplicaId(2), 3, 64};
  std::string bytes(kWriteHeaderBytes, '\0');
  EncodeWriteHeader(header, place, bytes.data());
  EXPECT_EQ(Hex(bytes),
            "517772540100000020000000"
            "05000000000000000400000000000000"
            "0200000000000000"
            "01000000030000002fd5e139");
  EXPECT_TRUE(DecodeWriteHeader(bytes, place).has_value());
  for (const WritePlace& other :
       {WritePlace{ClusterId(9), ReplicaId(2), 3, 64}, WritePlace{ClusterId(1), ReplicaId(9), 3, 64},
        WritePlace{ClusterId(1), ReplicaId(2), 9, 64}, WritePlace{ClusterId(1), ReplicaId(2), 3, 65}}) {
    EXPECT_FALSE(DecodeWriteHeader(bytes, other).has_value());
  }
}

TEST(Format, BatchRecord) {
  Writer out;
  AppendBatch(GroupId(1), Incarnation(2),
              MakeBatch(3, {consensus::TruncateAfter{LogIndex(4)}, consensus::PutEntry{MakeEntry(5, "value")}}, "hs"),
              &out);
  EXPECT_EQ(Hex(out.str()), "517201011d0000000fabdbd90102030102687302020401050d000000010001010101050576616c7565");
  const std::optional<Record> record = DecodeRecord(out.str());
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->size(), out.size());
  const std::optional<Batch> batch = DecodeBatch(Bytes::Copy(record->body));
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(batch->group, GroupId(1));
  EXPECT_EQ(batch->batch.hard_state->view(), "hs");
  EXPECT_EQ(std::get<consensus::PutEntry>(batch->batch.ops.at(1)).entry, MakeEntry(5, "value"));
}

TEST(Format, ReleaseRecord) {
  Writer out;
  AppendRelease({GroupId(1),
                 Incarnation(2),
                 {7, LogIndex(300), {4, ReplicaId(5)}, {{ReplicaId(1), ReplicaId(2)}, {}, {ReplicaId(3)}}}},
                &out);
  EXPECT_EQ(Hex(out.str()), "517201030d0000002253f9cf010207ac020405020102000103");
  const std::optional<Record> record = DecodeRecord(out.str());
  ASSERT_TRUE(record.has_value());
  const std::optional<Release> release = DecodeRelease(Bytes::Copy(record->body));
  ASSERT_TRUE(release.has_value());
  EXPECT_EQ(release->snapshot.last, LogIndex(300));
  EXPECT_EQ(release->snapshot.members.learners, std::vector<ReplicaId>{ReplicaId(3)});
}

TEST(Format, RewrittenRecord) {
  Writer out;
  AppendRewritten({GroupId(1), Incarnation(2), {MakeEntry(5, "value")}}, &out);
  EXPECT_EQ(Hex(out.str()), "5172010416000000c69414ed01020101050d000000010001010101050576616c7565");
  const std::optional<Record> record = DecodeRecord(out.str());
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(DecodeEntries(*record)->at(LogIndex(5)), MakeEntry(5, "value"));
}

TEST(Format, ArchivedSegmentName) {
  EXPECT_EQ(ArchivedSegmentName({7, 1'764'028'800}), "0000000007-1764028800.segment");
  const std::optional<ArchivedName> name = ParseArchivedSegmentName("0000000007-1764028800.segment");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->number, 7u);
  EXPECT_EQ(name->seconds, 1'764'028'800u);
  for (const char* other :
       {"0000000007.segment", "0000000007-.segment", "0000000007-1", "7-1.segment", "0000000000-1.segment"}) {
    EXPECT_FALSE(ParseArchivedSegmentName(other).has_value()) << other;
  }
}

}  // namespace
}  // namespace quorate::wal
