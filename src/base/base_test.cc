#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/codec.h"
#include "base/crc32c.h"
#include "base/result.h"

namespace quorate {
namespace {

TEST(Crc32c, MatchesTheCheckValueOfTheStandard) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(ExtendCrc32c(Crc32c("1234"), "56789"), Crc32c("123456789"));
}

TEST(Codec, RoundTripsEveryPrimitive) {
  Writer w;
  w.Put8(7);
  w.Put32(0xdeadbeef);
  w.Put64(~0ull);
  w.PutOrdered64(258);
  w.PutVarint(~0ull);
  w.PutSigned(-5);
  w.PutBool(true);
  w.PutBytes("key");
  w.PutId(LogIndex(300));
  Reader r(w.str());
  EXPECT_EQ(r.Get8(), 7);
  EXPECT_EQ(r.Get32(), 0xdeadbeef);
  EXPECT_EQ(r.Get64(), ~0ull);
  EXPECT_EQ(r.GetOrdered64(), 258u);
  EXPECT_EQ(r.GetVarint(), ~0ull);
  EXPECT_EQ(r.GetSigned(), -5);
  EXPECT_TRUE(r.GetBool());
  EXPECT_EQ(r.GetBytes(), "key");
  EXPECT_EQ(r.GetId<LogIndex>(), LogIndex(300));
  EXPECT_TRUE(r.Done());
}

TEST(Codec, EveryTruncationOfAnInputIsAFailureAndNeverAnOverread) {
  Writer w;
  w.Put64(1);
  w.PutBytes("some bytes");
  w.PutVarint(1u << 20);
  for (std::size_t cut = 0; cut < w.size(); ++cut) {
    Reader r(std::string_view(w.str()).substr(0, cut));
    r.Get64();
    r.GetBytes();
    r.GetVarint();
    EXPECT_FALSE(r.Done()) << cut;
  }
}

TEST(Codec, AHugeCountIsRefusedBeforeAnythingIsAllocated) {
  Writer w;
  w.PutVarint(1ull << 60);
  Reader r(w.str());
  EXPECT_EQ(r.GetCount(), 0u);
  EXPECT_FALSE(r.ok());
}

TEST(Codec, AVarintOfMoreThan64BitsIsRefused) {
  const std::string wide(10, '\xff');
  Reader r(wide);
  r.GetVarint();
  EXPECT_FALSE(r.ok());
}

TEST(Bytes, ASliceSharesAndOutlivesItsParent) {
  Bytes part;
  {
    Bytes whole(std::string("hello world, a string too long for the small-string buffer"));
    part = whole.Slice(6, 5);
  }
  EXPECT_EQ(part.view(), "world");
}

TEST(Result, HoldsAValueOrAReason) {
  Result<int> good(3);
  Result<int> bad(Status::NotFound("no such thing"));
  EXPECT_EQ(*good, 3);
  EXPECT_EQ(bad.status().message(), "no such thing");
  EXPECT_DEATH(static_cast<void>(bad.value()), "no such thing");
}

}  // namespace
}  // namespace quorate
