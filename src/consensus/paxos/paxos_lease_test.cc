// Leases under clocks that do not agree. node_read.cc has the argument: a lease is counted from when its round was sent
// and is a quarter shorter than what acceptors lend, so it holds while no clock is a third faster than another. What it
// cannot hold against is a process that stands still; docs/protocols/paxos.md says so.
#include <gtest/gtest.h>

#include <algorithm>

#include "consensus/paxos/replica_under_test.h"

namespace quorate::consensus::paxos {
namespace {

Options LeaseOptions(std::uint64_t self, std::uint64_t election_ticks = 10) {
  Options options = OptionsOf(3);
  options.self = ReplicaId(self);
  options.election_ticks = election_ticks;
  options.lease_reads = true;
  return options;
}

// Whether a read is served without a round.
bool Serves(Replica& leader) {
  static std::uint64_t id = 0;
  const std::size_t before = leader.reads.size();
  leader.Step(ReadBarrier{ReadId(++id)});
  return leader.reads.size() > before;
}

// The heartbeat that waits for an answer of 2, and that answer.
HeartbeatReply Lend(Replica& leader, Ballot ballot, Replica& acceptor) {
  acceptor.Hear(1, ballot, std::get<Heartbeat>(leader.Last<Heartbeat>(2)->message.body));
  return std::get<HeartbeatReply>(acceptor.Last<HeartbeatReply>(1)->message.body);
}

// Ticks of the leader after which it serves no more, counted from when the round was sent. The answer comes after
// `delay`.
std::uint64_t LengthOfLease(std::uint64_t election_ticks, std::uint64_t delay) {
  Replica leader(LeaseOptions(1, election_ticks));
  Replica acceptor(LeaseOptions(2, election_ticks));
  const Ballot ballot = leader.Lead({2});
  leader.Ticks(2);
  const HeartbeatReply answer = Lend(leader, ballot, acceptor);
  EXPECT_TRUE(answer.lease);
  leader.Ticks(delay);
  leader.Hear(2, ballot, answer);
  std::uint64_t ticks = delay;
  for (; Serves(leader); ++ticks) leader.Ticks(1);
  return ticks;
}

// Ticks of the acceptor after which it promises to another, counted from its answer.
std::uint64_t LengthOfPromise(std::uint64_t election_ticks) {
  Replica leader(LeaseOptions(1, election_ticks));
  Replica acceptor(LeaseOptions(2, election_ticks));
  const Ballot ballot = leader.Lead({2});
  leader.Ticks(2);
  Lend(leader, ballot, acceptor);
  for (std::uint64_t ticks = 0; ticks < 4 * election_ticks; ++ticks) {
    acceptor.Hear(3, At(9, 3), Phase1a{Campaign::kTimeout, Slot(1), {}});
    if (acceptor.Last<Phase1b>(3) != nullptr) return ticks;
    acceptor.Ticks(1);
  }
  return 4 * election_ticks;
}

TEST(PaxosLeaseClocks, ALeaseEndsBeforeAnAcceptorWhoseClockIsAThirdFasterAnswersAnother) {
  for (std::uint64_t election_ticks = 4; election_ticks <= 40; ++election_ticks) {
    const std::uint64_t lease = LengthOfLease(election_ticks, 0);
    const std::uint64_t promise = LengthOfPromise(election_ticks);
    EXPECT_GE(promise, election_ticks);
    // Four units of time a tick here, three there, whose first tick comes at once.
    EXPECT_LE(4 * lease, 3 * (promise - 1)) << "election timeout " << election_ticks;
    EXPECT_GE(2 * lease, election_ticks) << "and it is of use";
  }
}

TEST(PaxosLeaseClocks, ItIsCountedFromWhenTheRoundWasSentHoweverLateTheAnswerIs) {
  const std::uint64_t lease = LengthOfLease(20, 0);
  for (const std::uint64_t delay : {1, 5, 13}) EXPECT_EQ(LengthOfLease(20, delay), lease);
  EXPECT_EQ(LengthOfLease(20, lease), lease) << "an answer after its end lends nothing";
}

TEST(PaxosLeaseClocks, EachAnswerLengthensItByItsOwnRound) {
  Replica leader(LeaseOptions(1, 20));
  Replica acceptor(LeaseOptions(2, 20));
  const Ballot ballot = leader.Lead({2});
  for (int round = 0; round < 20; ++round) {
    leader.Ticks(2);
    acceptor.Ticks(2);
    leader.Hear(2, ballot, Lend(leader, ballot, acceptor));
    EXPECT_TRUE(Serves(leader));
  }
}

TEST(PaxosLeaseClocks, ALeaderThatHandsOverServesNoMoreByLease) {
  Replica leader(LeaseOptions(1, 20));
  Replica acceptor(LeaseOptions(2, 20));
  const Ballot ballot = leader.Lead({2});
  leader.Ticks(2);
  leader.Hear(2, ballot, Lend(leader, ballot, acceptor));
  ASSERT_TRUE(Serves(leader));
  leader.Step(TransferLeadership{ReplicaId(2)});
  ASSERT_NE(leader.Last<TakeOver>(2), nullptr);
  EXPECT_FALSE(Serves(leader));
  leader.Ticks(2);
  leader.Hear(2, ballot, Lend(leader, ballot, acceptor));
  EXPECT_FALSE(Serves(leader)) << "the other may have been told, and may be slow";
}

TEST(PaxosLeaseClocks, NoLeaseServesBeforeEverySlotThatPhase1SawIsChosen) {
  Replica leader(LeaseOptions(1, 20));
  const Ballot ballot = leader.Lead({2}, {Command(1, At(0, 2), "a")});
  leader.Ticks(2);
  leader.Answer(2, ballot, 0, 0, true);
  EXPECT_FALSE(Serves(leader));
}

TEST(PaxosLeaseClocks, ALeaderThatIsPreemptedServesNoMore) {
  Replica leader(LeaseOptions(1, 20));
  Replica acceptor(LeaseOptions(2, 20));
  const Ballot ballot = leader.Lead({2});
  leader.Ticks(2);
  leader.Hear(2, ballot, Lend(leader, ballot, acceptor));
  leader.Hear(3, At(9, 3), Preempted{});
  EXPECT_FALSE(Serves(leader));
}

}  // namespace
}  // namespace quorate::consensus::paxos
