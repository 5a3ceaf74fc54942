#include "env/posix/peer_frame.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "env/posix/host_port.h"
#include "env/posix/peer_handshake.h"

namespace quorate::env {
namespace {

std::string Encode(PeerFrameKind kind, std::string_view payload, std::uint8_t version = 1) {
  const PeerFrameHeader header = EncodePeerFrameHeader(kind, version, payload);
  return std::string(header.data(), header.size()).append(payload);
}

TEST(PeerFrameTest, FramesCutAtEveryByteComeOutWhole) {
  const std::string wire = Encode(PeerFrameKind::kMessage, "first") + Encode(PeerFrameKind::kMessage, "") +
                           Encode(PeerFrameKind::kMessage, std::string(300, 'z'));
  for (std::size_t cut = 0; cut <= wire.size(); ++cut) {
    PeerFrameParser parser(1, 1024);
    std::vector<std::string> got;
    for (std::string_view part : {std::string_view(wire).substr(0, cut), std::string_view(wire).substr(cut)}) {
      while (auto frame = parser.Next(&part)) got.push_back(frame->payload.ToString());
      EXPECT_TRUE(part.empty());
    }
    EXPECT_EQ(got, (std::vector<std::string>{"first", "", std::string(300, 'z')})) << cut;
    EXPECT_EQ(parser.error(), nullptr);
  }
}

TEST(PeerFrameTest, TheBytesOfAFrameAreFixed) {
  EXPECT_EQ(Encode(PeerFrameKind::kMessage, "abc"), std::string("QRPF\x01\x05\0\0\x03\0\0\0\xa7\x01\x30\x2d"
                                                                "abc",
                                                                19));
}

TEST(PeerFrameTest, AnyChangedByteIsNoticed) {
  const std::string wire = Encode(PeerFrameKind::kMessage, "payload");
  for (std::size_t at = 0; at < wire.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = wire;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      PeerFrameParser parser(1, 1024);
      std::string_view input = damaged;
      EXPECT_FALSE(parser.Next(&input).has_value()) << at << "/" << bit;  // bad, or it waits for a longer payload
    }
  }
}

TEST(PeerFrameTest, ABadParserStaysBad) {
  PeerFrameParser parser(1, 4);
  const std::string wire = Encode(PeerFrameKind::kMessage, "12345") + Encode(PeerFrameKind::kMessage, "1");
  std::string_view input = wire;
  EXPECT_FALSE(parser.Next(&input).has_value());
  EXPECT_STREQ(parser.error(), "a frame over the size limit");
  EXPECT_FALSE(parser.Next(&input).has_value());
}

TEST(PeerFrameTest, AFrameOfAnotherVersionIsRefusedUntilExpected) {
  const std::string wire = Encode(PeerFrameKind::kMessage, "x", 2);
  PeerFrameParser parser(1, 1024);
  std::string_view input = wire;
  EXPECT_FALSE(parser.Next(&input).has_value());
  EXPECT_STREQ(parser.error(), "a frame of another format version");
  PeerFrameParser later(1, 1024);
  later.Expect(2, 1024);
  input = wire;
  EXPECT_TRUE(later.Next(&input).has_value());
}

PeerHello Example() {
  PeerHello hello;
  hello.cluster = ClusterId(0x0102030405060708);
  hello.sender = ReplicaId(2);
  hello.receiver = ReplicaId(1);
  hello.incarnation = Incarnation(7);
  hello.attempt = 300;
  hello.protocol = "raft";
  hello.directory = 70;
  hello.feature_level = 2;
  return hello;
}

TEST(PeerHandshakeTest, TheBytesOfAHelloAreFixed) {
  EXPECT_EQ(
      EncodePeerHello(Example()),
      std::string("\x01\x01\x08\x07\x06\x05\x04\x03\x02\x01\x02\x01\x07\xac\x02\x04raft\x46\0\0\0\0\0\0\0\x02", 29));
}

TEST(PeerHandshakeTest, AHelloRoundTripsAndLaterFieldsAreIgnored) {
  const std::string wire = EncodePeerHello(Example());
  EXPECT_EQ(DecodePeerHello(wire), Example());
  EXPECT_EQ(DecodePeerHello(wire + "more"), Example());
  EXPECT_EQ(DecodePeerHello(wire.substr(0, wire.size() - 1))->feature_level, 1u) << "a build that does not say";
  for (std::size_t size = 0; size + 1 < wire.size(); ++size) {
    EXPECT_FALSE(DecodePeerHello(std::string_view(wire).substr(0, size)).has_value()) << size;
  }
}

TEST(PeerHandshakeTest, EveryMismatchHasItsReason) {
  PeerHello mine = Example();
  mine.sender = ReplicaId(1);
  mine.receiver = ReplicaId();
  const auto seen = [](ReplicaId member) -> std::optional<SeenPeer> {
    if (member == ReplicaId(2)) return SeenPeer{Incarnation(7), 70, false};
    if (member == ReplicaId(1)) return SeenPeer{};
    if (member == ReplicaId(5)) return SeenPeer{{}, 0, true};
    return std::nullopt;
  };
  const auto check = [&](auto change) {
    PeerHello theirs = Example();
    change(theirs);
    return CheckPeerHello(mine, theirs, seen);
  };
  EXPECT_EQ(check([](PeerHello&) {}), std::nullopt);
  EXPECT_EQ(check([](PeerHello& h) { h.incarnation = Incarnation(8); }), std::nullopt);
  EXPECT_EQ(check([](PeerHello& h) { h.version_max = 9; }), std::nullopt);
  EXPECT_EQ(check([](PeerHello& h) { h.version_min = h.version_max = 2; }), PeerRejection::kNoCommonVersion);
  EXPECT_EQ(check([](PeerHello& h) { h.cluster = ClusterId(1); }), PeerRejection::kWrongCluster);
  EXPECT_EQ(check([](PeerHello& h) { h.receiver = ReplicaId(3); }), PeerRejection::kWrongReceiver);
  EXPECT_EQ(check([](PeerHello& h) { h.sender = ReplicaId(4); }), PeerRejection::kUnknownSender);
  EXPECT_EQ(check([](PeerHello& h) { h.sender = ReplicaId(5); }), PeerRejection::kRemoved);
  EXPECT_EQ(check([](PeerHello& h) { h.sender = ReplicaId(1); }), PeerRejection::kUnknownSender);
  EXPECT_EQ(check([](PeerHello& h) { h.protocol = "zab"; }), PeerRejection::kOtherProtocol);
  EXPECT_EQ(check([](PeerHello& h) { h.incarnation = Incarnation(6); }), PeerRejection::kStaleIncarnation);
  EXPECT_EQ(check([](PeerHello& h) { h.directory = 71; }), PeerRejection::kOtherDirectory);
  mine.receiver = ReplicaId(3);  // a dialler takes an answer from the member it wanted only
  EXPECT_EQ(check([](PeerHello&) {}), PeerRejection::kUnknownSender);
}

TEST(PeerHandshakeTest, EveryReasonHasANameAndAnExplanation) {
  for (std::size_t i = 1; i < kPeerRejections; ++i) {
    const auto reason = static_cast<PeerRejection>(i);
    EXPECT_NE(PeerRejectionName(reason), "unknown");
    EXPECT_NE(ExplainPeerRejection(reason, Example(), Example()), "unknown reason");
    EXPECT_EQ(DecodePeerReject(EncodePeerReject(reason)), reason);
  }
  EXPECT_EQ(DecodePeerReject(""), std::nullopt);
  EXPECT_EQ(DecodePeerReject("\x7f"), std::nullopt);
}

TEST(HostPortTest, ReadsNamesAndAddresses) {
  EXPECT_EQ(ParseHostPort("n1.example:2380").value(), (HostPort{"n1.example", 2380}));
  EXPECT_EQ(ParseHostPort("127.0.0.1:0").value(), (HostPort{"127.0.0.1", 0}));
  EXPECT_EQ(ParseHostPort("[::1]:7").value(), (HostPort{"::1", 7}));
  EXPECT_EQ(ParseHostPort("[::1]:7").value().ToString(), "[::1]:7");
  EXPECT_EQ(ParseHostPort("h:1").value().ToString(), "h:1");
  for (const char* bad : {"", "host", ":1", "host:", "host:x", "host:65536", "::1:7", "[::1:7", "host:-1", "[]:1"}) {
    EXPECT_FALSE(ParseHostPort(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace quorate::env
