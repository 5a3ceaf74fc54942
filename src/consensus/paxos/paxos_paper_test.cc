// The papers, rule by rule: one replica (1) under test, everybody else played by hand. Lamport, "Paxos Made Simple"
// (PMS); van Renesse and Altinbuken, "Paxos Made Moderately Complex" (PMMC); Howard, Malkhi and Spiegelman, "Flexible
// Paxos"; and what core.h and docs/protocols/paxos.md add.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "consensus/change.h"
#include "consensus/core.h"
#include "consensus/paxos/configurations.h"
#include "consensus/paxos/messages.h"
#include "consensus/paxos/node.h"
#include "consensus/paxos/replica_under_test.h"

namespace quorate::consensus::paxos {
namespace {

// ---- PMS 2.2, the acceptor

TEST(PaxosAcceptor, APromiseIsDurableBeforeItIsAnswered) {
  Replica one(OptionsOf(3));
  one.Persist();
  one.Hear(2, At(1, 2), Phase1a{Campaign::kTimeout, Slot(1), {}});
  ASSERT_EQ(one.All<Phase1b>().size(), 1u);
  EXPECT_EQ(PromisedIn(one.writes.back()), At(1, 2));
  EXPECT_TRUE(one.writes.back().sync);
  EXPECT_EQ(one.Last<Phase1b>(2)->after, one.writes.back().seq);
}

TEST(PaxosAcceptor, AProposerBelowThePromiseIsRefusedAndToldOfIt) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(2, 2), Phase1a{Campaign::kTimeout, Slot(1), {}});
  one.Persist();
  one.Forget();
  const std::size_t writes = one.writes.size();
  one.Hear(3, At(1, 3), Phase1a{Campaign::kTimeout, Slot(1), {}});
  one.Hear(3, At(1, 3), Phase2a{{}, {Command(1, At(1, 3), "x")}});
  EXPECT_TRUE(one.All<Phase1b>().empty());
  EXPECT_TRUE(one.All<Phase2b>().empty());
  ASSERT_EQ(one.All<Preempted>().size(), 2u);
  EXPECT_EQ(one.Last<Preempted>(3)->message.ballot, At(2, 2));
  EXPECT_EQ(one.writes.size(), writes);
}

TEST(PaxosAcceptor, OfTwoBallotsOfOneRoundTheHigherOwnerWins) {
  Replica one(OptionsOf(3));
  one.Hear(3, At(1, 3), Phase1a{Campaign::kTimeout, Slot(1), {}});
  one.Hear(2, At(1, 2), Phase1a{Campaign::kTimeout, Slot(1), {}});
  EXPECT_NE(one.Last<Phase1b>(3), nullptr);
  EXPECT_EQ(one.Last<Phase1b>(2), nullptr);
}

TEST(PaxosAcceptor, AnAcceptanceIsDurableBeforeItIsAnswered) {
  Replica one(OptionsOf(3));
  one.Persist();
  one.Hear(2, At(1, 2), Phase2a{{}, {Command(1, At(1, 2), "x")}});
  ASSERT_EQ(PutsOf(one.writes.back()).size(), 1u);
  // A 2a of a ballot that it never promised: it promises it by accepting, in the same batch.
  EXPECT_EQ(PromisedIn(one.writes.back()), At(1, 2));
  ASSERT_NE(one.Last<Phase2b>(2), nullptr);
  EXPECT_EQ(one.Last<Phase2b>(2)->after, one.writes.back().seq);
  EXPECT_EQ(std::get<Phase2b>(one.Last<Phase2b>(2)->message.body), (Phase2b{{{Slot(1), Slot(1)}}, Slot(1)}));
}

TEST(PaxosAcceptor, AnAcceptanceThatIsRepeatedIsAnsweredAndNotWrittenAgain) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Phase2a{{}, {Command(1, At(1, 2), "x")}});
  one.Persist();
  const std::size_t writes = one.writes.size();
  one.Hear(2, At(1, 2), Phase2a{{}, {Command(1, At(1, 2), "x")}});
  EXPECT_EQ(one.All<Phase2b>().size(), 2u);
  EXPECT_EQ(one.writes.size(), writes);
}

TEST(PaxosAcceptor, ASecondValueInOneBallotIsNeverAccepted) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Phase2a{{}, {Command(1, At(1, 2), "x")}});
  one.Forget();
  one.Hear(2, At(1, 2), Phase2a{{}, {Command(1, At(1, 2), "y")}});
  EXPECT_TRUE(std::get<Phase2b>(one.Last<Phase2b>(2)->message.body).accepted.empty());
}

TEST(PaxosAcceptor, APromiseReportsWhatIsAcceptedFromTheAskedSlotOnWithItsBallots) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Phase2a{{}, {Command(1, At(1, 2), "a"), Command(3, At(1, 2), "c")}});
  one.Hear(3, At(2, 3), Phase2a{{}, {Command(2, At(2, 3), "b")}});
  one.Ticks(10);
  one.Hear(2, At(5, 2), Phase1a{Campaign::kTimeout, Slot(2), {}});
  ASSERT_NE(one.Last<Phase1b>(2), nullptr);
  const auto& page = std::get<Phase1b>(one.Last<Phase1b>(2)->message.body);
  EXPECT_EQ(page.accepted, (std::vector<Entry>{Command(2, At(2, 3), "b"), Command(3, At(1, 2), "c")}));
  EXPECT_EQ(page.next, Slot(0));
}

