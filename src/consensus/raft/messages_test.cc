#include "consensus/raft/messages.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>

#include "base/codec.h"
#include "consensus/change.h"
#include "consensus/hash.h"

namespace quorate::consensus::raft {
namespace {

Entry MakeEntry(std::uint64_t index, std::uint64_t term, std::string payload) {
  return {LogIndex(index),
          {term, ReplicaId()},
          EntryKind::kCommand,
          {ReplicaId(2), Incarnation(7), ProposalId(index)},
          Bytes(std::move(payload))};
}

std::vector<Message> OneOfEach() {
  return {
      {Term(4), VoteRequest{true, Campaign::kRefused, LogIndex(9), Term(3)}},
      {Term(4), VoteReply{true, true}},
      {Term(4), AppendRequest{LogIndex(5), Term(2), LogIndex(4), {MakeEntry(6, 2, "x"), MakeEntry(7, 4, "")}}},
      {Term(4), AppendReply{LogIndex(300)}},
      {Term(4), AppendReject{LogIndex(8), LogIndex(7), Term(3)}},
      {Term(4), Heartbeat{LogIndex(5), ReadRound(6), LogIndex(7)}},
      {Term(4), HeartbeatReply{ReadRound(6), LogIndex(7), LogIndex(7), LogIndex(6)}},
      {Term(4), CommitNotice{LogIndex(5)}},
      {Term(4), TimeoutNow{}},
      {Term(4), ReadRequest{{Life(3), 12}}},
      {Term(4), ReadReply{{Life(3), 12}, LogIndex(99)}},
      {Term(4), ReadReply{{Life(3), 12}, std::nullopt}},
      {Term(0), VoteReply{true, false}},
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

TEST(RaftMessages, EveryKindSurvivesTheWire) {
  for (const Message& message : OneOfEach()) {
    const std::optional<Message> back = DecodeMessage(EncodeMessage(message));
    ASSERT_TRUE(back.has_value()) << "kind " << message.body.index();
    EXPECT_EQ(*back, message) << "kind " << message.body.index();
  }
}

// A change here is a change of the wire format: it needs a new version, and a decoder for the old one.
TEST(RaftMessages, TheFormatIsFixed) {
  EXPECT_EQ(Hex(EncodeMessage({Term(4), VoteRequest{true, Campaign::kRefused, LogIndex(9), Term(3)}})),
            "010104"
            "01030903");
  EXPECT_EQ(Hex(EncodeMessage({Term(4), AppendRequest{LogIndex(5), Term(2), LogIndex(4), {MakeEntry(6, 2, "x")}}})),
            "010304"
            "05020401"
            "09"
            "01000201"
            "020706"
            "0178");
  EXPECT_EQ(Hex(EncodeMessage({Term(300), HeartbeatReply{ReadRound(6), LogIndex(7), LogIndex(7), LogIndex(6)}})),
            "0107ac02"
            "06070706");
  EXPECT_EQ(Hex(EncodeHardState({Term(4), ReplicaId(2), LogIndex(5), Life(6), {{ReplicaId(1)}, {}, {ReplicaId(3)}}})),
            "01"
            "04020506"
            "0101"
            "0103");
}

TEST(RaftMessages, AChangeOfMembersSurvivesAndAnIllegalOneIsRefused) {
  const std::vector<ReplicaId> some{ReplicaId(1), ReplicaId(2)};
  const std::vector<ReplicaId> other{ReplicaId(3)};
  const Change joint{{some, other, other}, {ReplicaId(2), Incarnation(7), ProposalId(9)}};
  EXPECT_EQ(DecodeChange(EncodeChange(joint)), joint);
  EXPECT_EQ(Hex(EncodeChange(joint)),
            "01"
            "020102"
            "0103"
            "0103"
            "020709");
  const std::string whole = EncodeChange(joint).ToString();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_EQ(DecodeChange(Bytes(whole.substr(0, length))), std::nullopt) << length;
  }
  EXPECT_EQ(DecodeChange(Bytes(whole + "x")), std::nullopt);
  EXPECT_EQ(DecodeChange(EncodeChange({{{}, {}, other}, {}})), std::nullopt) << "no voters";
  EXPECT_EQ(DecodeChange(EncodeChange({{some, {}, some}, {}})), std::nullopt) << "voter and learner";
  EXPECT_EQ(DecodeChange(EncodeChange({{{ReplicaId(2), ReplicaId(1)}, {}, {}}, {}})), std::nullopt) << "not sorted";
  EXPECT_EQ(DecodeChange(EncodeChange({{{ReplicaId(0)}, {}, {}}, {}})), std::nullopt);
  EXPECT_EQ(DecodeChange(EncodeChange({{some, {}, {}}, joint.origin})), std::nullopt) << "the entry has the origin";
  Entry bad = MakeEntry(6, 2, "junk");
  bad.kind = EntryKind::kMembership;
  EXPECT_FALSE(DecodeMessage(EncodeMessage({Term(4), AppendRequest{LogIndex(5), Term(2), LogIndex(4), {bad}}})));
}

TEST(RaftMessages, HardStateSurvivesTheDisk) {
  const HardState state{
      Term(9), ReplicaId(2), LogIndex(77), Life(3), {{ReplicaId(1), ReplicaId(2)}, {}, {ReplicaId(5)}}};
  EXPECT_EQ(DecodeHardState(EncodeHardState(state)), state);
  EXPECT_EQ(DecodeHardState(Bytes(EncodeHardState(state).ToString() + "x")), std::nullopt);
  EXPECT_EQ(DecodeHardState(Bytes(std::string("\x02"))), std::nullopt) << "an unknown version";
}

TEST(RaftMessages, EveryPrefixAndEveryExtensionIsRefused) {
  for (const Message& message : OneOfEach()) {
    const std::string whole = EncodeMessage(message).ToString();
    for (std::size_t length = 0; length < whole.size(); ++length) {
      EXPECT_EQ(DecodeMessage(Bytes(whole.substr(0, length))), std::nullopt) << message.body.index() << " " << length;
    }
    EXPECT_EQ(DecodeMessage(Bytes(whole + '\0')), std::nullopt);
  }
}

// Whatever the bytes are, decoding ends, and what it accepts keeps the promises of messages.h.
TEST(RaftMessages, GarbageIsRefusedOrHarmless) {
  Generator generator(1);
  const std::vector<Message> seeds = OneOfEach();
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = EncodeMessage(seeds[generator.UpTo(seeds.size() - 1)]).ToString();
    for (std::uint64_t i = generator.UpTo(4); i > 0; --i) {
      bytes[generator.UpTo(bytes.size() - 1)] = static_cast<char>(generator.UpTo(255));
    }
    const std::optional<Message> message = DecodeMessage(Bytes(bytes));
    if (!message) continue;
    const auto* append = std::get_if<AppendRequest>(&message->body);
    if (append == nullptr) continue;
    Term floor = append->prev_term;
    LogIndex last = append->prev_index;
    for (const Entry& entry : append->entries) {
      ASSERT_EQ(entry.index, last.Next());
      ASSERT_GE(TermOf(entry), floor);
      floor = TermOf(entry);
      last = entry.index;
    }
    ASSERT_LE(floor, message->term);
  }
}

TEST(RaftMessages, AnAppendWithFallingOrFutureTermsIsRefused) {
  const auto decode = [](Message message) { return DecodeMessage(EncodeMessage(message)); };
  EXPECT_FALSE(decode({Term(3), AppendRequest{LogIndex(1), Term(2), {}, {MakeEntry(2, 1, "x")}}}));
  EXPECT_FALSE(decode({Term(3), AppendRequest{LogIndex(1), Term(1), {}, {MakeEntry(2, 4, "x")}}}));
  EXPECT_FALSE(decode({Term(3), AppendRequest{LogIndex(1), Term(4), {}, {}}}));
  EXPECT_FALSE(decode({Term(3), AppendRequest{LogIndex(UINT64_MAX), Term(1), {}, {MakeEntry(2, 3, "x")}}}));
}

}  // namespace
}  // namespace quorate::consensus::raft
