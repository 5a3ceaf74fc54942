// What the Zab paper leaves out, rule by rule: changes of the members (Shraer et al., USENIX ATC 2012), learners, a
// leader that leaves, and reads (node_read.cc has the argument).
#include <gtest/gtest.h>

#include "consensus/change.h"
#include "consensus/zab/replica_under_test.h"

namespace quorate::consensus::zab {
namespace {

// A leader of the voters 1, 2, 3 with the learners 4 and 5, all of whom follow and have caught up.
struct Cluster {
  Cluster() : one(Given()) {
    epoch = one.Lead({2, 3});
    for (const std::uint64_t learner : {4, 5}) one.Welcome(learner, epoch);
  }
  static Options Given() {
    Options options = OptionsOf(3);
    options.initial.learners = Ids({4, 5});
    return options;
  }
  Replica one;
  std::uint64_t epoch = 0;
};

// ---- Learners

TEST(ZabLearner, ItIsSentWhatIsCommittedAndNothingBefore) {
  Cluster cluster;
  Replica& one = cluster.one;
  one.Propose("a");
  EXPECT_TRUE(one.To<zab::Propose>(4).empty());
  EXPECT_TRUE(one.To<Inform>(4).empty());
  one.Persist();
  one.Acknowledge({4, 5}, cluster.epoch, 1);  // of what it was never sent: its session ends
  EXPECT_TRUE(one.decided.empty());
  one.Welcome(4, cluster.epoch, 2);
  one.Acknowledge({2}, cluster.epoch, 1);
  ASSERT_EQ(one.To<Inform>(4).size(), 1u);
  EXPECT_EQ(one.Body<Inform>(4).entries.size(), 1u);
}

TEST(ZabLearner, WhatItIsInformedOfIsCommitted) {
  Options options = Cluster::Given();
  options.self = ReplicaId(4);
  Replica four(options);
  const std::uint64_t session = four.Join(2, 3, {MakeEntry(1, 1)});
  EXPECT_EQ(four.Decided(), "");
  four.Hear(2, 3, session, UpToDate{LogIndex(1)});
  four.Hear(2, 3, session, Inform{At(1, 1), {MakeEntry(2, 3)}});
  four.Persist();
  EXPECT_EQ(four.Decided(), "1/1 2/3");
  EXPECT_EQ(four.leadership.role, Role::kLearner);
}

// ---- Voters change (ATC 2012, section 3)

TEST(ZabReconfiguration, TheEntryOfBothAndAllAfterItNeedsAQuorumOfEach) {
  Cluster cluster;
  Replica& one = cluster.one;
  one.Change({1, 4, 5});
  EXPECT_EQ(one.membership, (Membership{Ids({1, 4, 5}), Ids({1, 2, 3}), {}})) << "in force from when it is in the log";
  one.Propose("x");
  one.Persist();
  one.Acknowledge({4, 5}, cluster.epoch, 2);
  EXPECT_TRUE(one.decided.empty()) << "a quorum of the new voters only";
  one.Acknowledge({2}, cluster.epoch, 2);
  EXPECT_EQ(one.decided.size(), 2u);
}

TEST(ZabReconfiguration, TheFormerVotersAloneAreNotEnoughEither) {
  Cluster cluster;
  Replica& one = cluster.one;
  one.Change({1, 4, 5});
  one.Persist();
  one.Acknowledge({2, 3}, cluster.epoch, 1);
  EXPECT_TRUE(one.decided.empty());
}

TEST(ZabReconfiguration, TheSecondEntryEndsItAnswersTheRequestAndNeedsTheNewVoters) {
  Cluster cluster;
  Replica& one = cluster.one;
  one.Change({1, 4, 5});
  one.Persist();
  one.Acknowledge({2, 4}, cluster.epoch, 1);
  ASSERT_EQ(one.membership, (Membership{Ids({1, 4, 5}), {}, {}}));
  one.Persist();
  EXPECT_EQ(one.decided.size(), 1u);
  EXPECT_EQ(one.decided[0].origin, Origin());
  one.Acknowledge({2, 3}, cluster.epoch, 2);
  EXPECT_EQ(one.decided.size(), 1u) << "the former voters count no more";
  one.Acknowledge({5}, cluster.epoch, 2);
  ASSERT_EQ(one.decided.size(), 2u);
  EXPECT_EQ(one.decided[1].origin.proposal, ProposalId(1));
}

TEST(ZabReconfiguration, DiscoveryAndSynchronizationNeedBothAsWell) {
  Recovered disk = Disk({.accepted = {1, ReplicaId(3)}, .current = 1, .epochs = {}});
  disk.log = {{LogIndex(1),
               {1, ReplicaId()},
               EntryKind::kMembership,
               {},
               EncodeChange({{Ids({1, 4, 5}), Ids({1, 2, 3}), {}}, {}})}};
  Replica one(OptionsOf(3), disk);
  one.Elect({2, 4, 3, 5});
  one.Hear(4, 0, 1, CEpoch{});
  one.Hear(5, 0, 1, CEpoch{});
  EXPECT_TRUE(one.All<NewEpoch>().empty()) << "nobody of the former voters";
  one.Hear(2, 0, 1, CEpoch{});
  ASSERT_NE(one.Last<NewEpoch>(2), nullptr);
  one.Persist();
  for (const std::uint64_t peer : {4, 5}) one.Hear(peer, 2, 1, OutlineOf({1}, 1));
  EXPECT_NE(one.leadership.role, Role::kLeader);
  one.Hear(2, 2, 1, OutlineOf({1}, 1));
  EXPECT_EQ(one.leadership.role, Role::kLeader);
  one.Persist();
  for (const std::uint64_t peer : {4, 5}) one.Hear(peer, 2, 1, AckLeader{});
  EXPECT_FALSE(one.leadership.established);
  one.Hear(2, 2, 1, AckLeader{});
  EXPECT_TRUE(one.leadership.established);
  EXPECT_TRUE(one.membership.outgoing.empty()) << "whoever leads ends the change";
}

TEST(ZabReconfiguration, OneChangeAtATimeOnlyALegalOneAndOnlyLearnersThatHaveCaughtUp) {
  Cluster cluster;
  Replica& one = cluster.one;
  one.Change({});
  one.Change({1, 2, 3}, {3});
  one.Change({1, 2, 3, 6}, {4, 5});
  ASSERT_EQ(one.failed.size(), 3u);
  for (const Failed& failed : one.failed) EXPECT_EQ(failed.reason, FailureReason::kDropped);
  one.Step(LinkDown{ReplicaId(5), LinkId(1)});
  one.Change({1, 2, 3, 5}, {4});
  EXPECT_EQ(one.failed.size(), 4u) << "5 is away";
  one.Change({1, 2, 3, 4}, {5});
  EXPECT_EQ(one.failed.size(), 4u);
  one.Change({1, 2, 3}, {5});
  EXPECT_EQ(one.failed.size(), 5u) << "the former one is under way";
}

TEST(ZabReconfiguration, WhoLeavesHearsOfIt) {
  Cluster cluster;
  Replica& one = cluster.one;
  one.Change({1, 2, 3, 4});
  one.Persist();
  one.Acknowledge({2, 3, 4}, cluster.epoch, 1);
  EXPECT_FALSE(one.To<zab::Propose>(5).empty()) << "a learner that leaves: it is sent the entry that says so";
  one.Persist();
  one.Acknowledge({2, 3}, cluster.epoch, 2);
  EXPECT_EQ(one.Body<Commit>(5).upto, LogIndex(2)) << "and that it is committed";
  one.Change({1, 2, 4});
  one.Persist();
  one.Acknowledge({2, 4}, cluster.epoch, 3);
  one.Persist();
  one.Forget();
  one.Acknowledge({2}, cluster.epoch, 4);
  EXPECT_EQ(one.Body<Commit>(3).upto, LogIndex(4));
  one.Propose("x");
  EXPECT_TRUE(one.To<zab::Propose>(3).empty());
}

TEST(ZabReconfiguration, ALeaderThatLeavesNamesAnHeirOnceTheChangeIsCommitted) {
  Cluster cluster;
  Replica& one = cluster.one;
  one.Change({2, 3}, {4, 5});
  one.Persist();
  one.Acknowledge({2, 3}, cluster.epoch, 1);
  one.Persist();
  one.Acknowledge({2}, cluster.epoch, 2);
  EXPECT_EQ(one.leadership.role, Role::kLeader) << "it does not count itself";
  one.Acknowledge({3}, cluster.epoch, 2);
  EXPECT_NE(one.leadership.role, Role::kLeader);
  for (const std::uint64_t peer : {2, 3, 4, 5}) EXPECT_NE(one.Last<Handover>(peer), nullptr) << peer;
  for (const std::uint64_t peer : {2, 3}) {
    EXPECT_EQ(one.Body<Commit>(peer).upto, LogIndex(2)) << "of all that is committed they hear first";
  }
  EXPECT_TRUE(one.Body<Handover>(2).vote.nominated);
  one.Forget();
  one.Ticks(300);
  for (const auto& [to, word] : one.All<Notification>()) EXPECT_EQ(word.vote.leader, ReplicaId());
}

// It may be the only one that has the entry which removes it; then nobody else is fresh enough to lead.
TEST(ZabReconfiguration, WhoIsRemovedByAnEntryThatIsNotCommittedMayStillLead) {
  Options options = OptionsOf(1);
  options.initial.learners = Ids({2});
  Replica one(options);
  one.Ticks(3);
  one.Persist();
  ASSERT_TRUE(one.leadership.established);
  const std::uint64_t epoch = one.leadership.ballot.number;
  one.Welcome(2, epoch);
  one.Change({2});
  one.Persist();
  one.Acknowledge({2}, epoch, 1);
  one.Persist();
  ASSERT_EQ(one.membership, (Membership{Ids({2}), {}, {}}));
  Replica again(options, one.Recover());
  EXPECT_EQ(again.OwnVote().leader, ReplicaId(1));
  again.HearVote(2, again.OwnVote());
  EXPECT_EQ(again.All<Notification>().back().second.state, State::kLeading);
}

// Those who know that it is removed and those who do not must be able to agree on it: it may be the freshest.
TEST(ZabReconfiguration, WhoIsRemovedAndTheFreshestIsElectedByAllOrNobodyEverIs) {
  Recovered disk = Disk({.accepted = {1, ReplicaId(4)}, .current = 1, .epochs = {}, .voters = 4});
  const auto change = [](std::uint64_t index, Membership members) {
    return Entry{LogIndex(index), {1, ReplicaId()}, EntryKind::kMembership, {}, EncodeChange({std::move(members), {}})};
  };
  disk.log = {change(1, {Ids({1, 2}), Ids({1, 2, 3, 4}), {}}), change(2, {Ids({1, 2}), {}, {}})};
  Replica one(OptionsOf(4), disk);
  one.HearVote(2, VoteFor(4, 1, At(3, 1)));
  EXPECT_EQ(one.OwnVote().leader, ReplicaId(4)) << "2 does not know yet that 4 is removed";
  one.HearVote(2, VoteFor(4, 1, At(3, 1)));
  one.Ticks(one.heartbeat_ticks() + 1);
  EXPECT_NE(one.Last<CEpoch>(4), nullptr);
}

TEST(ZabTransfer, ProposalsAreRefusedAndTheHeirHasEverything) {
  Cluster cluster;
  Replica& one = cluster.one;
  one.Propose("a");
  one.Step(TransferLeadership{ReplicaId(4)});
  EXPECT_TRUE(one.leadership.established) << "not to a learner";
  one.Step(TransferLeadership{ReplicaId(3)});
  EXPECT_FALSE(one.leadership.established);
  one.Propose("b");
  ASSERT_EQ(one.failed.size(), 1u);
  EXPECT_EQ(one.failed[0].reason, FailureReason::kNotLeader);
  one.Persist();
  one.Acknowledge({2}, cluster.epoch, 1);
  EXPECT_TRUE(one.All<Handover>().empty()) << "3 does not have it";
  one.Acknowledge({3}, cluster.epoch, 1);
  EXPECT_EQ(one.Body<Handover>(2).vote.leader, ReplicaId(3));
  EXPECT_EQ(one.OwnVote().leader, ReplicaId(3));
}

TEST(ZabTransfer, AFollowerVotesAsItsLeaderSaysIfTheHeirsHistoryIsNotLongerThanItKnows) {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Join(2, 3, {MakeEntry(1, 1)});
  one.Hear(2, 3, session, UpToDate{LogIndex(1)});
  Vote vote = VoteFor(3, 3, At(1, 1));
  vote.nominated = true;
  one.Hear(2, 3, session, Handover{vote});
  EXPECT_EQ(one.OwnVote(), vote);
}

// ---- Reads

TEST(ZabReads, AReadWaitsForAQuorumsAnswersToARoundThatBeganAfterIt) {
  Replica one(OptionsOf(5));
  const std::uint64_t epoch = one.Lead({2, 3});
  one.Ticks(2);
  const ReadRound before = one.Body<Ping>(2).round;
  one.Step(ReadBarrier{ReadId(1)});
  const ReadRound round = one.Body<Ping>(2).round;
  ASSERT_GT(round, before);
  EXPECT_TRUE(one.reads.empty());
  one.Hear(2, epoch, 1, Pong{before});
  one.Hear(3, epoch, 1, Pong{before});
  EXPECT_TRUE(one.reads.empty()) << "answers to an earlier round";
  one.Hear(2, epoch, 1, Pong{round});
  one.Hear(2, epoch, 1, Pong{round});
  EXPECT_TRUE(one.reads.empty()) << "one follower, twice";
  one.Hear(3, epoch, 1, Pong{round});
  ASSERT_EQ(one.reads.size(), 1u);
  EXPECT_EQ(one.reads[0].second, LogIndex(0));
}

TEST(ZabReads, NoneIsAnsweredBeforeNewleaderIsCommitted) {
  Replica one(OptionsOf(3), Disk({.accepted = {1, ReplicaId(3)}, .current = 1, .epochs = {1, 1}}));
  one.Elect({2, 3});
  one.Hear(2, 0, 1, CEpoch{});
  one.Persist();
  one.Hear(2, 2, 1, OutlineOf({1, 1}, 1));
  one.Persist();
  one.Step(ReadBarrier{ReadId(1)});
  EXPECT_TRUE(one.All<Ping>().empty());
  one.Hear(2, 2, 1, AckLeader{});
  one.Hear(2, 2, 1, Pong{one.Body<Ping>(2).round});
  ASSERT_EQ(one.reads.size(), 1u);
  EXPECT_EQ(one.reads[0].second, LogIndex(2)) << "whatever an earlier leader has acknowledged";
}

TEST(ZabReads, AFollowerConfirmsOnlyOnceItHasAcceptedTheLeadersEpoch) {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Follow(2);
  one.Hear(2, 3, session, NewEpoch{});
  one.Hear(2, 3, session, Ping{ReadRound(4)});
  EXPECT_EQ(one.Body<Pong>(2).round, ReadRound(0));
  one.Persist();
  one.Hear(2, 3, session, NewLeader{At(0, 0)});
  one.Hear(2, 3, session, Ping{ReadRound(5)});
  EXPECT_EQ(one.Body<Pong>(2).round, ReadRound(5));
  // And not at all once it looks for another leader, or follows one.
  one.Ticks(20);
  one.Forget();
  one.Hear(2, 3, session, Ping{ReadRound(6)});
  EXPECT_TRUE(one.All<Pong>().empty());
}

TEST(ZabReads, AFollowerAsksTheLeaderAndAnAnswerOfAFormerSessionAnswersNothing) {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Join(2, 3, {});
  one.Step(ReadBarrier{ReadId(1)});
  ASSERT_EQ(one.failed_reads.size(), 1u) << "before UPTODATE";
  one.Hear(2, 3, session, UpToDate{LogIndex(0)});
  one.Step(ReadBarrier{ReadId(2)});
  const ReadRequestId asked = one.Body<ReadRequest>(2).id;
  one.Step(LinkDown{ReplicaId(2), LinkId(1)});
  EXPECT_EQ(one.failed_reads.size(), 2u);
  one.Step(LinkUp{ReplicaId(2), LinkId(1), Incarnation(1)});
  one.Hear(2, 3, one.Join(2, 3, {}, true), UpToDate{LogIndex(0)});
  one.Step(ReadBarrier{ReadId(3)});
  one.Hear(2, 3, session, ReadReply{asked, LogIndex(0)});
  one.Hear(2, 3, one.Last<ReadRequest>(2)->message.session.value, ReadReply{asked, LogIndex(0)});
  EXPECT_TRUE(one.reads.empty());
  one.Hear(2, 3, one.Last<ReadRequest>(2)->message.session.value, ReadReply{one.Body<ReadRequest>(2).id, LogIndex(0)});
  ASSERT_EQ(one.reads.size(), 1u);
  EXPECT_EQ(one.reads[0].first, ReadId(3));
}

TEST(ZabReads, ALeaderThatLeavesOfficeFailsThem) {
  Replica one(OptionsOf(3));
  const std::uint64_t epoch = one.Lead({2});
  one.Step(ReadBarrier{ReadId(1)});
  one.Hear(2, epoch, 1, ReadRequest{{Life(1), 1}});
  one.Ticks(50);
  EXPECT_NE(one.leadership.role, Role::kLeader);
  EXPECT_TRUE(one.reads.empty());
  EXPECT_EQ(one.failed_reads.size(), 1u);
}

// Zab offers no lease: with lease reads on, a round is asked for all the same, whatever any clock says.
TEST(ZabReads, LeaseReadsTakeARoundToo) {
  Options options = OptionsOf(3);
  options.lease_reads = true;
  Replica one(options);
  const std::uint64_t epoch = one.Lead({2});
  one.Ticks(2);
  one.Hear(2, epoch, 1, Pong{one.Body<Ping>(2).round});
  one.Forget();
  one.Step(ReadBarrier{ReadId(1)});
  EXPECT_TRUE(one.reads.empty());
  EXPECT_FALSE(one.All<Ping>().empty());
}

}  // namespace
}  // namespace quorate::consensus::zab
