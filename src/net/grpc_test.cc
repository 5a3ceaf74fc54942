#include "net/grpc.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "net/byte_queue.h"
#include "net/timer_wheel.h"

namespace quorate::net {
namespace {

TEST(GrpcTimeoutTest, ReadsEveryUnitAndRefusesTheRest) {
  EXPECT_EQ(ParseTimeout("1H"), 3'600'000'000'000u);
  EXPECT_EQ(ParseTimeout("2M"), 120'000'000'000u);
  EXPECT_EQ(ParseTimeout("3S"), 3'000'000'000u);
  EXPECT_EQ(ParseTimeout("4m"), 4'000'000u);
  EXPECT_EQ(ParseTimeout("5u"), 5'000u);
  EXPECT_EQ(ParseTimeout("99999999n"), 99'999'999u);
  EXPECT_EQ(ParseTimeout("99999999H"), 0x7fffffffffffffffu);
  for (const char* bad : {"", "5", "S", "1s", "-1S", "123456789S", "1.5S", " 1S"})
    EXPECT_FALSE(ParseTimeout(bad)) << bad;
}

TEST(GrpcTimeoutTest, WritingNeverShortens) {
  for (const std::uint64_t ns :
       {1ull, 99'999'999ull, 100'000'001ull, 5'000'000'000ull, 123'456'789'012'345ull, 9'000'000'000'000'000'001ull}) {
    const auto read = ParseTimeout(FormatTimeout(ns));
    ASSERT_TRUE(read) << FormatTimeout(ns);
    EXPECT_GE(*read, ns);
  }
  EXPECT_EQ(FormatTimeout(5'000'000'000), "5000000u");
}

TEST(PercentTest, EveryByteSurvives) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  const std::string encoded = PercentEncode(all);
  for (const char c : encoded) EXPECT_TRUE(c >= 0x20 && c <= 0x7e);
  EXPECT_EQ(PercentDecode(encoded), all);
  EXPECT_EQ(PercentEncode("etcdserver: mvcc: 100%"), "etcdserver: mvcc: 100%25");
  EXPECT_EQ(PercentDecode("%zz%4"), "%zz%4");
}

TEST(MessageReaderTest, CutsMessagesWhateverThePiecesAre) {
  std::string stream;
  std::vector<std::string> sent;
  for (const std::size_t size : {0u, 1u, 4u, 5u, 300u, 0u}) {
    sent.emplace_back(size, static_cast<char>('a' + size % 26));
    stream += MessagePrefix(size) + sent.back();
  }
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    MessageReader reader;
    std::vector<std::string> got;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      ASSERT_TRUE(reader
                      .Feed(std::string_view(stream).substr(at, piece), 300,
                            [&](std::string_view message) {
                              got.emplace_back(message);
                              return true;
                            })
                      .ok());
    }
    ASSERT_EQ(got, sent) << piece;
    ASSERT_EQ(reader.buffered(), 0u);
  }
}

TEST(MessageReaderTest, RefusesLongAndCompressedMessages) {
  MessageReader reader;
  auto none = [](std::string_view) { return true; };
  EXPECT_EQ(reader.Feed(MessagePrefix(301), 300, none),
            Status::ResourceExhausted("grpc: received message larger than max (301 vs. 300)"));
  EXPECT_EQ(MessageReader().Feed(std::string("\1\0\0\0\0", 5), 300, none).code(), StatusCode::kInternal);
}

TEST(ByteQueueTest, PopsAcrossChunks) {
  ByteQueue queue;
  queue.Push("abc");
  queue.Push("");
  queue.Push("defg");
  std::string out;
  queue.PopInto(out, 2);
  queue.PopInto(out, 3);
  EXPECT_EQ(out, "abcde");
  EXPECT_EQ(queue.size(), 2u);
  queue.PopInto(out, 2);
  EXPECT_EQ(out, "abcdefg");
}

struct Probe : Timer {
  void OnTimer() override {
    ++fired;
    if (other != nullptr) other->Disarm();
  }
  int fired = 0;
  Probe* other = nullptr;
};

TEST(TimerWheelTest, FiresOnceNotBeforeItsTimeAndSoonAfter) {
  constexpr std::uint64_t kTick = TimerWheel::kTickNs;
  for (const std::uint64_t ticks : {0u, 1u, 7u, 511u, 512u, 513u, 5000u}) {
    TimerWheel wheel;
    Probe probe;
    const std::uint64_t start = 1000 * kTick + 5;
    wheel.Arm(probe, start + ticks * kTick, start);
    for (std::uint64_t tick = 0; tick <= ticks; ++tick) {
      wheel.Advance(start + tick * kTick);
      ASSERT_EQ(probe.fired, 0) << ticks << " at " << tick;
    }
    wheel.Advance(start + (ticks + 1) * kTick);
    EXPECT_EQ(probe.fired, 1) << ticks;
    EXPECT_TRUE(wheel.empty());
  }
}

TEST(TimerWheelTest, LongPauseFiresEverythingDue) {
  TimerWheel wheel;
  std::vector<Probe> probes(2000);
  for (std::size_t i = 0; i < probes.size(); ++i) wheel.Arm(probes[i], i * TimerWheel::kTickNs, 0);
  wheel.Advance(1000 * TimerWheel::kTickNs);
  for (std::size_t i = 0; i < probes.size(); ++i) ASSERT_EQ(probes[i].fired, i < 1000 ? 1 : 0) << i;
  wheel.Advance(5000 * TimerWheel::kTickNs);
  EXPECT_TRUE(wheel.empty());
}

TEST(TimerWheelTest, TimerDisarmedByAnotherOfTheSameTickStaysSilent) {
  TimerWheel wheel;
  Probe first, second;
  first.other = &second;
  second.other = &first;
  wheel.Arm(first, 5, 0);
  wheel.Arm(second, 5, 0);
  wheel.Advance(10 * TimerWheel::kTickNs);
  EXPECT_EQ(first.fired + second.fired, 1);
}

}  // namespace
}  // namespace quorate::net