TEST(PaxosAcceptor, AReportIsPagedByTheBytesOfAMessage) {
  Options options = OptionsOf(3);
  options.message_bytes_max = 10;
  Replica one(options);
  one.Hear(2, At(1, 2), Phase2a{{}, {Command(1, At(1, 2), "123456"), Command(2, At(1, 2), "123456")}});
  one.Ticks(10);
  one.Hear(2, At(5, 2), Phase1a{Campaign::kTimeout, Slot(1), {}});
  const Phase1b first = std::get<Phase1b>(one.Last<Phase1b>(2)->message.body);
  EXPECT_EQ(first.accepted.size(), 1u);
  EXPECT_EQ(first.next, Slot(2));
  one.Hear(2, At(5, 2), Phase1a{Campaign::kTimeout, Slot(2), {}});
  const Phase1b second = std::get<Phase1b>(one.Last<Phase1b>(2)->message.body);
  EXPECT_EQ(second.accepted.size(), 1u);
  EXPECT_EQ(second.next, Slot(0));
}

TEST(PaxosAcceptor, ARestartFindsPromiseAndAcceptancesThoseBelowThePromiseToo) {
  Replica before(OptionsOf(3));
  before.Hear(2, At(1, 2), Phase2a{{}, {Command(1, At(1, 2), "a"), Command(3, At(1, 2), "c")}});
  before.Ticks(10);
  before.Hear(3, At(4, 3), Phase1a{Campaign::kTimeout, Slot(1), {}});
  before.Persist();
  Replica after(OptionsOf(3), before.Disk());
  after.Hear(2, At(3, 2), Phase1a{Campaign::kTimeout, Slot(1), {}});
  EXPECT_EQ(after.Last<Phase1b>(2), nullptr);
  after.Hear(2, At(5, 2), Phase1a{Campaign::kTimeout, Slot(1), {}});
  EXPECT_EQ(std::get<Phase1b>(after.Last<Phase1b>(2)->message.body).accepted,
            (std::vector<Entry>{Command(1, At(1, 2), "a"), Command(3, At(1, 2), "c")}));
}

TEST(PaxosAcceptor, AMemberWithOtherQuorumsOrAnotherWindowIsNotAnswered) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Phase1a{Campaign::kTimeout, Slot(1), {}}, Parameters{kAlpha + 1, 0, 0});
  one.Hear(2, At(1, 2), Phase1a{Campaign::kTimeout, Slot(1), {}}, Parameters{kAlpha, 3, 1});
  EXPECT_TRUE(one.sent.empty());
}

TEST(PaxosAcceptor, AProposerMayOnlyUseItsOwnBallots) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 3), Phase1a{Campaign::kTimeout, Slot(1), {}});
  one.Hear(2, At(1, 3), Phase2a{{}, {Command(1, At(1, 3), "x")}});
  EXPECT_TRUE(one.sent.empty());
}

// ---- PMS 2.2 and 3, the proposer

TEST(PaxosProposer, ItsBallotIsDurableBeforeAnybodyHearsOfIt) {
  Replica one(OptionsOf(3));
  one.Persist();
  const Ballot ballot = one.Campaign({2});
  EXPECT_EQ(ballot, At(1, 1));
  EXPECT_EQ(PromisedIn(one.writes.back()), ballot);
  for (const std::uint64_t to : {2, 3}) EXPECT_EQ(one.Last<Phase1a>(to)->after, one.writes.back().seq);
}

TEST(PaxosProposer, ABallotIsAboveAllThatItHasHeardOf) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(7, 2), Phase1a{Campaign::kTimeout, Slot(1), {}});
  one.Persist();
  EXPECT_EQ(one.Campaign({3}), At(8, 1));
  // Neither does a restart use one again.
  one.Persist();
  Replica again(OptionsOf(3), one.Disk());
  EXPECT_EQ(again.Campaign({3}), At(9, 1));
}

TEST(PaxosProposer, ItsOwnPromiseCountsOnlyWhenItIsDurable) {
  Replica one(OptionsOf(3));
  one.Persist();
  const Ballot ballot = one.Campaign({2});
  one.Promise(2, ballot, {});
  EXPECT_EQ(one.leadership.role, Role::kCandidate);
  one.Persist();
  EXPECT_EQ(one.leadership.role, Role::kLeader);
  EXPECT_TRUE(one.leadership.established);
}

TEST(PaxosProposer, OfReportedValuesThatOfTheHighestBallotIsProposed) {
  Replica one(OptionsOf(5));
  const Ballot ballot = one.Campaign({2, 3, 4});
  one.Persist();
  one.Promise(2, ballot, {Command(1, At(0, 2), "low"), Command(2, At(0, 5), "high")});
  one.Promise(3, ballot, {Command(1, At(0, 4), "high"), Command(2, At(0, 3), "low")});
  const auto proposed = one.EntriesTo<Phase2a>(2);
  ASSERT_EQ(proposed.size(), 2u);
  EXPECT_EQ(proposed.at(1), Command(1, ballot, "high"));
  EXPECT_EQ(proposed.at(2), Command(2, ballot, "high"));
}

