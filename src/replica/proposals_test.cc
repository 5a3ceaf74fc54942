#include "replica/proposals.h"

#include <gtest/gtest.h>

#include "replica/peer_message.h"
#include "replica/reads.h"

namespace quorate::replica {
namespace {

class ProposalsTest : public ::testing::Test {
 protected:
  WaitingProposal Make(std::string command, std::uint64_t deadline = 100) {
    return {std::move(command), deadline, [this](ProposeResult result) { fates_.push_back(result.fate); }};
  }
  ProposalId Send(ReplicaId leader) { return proposals_.MarkSent(*proposals_.NextWaiting(), leader); }

  std::vector<Fate> fates_;
  Proposals proposals_{10};
};

TEST_F(ProposalsTest, OverTheByteBoundAProposalIsNotTaken) {
  WaitingProposal small = Make("12345");
  WaitingProposal large = Make("123456");
  EXPECT_TRUE(proposals_.Admit(small));
  EXPECT_FALSE(proposals_.Admit(large));
  EXPECT_EQ(large.command, "123456");
}

TEST_F(ProposalsTest, ARefusedOneIsSentAgainUnderAFreshId) {
  WaitingProposal proposal = Make("x");
  ASSERT_TRUE(proposals_.Admit(proposal));
  const ProposalId first = Send(ReplicaId(1));
  proposals_.Refused(first);
  const ProposalId second = Send(ReplicaId(2));
  EXPECT_GT(second, first);
  proposals_.Executed(first, LogIndex(1), nullptr);
  EXPECT_TRUE(fates_.empty());
  proposals_.Executed(second, LogIndex(2), nullptr);
  EXPECT_EQ(fates_, std::vector<Fate>{Fate::kApplied});
}

TEST_F(ProposalsTest, ALostLeaderFailsWhatWasSentToItAndNothingElse) {
  for (const char* command : {"a", "b", "c"}) {
    WaitingProposal proposal = Make(command);
    ASSERT_TRUE(proposals_.Admit(proposal));
  }
  Send(ReplicaId(1));
  Send(ReplicaId(2));
  proposals_.FailSentTo(ReplicaId(1), Fate::kLeaderLost);
  EXPECT_EQ(fates_, std::vector<Fate>{Fate::kLeaderLost});
  EXPECT_EQ(proposals_.size(), 2u);
}

TEST_F(ProposalsTest, AnExpiredOneSaysWhetherAnybodyHadIt) {
  WaitingProposal sent = Make("a", 50);
  WaitingProposal unsent = Make("b", 50);
  ASSERT_TRUE(proposals_.Admit(sent));
  ASSERT_TRUE(proposals_.Admit(unsent));
  Send(ReplicaId(1));
  proposals_.Expire(49);
  EXPECT_TRUE(fates_.empty());
  proposals_.Expire(50);
  EXPECT_EQ(fates_, (std::vector<Fate>{Fate::kTimedOut, Fate::kNoLeader}));
  EXPECT_EQ(proposals_.size(), 0u);
}

class ReadsTest : public ::testing::Test {
 protected:
  void Add() {
    reads_.Add(1'000'000'000'000, [this](Fate fate) { fates_.push_back(fate); });
  }
  std::vector<Fate> fates_;
  Reads reads_;
};

TEST_F(ReadsTest, BarriersAskedForTogetherShareARoundAndAreServedWhenApplied) {
  Add();
  Add();
  const std::optional<ReadId> round = reads_.BeginRound(0);
  ASSERT_TRUE(round);
  EXPECT_FALSE(reads_.BeginRound(0));
  reads_.Ready(*round, LogIndex(5));
  reads_.ServeUpTo(LogIndex(4));
  EXPECT_TRUE(fates_.empty());
  reads_.ServeUpTo(LogIndex(5));
  EXPECT_EQ(fates_, (std::vector<Fate>{Fate::kApplied, Fate::kApplied}));
}

TEST_F(ReadsTest, ABarrierIsNeverAnsweredByARoundThatBeganBeforeIt) {
  Add();
  const std::optional<ReadId> round = reads_.BeginRound(0);
  Add();
  reads_.Ready(*round, LogIndex(0));
  reads_.ServeUpTo(LogIndex(9));
  EXPECT_EQ(fates_.size(), 1u);
}

TEST_F(ReadsTest, AskingAgainTakesAFreshIdAndTheOldAnswerCountsForNothing) {
  Add();
  const std::optional<ReadId> first = reads_.BeginRound(0);
  reads_.Failed(*first);
  const std::optional<ReadId> second = reads_.BeginRound(0);
  ASSERT_TRUE(second);
  EXPECT_NE(*first, *second);
  reads_.Ready(*first, LogIndex(0));
  reads_.ServeUpTo(LogIndex(9));
  EXPECT_TRUE(fates_.empty());
}

TEST_F(ReadsTest, ARoundWhoseMessagesWereLostIsAskedForAnew) {
  Add();
  ASSERT_TRUE(reads_.BeginRound(0));
  reads_.Expire(Reads::kRoundTimeoutNs, true);
  EXPECT_TRUE(reads_.BeginRound(Reads::kRoundTimeoutNs));
}

TEST_F(ReadsTest, WhenTheStateIsReplacedNoBarrierIsServed) {
  Add();
  const std::optional<ReadId> round = reads_.BeginRound(0);
  reads_.Ready(*round, LogIndex(5));
  Add();
  ASSERT_TRUE(reads_.BeginRound(0));
  Add();
  reads_.FailAll(Fate::kNotReady);
  EXPECT_EQ(fates_, (std::vector<Fate>{Fate::kNotReady, Fate::kNotReady, Fate::kNotReady}));
  reads_.ServeUpTo(LogIndex(9));
  EXPECT_EQ(fates_.size(), 3u);
}

TEST(PeerMessage, AChangeOfMembersAndARefusalForWantOfSpaceComeBackAsTheyWere) {
  const ForwardedChange change{{ReplicaId(3), Incarnation(2), ProposalId(9)},
                               {{ReplicaId(1), ReplicaId(300)}, {}, {ReplicaId(7)}}};
  const auto decoded = DecodePeerMessage(GroupId(1), EncodePeerMessage(GroupId(1), change));
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<ForwardedChange>(*decoded).target, change.target);
  EXPECT_EQ(std::get<ForwardedChange>(*decoded).origin, change.origin);
  const ProposalRefused refused{Incarnation(2), ProposalId(9), consensus::FailureReason::kDropped, true};
  const auto again = DecodePeerMessage(GroupId(1), EncodePeerMessage(GroupId(1), refused));
  ASSERT_TRUE(again);
  EXPECT_TRUE(std::get<ProposalRefused>(*again).no_space);
}

TEST(PeerMessage, AnyOtherGroupVersionOrCutIsRefused) {
  const PeerMessage message =
      ForwardedProposal{{ReplicaId(3), Incarnation(2), ProposalId(9)}, Bytes(std::string("command"))};
  const Bytes frame = EncodePeerMessage(GroupId(1), message);
  const auto decoded = DecodePeerMessage(GroupId(1), frame);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(std::get<ForwardedProposal>(*decoded).origin.proposal, ProposalId(9));
  EXPECT_EQ(std::get<ForwardedProposal>(*decoded).command.view(), "command");
  EXPECT_FALSE(DecodePeerMessage(GroupId(2), frame));
  for (std::size_t cut = 0; cut < 6; ++cut) EXPECT_FALSE(DecodePeerMessage(GroupId(1), frame.Slice(0, cut))) << cut;
}

TEST(HeldProposalsTest, AreBoundedInBytesComeInOrderAndAreDroppedWhenNobodyWaitsForThem) {
  HeldProposals held(10);
  const auto forwarded = [](std::uint64_t id, const char* command) {
    return ForwardedProposal{{ReplicaId(2), Incarnation(1), ProposalId(id)}, Bytes(std::string(command))};
  };
  EXPECT_TRUE(held.Add(forwarded(1, "12345"), 100));
  EXPECT_TRUE(held.Add(forwarded(2, "1234"), 200));
  EXPECT_FALSE(held.Add(forwarded(3, "12"), 300));
  EXPECT_EQ(held.Next()->origin.proposal, ProposalId(1));
  EXPECT_TRUE(held.Add(forwarded(4, "123456"), 400));
  held.Expire(1'200, 1'000);
  EXPECT_EQ(held.Next()->origin.proposal, ProposalId(4));
  EXPECT_FALSE(held.Next());
  EXPECT_TRUE(held.empty());
}

}  // namespace
}  // namespace quorate::replica
