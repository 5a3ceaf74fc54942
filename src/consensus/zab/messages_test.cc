#include "consensus/zab/messages.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>

#include "consensus/change.h"
#include "consensus/hash.h"

namespace quorate::consensus::zab {
namespace {

constexpr std::uint64_t kHuge = std::numeric_limits<std::uint64_t>::max();

Entry MakeEntry(std::uint64_t index, std::uint64_t epoch, std::string payload) {
  return {LogIndex(index),
          {epoch, ReplicaId()},
          EntryKind::kCommand,
          {ReplicaId(2), Incarnation(7), ProposalId(index)},
          Bytes(std::move(payload))};
}
Zxid At(std::uint64_t index, std::uint64_t epoch) {
  return {Epoch(epoch), LogIndex(index)};
}
Message Of(Body body) {
  return {Epoch(4), SessionNumber(9), std::move(body)};
}

std::vector<Message> OneOfEach() {
  const Vote vote{Epoch(3), At(9, 2), true, ReplicaId(5)};
  return {
      {Epoch(), SessionNumber(), Notification{State::kObserving, true, 12, vote, At(7, 2)}},
      {Epoch(), SessionNumber(9), CEpoch{{3, ReplicaId(2)}}},
      Of(NewEpoch{true}),
      Of(AckEpoch{Epoch(3), LogIndex(2), {{Epoch(1), LogIndex(2)}, {Epoch(3), LogIndex(300)}}, At(5, 2)}),
      Of(Trunc{At(5, 2)}),
      Of(Snap{At(5, 2)}),
      Of(Diff{At(5, 2), {MakeEntry(6, 2, "x"), MakeEntry(7, 4, "")}}),
      Of(Received{LogIndex(300)}),
      Of(NewLeader{At(7, 3)}),
      Of(AckLeader{}),
      Of(UpToDate{LogIndex(7)}),
      Of(Propose{At(7, 3), LogIndex(5), {MakeEntry(8, 4, "y")}}),
      Of(Ack{LogIndex(8)}),
      Of(Commit{LogIndex(8)}),
      Of(Inform{At(7, 3), {MakeEntry(8, 4, "y")}}),
      Of(Ping{ReadRound(6)}),
      Of(Pong{ReadRound(6)}),
      Of(Restart{}),
      Of(Handover{vote}),
      Of(ReadRequest{{Life(3), 12}}),
      Of(ReadReply{{Life(3), 12}, LogIndex(99)}),
      Of(ReadReply{{Life(3), 12}, std::nullopt}),
  };
}

std::string Hex(const Bytes& bytes) {
  std::string out;
  for (const unsigned char c : bytes.view()) {
    out += "0123456789abcdef"[c >> 4];
    out += "0123456789abcdef"[c & 15];
  }
  return out;
}

bool Decodes(const Message& message) {
  return DecodeMessage(EncodeMessage(message)).has_value();
}

TEST(ZabMessages, EveryKindSurvivesTheWire) {
  for (const Message& message : OneOfEach()) {
    const std::optional<Message> back = DecodeMessage(EncodeMessage(message));
    ASSERT_TRUE(back.has_value()) << "kind " << message.body.index();
    EXPECT_EQ(*back, message) << "kind " << message.body.index();
  }
}

// A change here is a change of the wire format: it needs a new version, and a decoder for the old one.
TEST(ZabMessages, TheFormatIsFixed) {
  EXPECT_EQ(Hex(EncodeMessage(Of(AckEpoch{Epoch(3), LogIndex(2), {{Epoch(1), LogIndex(2)}}, At(5, 2)}))),
            "01040409"
            "0302"
            "010102"
            "0205");
  EXPECT_EQ(Hex(EncodeMessage(Of(Propose{At(7, 3), LogIndex(5), {MakeEntry(8, 4, "y")}}))),
            "010c0409"
            "030705"
            "01"
            "09"
            "01000401"
            "020708"
            "0179");
  EXPECT_EQ(Hex(EncodeHardState(
                {{4, ReplicaId(2)}, Epoch(3), LogIndex(5), {{ReplicaId(1), ReplicaId(2)}, {}, {ReplicaId(3)}}})),
            "01"
            "04020305"
            "020102"
            "0103");
}

TEST(ZabMessages, HardStateSurvivesTheDisk) {
  const HardState state{{9, ReplicaId(2)}, Epoch(8), LogIndex(77), {{ReplicaId(1), ReplicaId(2)}, {}, {ReplicaId(5)}}};
  EXPECT_EQ(DecodeHardState(EncodeHardState(state)), state);
  EXPECT_EQ(DecodeHardState(Bytes(EncodeHardState(state).ToString() + "x")), std::nullopt);
  EXPECT_EQ(DecodeHardState(Bytes(std::string("\x02"))), std::nullopt) << "an unknown version";
}

TEST(ZabMessages, EveryPrefixAndEveryExtensionIsRefused) {
  for (const Message& message : OneOfEach()) {
    const std::string whole = EncodeMessage(message).ToString();
    for (std::size_t length = 0; length < whole.size(); ++length) {
      EXPECT_EQ(DecodeMessage(Bytes(whole.substr(0, length))), std::nullopt) << message.body.index() << " " << length;
    }
    EXPECT_EQ(DecodeMessage(Bytes(whole + '\0')), std::nullopt);
  }
}

// Whatever the bytes are, decoding ends, and what it accepts keeps the promises of messages.h.
TEST(ZabMessages, GarbageIsRefusedOrHarmless) {
  Generator generator(1);
  const std::vector<Message> seeds = OneOfEach();
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = EncodeMessage(seeds[generator.UpTo(seeds.size() - 1)]).ToString();
    for (std::uint64_t i = generator.UpTo(4); i > 0; --i) {
      bytes[generator.UpTo(bytes.size() - 1)] = static_cast<char>(generator.UpTo(255));
    }
    const std::optional<Message> message = DecodeMessage(Bytes(bytes));
    if (!message) continue;
    if (const auto* ack = std::get_if<AckEpoch>(&message->body)) {
      ASSERT_FALSE(ack->runs.empty());
      ASSERT_GE(ack->runs.front().last, ack->start);
    }
    const auto* diff = std::get_if<Diff>(&message->body);
    if (diff == nullptr) continue;
    Zxid last = diff->after;
    for (const Entry& entry : diff->entries) {
      ASSERT_EQ(entry.index, last.index.Next());
      ASSERT_GE(GenerationOf(entry), last.epoch);
      last = {GenerationOf(entry), entry.index};
    }
    ASSERT_TRUE(diff->entries.empty() || last.epoch <= message->epoch);
  }
}

TEST(ZabMessages, EntriesThatDoNotFitTheirMessageAreRefused) {
  EXPECT_FALSE(Decodes(Of(Diff{At(1, 2), {MakeEntry(2, 1, "x")}}))) << "the epoch falls";
  EXPECT_FALSE(Decodes(Of(Diff{At(1, 1), {MakeEntry(2, 5, "x")}}))) << "of an epoch to come";
  EXPECT_FALSE(Decodes(Of(Propose{At(1, 1), {}, {MakeEntry(2, 3, "x")}}))) << "not of the leader's epoch";
  EXPECT_FALSE(Decodes(Of(Inform{At(1, 1), {MakeEntry(2, 5, "x")}})));
  EXPECT_FALSE(Decodes(Of(Diff{At(kHuge, 1), {MakeEntry(2, 3, "x")}})));
  Entry bad = MakeEntry(2, 4, "junk");
  bad.kind = EntryKind::kMembership;
  EXPECT_FALSE(Decodes(Of(Propose{At(1, 1), {}, {bad}})));
}

TEST(ZabMessages, AnOutlineRisesAndHasAnEnd) {
  const auto outline = [](std::uint64_t start, std::vector<consensus::Run> runs) {
    return Of(AckEpoch{Epoch(3), LogIndex(start), std::move(runs), {}});
  };
  EXPECT_FALSE(Decodes(outline(0, {})));
  EXPECT_FALSE(Decodes(outline(3, {{Epoch(1), LogIndex(2)}}))) << "ends before it begins";
  EXPECT_FALSE(Decodes(outline(0, {{Epoch(2), LogIndex(2)}, {Epoch(2), LogIndex(3)}})));
  EXPECT_FALSE(Decodes(outline(0, {{Epoch(1), LogIndex(3)}, {Epoch(2), LogIndex(2)}})));
}

// The next epoch, and the next round, must still be a number: a peer that claims the last one must not wear them out.
TEST(ZabMessages, NoNumberIsTheLastOne) {
  EXPECT_FALSE(Decodes({Epoch(), SessionNumber(9), CEpoch{{kHuge, ReplicaId(2)}}}));
  EXPECT_FALSE(Decodes({Epoch(kHuge), SessionNumber(9), NewEpoch{}}));
  EXPECT_FALSE(Decodes({Epoch(), SessionNumber(), Notification{State::kLooking, false, kHuge, {}, {}}}));
}

TEST(ZabMessages, OnlyANotificationIsOutsideOfSessionsAndOnlyItAndCepochOfEpochs) {
  EXPECT_FALSE(Decodes({Epoch(1), SessionNumber(), Notification{}}));
  EXPECT_FALSE(Decodes({Epoch(), SessionNumber(1), Notification{}}));
  EXPECT_FALSE(Decodes({Epoch(1), SessionNumber(1), CEpoch{}}));
  EXPECT_FALSE(Decodes({Epoch(), SessionNumber(), CEpoch{}}));
  EXPECT_FALSE(Decodes({Epoch(), SessionNumber(1), Ack{}}));
  EXPECT_FALSE(Decodes({Epoch(1), SessionNumber(), Ack{}}));
}

}  // namespace
}  // namespace quorate::consensus::zab