TEST(PaxosProposer, GapsBelowAReportAreFilledWithNoopsAndClientsComeAboveAllReports) {
  Replica one(OptionsOf(3));
  const Ballot ballot = one.Campaign({2});
  one.Persist();
  one.Promise(2, ballot, {Command(3, At(0, 2), "c")});
  one.Propose("mine");
  const auto proposed = one.EntriesTo<Phase2a>(2);
  ASSERT_EQ(proposed.size(), 4u);
  EXPECT_EQ(proposed.at(1), Noop(1, ballot));
  EXPECT_EQ(proposed.at(2), Noop(2, ballot));
  EXPECT_EQ(proposed.at(3), Command(3, ballot, "c"));
  EXPECT_EQ(proposed.at(4).payload, Bytes("mine"));
}

TEST(PaxosProposer, WhatItAcceptedItselfIsAReportLikeAnybodys) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Phase2a{{}, {Command(1, At(1, 2), "x")}});
  one.Persist();
  const Ballot ballot = one.Lead({3});
  EXPECT_EQ(one.EntriesTo<Phase2a>(3).at(1), Command(1, ballot, "x"));
}

TEST(PaxosProposer, AReportIsWholeOnlyWithItsLastPage) {
  Replica one(OptionsOf(3));
  const Ballot ballot = one.Campaign({2});
  one.Persist();
  one.Hear(2, ballot, Phase1b{Slot(1), {}, Slot(2), {Command(1, At(0, 2), "a")}});
  EXPECT_EQ(one.leadership.role, Role::kCandidate);
  EXPECT_EQ(std::get<Phase1a>(one.Last<Phase1a>(2)->message.body).from, Slot(2));
  // The first page once more is not the second.
  one.Hear(2, ballot, Phase1b{Slot(1), {}, Slot(2), {Command(1, At(0, 2), "a")}});
  EXPECT_EQ(one.leadership.role, Role::kCandidate);
  one.Hear(2, ballot, Phase1b{Slot(2), {}, {}, {Command(2, At(0, 2), "b")}});
  EXPECT_EQ(one.leadership.role, Role::kLeader);
  EXPECT_EQ(one.EntriesTo<Phase2a>(2).size(), 2u);
}

TEST(PaxosProposer, APromiseOfAnotherBallotCountsForNothing) {
  Replica one(OptionsOf(3));
  const Ballot ballot = one.Campaign({2});
  one.Persist();
  one.Hear(2, At(ballot.number + 1, 1), Phase1b{Slot(1), {}, {}, {}});
  EXPECT_EQ(one.leadership.role, Role::kCandidate);
}

// PMS 3: what is chosen is not proposed again; a proposer that is behind learns it first.
TEST(PaxosProposer, WhatAnAcceptorKnowsToBeChosenIsLearnedBeforeAnythingIsProposed) {
  Replica one(OptionsOf(3));
  const Ballot ballot = one.Campaign({2});
  one.Persist();
  one.Promise(2, ballot, {}, 2);
  EXPECT_EQ(one.leadership.role, Role::kCandidate);
  ASSERT_NE(one.Last<Learn>(2), nullptr);
  EXPECT_EQ(std::get<Learn>(one.Last<Learn>(2)->message.body).from, Slot(1));
  one.Hear(2, ballot, Decision{Slot(2), {Command(1, At(0, 2), "a"), Command(2, At(0, 3), "b")}});
  EXPECT_EQ(one.leadership.role, Role::kLeader);
  EXPECT_TRUE(one.All<Phase2a>().empty());
  one.Persist();
  EXPECT_EQ(one.decided.size(), 2u);
}

TEST(PaxosProposer, PreemptedItGivesItsBallotUp) {
  Replica one(OptionsOf(3));
  one.Lead({2});
  one.Hear(2, At(9, 3), Preempted{});
  EXPECT_EQ(one.leadership.role, Role::kFollower);
  one.Propose("x");
  ASSERT_EQ(one.failed.size(), 1u);
  EXPECT_EQ(one.failed[0].reason, FailureReason::kNotLeader);
}

// ---- PMS 2.2 and 2.3, choosing and learning

TEST(PaxosChoice, AValueIsChosenByAQuorumInOneBallotOwnAcceptanceWhenDurable) {
  Replica one(OptionsOf(5));
  const Ballot ballot = one.Lead({2, 3});
  one.Propose("x");
  one.Accepted(2, ballot, 1, 1, 1);
  one.Accepted(2, ballot, 1, 1, 1);  // twice is once
  one.Accepted(3, ballot, 1, 1, 1);
  EXPECT_TRUE(one.All<Chosen>().empty()) << "its own acceptance is not durable";
  one.Persist();
  EXPECT_FALSE(one.All<Chosen>().empty());
  ASSERT_EQ(one.decided.size(), 1u);
}

TEST(PaxosChoice, AnAcceptanceInAnEarlierBallotDoesNotCount) {
  Replica one(OptionsOf(5));
  const Ballot first = one.Lead({2, 3});
  one.Propose("x");
  one.Persist();
  one.Hear(2, At(first.number, 1), Phase2b{{{Slot(1), Slot(1)}}, Slot(1)});
  one.Hear(2, At(9, 2), Preempted{});
  one.Forget();
  const Ballot second = one.Lead({2, 3});
  one.Persist();
  one.Accepted(3, first, 1, 1, 1);
  one.Accepted(4, first, 1, 1, 1);
  EXPECT_TRUE(one.decided.empty());
  one.Accepted(3, second, 1, 1, 1);
  one.Accepted(4, second, 1, 1, 1);
  EXPECT_EQ(one.decided.size(), 1u);
}

