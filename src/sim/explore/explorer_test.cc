#include "sim/explore/explorer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/log.h"

namespace quorate::sim::explore {
namespace {

using consensus::Protocol;

Scope Small(Protocol protocol) {
  SetLogLevel(LogLevel::kError);
  Scope scope;
  scope.protocol = protocol;
  scope.elections = 1;
  scope.proposals = 1;
  return scope;
}

TEST(Queues, AResetKeepsWhatIsBeforeItAndTakesTheNewLinkBehindIt) {
  Queues queues;
  const QueueNumber two = queues.Push(queues.Push(0, 7), 8);
  EXPECT_EQ(queues.Front(two), 7u);
  EXPECT_EQ(queues.Pop(queues.Pop(two)), 0u);
  const QueueNumber reset = queues.Push(queues.Reset(two, 50), 9);
  EXPECT_EQ(queues.messages(reset), (std::vector<MessageNumber>{7, 8, 50, 9}));
  EXPECT_TRUE(queues.reset_is_behind(reset));
  const QueueNumber skipped = queues.DropBeforeReset(reset);
  EXPECT_EQ(queues.messages(skipped), (std::vector<MessageNumber>{50, 9}));
  EXPECT_EQ(queues.messages(queues.Pop(skipped)), (std::vector<MessageNumber>{9}));
  EXPECT_FALSE(queues.has_reset(queues.Pop(skipped)));
}

TEST(Queues, ASecondResetTakesAwayWhatOnlyTheFirstLinkCouldHaveBrought) {
  Queues queues;
  const QueueNumber first = queues.Push(queues.Reset(queues.Push(0, 7), 50), 9);
  EXPECT_EQ(queues.messages(queues.Reset(first, 51)), (std::vector<MessageNumber>{7, 51}));
}

TEST(StateTable, KnowsWhatWasAddedThroughItsGrowth) {
  StateTable table;
  for (std::uint64_t i = 1; i < 200'000; ++i) EXPECT_TRUE(table.Add(i * 0x9e3779b97f4a7c15u, 0, 3));
  for (std::uint64_t i = 1; i < 200'000; ++i) EXPECT_FALSE(table.Add(i * 0x9e3779b97f4a7c15u, 0, 3));
  EXPECT_EQ(table.size(), 199'999u);
}

TEST(Explorer, GivesTheSameExplorationTwice) {
  const Exploration first = ExploreApart(Small(Protocol::kRaft));
  const Exploration second = ExploreApart(Small(Protocol::kRaft));
  EXPECT_EQ(first.states, second.states);
  EXPECT_EQ(first.transitions, second.transitions);
  EXPECT_EQ(first.depth, second.depth);
}

TEST(Explorer, StopsAtADepth) {
  Scope scope = Small(Protocol::kRaft);
  scope.depth_max = 5;
  const Exploration exploration = ExploreApart(scope);
  EXPECT_FALSE(exploration.complete);
  EXPECT_EQ(exploration.depth, 5u);
}

TEST(Explorer, StopsAtANumberOfStates) {
  Scope scope = Small(Protocol::kRaft);
  scope.states_max = 500;
  const Exploration exploration = ExploreApart(scope);
  EXPECT_FALSE(exploration.complete);
  EXPECT_GE(exploration.states, 500u);
}

#ifndef QUORATE_BUGS

void ExpectExhausted(const Scope& scope) {
  const Exploration exploration = ExploreApart(scope);
  EXPECT_FALSE(exploration.violation) << Summary(exploration);
  EXPECT_TRUE(exploration.complete) << Summary(exploration);
  EXPECT_GT(exploration.audited, 0u);
  std::printf("%s\n", Summary(exploration).c_str());
}

// The explored scopes of docs/TESTING.md: these in every test run, the larger ones by tools/explore_scopes.
struct Case {
  std::uint64_t elections;
  std::uint64_t proposals;
  std::uint64_t crashes;
  std::uint64_t losses;
  bool slow_disks = false;
};

void ExpectAllExhausted(Protocol protocol, const std::vector<Case>& cases, bool settled = false) {
  for (const Case& one : cases) {
    Scope scope = Small(protocol);
    scope.elections = one.elections;
    scope.proposals = one.proposals;
    scope.crashes = one.crashes;
    scope.losses = one.losses;
    scope.slow_disks = one.slow_disks;
    scope.settled = settled;
    ExpectExhausted(scope);
  }
}

TEST(ExploreRaft, HoldsInEveryInterleavingOfItsScopes) {
  ExpectAllExhausted(Protocol::kRaft, {{2, 2, 0, 0}, {2, 1, 0, 1}, {2, 0, 1, 0}, {1, 2, 1, 0}, {1, 1, 1, 0, true}});
}

TEST(ExplorePaxos, HoldsInEveryInterleavingOfItsScopes) {
  ExpectAllExhausted(Protocol::kPaxos, {{2, 2, 0, 0}, {2, 1, 0, 1}, {2, 0, 1, 0}, {1, 2, 1, 0}, {1, 1, 1, 0, true}});
}

// Whole elections have too many interleavings, so most begin with a leader.
TEST(ExploreZab, HoldsInEveryInterleavingOfItsScopes) {
  ExpectAllExhausted(Protocol::kZab, {{0, 2, 0, 0}});
  ExpectAllExhausted(Protocol::kZab, {{2, 2, 0, 0}, {1, 2, 0, 1}, {0, 1, 1, 0}}, /*settled=*/true);
}

#else

// Each in the smallest scope that shows it; docs/TESTING.md names those that need more than an exploration holds.
struct BugCase {
  const char* bug;
  Scope scope;
  const char* checker;
};

Scope Of(Protocol protocol, std::uint64_t elections, std::uint64_t proposals, std::uint64_t crashes,
         std::uint64_t losses = 0) {
  Scope scope = Small(protocol);
  scope.elections = elections;
  scope.proposals = proposals;
  scope.crashes = crashes;
  scope.losses = losses;
  return scope;
}

// One replica promises a second proposer, crashes, and does what the first one asks.
Scope BetweenTwoProposers() {
  Scope scope = Of(Protocol::kPaxos, 2, 2, 1);
  scope.electors = {1, 2};
  scope.crashers = {3};
  scope.waits = 0;
  return scope;
}

Scope WithRead(Protocol protocol) {
  Scope scope = Of(protocol, 2, 1, 0);
  scope.reads = 1;
  scope.electors = {1, 2};
  return scope;
}

std::vector<BugCase> BugCases() {
  constexpr Protocol kRaft = Protocol::kRaft, kPaxos = Protocol::kPaxos;
  return {
      {"raft_forgets_vote_on_restart", Of(kRaft, 2, 0, 1), "one-leader"},
      {"raft_double_vote_in_term", Of(kRaft, 2, 0, 1), "invariant"},
      {"raft_vote_before_durable", Of(kRaft, 2, 0, 1), "one-leader"},
      {"raft_vote_ignores_log_freshness", Of(kRaft, 2, 0, 1), "invariant"},
      {"raft_ack_before_durable", Of(kRaft, 1, 1, 1), "durability"},
      {"raft_leader_counts_unsynced_self", Of(kRaft, 1, 1, 1), "durability"},
      {"raft_commits_old_term_by_counting", Of(kRaft, 2, 0, 1), "invariant"},
      {"paxos_promise_forgotten_on_restart", BetweenTwoProposers(), "log-agreement"},
      {"paxos_promise_before_durable", BetweenTwoProposers(), "log-agreement"},
      {"paxos_accepts_below_promise", Of(kPaxos, 2, 2, 0), "durability"},
      {"paxos_accepted_before_durable", Of(kPaxos, 1, 1, 1), "durability"},
      {"paxos_proposer_counts_unsynced_self", Of(kPaxos, 1, 1, 1), "durability"},
      {"paxos_fills_reported_hole", Of(kPaxos, 2, 2, 0), "durability"},
      {"paxos_quorums_do_not_intersect", Of(kPaxos, 2, 2, 0), "log-agreement"},
      {"paxos_read_without_confirmation", WithRead(kPaxos), "linearizability"},
  };
}

TEST(ExploreBugs, AreFoundWithAShortestPath) {
  for (BugCase& one : BugCases()) {
    SCOPED_TRACE(one.bug);
    one.scope.bug = one.bug;
    const Exploration exploration = ExploreApart(one.scope);
    ASSERT_TRUE(exploration.violation.has_value()) << Summary(exploration);
    EXPECT_EQ(exploration.violation->checker, one.checker) << exploration.violation->message;
    EXPECT_FALSE(exploration.trace.empty());
    std::printf("%s: %s after %zu events, %lu states, %.1f s\n", one.bug, one.checker, exploration.trace.size(),
                exploration.states, static_cast<double>(exploration.milliseconds) / 1000);
  }
}

#endif

}  // namespace
}  // namespace quorate::sim::explore
