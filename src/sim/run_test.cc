#include "sim/run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/check.h"
#include "base/log.h"
#include "sim/bugs.h"
#include "sim/nemesis.h"
#include "sim/pinned.h"
#include "sim/protocols.h"

namespace quorate::sim {
namespace {

constexpr std::uint64_t kSeeds = 30;

const std::string kPinned = std::string(QUORATE_SOURCE_DIR) + "/tests/sim/";

RunOptions Seed(std::uint64_t seed, consensus::Protocol protocol = consensus::Protocol::kRaft) {
  SetLogLevel(LogLevel::kError);
  RunOptions options;
  options.protocol = protocol;
  options.seed = seed;
  return options;
}

std::string Why(const Report& report) {
  return report.ok() ? "good" : report.violations[0].checker + ": " + report.violations[0].message;
}

RunOptions Pinned(const PinnedSeed& pinned) {
  RunOptions options = Seed(pinned.seed, pinned.protocol);
  const Result<Scenario> scenario = LoadScenario(pinned.scenario);
  CHECK(scenario.ok()) << pinned.name << ": " << scenario.status().message();
  options.scenario = *scenario;
  return options;
}

// What must hold under every protocol.
class RunProtocol : public testing::TestWithParam<consensus::Protocol> {};

INSTANTIATE_TEST_SUITE_P(All, RunProtocol, testing::ValuesIn(consensus::kProtocols),
                         [](const auto& protocol) { return std::string(consensus::ProtocolName(protocol.param)); });

TEST_P(RunProtocol, ASeedReplaysExactly) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const Report first = RunSeedApart(Seed(seed, GetParam()));
    const Report second = RunSeedApart(Seed(seed, GetParam()));
    EXPECT_NE(first.hash, 0u) << Why(first);
    EXPECT_EQ(EncodeReport(first), EncodeReport(second)) << "seed " << seed;
  }
}

TEST_P(RunProtocol, SeedsDiffer) {
  EXPECT_NE(RunSeedApart(Seed(1, GetParam())).hash, RunSeedApart(Seed(2, GetParam())).hash);
}

TEST_P(RunProtocol, EverySeedDoesEnoughAndIsGood) {
  std::set<std::string> kinds;
  std::uint64_t changes = 0, snapshots = 0;
  std::set<std::uint64_t> open;
  for (const PinnedSeed& pinned : ReadPinnedSeeds(kPinned + "open_seeds.txt")) {
    if (pinned.protocol == GetParam() && pinned.scenario.empty()) open.insert(pinned.seed);
  }
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    if (open.contains(seed)) continue;
    const Report report = RunSeedApart(Seed(seed, GetParam()));
    EXPECT_TRUE(report.ok()) << "seed " << seed << " " << Why(report);
    EXPECT_GE(report.simulated_ms, 60'000u);
    EXPECT_GE(report.good + report.failed + report.unknown, 500u);
    EXPECT_GE(report.faults, 5u);
    EXPECT_GE(report.elections, 1u);
    for (const auto& [kind, count] : report.faults_by_kind) kinds.insert(kind);
    changes += report.changes;
    snapshots += report.snapshots;
  }
  EXPECT_GE(changes, kSeeds);
  EXPECT_GE(snapshots, kSeeds);
  EXPECT_EQ(kinds.size(), Nemesis::Kinds().size() - 1) << "a kind of fault that no seed draws, but for clock-jump";
}

TEST_P(RunProtocol, EveryScenarioReplaysExactlyAndIsGood) {
  for (const Scenario& scenario : BuiltInScenarios()) {
    if (!AppliesTo(scenario, TraitsOf(GetParam()))) continue;
    RunOptions options = Seed(7, GetParam());
    options.scenario = scenario;
    const Report report = RunSeedApart(options);
    EXPECT_TRUE(report.ok()) << scenario.name << " " << Why(report);
    EXPECT_EQ(EncodeReport(RunSeedApart(options)), EncodeReport(report)) << scenario.name;
  }
}