TEST(PaxosChoice, SlotsAreChosenInAnyOrderAndDecidedInTheirs) {
  Replica one(OptionsOf(3));
  const Ballot ballot = one.Lead({2});
  one.Propose("five");
  one.Propose("six");
  one.Persist();
  one.Accepted(3, ballot, 2, 2);
  EXPECT_TRUE(one.decided.empty());
  one.Accepted(2, ballot, 1, 1);
  ASSERT_EQ(one.decided.size(), 2u);
  EXPECT_EQ(one.decided[0].payload, Bytes("five"));
  EXPECT_EQ(one.decided[1].payload, Bytes("six"));
  EXPECT_EQ(one.decided[0].ballot, Ballot()) << "a chosen value has no ballot";
}

TEST(PaxosChoice, ALostAnswerIsMadeGoodByALaterOne) {
  Replica one(OptionsOf(3));
  const Ballot ballot = one.Lead({2});
  one.Propose("x");
  one.Persist();
  one.Ticks(2);
  one.Answer(2, ballot, 1);
  EXPECT_EQ(one.decided.size(), 1u);
}

TEST(PaxosLearner, ANoticeTeachesOnlyWhoAcceptedInThatBallot) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Phase2a{{}, {Command(1, At(1, 2), "old"), Command(2, At(1, 2), "old too")}});
  one.Persist();
  one.Hear(3, At(2, 3), Phase2a{{}, {Command(2, At(2, 3), "new")}});
  one.Persist();
  one.Hear(3, At(2, 3), Chosen{Slot(2)});
  EXPECT_TRUE(one.decided.empty()) << "what was accepted in slot 1 may not be what was chosen";
  one.Hear(3, At(2, 3), Decision{Slot(2), {Command(1, At(2, 3), "chosen")}});
  one.Persist();
  ASSERT_EQ(one.decided.size(), 2u);
  EXPECT_EQ(one.decided[0].payload, Bytes("chosen"));
  EXPECT_EQ(one.decided[1].payload, Bytes("new"));
}

TEST(PaxosLearner, NothingIsDecidedBeforeItIsDurableHere) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Phase2a{Slot(1), {Command(1, At(1, 2), "x")}});
  EXPECT_TRUE(one.decided.empty());
  one.Persist();
  EXPECT_EQ(one.decided.size(), 1u);
}

TEST(PaxosLearner, ANoticeMayComeBeforeWhatItIsAbout) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Chosen{Slot(1)});
  one.Hear(2, At(1, 2), Phase2a{{}, {Command(1, At(1, 2), "x")}});
  one.Persist();
  EXPECT_EQ(one.decided.size(), 1u);
}

TEST(PaxosLearner, WhoHasFallenBehindIsSentWhatIsChosenAndNotAskedToAcceptIt) {
  Replica one(OptionsOf(3));
  const Ballot ballot = one.Lead({2});
  one.Propose("x");
  one.Persist();
  one.Accepted(2, ballot, 1, 1, 1);
  one.Forget();
  one.Ticks(2);
  one.Answer(3, ballot, 0);
  EXPECT_EQ(one.EntriesTo<Decision>(3).size(), 1u);
  EXPECT_TRUE(one.EntriesTo<Phase2a>(3).empty());
}

// ---- Flexible Paxos

TEST(PaxosQuorums, SizesThatNeedNotMeetAreRefused) {
  for (const auto& [phase1, phase2, good] : std::vector<std::tuple<std::uint64_t, std::uint64_t, bool>>{
           {0, 0, true}, {4, 2, true}, {2, 4, true}, {5, 1, true}, {3, 2, false}, {0, 2, false}, {6, 1, false}}) {
    Options options = OptionsOf(5);
    options.phase1_quorum = phase1;
    options.phase2_quorum = phase2;
    EXPECT_EQ(MakeCore(Protocol::kPaxos, options, {}).ok(), good) << phase1 << ", " << phase2;
  }
}

TEST(PaxosQuorums, EachPhaseTakesItsOwnSize) {
  Options options = OptionsOf(5);
  options.phase1_quorum = 4;
  options.phase2_quorum = 2;
  Replica one(options);
  const Ballot ballot = one.Campaign({2, 3, 4});
  one.Persist();
  one.Promise(2, ballot, {});
  one.Promise(3, ballot, {});
  EXPECT_EQ(one.leadership.role, Role::kCandidate);
  one.Promise(4, ballot, {});
  EXPECT_EQ(one.leadership.role, Role::kLeader);
  one.Propose("x");
  one.Persist();
  EXPECT_TRUE(one.decided.empty());
  one.Accepted(5, ballot, 1, 1);
  EXPECT_EQ(one.decided.size(), 1u);
}

TEST(PaxosQuorums, AMemberThatBeganWithOtherSizesDoesNotStart) {
  Replica one(OptionsOf(3));
  one.Persist();
  Options options = OptionsOf(3);
  options.phase1_quorum = 3;
  options.phase2_quorum = 1;
  EXPECT_EQ(MakeCore(Protocol::kPaxos, options, one.Disk()).status().code(), StatusCode::kInvalidArgument);
  EXPECT_FALSE(MakeCore(Protocol::kPaxos, OptionsOf(3, kAlpha + 1), one.Disk()).ok());
}

