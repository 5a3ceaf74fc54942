// Each seeded bug of this folder really breaks what it says (the registry is src/sim/bugs_zab.cc): one node does the
// right thing without it, and not with it. That is what holds those that the simulator's random schedules do not meet.
#ifdef QUORATE_BUGS

#include <gtest/gtest.h>

#include <string>

#include "base/bug.h"
#include "consensus/zab/replica_under_test.h"

namespace quorate::consensus::zab {
namespace {

DiskSpec ThreeEntries() {
  return {.accepted = {1, ReplicaId(3)}, .current = 1, .epochs = {1, 1, 1}};
}

bool VotesForTheNewestEpoch() {
  Replica one(OptionsOf(3), Disk({.accepted = {2, ReplicaId(1)}, .current = 2, .epochs = {1, 1}}));
  one.HearVote(2, VoteFor(2, 1, At(9, 1)));
  return one.OwnVote().leader == ReplicaId(1);
}

bool RemembersItsPromise() {
  Replica before(OptionsOf(3));
  before.Hear(2, 3, before.Follow(2), NewEpoch{});
  before.Persist();
  Replica after(OptionsOf(3), before.Recover());
  after.Hear(3, 3, after.Follow(3), NewEpoch{});
  return after.All<AckEpoch>().empty();
}

bool PromisesOnlyWhatIsDurable() {
  Replica one(OptionsOf(3));
  one.Persist();
  one.Hear(2, 3, one.Follow(2), NewEpoch{});
  return one.Last<AckEpoch>(2)->after == one.writes.back().seq;
}

bool PromisesAnEpochOnce() {
  Replica one(OptionsOf(3), Disk({.accepted = {5, ReplicaId(3)}, .current = 3, .epochs = {1, 3}}));
  one.Hear(2, 5, one.Follow(2), NewEpoch{});
  return one.All<AckEpoch>().empty();
}

// One batch of its log's cut, an entry and the epoch; ACK-LD after it.
struct Accepted {
  Accepted() : one(OptionsOf(3), Disk(ThreeEntries())) {
    const std::uint64_t session = one.Follow(2);
    one.Hear(2, 3, session, NewEpoch{});
    one.Persist();
    one.Hear(2, 3, session, Trunc{At(2, 1)});
    one.Hear(2, 3, session, Diff{At(2, 1), {MakeEntry(3, 2)}});
    one.Hear(2, 3, session, NewLeader{At(3, 2)});
  }
  Replica one;
};
bool AcceptsEpochAndHistoryTogether() {
  const Accepted accepted;
  return HardStateIn(accepted.one.writes.back()).current == Epoch(3) && accepted.one.writes.back().ops.size() == 2;
}
bool AcknowledgesNewleaderWhenDurable() {
  const Accepted accepted;
  return accepted.one.Last<AckLeader>(2)->after == accepted.one.writes.back().seq;
}

bool LeavesTheUncommittedAlone() {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Join(2, 3, {MakeEntry(1, 1)});
  one.Hear(2, 3, session, UpToDate{LogIndex(1)});
  one.Hear(2, 3, session, zab::Propose{At(1, 1), LogIndex(1), {MakeEntry(2, 3)}});
  one.Persist();
  one.Ticks(30);
  return one.Decided() == "1/1";
}

bool CutsWhereTheLogsPart() {
  Replica one(OptionsOf(3), Disk({.accepted = {4, ReplicaId(1)}, .current = 4, .epochs = {1, 1, 2, 2}}));
  one.Elect({2, 3});
  one.Hear(2, 0, 1, CEpoch{});
  one.Persist();
  AckEpoch history = EmptyHistory();
  history.runs.push_back({Epoch(1), LogIndex(1)});
  history.runs.push_back({Epoch(3), LogIndex(2)});
  one.Hear(2, 5, 1, history);
  return one.Last<Trunc>(2) != nullptr && one.Body<Trunc>(2).last_kept == At(1, 1);
}

bool ProposesToWhoIsSynchronizing() {
  Replica one(OptionsOf(3));
  const std::uint64_t epoch = one.Lead({2});
  one.Hear(3, 0, 1, CEpoch{});
  one.Hear(3, epoch, 1, EmptyHistory());
  one.Propose("x");
  return one.Last<zab::Propose>(3) != nullptr;
}

bool NoticesAHole() {
  Replica one(OptionsOf(3), Disk(ThreeEntries()));
  const std::uint64_t session = one.Follow(2);
  one.Hear(2, 3, session, NewEpoch{});
  one.Persist();
  one.Hear(2, 3, session, Diff{At(4, 1), {MakeEntry(5, 1)}});
  one.Hear(2, 3, session, NewLeader{At(5, 1)});
  return one.All<AckLeader>().empty();
}

bool ServesOnceNewleaderIsCommitted() {
  Replica one(OptionsOf(3), Disk(ThreeEntries()));
  one.Elect({2, 3});
  one.Hear(2, 0, 1, CEpoch{});
  one.Persist();
  one.Hear(2, 2, 1, OutlineOf({1, 1, 1}, 1));
  one.Persist();
  return !one.leadership.established;
}

bool AcknowledgesWhenDurable() {
  Replica one(OptionsOf(3));
  const std::uint64_t session = one.Join(2, 3, {});
  one.Hear(2, 3, session, UpToDate{LogIndex(0)});
  one.Hear(2, 3, session, zab::Propose{At(0, 0), LogIndex(0), {MakeEntry(1, 3)}});
  return one.Last<Ack>(2)->after == one.writes.back().seq;
}

bool CountsItselfWhenDurable() {
  Replica one(OptionsOf(3));
  const std::uint64_t epoch = one.Lead({2, 3});
  one.Propose("a");
  one.Acknowledge({2}, epoch, 1);
  return one.All<Commit>().empty();
}

bool CountsOnlyThePresentSession() {
  Replica one(OptionsOf(3));
  const std::uint64_t epoch = one.Lead({2});
  one.Propose("a");
  one.Persist();
  one.Hear(2, epoch, 9, Ack{LogIndex(1)});
  return one.decided.empty();
}

bool AsksBothQuorums() {
  Options options = OptionsOf(3);
  options.initial.learners = Ids({4, 5});
  Replica one(options);
  const std::uint64_t epoch = one.Lead({2, 3});
  for (const std::uint64_t learner : {4, 5}) one.Welcome(learner, epoch);
  one.Change({1, 4, 5});
  one.Persist();
  one.Acknowledge({4, 5}, epoch, 1);
  return one.decided.empty();
}

bool ReadsWithAQuorum() {
  Replica one(OptionsOf(3));
  one.Lead({2});
  one.Step(ReadBarrier{ReadId(1)});
  return one.reads.empty();
}

struct Case {
  std::string bug;
  bool (*is_right)();
};

class ZabSeededBug : public testing::TestWithParam<Case> {
 protected:
  ~ZabSeededBug() override { SelectBug(""); }
};

TEST_P(ZabSeededBug, BreaksWhatItSays) {
  EXPECT_TRUE(GetParam().is_right());
  SelectBug(GetParam().bug);
  EXPECT_FALSE(GetParam().is_right());
}

INSTANTIATE_TEST_SUITE_P(All, ZabSeededBug,
                         testing::Values(Case{"zab_ignores_current_epoch", &VotesForTheNewestEpoch},
                                         Case{"zab_forgets_promise_on_restart", &RemembersItsPromise},
                                         Case{"zab_promise_before_durable", &PromisesOnlyWhatIsDurable},
                                         Case{"zab_equal_epoch_promised_twice", &PromisesAnEpochOnce},
                                         Case{"zab_epoch_before_history", &AcceptsEpochAndHistoryTogether},
                                         Case{"zab_newleader_acked_before_durable", &AcknowledgesNewleaderWhenDurable},
                                         Case{"zab_uncommitted_tail_kept", &LeavesTheUncommittedAlone},
                                         Case{"zab_trunc_across_epochs", &CutsWhereTheLogsPart},
                                         Case{"zab_propose_skips_syncing", &ProposesToWhoIsSynchronizing},
                                         Case{"zab_hole_propagated", &NoticesAHole},
                                         Case{"zab_serves_before_newleader_committed", &ServesOnceNewleaderIsCommitted},
                                         Case{"zab_ack_before_durable", &AcknowledgesWhenDurable},
                                         Case{"zab_leader_counts_unsynced_self", &CountsItselfWhenDurable},
                                         Case{"zab_stale_session_ack", &CountsOnlyThePresentSession},
                                         Case{"zab_commit_by_new_quorum_only", &AsksBothQuorums},
                                         Case{"zab_read_without_quorum", &ReadsWithAQuorum}),
                         [](const auto& one) { return one.param.bug; });

}  // namespace
}  // namespace quorate::consensus::zab
#endif
