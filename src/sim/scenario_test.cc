#include "sim/scenario.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "sim/draw.h"
#include "sim/protocols.h"

namespace quorate::sim {
namespace {

std::string Refusal(const std::string& text) {
  const Result<Scenario> scenario = ParseScenario(text, "x.toml");
  return scenario.ok() ? "accepted" : scenario.status().message();
}

TEST(Scenario, SaysWhatItFixes) {
  const Result<Scenario> scenario = ParseScenario(
      "about = \"words\"\nseconds = [60, 90]\n[cluster]\nmembers = [3, 5]\n[network]\nloss = 0.02\n"
      "[clients]\ncount = 7\n[operations]\nget = 1\nswap = 3\n[workloads]\nlists = 0.5\n[faults]\none-way-cut = 2\n",
      "tests/scenarios/x.toml");
  ASSERT_TRUE(scenario.ok()) << scenario.status().message();
  EXPECT_EQ(scenario->name, "x");
  EXPECT_EQ(scenario->about, "words");
  EXPECT_EQ(scenario->chaos_ms, (Span{60'000, 90'000}));
  EXPECT_EQ(scenario->members, (std::vector<std::uint64_t>{3, 5}));
  EXPECT_EQ(scenario->lost_permille, 20u);
  EXPECT_EQ(scenario->clients, (Span{7, 7}));
  EXPECT_EQ(scenario->operations.at("swap"), 3u);
  EXPECT_EQ(scenario->workloads.at("lists"), 500u);
  EXPECT_EQ(scenario->faults.at("one-way-cut"), 2u);
}

TEST(Scenario, RefusesWithFileLineAndReason) {
  EXPECT_EQ(Refusal("[network]\n\nlos = 0.1\n"), "x.toml:3: unknown key \"network.los\"");
  EXPECT_EQ(Refusal("\n[weather]\n"), "x.toml:2: unknown section [weather]");
  EXPECT_EQ(Refusal("network = 1\n"), "x.toml:1: unknown key \"network\"");
  EXPECT_EQ(Refusal("speed = 1\n"), "x.toml:1: unknown key \"speed\"");
  EXPECT_EQ(Refusal("[network]\nloss = -0.1\n"),
            "x.toml:2: network.loss = -0.1 is negative: it must be between 0 and 0.5");
  EXPECT_EQ(Refusal("[network]\nloss = 0.9\n"),
            "x.toml:2: network.loss = 0.9 is out of range: it must be between 0 and 0.5");
  EXPECT_EQ(Refusal("[network]\nloss = nan\n").substr(0, 9), "x.toml:2:");
  EXPECT_EQ(Refusal("[network]\nloss = \"much\"\n"), "x.toml:2: network.loss must be a number");
  EXPECT_EQ(Refusal("[clients]\ncount = 2.5\n"), "x.toml:2: clients.count must be a whole number");
  EXPECT_EQ(Refusal("[clients]\ncount = [9, 2]\n"), "x.toml:2: clients.count must ascend");
  EXPECT_EQ(Refusal("[clients]\ncount = []\n"), "x.toml:2: clients.count takes one number or a list of up to 2");
  EXPECT_EQ(Refusal("[faults]\ncrash = 1\nearthquake = 1\n").substr(0, 60),
            "x.toml:3: unknown key \"earthquake\"; there are: crash, crash-");
  EXPECT_EQ(Refusal("[faults]\ncrash = -1\n"), "x.toml:2: crash = -1 is negative: it must be between 0 and 1000");
  EXPECT_EQ(Refusal("[faults]\ncrash = 0\n"), "x.toml:1: faults has no weight above 0");
  EXPECT_EQ(Refusal("[faults]\n"), "x.toml:1: faults has no weight above 0");
  EXPECT_EQ(Refusal("[network\n").substr(0, 9), "x.toml:1:");
}

TEST(Scenario, RefusesImpossibleQuorums) {
  const std::string faults = "[faults]\ncrash = 1\n";
  EXPECT_EQ(Refusal("[cluster]\nmembers = 5\nphase1_quorum = 4\nphase2_quorum = 2\n" + faults), "accepted");
  EXPECT_EQ(Refusal("[cluster]\nmembers = 5\nphase1_quorum = 3\nphase2_quorum = 2\n" + faults),
            "x.toml:1: impossible quorums: 3 and 2 of 5 members need not meet");
  EXPECT_EQ(Refusal("[cluster]\nmembers = 3\nphase1_quorum = 4\n" + faults),
            "x.toml:1: impossible quorums: 4 and 2 of 3 members are more than there are");
  EXPECT_EQ(Refusal("[cluster]\nphase1_quorum = 4\n" + faults), "x.toml:1: sizes of quorums need cluster.members");
  EXPECT_EQ(Refusal("[cluster]\nmembers = 5\nphase2_quorum = 3\n[faults]\ngrow = 1\n"),
            "x.toml:1: sizes of quorums and a changing membership (faults.grow) do not go together");
}

TEST(Scenario, IsFoundByNameOrByFile) {
  EXPECT_TRUE(LoadScenario("").ok());
  EXPECT_TRUE(LoadScenario("drawn").ok());
  EXPECT_EQ(LoadScenario("partitions")->name, "partitions");
  EXPECT_EQ(LoadScenario(std::string(QUORATE_SOURCE_DIR) + "/tests/scenarios/crashes.toml")->name, "crashes");
  EXPECT_EQ(LoadScenario("nowhere/x.toml").status().message(), "nowhere/x.toml: cannot be read");
  const std::string folder = std::string(QUORATE_SOURCE_DIR) + "/tests/scenarios";
  EXPECT_EQ(LoadScenario(folder).status().message(), folder + ": cannot be read");
  EXPECT_EQ(LoadScenario("no-such").status().message().substr(0, 30), "no scenario \"no-such\"; there a");
}

TEST(Scenario, TheBuiltInOnesUseEveryFaultAndWorkload) {
  std::set<std::string> faults, workloads;
  const std::vector<Scenario> all = BuiltInScenarios();
  EXPECT_EQ(all.front().name, "drawn");
  EXPECT_GE(all.size(), 9u);
  for (const Scenario& scenario : all) {
    EXPECT_FALSE(scenario.about.empty()) << scenario.name;
    for (const auto& [kind, weight] : scenario.faults) faults.insert(kind);
    for (const auto& [kind, turns] : scenario.workloads) workloads.insert(kind);
  }
  EXPECT_EQ(faults.size(), Nemesis::Kinds().size());
  EXPECT_GE(workloads.size(), 5u);
}

TEST(Scenario, QuorumsAreForProtocolsThatHaveThem) {
  const Scenario scenario = *LoadScenario("flexible-quorums");
  EXPECT_TRUE(AppliesTo(scenario, {.name = "paxos", .flexible_quorums = true}));
  EXPECT_FALSE(AppliesTo(scenario, {}));
  EXPECT_TRUE(AppliesTo(Scenario(), {}));
}

TEST(Scenario, WhatItLeavesOpenIsDrawnAsWithoutIt) {
  RunOptions plain;
  plain.seed = 5;
  RunOptions fixed = plain;
  fixed.scenario = *ParseScenario("[cluster]\nmembers = 7\n[network]\nduplication = 0.1\n", "x.toml");
  SeededRandom a(1), b(1);
  const ClusterOptions open = DrawCluster(plain, a);
  const ClusterOptions closed = DrawCluster(fixed, b);
  EXPECT_EQ(closed.members, 7u);
  EXPECT_EQ(closed.network.doubled_permille, 100u);
  EXPECT_TRUE(closed.network.unordered);
  EXPECT_EQ(closed.core.election_ticks, open.core.election_ticks);
  EXPECT_EQ(a.Next(), b.Next());
}

TEST(Scenario, LinksThatKeepTheirOrderBreakInsteadOfLosing) {
  RunOptions options;
  options.protocol = consensus::Protocol::kZab;
  options.scenario = *ParseScenario("[network]\nloss = 0.05\nlink_resets = 0\n", "x.toml");
  SeededRandom random(1);
  const ClusterOptions cluster = DrawCluster(options, random);
  EXPECT_FALSE(cluster.network.unordered);
  EXPECT_GT(cluster.network.reset_per_million, 0u);
}

}  // namespace
}  // namespace quorate::sim