// ---- PMS 3, the window and the change of acceptors

TEST(PaxosWindow, NoMoreThanAlphaSlotsAreOpen) {
  Replica one(OptionsOf(3));
  const Ballot ballot = one.Lead({2});
  for (int i = 0; i < 7; ++i) one.Propose("x");
  EXPECT_EQ(one.EntriesTo<Phase2a>(2).rbegin()->first, kAlpha);
  one.Persist();
  one.Accepted(2, ballot, 2, 4);  // a hole holds the window
  EXPECT_EQ(one.EntriesTo<Phase2a>(2).rbegin()->first, kAlpha);
  one.Accepted(2, ballot, 1, 1, 4);
  EXPECT_EQ(one.EntriesTo<Phase2a>(2).rbegin()->first, 7u);
}

// A leader of three voters, with replica 4 as a learner that has caught up; slot 1 holds the change that added it.
struct Growing {
  Growing() : one(OptionsOf(3)) {
    ballot = one.Lead({2});
    one.Step(ChangeMembers{{ReplicaId(1), Incarnation(1), ProposalId(90)}, {Ids({1, 2, 3}), {}, Ids({4})}});
    one.Persist();
    one.Accepted(2, ballot, 1, 1, 1);
    one.Ticks(2);
    one.Answer(4, ballot, 0);
    one.Hear(4, ballot, Learned{Slot(1)});
  }
  void ChangeTo(const std::vector<std::uint64_t>& voters, const std::vector<std::uint64_t>& learners) {
    one.Step(ChangeMembers{{ReplicaId(1), Incarnation(1), ProposalId(91)}, {Ids(voters), {}, Ids(learners)}});
    one.Persist();
  }
  Replica one;
  Ballot ballot;
};

TEST(PaxosReconfiguration, ALearnerIsSentWhatIsChosenAndIsNotAskedToAccept) {
  Growing cluster;
  EXPECT_EQ(cluster.one.EntriesTo<Decision>(4).size(), 1u);
  cluster.one.Propose("x");
  EXPECT_TRUE(cluster.one.EntriesTo<Phase2a>(4).empty());
  cluster.one.Persist();
  cluster.one.Accepted(4, cluster.ballot, 2, 2, 2);
  EXPECT_EQ(cluster.one.decided.size(), 1u) << "its acceptance counted";
}

TEST(PaxosReconfiguration, OnlyALearnerThatHasCaughtUpMayVote) {
  Growing cluster;
  cluster.ChangeTo({1, 2, 3, 5}, {4});
  ASSERT_EQ(cluster.one.failed.size(), 1u);
  EXPECT_EQ(cluster.one.failed[0].reason, FailureReason::kDropped);
  cluster.ChangeTo({1, 2, 3, 4}, {});
  EXPECT_EQ(cluster.one.failed.size(), 1u);
}

TEST(PaxosReconfiguration, FormerAcceptorsChooseUpToTheWindowsEndAndTheNewOnesFromThere) {
  Growing cluster;
  Replica& one = cluster.one;
  cluster.ChangeTo({2, 3, 4}, {1});
  const std::uint64_t change = 2;
  EXPECT_EQ(one.EntriesTo<Phase2a>(2).at(change).kind, EntryKind::kMembership);
  one.Accepted(2, cluster.ballot, change, change, change);
  one.Persist();
  // No-ops fill the window; slots from change + alpha on need promises of the new acceptors.
  EXPECT_EQ(one.EntriesTo<Phase2a>(2).rbegin()->first, change + kAlpha - 1);
  ASSERT_NE(one.Last<Phase1a>(4), nullptr);
  EXPECT_EQ(one.Last<Phase1a>(4)->message.ballot, cluster.ballot);
  // Replica 4 is no acceptor of these slots.
  one.Persist();
  one.Accepted(4, cluster.ballot, change + 1, change + kAlpha - 1);
  EXPECT_EQ(one.decided.size(), change);
  one.Accepted(3, cluster.ballot, change + 1, change + kAlpha - 1, change + kAlpha - 1);
  EXPECT_EQ(one.decided.size(), change + kAlpha - 1);
  one.Propose("x");
  EXPECT_EQ(one.EntriesTo<Phase2a>(2).rbegin()->first, change + kAlpha - 1) << "only 2 of {2, 3, 4} has promised";
  one.Promise(4, cluster.ballot, {}, 1);
  EXPECT_EQ(one.EntriesTo<Phase2a>(2).rbegin()->first, change + kAlpha);
  one.Persist();
  one.Accepted(2, cluster.ballot, change + kAlpha, change + kAlpha);
  EXPECT_EQ(one.decided.size(), change + kAlpha - 1) << "its own acceptance is one of no acceptor there";
  one.Accepted(3, cluster.ballot, change + kAlpha, change + kAlpha);
  EXPECT_EQ(one.decided.size(), change + kAlpha);
}

