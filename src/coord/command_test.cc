// The command encoding: golden bytes, round trips of anything, refusal of everything else.
#include "coord/command.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstring>
#include <string>
#include <utility>

namespace quorate::coord {
namespace {

std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex += kDigits[static_cast<unsigned char>(c) >> 4];
    hex += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

Bytes Text(std::string text) {
  return Bytes(std::move(text));
}

PutRequest MakePut(std::string key, std::string value, std::int64_t lease) {
  PutRequest put;
  put.key = std::move(key);
  put.value = Text(std::move(value));
  put.lease = lease;
  return put;
}

Envelope FullEnvelope() {
  Envelope envelope;
  envelope.group = GroupId(3);
  envelope.cluster_time_ns = 0x0102030405060708;
  envelope.wall_time_ns = -2;
  envelope.session = SessionId(300);
  envelope.sequence = 4;
  envelope.idempotency_id = "id";
  envelope.principal = "root";
  envelope.auth_revision = 5;
  envelope.fences = {{1, "lock", 9}};
  envelope.trace_id = 6;
  return envelope;
}

TxnRequest FullTxn() {
  RangeRequest range;
  range.key = "a";
  range.end = "b";
  range.limit = 1;
  range.revision = 2;
  range.order = RangeRequest::SortOrder::kDescend;
  range.target = RangeRequest::SortTarget::kMod;
  range.keys_only = true;
  range.min_mod = 3;
  range.max_mod = 4;
  range.min_create = 5;
  range.max_create = 6;
  PutRequest put = MakePut("k", "v", 7);
  put.prev_kv = true;
  TxnRequest inner;
  inner.failure.push_back(DeleteRangeRequest{"d", "e", true});
  TxnRequest txn;
  txn.compares.push_back({Compare::Result::kGreater, Compare::Target::kValue, "c", std::string("\0", 1), -1, "value"});
  txn.success = {range, put};
  txn.failure = {std::make_shared<const TxnRequest>(inner), std::shared_ptr<const TxnRequest>()};
  return txn;
}

// A change here is a change of the format on disk: it needs a new version, and decoding of this one must stay.
TEST(CommandFormatTest, GoldenBytesOfVersionOne) {
  const std::string plain =
      "0100000000000000000000000000000000"
      "0100000000000000";
  const auto encode = [](CommandBody body) { return Hex(EncodeCommand({Envelope{}, std::move(body)})); };
  EXPECT_EQ(encode(AdvanceTime{}), plain + "09");
  EXPECT_EQ(encode(MakePut("key", "value", 5)), plain + "0100036b65790576616c75650a");
  EXPECT_EQ(encode(DeleteRangeRequest{"a", "b", true}), plain + "020101610162");
  EXPECT_EQ(encode(CompactRequest{100}), plain + "04c801");
  EXPECT_EQ(encode(LeaseGrantRequest{-1, 60}), plain + "050178");
  EXPECT_EQ(encode(LeaseRevokeRequest{3}), plain + "0606");
  EXPECT_EQ(encode(LeaseRenewRequest{3}), plain + "0706");
  EXPECT_EQ(encode(ExpireRequest{{1, 2}}), plain + "08020204");
  EXPECT_EQ(encode(PublishMember{ReplicaId(2), "n2", {"p"}, {"c", "d"}}), plain + "0a02026e320101700201630164");
  EXPECT_EQ(encode(RaiseFeatureLevel{2, {{ReplicaId(2), "n2", {"p", "q"}}}}), plain + "0b020102026e320201700171");
  EXPECT_EQ(encode(AddMember{ReplicaId(3), {"p"}, true}), plain + "0c0301017001");
  EXPECT_EQ(encode(RemoveMember{ReplicaId(300)}), plain + "0dac02");
  EXPECT_EQ(encode(UpdateMember{ReplicaId(3), {"p"}}), plain + "0e03010170");
  EXPECT_EQ(encode(PromoteMember{ReplicaId(3)}), plain + "0f03");
  EXPECT_EQ(encode(ReplaceMember{ReplicaId(3), ReplicaId(4), {"p"}}), plain + "100304010170");
  EXPECT_EQ(encode(AlarmRequest{true, {ReplicaId(3), AlarmType::kNoSpace}}), plain + "11010301");
  EXPECT_EQ(encode(OpenSessionRequest{SessionId(300), 1000}), plain + "12ac02e807");
  EXPECT_EQ(encode(CloseSessionRequest{SessionId(300)}), plain + "13ac02");
  EXPECT_EQ(encode(RenewSessionsRequest{{SessionId(1), SessionId(300)}}), plain + "140201ac02");
  EXPECT_EQ(encode(FullTxn()),
            plain +
                "03"  // transaction
                "01"  // compares
                "0103016301000105"
                "76616c7565"
                "02"  // success
                "01"
                "01"
                "0161"
                "0162"
                "0204"
                "0203"
                "06080a0c"
                "02"
                "01"
                "016b"
                "0176"
                "0e"
                "02"  // failure
                "04"
                "0000"
                "01"
                "03"
                "01"
                "0164"
                "0165"
                "00");
  EXPECT_EQ(Hex(EncodeCommand({FullEnvelope(), AdvanceTime{}})),
            "010807060504030201feffffffffffffff03ac0204026964"
            "04726f6f74"
            "050101"
            "046c6f636b"
            "120609");
}

TEST(CommandFormatTest, StampingOverwritesOnlyTheTwoClocks) {
  std::string stamped = EncodeCommand({FullEnvelope(), FullTxn()});
  StampCommand(stamped, 11, -12);
  Envelope expected = FullEnvelope();
  expected.cluster_time_ns = 11;
  expected.wall_time_ns = -12;
  EXPECT_EQ(stamped, EncodeCommand({expected, FullTxn()}));
}

TEST(CommandFormatTest, AStampMayHoldItsLeaderAndAnotherOneTakesItsPlace) {
  std::string stamped = EncodeCommand({FullEnvelope(), FullTxn()});
  const std::string plain = stamped;
  Envelope expected = FullEnvelope();
  for (const consensus::Ballot leader : {consensus::Ballot{7, ReplicaId(3)}, consensus::Ballot{8, ReplicaId(1)}}) {
    StampCommand(stamped, 11, -12, leader);
    expected.cluster_time_ns = 11;
    expected.wall_time_ns = -12;
    expected.leader = leader;
    EXPECT_EQ(stamped, EncodeCommand({expected, FullTxn()}));
    EXPECT_EQ(DecodeCommand(Bytes(stamped))->envelope, expected);
  }
  StampCommand(stamped, FullEnvelope().cluster_time_ns, FullEnvelope().wall_time_ns);
  EXPECT_EQ(stamped, plain);
}

TEST(CommandFormatTest, ValuesShareTheInputsMemory) {
  const Bytes encoded(EncodeCommand({Envelope{}, MakePut("key", std::string(100, 'v'), 0)}));
  const Result<Command> command = DecodeCommand(encoded);
  const Bytes& value = std::get<PutRequest>(command->body).value;
  EXPECT_EQ(value.view(), std::string(100, 'v'));
  EXPECT_GE(value.data(), encoded.data());
  EXPECT_LE(value.data() + value.size(), encoded.data() + encoded.size());
}

TEST(CommandFormatTest, UnknownVersionsAndKindsAreToldApartFromDamage) {
  std::string encoded = EncodeCommand({Envelope{}, AdvanceTime{}});
  std::string other_version = encoded;
  other_version[0] = 3;
  EXPECT_EQ(DecodeCommand(Text(other_version)).status().code(), StatusCode::kUnimplemented);
  std::string other_kind = encoded;
  other_kind.back() = 77;
  EXPECT_EQ(DecodeCommand(Text(other_kind)).status().code(), StatusCode::kUnimplemented);
  EXPECT_EQ(DecodeCommand(Text(encoded + "x")).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(DecodeCommand(Bytes()).status().code(), StatusCode::kDataLoss);
}

TEST(CommandFormatTest, EveryPrefixIsRefused) {
  const std::string encoded = EncodeCommand({FullEnvelope(), FullTxn()});
  ASSERT_TRUE(DecodeCommand(Text(encoded)).ok());
  for (std::size_t length = 0; length < encoded.size(); ++length) {
    EXPECT_FALSE(DecodeCommand(Text(encoded.substr(0, length))).ok()) << length;
  }
}

TEST(CommandFormatTest, NestingIsBounded) {
  const auto nest = [](std::size_t depth) {
    auto txn = std::make_shared<const TxnRequest>();
    for (std::size_t i = 1; i < depth; ++i) {
      TxnRequest outer;
      outer.success.push_back(std::move(txn));
      txn = std::make_shared<const TxnRequest>(std::move(outer));
    }
    return Text(EncodeCommand({Envelope{}, *txn}));
  };
  EXPECT_TRUE(DecodeCommand(nest(kTxnDepthMax)).ok());
  EXPECT_EQ(DecodeCommand(nest(kTxnDepthMax + 1)).status().code(), StatusCode::kDataLoss);
  std::string bottomless = EncodeCommand({Envelope{}, TxnRequest{}});
  bottomless.resize(bottomless.size() - 3);  // back to the kind
  for (int i = 0; i < 1'000'000; ++i) bottomless += std::string("\0\1\4", 3);
  EXPECT_EQ(DecodeCommand(Text(bottomless)).status().code(), StatusCode::kDataLoss);
}

// ---- anything goes in, the same comes out; equality is that of the encoding, which loses nothing by the golden test

std::string AnyText() {
  return *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
}
template <class T>
T Any() {
  return *rc::gen::arbitrary<T>();
}
PutRequest AnyPut() {
  PutRequest put = MakePut(AnyText(), AnyText(), Any<std::int64_t>());
  put.prev_kv = Any<bool>();
  put.ignore_value = Any<bool>();
  put.ignore_lease = Any<bool>();
  return put;
}
RangeRequest AnyRange() {
  RangeRequest range;
  range.key = AnyText();
  range.end = AnyText();
  range.limit = Any<std::int64_t>();
  range.revision = Any<std::int64_t>();
  range.order = static_cast<RangeRequest::SortOrder>(Any<std::uint8_t>());
  range.target = static_cast<RangeRequest::SortTarget>(Any<std::uint8_t>());
  range.keys_only = Any<bool>();
  range.count_only = Any<bool>();
  range.min_mod = Any<std::int64_t>();
  range.max_mod = Any<std::int64_t>();
  range.min_create = Any<std::int64_t>();
  range.max_create = Any<std::int64_t>();
  return range;
}
TxnRequest AnyTxn(int depth);
RequestOp AnyOp(int depth) {
  switch (*rc::gen::inRange(0, depth > 0 ? 5 : 4)) {
    case 0:
      return AnyRange();
    case 1:
      return AnyPut();
    case 2:
      return DeleteRangeRequest{AnyText(), AnyText(), Any<bool>()};
    case 3:
      return std::shared_ptr<const TxnRequest>();
    default:
      return std::make_shared<const TxnRequest>(AnyTxn(depth - 1));
  }
}
TxnRequest AnyTxn(int depth) {
  TxnRequest txn;
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
    txn.compares.push_back({static_cast<Compare::Result>(Any<std::uint8_t>()),
                            static_cast<Compare::Target>(Any<std::uint8_t>()), AnyText(), AnyText(),
                            Any<std::int64_t>(), AnyText()});
  }
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) txn.success.push_back(AnyOp(depth));
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) txn.failure.push_back(AnyOp(depth));
  return txn;
}
ReplicaId AnyReplica() {
  return ReplicaId(Any<std::uint64_t>());
}
CommandBody AnySessionBody() {
  const SessionId id(Any<std::uint64_t>());
  switch (*rc::gen::inRange(0, 3)) {
    case 0:
      return OpenSessionRequest{id, Any<std::uint64_t>()};
    case 1:
      return CloseSessionRequest{id};
    default:
      return RenewSessionsRequest{{id, SessionId(1)}};
  }
}
CommandBody AnyClusterBody() {
  switch (*rc::gen::inRange(0, 7)) {
    case 0:
      return RaiseFeatureLevel{Any<std::uint32_t>(), {{AnyReplica(), AnyText(), {AnyText()}}, {}}};
    case 1:
      return AddMember{AnyReplica(), {AnyText(), AnyText()}, Any<bool>()};
    case 2:
      return RemoveMember{AnyReplica()};
    case 3:
      return UpdateMember{AnyReplica(), {AnyText()}};
    case 4:
      return PromoteMember{AnyReplica()};
    case 5:
      return ReplaceMember{AnyReplica(), AnyReplica(), {AnyText()}};
    default:
      return AlarmRequest{Any<bool>(), {AnyReplica(), static_cast<AlarmType>(Any<std::uint8_t>())}};
  }
}
CommandBody AnyBody() {
  switch (*rc::gen::inRange(0, 12)) {
    case 11:
      return AnySessionBody();
    case 0:
      return AnyPut();
    case 1:
      return DeleteRangeRequest{AnyText(), AnyText(), Any<bool>()};
    case 2:
      return AnyTxn(3);
    case 3:
      return CompactRequest{Any<std::int64_t>()};
    case 4:
      return LeaseGrantRequest{Any<std::int64_t>(), Any<std::int64_t>()};
    case 5:
      return LeaseRevokeRequest{Any<std::int64_t>()};
    case 6:
      return LeaseRenewRequest{Any<std::int64_t>()};
    case 7:
      return ExpireRequest{Any<std::vector<std::int64_t>>()};
    case 8:
      return AdvanceTime{};
    case 9:
      return AnyClusterBody();
    default:
      return PublishMember{ReplicaId(Any<std::uint64_t>()), AnyText(), {AnyText()}, {AnyText(), AnyText()}};
  }
}
Envelope AnyEnvelope() {
  Envelope envelope;
  envelope.group = GroupId(Any<std::uint64_t>());
  envelope.cluster_time_ns = Any<std::uint64_t>();
  envelope.wall_time_ns = Any<std::int64_t>();
  envelope.session = SessionId(Any<std::uint64_t>());
  envelope.sequence = Any<std::uint64_t>();
  envelope.idempotency_id = AnyText();
  envelope.principal = AnyText();
  envelope.auth_revision = Any<std::uint64_t>();
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i) {
    envelope.fences.push_back({Any<std::uint64_t>(), AnyText(), Any<std::int64_t>()});
  }
  envelope.trace_id = Any<std::uint64_t>();
  return envelope;
}

TEST(CommandFormatTest, AnyCommandSurvivesARoundTrip) {
  EXPECT_TRUE(rc::check([] {
    const Command command{AnyEnvelope(), AnyBody()};
    const std::string encoded = EncodeCommand(command);
    const Bytes bytes = Text(encoded);
    const Result<Command> decoded = DecodeCommand(bytes);
    RC_ASSERT(decoded.ok());
    RC_ASSERT(decoded->envelope == command.envelope);
    RC_ASSERT(decoded->body.index() == command.body.index());
    RC_ASSERT(EncodeCommand(*decoded) == encoded);
  }));
}

TEST(CommandFormatTest, GarbageNeverCrashesTheDecoder) {
  EXPECT_TRUE(rc::check([] {
    std::string encoded = EncodeCommand({AnyEnvelope(), AnyBody()});
    for (int i = *rc::gen::inRange(1, 4); i > 0; --i) {
      encoded[*rc::gen::inRange<std::size_t>(0, encoded.size())] = Any<char>();
    }
    const Bytes bytes = Text(encoded);
    const Result<Command> decoded = DecodeCommand(bytes);
    if (decoded.ok()) EncodeCommand(*decoded);
  }));
}

}  // namespace
}  // namespace quorate::coord
