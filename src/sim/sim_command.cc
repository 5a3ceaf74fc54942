#include "sim/sim_command.h"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "sim/bug_search.h"
#include "sim/bugs.h"
#include "sim/explore/explore_command.h"
#include "sim/jobs.h"
#include "sim/pinned.h"
#include "sim/protocols.h"
#include "sim/seed_runs.h"
#include "sim/shrink.h"

namespace quorate::sim {
namespace {

constexpr int kGood = 0;
constexpr int kCouldNotRun = 2;
constexpr std::uint64_t kBugSeedsMax = 2000;

struct Flags {
  std::string protocol = "raft";
  std::string scenario = "drawn";
  std::uint64_t seed = 1;
  std::string seeds;
  std::string skip;
  std::uint64_t jobs = ProcessorCount();
  std::string bug;
  bool canary = false;
  std::string trace;
  bool list_bugs = false;
  bool list_scenarios = false;
  std::string except;
  std::string find_bugs;  // "all", a name or a protocol
  std::uint64_t repeat = 1;
  SeedRunOptions runs;
};

std::optional<SeedRange> ParseSeeds(const Flags& flags) {
  if (flags.seeds.empty()) return SeedRange{flags.seed, flags.seed};
  SeedRange range;
  int used = 0;
  const int found = std::sscanf(flags.seeds.c_str(), "%lu..%lu%n", &range.first, &range.last, &used);
  if (found != 2 || static_cast<std::size_t>(used) != flags.seeds.size() || range.first > range.last) {
    return std::nullopt;
  }
  return range;
}

int Fail(const std::string& why) {
  std::fprintf(stderr, "quorate sim: %s\n", why.c_str());
  return kCouldNotRun;
}

int ListScenarios() {
  for (const Scenario& scenario : BuiltInScenarios()) {
    std::printf("%-20s %s\n", scenario.name.c_str(), scenario.about.c_str());
  }
  return kGood;
}

// "all": those that the protocol can run, if it is one.
Result<std::vector<Scenario>> ChooseScenarios(const std::string& chosen,
                                              const std::optional<consensus::Traits>& traits) {
  std::vector<Scenario> scenarios;
  if (chosen == "all") {
    for (Scenario& scenario : BuiltInScenarios()) {
      if (!traits || AppliesTo(scenario, *traits)) scenarios.push_back(std::move(scenario));
    }
    return scenarios;
  }
  Result<Scenario> scenario = LoadScenario(chosen);
  if (!scenario.ok()) return scenario.status();
  if (traits && !AppliesTo(*scenario, *traits)) {
    return Status::InvalidArgument("scenario " + chosen + " sets sizes of quorums, which " + std::string(traits->name) +
                                   " does not have");
  }
  scenarios.push_back(*std::move(scenario));
  return scenarios;
}

void Declare(CLI::App& app, Flags& flags) {
  app.add_option("--protocol", flags.protocol, "raft, paxos or zab")->capture_default_str();
  app.add_option("--scenario", flags.scenario, "a file of TOML, a name of --list-scenarios, or all: each seed the next")
      ->capture_default_str();
  auto* seed = app.add_option("--seed", flags.seed, "the one seed to run")->capture_default_str();
  auto* seeds = app.add_option("--seeds", flags.seeds, "a range of seeds, as 1..200")->excludes(seed);
  app.add_option("--skip", flags.skip, "strikes to leave out by number, as 3,5..9: a failed run says which");
  app.add_option("--jobs", flags.jobs, "seeds at a time")->check(CLI::Range(1, 256))->capture_default_str();
  app.add_flag("--twice", flags.runs.twice, "run each seed twice and compare the hashes of all that happened");
  app.add_flag("--json", flags.runs.json, "one JSON object a line");
  app.add_flag("--brief", flags.runs.brief, "no lines for good seeds");
  app.add_option("--except", flags.except, "a file of known failures (as tests/sim/open_seeds.txt) that are not run")
      ->check(CLI::ExistingFile);
  app.add_flag("--until-stopped", flags.runs.until_stopped, "seeds from --seed on, until Ctrl-C")->excludes(seeds);
  app.add_flag("--probes-required", flags.runs.probes_required, "fail when a rare branch was not reached");
  app.add_option("--report", flags.runs.report, "write the summary and the failures to this file, too");
  app.add_option("--shrink", flags.runs.shrink_runs_max, "runs to spend on shortening a failure; 0 = none")
      ->capture_default_str();
  app.add_flag("--canary", flags.canary, "falsify one answer: the run must fail, or the checkers are asleep");
  app.add_option("--bug", flags.bug, "switch a seeded bug on (needs a build of the `bugs` preset)");
  app.add_option("--trace", flags.trace, "write the run as one HTML page to this file (one seed only)");
  app.add_flag("--list-bugs", flags.list_bugs, "the seeded bugs, where they come from and what catches them");
  app.add_flag("--list-scenarios", flags.list_scenarios, "the scenarios that are built in");
  app.add_option("--find-bugs", flags.find_bugs, "the first seed that catches each bug (all, a name, or a protocol's)");
  app.add_option("--repeat", flags.repeat, "with --find-bugs: searches from so many places, and their medians")
      ->check(CLI::Range(1, 99));
}

int Run(Flags& flags) {
  const Result<consensus::Protocol> protocol = consensus::ParseProtocol(flags.protocol);
  if (!protocol.ok()) return Fail(protocol.status().message());
  // A search goes through the protocols.
  const std::optional<consensus::Traits> traits =
      flags.find_bugs.empty() ? std::optional(TraitsOf(*protocol)) : std::nullopt;
  Result<std::vector<Scenario>> scenarios = ChooseScenarios(flags.scenario, traits);
  if (!scenarios.ok()) return Fail(scenarios.status().message());
  const std::optional<SeedRange> range = ParseSeeds(flags);
  if (!range) return Fail("--seeds " + flags.seeds + ": write it as FIRST..LAST, for example 1..200");
  RunOptions run;
  run.protocol = *protocol;
  run.bug = flags.bug;
  run.canary = flags.canary;
  if (!ParseNumbers(flags.skip, &run.skipped)) {
    return Fail("--skip " + flags.skip + ": write it as numbers and ranges, for example 3,5..9");
  }
  run.trace = flags.trace;
  if (!run.trace.empty() && (range->first != range->last || flags.runs.until_stopped || flags.runs.twice)) {
    return Fail("--trace is for one seed, run once");
  }
  if (!run.skipped.empty() && (range->first != range->last || flags.runs.until_stopped)) {
    return Fail("--skip is for one seed");
  }
  if (!flags.bug.empty() && FindSeededBug(flags.bug) == nullptr) {
    return Fail("no seeded bug \"" + flags.bug +
                "\" in this build: --list-bugs shows them, the `bugs` preset has them");
  }
  SetLogLevel(LogLevel::kError);
  if (!flags.find_bugs.empty()) {
    const SeedRange seeds = flags.seeds.empty() ? SeedRange{1, kBugSeedsMax} : *range;
    return FindBugs({run, *std::move(scenarios), flags.find_bugs, seeds, flags.jobs, flags.repeat});
  }
  if (!flags.except.empty()) flags.runs.except = ReadPinnedSeeds(flags.except);
  flags.runs.run = run;
  flags.runs.scenarios = *std::move(scenarios);
  flags.runs.seeds = *range;
  flags.runs.jobs = flags.jobs;
  return RunSeeds(flags.runs);
}

}  // namespace

int SimMain(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "explore") return explore::ExploreMain(argc - 1, argv + 1);
  Flags flags;
  CLI::App app{
      "Runs a whole cluster on simulated time, network and disks, breaks it in every way, and checks it.\n"
      "The same seed does the same again.",
      "sim"};
  Declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kGood : kCouldNotRun;
  }
  if (flags.list_bugs) return ListBugs();
  if (flags.list_scenarios) return ListScenarios();
  return Run(flags);
}

}  // namespace quorate::sim