TEST(PaxosReconfiguration, ItEndsOnceAQuorumOfTheNewAcceptorsKnowsAllSlotsOfTheFormerOnes) {
  Growing cluster;
  Replica& one = cluster.one;
  cluster.ChangeTo({1, 2, 3, 4}, {});
  one.Accepted(2, cluster.ballot, 2, 2, 2);
  one.Promise(3, cluster.ballot, {});  // phase 1 takes three of the new ones
  one.Persist();
  const std::uint64_t last = 2 + kAlpha - 1;
  one.Accepted(2, cluster.ballot, 3, last, last);
  one.Ticks(2);
  one.Persist();  // what it knows itself is durable
  ASSERT_EQ(one.membership->outgoing, Ids({1, 2, 3}));
  one.Answer(2, cluster.ballot, last, last - 1);
  one.Answer(3, cluster.ballot, last, last);
  EXPECT_EQ(one.EntriesTo<Phase2a>(2).rbegin()->first, last) << "ended too early";
  one.Ticks(2);
  one.Answer(2, cluster.ballot, last, last);
  const Entry end = one.EntriesTo<Phase2a>(2).at(last + 1);
  EXPECT_EQ(end.kind, EntryKind::kMembership);
  EXPECT_EQ(end.origin.proposal, ProposalId(91)) << "the entry that ends a change answers its request";
  one.Persist();
  one.Accepted(2, cluster.ballot, last + 1, last + 1, last + 1);
  EXPECT_TRUE(one.membership->outgoing == Ids({1, 2, 3})) << "three of four are needed";
  one.Accepted(3, cluster.ballot, last + 1, last + 1, last + 1);
  EXPECT_TRUE(one.membership->outgoing.empty());
}

TEST(PaxosReconfiguration, OneChangeAtATimeAndNoneThatLeavesQuorumsApart) {
  Growing cluster;
  cluster.ChangeTo({1, 2, 3, 4}, {});
  cluster.ChangeTo({1, 2}, {4});
  ASSERT_EQ(cluster.one.failed.size(), 1u);
  EXPECT_EQ(cluster.one.failed[0].reason, FailureReason::kDropped);
  Options options = OptionsOf(3);
  options.phase1_quorum = 2;
  options.phase2_quorum = 2;
  Replica fixed(options);
  const Ballot ballot = fixed.Lead({2});
  fixed.Step(ChangeMembers{{}, {Ids({1, 2, 3}), {}, Ids({4})}});
  fixed.Persist();
  fixed.Accepted(2, ballot, 1, 1, 1);
  fixed.Ticks(2);
  fixed.Answer(4, ballot, 0);
  fixed.Hear(4, ballot, Learned{Slot(1)});
  fixed.Step(ChangeMembers{{}, {Ids({1, 2, 3, 4}), {}, {}}});
  EXPECT_EQ(fixed.failed.size(), 1u) << "2 and 2 of 4 need not meet";
}

TEST(PaxosReconfiguration, AChangeThatDoesNotFollowFromTheOneBeforeItIsVoid) {
  Configurations members(Slot(0), {Ids({1, 2, 3}), {}, {}}, kAlpha);
  EXPECT_TRUE(members.Append(Slot(10), {{Ids({1, 2}), Ids({1, 2, 3}), {}}, {}}));
  EXPECT_FALSE(members.Append(Slot(11), {{Ids({1}), Ids({1, 2, 3}), {}}, {}}));
  EXPECT_EQ(members.Of(Slot(13)), (Electorate{Ids({1, 2, 3}), {}}));
  EXPECT_EQ(members.Of(Slot(14)), (Electorate{Ids({1, 2}), {}}));
  EXPECT_TRUE(members.Append(Slot(15), {{Ids({1, 2}), {}, {}}, {}}));
  EXPECT_FALSE(members.Append(Slot(16), {{Ids({1, 2, 3}), {}, {}}, {}}));
}

TEST(PaxosReconfiguration, WhoBeginsWithASnapshotInTheMiddleOfAChangeTakesQuorumsOfBothForAWindow) {
  Configurations members(Slot(20), {Ids({1, 2}), Ids({1, 2, 3}), {}}, kAlpha);
  EXPECT_EQ(members.Of(Slot(21)), (Electorate{Ids({1, 2}), Ids({1, 2, 3})}));
  EXPECT_EQ(members.Of(Slot(20 + kAlpha)), (Electorate{Ids({1, 2}), {}}));
}

// ---- Reads

TEST(PaxosReads, AReadWaitsForAConfirmationThatWasSentAfterIt) {
  Replica one(OptionsOf(3));
  const Ballot ballot = one.Lead({2});
  one.Ticks(2);
  const Sent early = *one.Last<Heartbeat>(2);
  one.Forget();
  one.Step(ReadBarrier{ReadId(1)});
  EXPECT_TRUE(one.reads.empty());
  HeartbeatReply stale;
  stale.round = std::get<Heartbeat>(early.message.body).round;
  one.Hear(2, ballot, stale);
  EXPECT_TRUE(one.reads.empty());
  one.Answer(2, ballot, 0);
  ASSERT_EQ(one.reads.size(), 1u);
}

TEST(PaxosReads, NoneIsAnsweredBeforeEverySlotThatPhase1SawIsChosen) {
  Replica one(OptionsOf(3));
  const Ballot ballot = one.Lead({2}, {Command(2, At(0, 2), "b")});
  one.Step(ReadBarrier{ReadId(1)});
  one.Ticks(2);
  one.Answer(2, ballot, 0);
  EXPECT_TRUE(one.reads.empty());
  one.Persist();
  one.Accepted(2, ballot, 1, 2, 2);
  one.Answer(2, ballot, 2);
  ASSERT_EQ(one.reads.size(), 1u);
  EXPECT_EQ(one.reads[0].second, Slot(2));
}

