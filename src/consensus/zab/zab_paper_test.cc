// The Zab paper, phase by phase: one node (1) under test, everybody else played by hand. Junqueira, Reed, Serafini,
// "Zab: High-performance broadcast for primary-backup systems", DSN 2011 (paper), whose algorithms name the leader's
// steps l.1.1 and so on, the follower's f.1.1; Medeiros, "ZooKeeper's atomic broadcast protocol", 2012; Shraer et al.,
// USENIX ATC 2012; and what core.h and docs/protocols/zab.md add. zab_reconfiguration_test.cc has members and reads;
// the properties of section 3 (integrity, total order, agreement, primary order, primary integrity) are held by
// random_test.cc.
#include <gtest/gtest.h>

#include "consensus/zab/replica_under_test.h"

namespace quorate::consensus::zab {
namespace {

// ---- Phase 0: who may lead (Medeiros 3.1). Nothing of it is a promise.

TEST(ZabElection, TheNewestEpochWinsThenTheLatestZxidThenTheLargerId) {
  Replica one(OptionsOf(5), Disk({.accepted = {2, ReplicaId(1)}, .current = 2, .epochs = {1, 1}, .voters = 5}));
  one.HearVote(2, VoteFor(2, 1, At(9, 1)));
  EXPECT_EQ(one.OwnVote().leader, ReplicaId(1)) << "a longer history of an older epoch";
  one.HearVote(2, VoteFor(2, 2, At(1, 1)));
  EXPECT_EQ(one.OwnVote().leader, ReplicaId(1)) << "a shorter history";
  one.HearVote(2, VoteFor(2, 2, At(2, 1)));
  EXPECT_EQ(one.OwnVote().leader, ReplicaId(2)) << "the same, with a larger id";
  one.HearVote(3, VoteFor(3, 2, At(3, 1)));
  EXPECT_EQ(one.OwnVote().leader, ReplicaId(3)) << "a longer history";
  one.HearVote(4, VoteFor(4, 3, At(0, 0)));
  EXPECT_EQ(one.OwnVote().leader, ReplicaId(4)) << "a newer epoch";
}

TEST(ZabElection, AVoteOfAnEarlierRoundIsAnsweredAndNotCounted) {
  Replica one(OptionsOf(3));
  one.HearVote(2, VoteFor(2, 0, At(0, 0)), 7);
  EXPECT_EQ(one.All<Notification>().back().second.round, 7u);
  one.Forget();
  one.HearVote(3, VoteFor(3, 0, At(0, 0)), 6);
  ASSERT_EQ(one.All<Notification>().size(), 1u);
  EXPECT_EQ(one.All<Notification>()[0].first, 3u);
  EXPECT_EQ(one.OwnVote().leader, ReplicaId(2));
}

TEST(ZabElection, AQuorumsAgreementIsWaitedOnUnlessNobodyCanKnowBetter) {
  Replica one(OptionsOf(3));
  one.HearVote(2, VoteFor(1, 0, At(0, 0)));
  EXPECT_EQ(one.All<Notification>().back().second.state, State::kLooking) << "3 may have a better vote";
  one.Ticks(one.heartbeat_ticks() + 1);
  EXPECT_EQ(one.All<Notification>().back().second.state, State::kLeading);

  Replica unanimous(OptionsOf(3));
  unanimous.HearVote(2, VoteFor(1, 0, At(0, 0)));
  unanimous.HearVote(3, VoteFor(1, 0, At(0, 0)));
  EXPECT_EQ(unanimous.All<Notification>().back().second.state, State::kLeading);

  Replica gone(OptionsOf(3));
  gone.Step(LinkRefused{ReplicaId(3)});
  gone.HearVote(2, VoteFor(1, 0, At(0, 0)));
  EXPECT_EQ(gone.All<Notification>().back().second.state, State::kLeading) << "nobody listens at 3's address";
}

TEST(ZabElection, WhoComesLateJoinsTheOneWhoLeads) {
  Replica one(OptionsOf(3), Disk({.accepted = {1, ReplicaId(3)}, .current = 1, .epochs = {1, 1, 1}}));
  one.HearLeader(2, false);
  EXPECT_TRUE(one.All<CEpoch>().empty()) << "neither established nor followed by a quorum";
  one.HearLeader(2, true);
  EXPECT_EQ(one.All<CEpoch>().size(), 1u) << "though its own history is longer: what is more was never committed";
}

TEST(ZabElection, ALearnerVotesForNobodyAndNobodyLeadsByItsVote) {
  Options options = OptionsOf(3);
  options.initial.learners = Ids({4, 5});
  Replica one(options);
  one.HearVote(4, VoteFor(1, 0, At(0, 0)));
  one.HearVote(5, VoteFor(1, 0, At(0, 0)));
  one.Ticks(50);
  for (const auto& [to, word] : one.All<Notification>()) EXPECT_EQ(word.state, State::kLooking);

  Options learner = options;
  learner.self = ReplicaId(4);
  Replica four(learner);
  EXPECT_EQ(four.OwnVote().leader, ReplicaId());
  EXPECT_EQ(four.leadership.role, Role::kLearner);
}

// ---- Phase 1, discovery (paper 4.1, algorithm 1)

TEST(ZabDiscovery, F11ThePromiseGivenLastIsTold) {
  Replica one(OptionsOf(3), Disk({.accepted = {4, ReplicaId(3)}, .current = 3, .epochs = {1, 3}}));
  one.Follow(2);
  EXPECT_EQ(one.Body<CEpoch>(2), (CEpoch{{4, ReplicaId(3)}}));
}

TEST(ZabDiscovery, L11TheEpochIsLaterThanAnyThatAQuorumHasPromised) {
  Replica one(OptionsOf(5));
  one.Elect({2, 3, 4, 5});
  one.Hear(2, 0, 1, CEpoch{{7, ReplicaId(4)}});
  EXPECT_TRUE(one.All<NewEpoch>().empty()) << "two of five";
  one.Hear(3, 0, 1, CEpoch{{2, ReplicaId(4)}});
  ASSERT_NE(one.Last<NewEpoch>(2), nullptr);
  EXPECT_EQ(one.Last<NewEpoch>(2)->message.epoch, Epoch(8));
  EXPECT_EQ(one.Last<NewEpoch>(3)->message.epoch, Epoch(8));
}

// The leader is a follower of its own: nobody hears of an epoch that it has not promised itself (ZOOKEEPER-1291).
TEST(ZabDiscovery, L12TheLeadersOwnPromiseIsDurableBeforeAnybodyHearsOfTheEpoch) {
  Replica one(OptionsOf(3));
  one.Persist();
  one.Elect({2, 3});
  one.Hear(2, 0, 1, CEpoch{});
  EXPECT_EQ(HardStateIn(one.writes.back()).accepted, (Ballot{1, ReplicaId(1)}));
  EXPECT_EQ(one.Last<NewEpoch>(2)->after, one.writes.back().seq);
  EXPECT_TRUE(one.writes.back().sync);
}

TEST(ZabDiscovery, F12APromiseIsDurableBeforeItIsAnswered) {
  Replica one(OptionsOf(3));
  one.Persist();
  const std::uint64_t session = one.Follow(2);
  one.Hear(2, 3, session, NewEpoch{});
  EXPECT_EQ(HardStateIn(one.writes.back()).accepted, (Ballot{3, ReplicaId(2)}));
  ASSERT_NE(one.Last<AckEpoch>(2), nullptr);
  EXPECT_EQ(one.Last<AckEpoch>(2)->after, one.writes.back().seq);
}

TEST(ZabDiscovery, F12TheAnswerTellsCurrentEpochAndTheHistorysOutline) {
  Replica one(OptionsOf(3), Disk({.accepted = {4, ReplicaId(3)}, .current = 3, .epochs = {1, 1, 3}}));
  const std::uint64_t session = one.Follow(2);
  one.Hear(2, 5, session, NewEpoch{});
  const std::vector<consensus::Run> runs{{Epoch(0), LogIndex(0)}, {Epoch(1), LogIndex(2)}, {Epoch(3), LogIndex(3)}};
  EXPECT_EQ(one.Body<AckEpoch>(2), (AckEpoch{Epoch(3), LogIndex(0), runs, {}}));
}

TEST(ZabDiscovery, F12AnEpochBelowThePromiseIsNotAnswered) {
  Replica one(OptionsOf(3), Disk({.accepted = {5, ReplicaId(3)}, .current = 3, .epochs = {1, 3}}));
  const std::uint64_t session = one.Follow(2);
  one.Hear(2, 4, session, NewEpoch{});
  EXPECT_TRUE(one.All<AckEpoch>().empty());
  EXPECT_EQ(one.leadership.leader, std::nullopt) << "it looks for another leader";
}

TEST(ZabDiscovery, F12OneEpochIsPromisedToOneLeader) {
  Replica one(OptionsOf(3), Disk({.accepted = {5, ReplicaId(3)}, .current = 3, .epochs = {1, 3}}));
  const std::size_t writes = one.writes.size();
  one.Hear(2, 5, one.Follow(2), NewEpoch{});
  EXPECT_TRUE(one.All<AckEpoch>().empty());
  one.Hear(3, 5, one.Follow(3), NewEpoch{});
  EXPECT_NE(one.Last<AckEpoch>(3), nullptr) << "to whom it was promised, once more";
  EXPECT_EQ(one.writes.size(), writes);
  one.Step(LinkDown{ReplicaId(3), LinkId(1)});
  one.Ticks(20);
  one.Hear(2, 5, one.Follow(2), NewEpoch{true});
  EXPECT_NE(one.Last<AckEpoch>(2), nullptr) << "a quorum has promised it to 2: 3 cannot get one any more";
  EXPECT_EQ(HardStateIn(one.writes.back()).accepted, (Ballot{5, ReplicaId(2)}));
}

TEST(ZabDiscovery, APromiseSurvivesARestart) {
  Replica before(OptionsOf(3));
  before.Hear(2, 3, before.Follow(2), NewEpoch{});
  before.Persist();
  Replica after(OptionsOf(3), before.Recover());
  after.Hear(3, 3, after.Follow(3), NewEpoch{});
  EXPECT_TRUE(after.All<AckEpoch>().empty());
  EXPECT_EQ(after.Body<CEpoch>(3), (CEpoch{{3, ReplicaId(2)}}));
}

TEST(ZabDiscovery, L13AQuorumOfVotersPromisesAndTheOwnPromiseCountsWhenItIsDurable) {
  Options options = OptionsOf(3);
  options.initial.learners = Ids({4});
  Replica one(options);
  one.Persist();
  one.Elect({2, 3});
  one.Hear(4, 0, 1, CEpoch{});
  EXPECT_TRUE(one.All<NewEpoch>().empty()) << "a learner is in no quorum";
  one.Hear(2, 0, 1, CEpoch{});
  one.Hear(2, 1, 1, EmptyHistory());
  EXPECT_TRUE(one.All<NewLeader>().empty()) << "its own promise is not durable";
  EXPECT_NE(one.leadership.role, Role::kLeader);
  one.Persist();
  EXPECT_EQ(one.leadership.role, Role::kLeader);
  EXPECT_NE(one.Last<NewLeader>(2), nullptr);
  EXPECT_EQ(one.Last<NewLeader>(4), nullptr);
}

// The paper's leader takes the best history of the quorum; here the election has looked for it, and discovery verifies.
TEST(ZabDiscovery, L13WhoseHistoryIsNotTheFreshestOfTheQuorumGivesUp) {
  struct Case {
    std::uint64_t current;  // of the follower
    std::vector<consensus::Run> runs;
    bool led;
  };
  const consensus::Run begin{Epoch(0), LogIndex(0)};
  for (const Case& one_case : std::vector<Case>{
           {3, {begin, {Epoch(1), LogIndex(2)}}, true},                           // the same
           {3, {begin, {Epoch(1), LogIndex(3)}}, false},                          // longer
           {4, {begin, {Epoch(1), LogIndex(1)}}, false},                          // shorter, of a newer epoch
           {2, {begin, {Epoch(1), LogIndex(1)}, {Epoch(2), LogIndex(9)}}, true},  // longer, of an older epoch
       }) {
    Replica one(OptionsOf(3), Disk({.accepted = {4, ReplicaId(1)}, .current = 3, .epochs = {1, 1}}));
    one.Elect({2, 3});
    one.Hear(2, 0, 1, CEpoch{{4, ReplicaId(1)}});
    one.Persist();
    one.Hear(2, 5, 1, AckEpoch{Epoch(one_case.current), LogIndex(0), one_case.runs, {}});
    EXPECT_EQ(one.leadership.role == Role::kLeader, one_case.led) << "current " << one_case.current;
  }
}

TEST(ZabDiscovery, AFollowerThatHasPromisedToAnotherMakesTheLeaderChooseAgainUntilItsEpochIsSecured) {
  Replica one(OptionsOf(3));
  one.Elect({2, 3});
  one.Hear(2, 0, 1, CEpoch{});
  one.Hear(3, 0, 1, CEpoch{{1, ReplicaId(2)}});
  EXPECT_EQ(one.Last<NewEpoch>(3)->message.epoch, Epoch(2));
  EXPECT_EQ(one.Last<NewEpoch>(2)->message.epoch, Epoch(2));
  one.Persist();
  one.Hear(2, 1, 1, EmptyHistory());
  EXPECT_NE(one.leadership.role, Role::kLeader) << "a promise of the epoch that it has given up";
  one.Hear(2, 2, 1, EmptyHistory());
  ASSERT_EQ(one.leadership.role, Role::kLeader);
  one.Hear(3, 0, 2, CEpoch{{2, ReplicaId(3)}});
  EXPECT_EQ(one.Body<NewEpoch>(3), NewEpoch{true}) << "secured: nobody else can have it";
  EXPECT_EQ(one.leadership.role, Role::kLeader);
  one.Hear(3, 0, 3, CEpoch{{3, ReplicaId(3)}});
  EXPECT_NE(one.leadership.role, Role::kLeader) << "3 could not follow for as long as it leads";
}

// ---- Phase 2, synchronization (paper 4.2, algorithm 2), the leader

TEST(ZabSynchronization, TheFollowersHistoryBecomesTheLeadersFromWhereTheyPart) {
  struct Case {
    std::vector<consensus::Run> runs;
    std::optional<Zxid> cut;
    std::optional<Zxid> after;  // of DIFF
  };
  const consensus::Run begin{Epoch(0), LogIndex(0)};
  const auto run = [](std::uint64_t epoch, std::uint64_t last) { return consensus::Run{Epoch(epoch), LogIndex(last)}; };
  for (const Case& one_case : std::vector<Case>{
           {{begin, run(1, 2), run(2, 4)}, {}, {}},
           {{begin}, {}, At(0, 0)},
           {{begin, run(1, 1)}, {}, At(1, 1)},
           {{begin, run(1, 2), run(2, 3)}, {}, At(3, 2)},
           {{begin, run(1, 3)}, At(2, 1), At(2, 1)},
           {{begin, run(1, 2), run(2, 6)}, At(4, 2), {}},
           {{begin, run(1, 1), run(3, 2)}, At(1, 1), At(1, 1)},  // over the border of an epoch
       }) {
    Replica one(OptionsOf(3), Disk({.accepted = {4, ReplicaId(1)}, .current = 4, .epochs = {1, 1, 2, 2}}));
    one.Elect({2, 3});
    one.Hear(2, 0, 1, CEpoch{});
    one.Persist();
    one.Hear(2, 5, 1, AckEpoch{Epoch(1), LogIndex(0), one_case.runs, {}});
    const Sent* trunc = one.Last<Trunc>(2);
    ASSERT_EQ(trunc != nullptr, one_case.cut.has_value()) << Show(one_case.runs);
    if (trunc != nullptr) {
      EXPECT_EQ(one.Body<Trunc>(2).last_kept, *one_case.cut) << Show(one_case.runs);
    }
    const Sent* diff = one.Last<Diff>(2);
    ASSERT_EQ(diff != nullptr, one_case.after.has_value()) << Show(one_case.runs);
    if (diff != nullptr) {
      EXPECT_EQ(one.Body<Diff>(2).after, *one_case.after) << Show(one_case.runs);
      EXPECT_EQ(one.Body<Diff>(2).entries.back().index, LogIndex(4)) << Show(one_case.runs);
    }
    EXPECT_EQ(one.Body<NewLeader>(2).last, At(4, 2)) << Show(one_case.runs);
  }
}

TEST(ZabSynchronization, WhoNeedsWhatWasReleasedGetsASnapshotAndWhatFollows) {
  Replica one(OptionsOf(3), Disk({.accepted = {1, ReplicaId(1)}, .current = 1, .epochs = {1, 1, 1}, .commit = 3}));
  one.Apply();
  one.Step(SnapshotTaken{one.core().MetaAt(LogIndex(2))});
  one.Elect({2, 3});
  one.Hear(2, 0, 1, CEpoch{});
  one.Persist();
  one.Hear(2, 2, 1, AckEpoch{Epoch(1), LogIndex(0), {{Epoch(0), LogIndex(0)}, {Epoch(1), LogIndex(1)}}, {}});
  ASSERT_EQ(one.send_snapshot.size(), 1u);
  EXPECT_TRUE(one.All<NewLeader>().empty());
  SnapshotMeta meta = one.core().MetaAt(LogIndex(2));
  one.Step(SnapshotSent{ReplicaId(2), meta, false});
  EXPECT_TRUE(one.All<Snap>().empty());
  one.Hear(2, 2, 1, Pong{});
  one.Ticks(10);
  ASSERT_EQ(one.send_snapshot.size(), 2u) << "it is tried again";
  one.Step(SnapshotSent{ReplicaId(2), meta, true});
  EXPECT_EQ(one.Body<Snap>(2).last, At(2, 1));
  EXPECT_EQ(one.Body<Diff>(2).after, At(2, 1));
  EXPECT_EQ(one.Body<NewLeader>(2).last, At(3, 1));
}

TEST(ZabSynchronization, L22ALeaderServesOnceAQuorumHasAcknowledgedNewleaderItsOwnHistoryWhenDurable) {
  Replica one(OptionsOf(3), Disk({.accepted = {1, ReplicaId(3)}, .current = 1, .epochs = {1, 1}}));
  one.Elect({2, 3});
  one.Hear(2, 0, 1, CEpoch{});
  one.Persist();
  one.Hear(2, 2, 1, OutlineOf({1, 1}, 1));
  EXPECT_EQ(HardStateIn(one.writes.back()).current, Epoch(2));
  one.Propose("too early");
  ASSERT_EQ(one.failed.size(), 1u);
  EXPECT_EQ(one.failed[0].reason, FailureReason::kNotLeader);
  EXPECT_FALSE(one.leadership.established);
  EXPECT_TRUE(one.decided.empty()) << "the history is not committed by being the leader's";
  one.Hear(2, 2, 1, AckLeader{});
  EXPECT_FALSE(one.leadership.established) << "its own epoch is not durable";
  one.Persist();
  EXPECT_TRUE(one.leadership.established);
  EXPECT_EQ(one.decided.size(), 2u);
  EXPECT_EQ(one.Body<UpToDate>(2).commit, LogIndex(2));
}

TEST(ZabSynchronization, WhatIsProposedMeanwhileFollowsRightBehindNewleader) {
  Replica one(OptionsOf(3));
  const std::uint64_t epoch = one.Lead({2});
  one.Hear(3, 0, 1, CEpoch{});
  one.Hear(3, epoch, 1, EmptyHistory());
  ASSERT_NE(one.Last<NewLeader>(3), nullptr);
  one.Propose("x");
  ASSERT_NE(one.Last<zab::Propose>(3), nullptr) << "whoever has sent ACK-E is sent everything";
  EXPECT_EQ(one.Body<zab::Propose>(3).after, one.Body<NewLeader>(3).last);
  // And UPTODATE tells the latest commit, not that of NEWLEADER (ZOOKEEPER-4394).
  one.Persist();
  one.Hear(2, epoch, 1, Ack{LogIndex(1)});
  one.Hear(3, epoch, 1, AckLeader{});
  EXPECT_EQ(one.Body<UpToDate>(3).commit, LogIndex(1));
}

// ---- Phase 2, the follower

TEST(ZabSynchronization, F21EpochAndHistoryAreAcceptedInOneBatchThatAckLdWaitsFor) {
  Replica one(OptionsOf(3), Disk({.accepted = {1, ReplicaId(3)}, .current = 1, .epochs = {1, 1, 1}}));
  const std::uint64_t session = one.Follow(2);
  one.Hear(2, 3, session, NewEpoch{});
  one.Persist();
  const std::size_t writes = one.writes.size();
  one.Hear(2, 3, session, Trunc{At(2, 1)});
  one.Hear(2, 3, session, Diff{At(2, 1), {MakeEntry(3, 2)}});
  EXPECT_EQ(one.writes.size(), writes) << "nothing has happened yet";
  one.Hear(2, 3, session, NewLeader{At(3, 2)});
  ASSERT_EQ(one.writes.size(), writes + 1);
  const WriteBatch& batch = one.writes.back();
  EXPECT_EQ(HardStateIn(batch).current, Epoch(3));
  ASSERT_EQ(batch.ops.size(), 2u);
  EXPECT_EQ(std::get<TruncateAfter>(batch.ops[0]).last_kept, LogIndex(2));
  EXPECT_EQ(std::get<PutEntry>(batch.ops[1]).entry, MakeEntry(3, 2));
  ASSERT_NE(one.Last<AckLeader>(2), nullptr);
  EXPECT_EQ(one.Last<AckLeader>(2)->after, batch.seq);
}

TEST(ZabSynchronization, F21WhatACrashCutsOffIsNeitherEpochNorHistory) {
  Replica before(OptionsOf(3), Disk({.accepted = {1, ReplicaId(3)}, .current = 1, .epochs = {1, 1, 1}}));
  const std::uint64_t session = before.Follow(2);
  before.Hear(2, 3, session, NewEpoch{});
  before.Persist();
  before.Hear(2, 3, session, Trunc{At(2, 1)});
  before.Hear(2, 3, session, Diff{At(2, 1), {MakeEntry(3, 2)}});
  before.Hear(2, 3, session, NewLeader{At(3, 2)});
  Replica after(OptionsOf(3), before.Recover());
  after.Hear(2, 4, after.Follow(2), NewEpoch{});
  EXPECT_EQ(after.Body<AckEpoch>(2), OutlineOf({1, 1, 1}, 1));
}

TEST(ZabSynchronization, WhatCameBeforeTheLinkWasLostIsNotSentAgainInTheSameEpoch) {
  const auto begin = [](Replica& one) {
    const std::uint64_t session = one.Follow(2);
    one.Hear(2, 3, session, NewEpoch{});
    one.Persist();
    one.Hear(2, 3, session, Trunc{At(2, 1)});
    one.Hear(2, 3, session, Diff{At(2, 1), {MakeEntry(3, 2), MakeEntry(4, 2)}});
    one.Step(LinkDown{ReplicaId(2), LinkId(1)});
  };
  const auto disk = [] { return Disk({.accepted = {1, ReplicaId(3)}, .current = 1, .epochs = {1, 1, 1}}); };
  Replica one(OptionsOf(3), disk());
  begin(one);
  const std::size_t writes = one.writes.size();
  one.Step(LinkUp{ReplicaId(2), LinkId(1), Incarnation(1)});
  const std::uint64_t session = one.Last<CEpoch>(2)->message.session.value;
  one.Hear(2, 3, session, NewEpoch{true});
  AckEpoch promise = OutlineOf({1, 1, 1}, 1);
  promise.staged = At(4, 2);
  EXPECT_EQ(one.Body<AckEpoch>(2), promise) << "it is no part of the history yet";
  one.Hear(2, 3, session, Diff{At(4, 2), {MakeEntry(5, 2)}});
  one.Hear(2, 3, session, NewLeader{At(5, 2)});
  ASSERT_EQ(one.writes.size(), writes + 1);
  EXPECT_EQ(one.writes.back().ops.size(), 4u) << "the cut and three entries";
  EXPECT_EQ(HardStateIn(one.writes.back()).current, Epoch(3));

  Replica other(OptionsOf(3), disk());
  begin(other);
  other.Ticks(20);
  other.Hear(3, 4, other.Follow(3), NewEpoch{});
  EXPECT_EQ(other.Body<AckEpoch>(3), OutlineOf({1, 1, 1}, 1)) << "another epoch may have another history";
}

TEST(ZabSynchronization, ALeaderGoesOnWhereAFormerSessionOfItsEpochWasCutOff) {
  Replica one(OptionsOf(3), Disk({.accepted = {1, ReplicaId(1)}, .current = 1, .epochs = {1, 1, 1}}));
  one.Elect({2, 3});
  one.Hear(2, 0, 1, CEpoch{});
  one.Persist();
  AckEpoch promise = OutlineOf({1, 1}, 1);
  one.Hear(2, 2, 1, promise);
  EXPECT_EQ(one.Body<Diff>(2).after, At(2, 1));
  one.Hear(3, 0, 1, CEpoch{{2, ReplicaId(1)}});
  promise = EmptyHistory();
  promise.staged = At(1, 1);
  one.Hear(3, 2, 1, promise);
  EXPECT_EQ(one.Last<Trunc>(3), nullptr);
  EXPECT_EQ(one.Body<Diff>(3).after, At(1, 1));
  // What it says it was sent, and was not of this history, counts for nothing.
  one.Hear(3, 0, 2, CEpoch{{2, ReplicaId(1)}});
  promise.staged = At(1, 2);
  one.Hear(3, 2, 2, promise);
  EXPECT_EQ(one.Body<Diff>(3).after, At(0, 0));
}

TEST(ZabSynchronization, F21ASnapshotIsAnOfferUntilNewleaderAndGoesWithTheEpoch) {
  Replica one(OptionsOf(3), Disk({.accepted = {1, ReplicaId(3)}, .current = 1, .epochs = {1, 1}}));
  const std::uint64_t session = one.Follow(2);
  one.Hear(2, 3, session, NewEpoch{});
  one.Persist();
  const std::size_t writes = one.writes.size();
  const SnapshotMeta meta{
      .id = 1, .last = LogIndex(5), .ballot = {2, ReplicaId()}, .members = {Ids({1, 2, 3}), {}, {}}};
  one.Step(SnapshotReceived{ReplicaId(2), meta});
  one.Hear(2, 3, session, Snap{At(5, 2)});
  one.Hear(2, 3, session, Diff{At(5, 2), {MakeEntry(6, 2)}});
  EXPECT_EQ(one.writes.size(), writes);
  one.Hear(2, 3, session, NewLeader{At(6, 2)});
  ASSERT_EQ(one.writes.size(), writes + 1);
  const WriteBatch& batch = one.writes.back();
  EXPECT_EQ(std::get<InstallSnapshot>(batch.ops.at(0)).meta, meta);
  EXPECT_EQ(std::get<PutEntry>(batch.ops.at(1)).entry, MakeEntry(6, 2));
  EXPECT_EQ(HardStateIn(batch).current, Epoch(3));
  EXPECT_EQ(one.Last<AckLeader>(2)->after, batch.seq);
}

TEST(ZabSynchronization, ASnapshotThatDoesNotHoldWhatIsNamedEndsTheSession) {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Follow(2);
  one.Hear(2, 3, session, NewEpoch{});
  one.Hear(2, 3, session, Snap{At(5, 2)});
  one.Forget();
  one.Hear(2, 3, session, NewLeader{At(5, 2)});
  EXPECT_TRUE(one.All<AckLeader>().empty());
  one.Ticks(1);
  ASSERT_NE(one.Last<CEpoch>(2), nullptr) << "it begins anew";
  EXPECT_GT(one.Last<CEpoch>(2)->message.session.value, session);
}

TEST(ZabSynchronization, AStreamWithAHoleEndsTheSession) {
  const auto begin = [](Replica& one) {
    const std::uint64_t session = one.Follow(2);
    one.Hear(2, 3, session, NewEpoch{});
    one.Persist();
    return session;
  };
  const auto ended = [](Replica& one, std::uint64_t session) {
    one.Ticks(1);
    return one.All<AckLeader>().empty() && one.Last<CEpoch>(2)->message.session.value > session;
  };
  const auto disk = [] { return Disk({.accepted = {1, ReplicaId(3)}, .current = 1, .epochs = {1, 1}}); };
  Replica hole(OptionsOf(3), disk());
  std::uint64_t session = begin(hole);
  hole.Hear(2, 3, session, Diff{At(3, 1), {MakeEntry(4, 1)}});
  hole.Hear(2, 3, session, NewLeader{At(4, 1)});
  EXPECT_TRUE(ended(hole, session));

  Replica other_end(OptionsOf(3), disk());
  session = begin(other_end);
  other_end.Hear(2, 3, session, Diff{At(2, 1), {MakeEntry(3, 1)}});
  other_end.Hear(2, 3, session, NewLeader{At(4, 1)});
  EXPECT_TRUE(ended(other_end, session));

  Replica unknown_cut(OptionsOf(3), disk());
  session = begin(unknown_cut);
  unknown_cut.Hear(2, 3, session, Trunc{At(1, 2)});
  unknown_cut.Hear(2, 3, session, NewLeader{At(1, 2)});
  EXPECT_TRUE(ended(unknown_cut, session)) << "it has no such entry";
}

TEST(ZabSynchronization, F22TheHistoryIsDeliveredWithUptodate) {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Follow(2);
  one.Hear(2, 3, session, NewEpoch{});
  one.Persist();
  one.Hear(2, 3, session, Diff{At(0, 0), {MakeEntry(1, 1), MakeEntry(2, 2)}});
  one.Hear(2, 3, session, NewLeader{At(2, 2)});
  one.Persist();
  one.Hear(2, 3, session, zab::Propose{At(2, 2), LogIndex(), {MakeEntry(3, 3)}});
  one.Persist();
  EXPECT_TRUE(one.decided.empty());
  EXPECT_FALSE(one.leadership.established);
  one.Hear(2, 3, session, UpToDate{LogIndex(2)});
  EXPECT_EQ(one.Decided(), "1/1 2/2");
  EXPECT_TRUE(one.leadership.established);
}

TEST(ZabSynchronization, WhatWasNotCommittedIsNotByAnElection) {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Join(2, 3, {MakeEntry(1, 1)});
  one.Hear(2, 3, session, UpToDate{LogIndex(1)});
  one.Hear(2, 3, session, zab::Propose{At(1, 1), LogIndex(1), {MakeEntry(2, 3)}});
  one.Persist();
  one.Ticks(30);
  ASSERT_EQ(one.leadership.leader, std::nullopt);
  EXPECT_EQ(one.Decided(), "1/1") << "ZOOKEEPER-2845";
}

// ---- Phase 3, broadcast (paper 4.3, algorithm 3)

TEST(ZabBroadcast, L31AProposalLeavesAtOnceWithTheEntryBeforeIt) {
  Replica one(OptionsOf(3));
  const std::uint64_t epoch = one.Lead({2, 3});
  one.Propose("a");
  one.Propose("b");
  for (const std::uint64_t to : {2, 3}) {
    const auto all = one.To<zab::Propose>(to);
    ASSERT_EQ(all.size(), 2u);
    EXPECT_EQ(all[0].after, At(0, 0));
    EXPECT_EQ(all[1].after, At(1, epoch));
    EXPECT_EQ(one.Last<zab::Propose>(to)->after, PersistSeq());
  }
}

TEST(ZabBroadcast, L32AQuorumsAcknowledgementsCommitTheLeadersOwnWhenItIsDurable) {
  Replica one(OptionsOf(3));
  const std::uint64_t epoch = one.Lead({2, 3});
  one.Propose("a");
  one.Hear(2, epoch, 1, Ack{LogIndex(1)});
  EXPECT_TRUE(one.All<Commit>().empty()) << "its own log is not synced";
  one.Persist();
  EXPECT_EQ(one.Body<Commit>(2).upto, LogIndex(1));
  EXPECT_EQ(one.Body<Commit>(3).upto, LogIndex(1));
  EXPECT_EQ(one.decided.size(), 1u);
}

TEST(ZabBroadcast, L32WithoutTheLeadersDiskItIsCommittedByTheOthersAndDeliveredHereWhenDurable) {
  Replica one(OptionsOf(3));
  const std::uint64_t epoch = one.Lead({2, 3});
  one.Propose("a");
  one.Hear(2, epoch, 1, Ack{LogIndex(1)});
  one.Hear(3, epoch, 1, Ack{LogIndex(1)});
  EXPECT_EQ(one.Body<Commit>(2).upto, LogIndex(1));
  EXPECT_TRUE(one.decided.empty()) << "ZOOKEEPER-4882: memory ahead of the own log";
  one.Persist();
  EXPECT_EQ(one.decided.size(), 1u);
}

TEST(ZabBroadcast, L32CommittingOneCommitsWhatPrecedesIt) {
  Replica one(OptionsOf(3));
  const std::uint64_t epoch = one.Lead({2, 3});
  one.Propose("a");
  one.Propose("b");
  one.Propose("c");
  one.Persist();
  one.Hear(2, epoch, 1, Ack{LogIndex(2)});
  EXPECT_EQ(one.Decided(), "1/1 2/1");
}

TEST(ZabBroadcast, F31AFollowerAcknowledgesOnceItsDiskHasFinished) {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Join(2, 3, {});
  one.Hear(2, 3, session, UpToDate{LogIndex(0)});
  one.Hear(2, 3, session, zab::Propose{At(0, 0), LogIndex(0), {MakeEntry(1, 3)}});
  EXPECT_EQ(one.Body<Ack>(2).upto, LogIndex(1));
  EXPECT_EQ(one.Last<Ack>(2)->after, one.writes.back().seq);
}

TEST(ZabBroadcast, F31WhatDoesNotFollowEndsTheSessionAndChangesNothing) {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Join(2, 3, {});
  one.Hear(2, 3, session, UpToDate{LogIndex(0)});
  const std::size_t writes = one.writes.size();
  one.Hear(2, 3, session, zab::Propose{At(1, 3), LogIndex(0), {MakeEntry(2, 3)}});
  EXPECT_EQ(one.writes.size(), writes);
  EXPECT_TRUE(one.All<Ack>().empty());
  one.Ticks(1);
  EXPECT_GT(one.Last<CEpoch>(2)->message.session.value, session);
}

TEST(ZabBroadcast, F32ACommitDeliversInOrderWhatIsDurableHere) {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Join(2, 3, {});
  one.Hear(2, 3, session, UpToDate{LogIndex(0)});
  one.Hear(2, 3, session, zab::Propose{At(0, 0), LogIndex(0), {MakeEntry(1, 3), MakeEntry(2, 3), MakeEntry(3, 3)}});
  one.Hear(2, 3, session, Commit{LogIndex(2)});
  EXPECT_TRUE(one.decided.empty());
  one.Persist();
  EXPECT_EQ(one.Decided(), "1/3 2/3");
  one.Hear(2, 3, session, Commit{LogIndex(9)});
  EXPECT_EQ(one.Decided(), "1/3 2/3") << "a commit of what it does not have ends the session";
}

TEST(ZabBroadcast, OnlyTheLeadersOwnEpochAndSessionCount) {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Join(2, 3, {});
  one.Hear(2, 3, session, UpToDate{LogIndex(0)});
  one.Hear(2, 4, session, zab::Propose{At(0, 0), LogIndex(0), {MakeEntry(1, 4)}});
  one.Hear(2, 3, session + 1, zab::Propose{At(0, 0), LogIndex(0), {MakeEntry(1, 3)}});
  one.Hear(3, 3, session, zab::Propose{At(0, 0), LogIndex(0), {MakeEntry(1, 3)}});
  EXPECT_TRUE(one.All<Ack>().empty());
}

TEST(ZabBroadcast, AnAcknowledgementOfAFormerSessionOrEpochDoesNotCount) {
  Replica one(OptionsOf(3));
  const std::uint64_t epoch = one.Lead({2});
  one.Propose("a");
  one.Persist();
  one.Hear(2, epoch, 9, Ack{LogIndex(1)});
  EXPECT_TRUE(one.decided.empty()) << "another session";
  one.Hear(2, epoch + 1, 1, Ack{LogIndex(1)});
  EXPECT_TRUE(one.decided.empty()) << "another epoch";
  one.Step(Receive{ReplicaId(2), LinkId(7), EncodeMessage({Epoch(epoch), SessionNumber(1), Ack{LogIndex(1)}})});
  EXPECT_TRUE(one.decided.empty()) << "another link";
  // A session that begins anew has acknowledged nothing until it has been synchronized.
  one.Hear(2, 0, 2, CEpoch{{epoch, ReplicaId(1)}});
  one.Hear(2, epoch, 2, Ack{LogIndex(1)});
  EXPECT_TRUE(one.decided.empty()) << "before ACK-LD";
}

TEST(ZabBroadcast, WhatWasNeverSentCannotBeAcknowledged) {
  Replica one(OptionsOf(3));
  const std::uint64_t epoch = one.Lead({2});
  one.Propose("a");
  one.Persist();
  one.Hear(2, epoch, 1, Ack{LogIndex(2)});
  EXPECT_TRUE(one.decided.empty());
  EXPECT_NE(one.Last<Restart>(2), nullptr);
}

TEST(ZabBroadcast, TheWindowBoundsWhatIsSentAndNotAcknowledged) {
  Options options = OptionsOf(3);
  options.inflight_messages_max = 2;
  Replica one(options);
  const std::uint64_t epoch = one.Lead({2});
  for (int i = 0; i < 4; ++i) one.Propose("x");
  EXPECT_EQ(one.To<zab::Propose>(2).size(), 2u);
  one.Hear(2, epoch, 1, Ack{LogIndex(1)});
  ASSERT_EQ(one.To<zab::Propose>(2).size(), 3u);
  EXPECT_EQ(one.Body<zab::Propose>(2).entries.size(), 2u) << "what has gathered goes together";
}

TEST(ZabBroadcast, ALeaderThatNoQuorumAnswersLeadsNoMore) {
  Replica one(OptionsOf(3));
  const std::uint64_t epoch = one.Lead({2});
  one.Ticks(19);
  one.Hear(2, epoch, 1, Pong{});
  one.Ticks(20);
  EXPECT_TRUE(one.leadership.established);
  one.Ticks(20);
  EXPECT_NE(one.leadership.role, Role::kLeader);
}

TEST(ZabBroadcast, AFollowerThatHearsNothingLooksForAnother) {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Join(2, 3, {});
  one.Hear(2, 3, session, UpToDate{LogIndex(0)});
  one.Ticks(9);
  EXPECT_EQ(one.leadership.leader, ReplicaId(2));
  one.Hear(2, 3, session, Ping{});
  one.Ticks(9);
  EXPECT_EQ(one.leadership.leader, ReplicaId(2));
  one.Ticks(4);
  EXPECT_EQ(one.leadership.leader, std::nullopt);
}

// ---- What is recovered, and what a peer may send

TEST(ZabCore, WhatWasRecoveredMustFitTogether) {
  const auto code = [](const DiskSpec& spec) {
    return MakeCore(Protocol::kZab, OptionsOf(3), Disk(spec)).status().code();
  };
  EXPECT_EQ(code({.accepted = {2, ReplicaId(1)}, .current = 2, .epochs = {1, 2}}), StatusCode::kOk);
  EXPECT_EQ(code({.accepted = {1, ReplicaId(1)}, .current = 2, .epochs = {1}}), StatusCode::kDataLoss);
  EXPECT_EQ(code({.accepted = {1, ReplicaId(1)}, .current = 1, .epochs = {1, 2}}), StatusCode::kDataLoss);
  EXPECT_EQ(code({.accepted = {2, ReplicaId(1)}, .current = 2, .epochs = {2, 1}}), StatusCode::kDataLoss);
  EXPECT_EQ(code({.accepted = {1, ReplicaId(1)}, .current = 1, .epochs = {1}, .commit = 2}), StatusCode::kDataLoss);
}

TEST(ZabCore, WhatIsKnownToBeCommittedIsDeliveredAgainWithoutALeader) {
  Replica one(OptionsOf(3), Disk({.accepted = {1, ReplicaId(3)}, .current = 1, .epochs = {1, 1, 1}, .commit = 2}));
  EXPECT_EQ(one.Decided(), "1/1 2/1");
}

TEST(ZabCore, ARefusedConnectionStartsOneElectionPerEpochAndNoneWithLeaseReads) {
  for (const bool lease_reads : {false, true}) {
    Options options = OptionsOf(3);
    options.lease_reads = lease_reads;
    Replica one(options);
    const std::uint64_t session = one.Join(2, 3, {});
    one.Hear(2, 3, session, UpToDate{LogIndex(0)});
    one.Step(LinkRefused{ReplicaId(2)});
    one.Ticks(3);
    EXPECT_EQ(one.leadership.leader.has_value(), lease_reads);
    if (lease_reads) continue;
    one.Join(2, 3, {}, true);
    one.Step(LinkRefused{ReplicaId(2)});
    one.Ticks(3);
    EXPECT_EQ(one.leadership.leader, ReplicaId(2)) << "a second time in one epoch";
  }
}

}  // namespace
}  // namespace quorate::consensus::zab