TEST_P(RunProtocol, APlanOfAllStrikesIsTheRunItself) {
  RunOptions options = Seed(4, GetParam());
  const Report drawn = RunSeedApart(options);
  options.plan = drawn.strikes;
  EXPECT_EQ(EncodeReport(RunSeedApart(options)), EncodeReport(drawn));
}

TEST_P(RunProtocol, AStrikeLeftOutChangesNoOthersTimeOrKind) {
  RunOptions options = Seed(4, GetParam());
  std::vector<Strike> expected = RunSeedApart(options).strikes;
  ASSERT_GE(expected.size(), 5u);
  expected.erase(expected.begin() + 1, expected.begin() + 3);
  options.skipped = {2, 3};
  EXPECT_EQ(RunSeedApart(WithPlan(options)).strikes, expected);
}

TEST(Run, TheCanaryFails) {
  RunOptions options = Seed(1);
  options.canary = true;
  const Report report = RunSeedApart(options);
  ASSERT_FALSE(report.ok()) << "a false answer went unseen: the checkers are asleep";
  EXPECT_EQ(report.violations[0].checker, "linearizability");
}

TEST(Run, ReportsSurviveTheirEncoding) {
  Report report = RunSeedApart(Seed(3));
  report.violations.push_back({"checker", "message"});
  Report decoded;
  ASSERT_TRUE(DecodeReport(EncodeReport(report), &decoded));
  EXPECT_EQ(EncodeReport(decoded), EncodeReport(report));
  EXPECT_FALSE(DecodeReport("garbage", &decoded));
}

TEST(Run, SeedsThatOnceFailedPass) {
  for (const PinnedSeed& pinned : ReadPinnedSeeds(kPinned + "regressions.txt")) {
    const Report report = RunSeedApart(Pinned(pinned));
    EXPECT_TRUE(report.ok()) << pinned.name << " " << pinned.seed << " " << Why(report);
  }
}

TEST(Run, OpenSeedsStillFail) {
  for (const PinnedSeed& pinned : ReadPinnedSeeds(kPinned + "open_seeds.txt")) {
    const Report report = RunSeedApart(Pinned(pinned));
    EXPECT_FALSE(report.ok()) << pinned.name << " is mended: move its seed to regressions.txt";
    if (!report.ok()) {
      EXPECT_EQ(report.violations[0].checker, pinned.note) << pinned.name;
    }
  }
}

#ifdef QUORATE_BUGS
TEST(SeededBugs, EachHasItsReferenceAndItsCheckers) {
  for (const SeededBug& bug : SeededBugs()) {
    EXPECT_FALSE(bug.mistake.empty() || bug.reference.empty() || bug.checkers.empty()) << bug.name;
  }
  EXPECT_GE(SeededBugs().size(), 50u);
}

TEST(SeededBugs, EachIsCaughtAtItsPinnedSeedAndTheSeedIsGoodWithoutIt) {
  std::set<std::string> caught;
  for (const PinnedSeed& pinned : ReadPinnedSeeds(kPinned + "bug_seeds.txt")) {
    const SeededBug* bug = FindSeededBug(pinned.name);
    ASSERT_NE(bug, nullptr) << pinned.name;
    EXPECT_TRUE(!bug->protocol || *bug->protocol == pinned.protocol) << pinned.name;
    EXPECT_TRUE(RunSeedApart(Pinned(pinned)).ok()) << pinned.name << " " << pinned.seed;
    RunOptions options = Pinned(pinned);
    options.bug = pinned.name;
    const Report report = RunSeedApart(options);
    ASSERT_FALSE(report.ok()) << pinned.name << " is not caught at seed " << pinned.seed
                              << ": a change of what runs moves the seeds; tools/find_bug_seeds.sh finds new ones";
    const std::string& checker = report.violations[0].checker;
    EXPECT_EQ(std::count(bug->checkers.begin(), bug->checkers.end(), checker), 1)
        << pinned.name << " is caught by " << checker;
    caught.insert(pinned.name);
  }
  EXPECT_GE(caught.size(), 45u);
}
#else
TEST(SeededBugs, AreNotInAReleaseBuild) {
  EXPECT_TRUE(SeededBugs().empty());
}
#endif

}  // namespace
}  // namespace quorate::sim