TEST(PaxosReads, APhase2QuorumConfirms) {
  Options options = OptionsOf(5);
  options.phase1_quorum = 4;
  options.phase2_quorum = 2;
  Replica one(options);
  const Ballot ballot = one.Lead({2, 3, 4});
  one.Step(ReadBarrier{ReadId(1)});
  one.Answer(5, ballot, 0);
  EXPECT_EQ(one.reads.size(), 1u);
}

TEST(PaxosReads, ALeaderThatIsPreemptedFailsThem) {
  Replica one(OptionsOf(3));
  one.Lead({2});
  one.Step(ReadBarrier{ReadId(1)});
  one.Hear(3, At(5, 3), Heartbeat{});
  EXPECT_TRUE(one.reads.empty());
  EXPECT_EQ(one.failed_reads.size(), 1u);
}

TEST(PaxosLease, WhoLendsOneAnswersNoOtherProposerUntilItEnds) {
  Options options = OptionsOf(3);
  options.lease_reads = true;
  Replica one(options);
  one.Hear(2, At(1, 2), Heartbeat{});
  EXPECT_TRUE(std::get<HeartbeatReply>(one.Last<HeartbeatReply>(2)->message.body).lease);
  one.Ticks(options.election_ticks - 1);
  one.Hear(3, At(2, 3), Phase1a{Campaign::kTimeout, Slot(1), {}});
  one.Hear(3, At(2, 3), Phase1a{Campaign::kTransfer, Slot(1), At(0, 9)});
  EXPECT_EQ(one.Last<Phase1b>(3), nullptr);
  one.Hear(3, At(2, 3), Phase1a{Campaign::kTransfer, Slot(1), At(1, 2)});
  EXPECT_NE(one.Last<Phase1b>(3), nullptr) << "handed over by the leader who has it";
}

TEST(PaxosLease, ARestartWaitsAsLongAsAnyThatMayHaveBeenLent) {
  Options options = OptionsOf(3);
  options.lease_reads = true;
  Replica before(options);
  before.Hear(2, At(1, 2), Heartbeat{});
  before.Persist();
  Replica one(options, before.Disk());
  one.Hear(3, At(2, 3), Phase1a{Campaign::kTimeout, Slot(1), {}});
  EXPECT_EQ(one.Last<Phase1b>(3), nullptr);
  one.Ticks(options.election_ticks);
  one.Hear(3, At(2, 3), Phase1a{Campaign::kTimeout, Slot(1), {}});
  EXPECT_NE(one.Last<Phase1b>(3), nullptr);
}

TEST(PaxosLease, ReadsNeedNoRoundWhileAPhase2QuorumLends) {
  Options options = OptionsOf(3);
  options.lease_reads = true;
  Replica one(options);
  const Ballot ballot = one.Lead({2});
  one.Ticks(2);
  one.Answer(2, ballot, 0, 0, true);
  one.Forget();
  one.Step(ReadBarrier{ReadId(1)});
  EXPECT_EQ(one.reads.size(), 1u);
  EXPECT_TRUE(one.sent.empty());
  one.Ticks(options.election_ticks - 2);  // nobody lends it again
  one.Step(ReadBarrier{ReadId(2)});
  EXPECT_EQ(one.reads.size(), 1u);
}

// ---- Who leads

TEST(PaxosElection, AMemberThatMerelyLostContactIsRefusedByWhoHearsTheLeader) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Heartbeat{});
  one.Hear(3, At(1, 2), Poll{7, Campaign::kTimeout, Slot(1)});
  EXPECT_EQ(std::get<PollReply>(one.Last<PollReply>(3)->message.body), (PollReply{7, false}));
  one.Hear(3, At(2, 3), Phase1a{Campaign::kTimeout, Slot(1), {}});
  EXPECT_EQ(one.Last<Phase1b>(3), nullptr);
  one.Ticks(10);
  one.Hear(3, At(1, 2), Poll{8, Campaign::kTimeout, Slot(1)});
  EXPECT_EQ(std::get<PollReply>(one.Last<PollReply>(3)->message.body), (PollReply{8, true}));
}

TEST(PaxosElection, APollPromisesNothing) {
  Replica one(OptionsOf(3));
  one.Persist();
  const std::size_t writes = one.writes.size();
  one.Hear(3, Ballot(), Poll{1, Campaign::kTimeout, Slot(1)});
  EXPECT_EQ(one.writes.size(), writes);
  EXPECT_EQ(one.leadership.ballot, Ballot());
}

TEST(PaxosElection, ARefusedConnectionStartsOnePollPerBallot) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Heartbeat{});
  one.Step(LinkRefused{ReplicaId(2)});
  one.Ticks(2);
  ASSERT_EQ(one.All<Poll>().size(), 2u);
  EXPECT_EQ(one.All<Poll>()[0].second.campaign, Campaign::kRefused);
  one.Hear(2, At(1, 2), Heartbeat{});
  one.Forget();
  one.Step(LinkRefused{ReplicaId(2)});
  one.Ticks(3);
  EXPECT_TRUE(one.All<Poll>().empty());
}

TEST(PaxosElection, ALeaderThatNoQuorumAnswersGivesWay) {
  Replica one(OptionsOf(3));
  one.Lead({2});
  one.Ticks(10);
  EXPECT_EQ(one.leadership.role, Role::kFollower);
}

TEST(PaxosElection, WhoIsTooFarBehindToBeTaughtGetsNoPromise) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Phase2a{Slot(2), {Command(1, At(1, 2), "a"), Command(2, At(1, 2), "b")}});
  one.Persist();
  one.Apply();
  one.Step(SnapshotTaken{one.core().MetaAt(Slot(2))});
  one.Ticks(10);
  one.Hear(3, At(2, 3), Phase1a{Campaign::kTimeout, Slot(1), {}});
  EXPECT_EQ(one.Last<Phase1b>(3), nullptr);
  one.Hear(3, At(2, 3), Phase1a{Campaign::kTimeout, Slot(3), {}});
  EXPECT_EQ(std::get<Phase1b>(one.Last<Phase1b>(3)->message.body).chosen, Slot(2));
}

TEST(PaxosElection, LeadershipIsHandedToWhoHasEverything) {
  Replica one(OptionsOf(3));
  const Ballot ballot = one.Lead({2});
  one.Propose("x");
  one.Persist();
  one.Step(TransferLeadership{ReplicaId(2)});
  EXPECT_FALSE(one.leadership.established);
  EXPECT_EQ(one.Last<TakeOver>(2), nullptr);
  one.Accepted(2, ballot, 1, 1, 1);
  EXPECT_NE(one.Last<TakeOver>(2), nullptr);
}

// ---- Snapshots and recovery

TEST(PaxosSnapshot, WhatWasAcceptedAboveItSurvivesInTheSameBatch) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Phase2a{{}, {Command(3, At(1, 2), "below"), Command(8, At(1, 2), "above")}});
  one.Persist();
  one.Step(
      SnapshotReceived{ReplicaId(2), {.id = 1, .last = Slot(7), .ballot = {}, .members = {Ids({1, 2, 3}), {}, {}}}});
  ASSERT_TRUE(std::holds_alternative<InstallSnapshot>(one.writes.back().ops.at(0)));
  EXPECT_EQ(PutsOf(one.writes.back()), (std::vector<Entry>{Command(8, At(1, 2), "above")}));
  EXPECT_EQ(PromisedIn(one.writes.back()), At(1, 2));
  one.Persist();
  Replica again(OptionsOf(3), one.Disk());
  again.Hear(3, At(2, 3), Phase1a{Campaign::kTimeout, Slot(8), {}});
  EXPECT_EQ(std::get<Phase1b>(again.Last<Phase1b>(3)->message.body).accepted.size(), 1u);
}

TEST(PaxosSnapshot, OneThatHoldsNothingNewIsNotInstalled) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Phase2a{Slot(1), {Command(1, At(1, 2), "a")}});
  one.Persist();
  const std::size_t writes = one.writes.size();
  one.Step(
      SnapshotReceived{ReplicaId(2), {.id = 1, .last = Slot(1), .ballot = {}, .members = {Ids({1, 2, 3}), {}, {}}}});
  EXPECT_EQ(one.writes.size(), writes);
}

TEST(PaxosSnapshot, AFollowerThatNeedsWhatWasReleasedGetsOne) {
  Replica one(OptionsOf(3));
  const Ballot ballot = one.Lead({2});
  one.Propose("x");
  one.Persist();
  one.Accepted(2, ballot, 1, 1, 1);
  one.Apply();
  one.Step(SnapshotTaken{one.core().MetaAt(Slot(1))});
  one.Ticks(2);
  one.Answer(3, ballot, 0);
  ASSERT_EQ(one.send_snapshot.size(), 1u);
  EXPECT_EQ(one.send_snapshot[0].to, ReplicaId(3));
}

TEST(PaxosRecovery, ALogWithHolesIsGoodAndOneThatLacksAChosenSlotIsNot) {
  Replica one(OptionsOf(3));
  one.Hear(2, At(1, 2), Phase2a{Slot(1), {Command(1, At(1, 2), "a"), Command(3, At(1, 2), "c")}});
  one.Persist();
  one.Ticks(1);  // how far slots are chosen is written
  one.Persist();
  Recovered good = one.Disk();
  Recovered lacks = good;
  lacks.log.erase(lacks.log.begin());
  Recovered above = good;
  above.log.back().ballot = At(2, 2);
  EXPECT_TRUE(MakeCore(Protocol::kPaxos, OptionsOf(3), good).ok());
  EXPECT_EQ(MakeCore(Protocol::kPaxos, OptionsOf(3), lacks).status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(MakeCore(Protocol::kPaxos, OptionsOf(3), above).status().code(), StatusCode::kDataLoss);
}

TEST(PaxosRecovery, WhatIsKnownToBeChosenIsDecidedAgainWithoutALeader) {
  Replica before(OptionsOf(3));
  before.Hear(2, At(1, 2), Phase2a{Slot(1), {Command(1, At(1, 2), "a"), Command(2, At(1, 2), "b")}});
  before.Persist();
  before.Ticks(1);
  before.Persist();
  Replica after(OptionsOf(3), before.Disk());
  ASSERT_EQ(after.decided.size(), 1u);
  EXPECT_EQ(after.decided[0].payload, Bytes("a"));
}

}  // namespace
}  // namespace quorate::consensus::paxos
