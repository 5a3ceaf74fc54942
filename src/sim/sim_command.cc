#include "sim/sim_command.h"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>

#include "base/log.h"
#include "sim/bugs.h"
#include "sim/run.h"

namespace quorate::sim {
namespace {

constexpr int kGood = 0;
constexpr int kViolated = 1;
constexpr int kCouldNotRun = 2;
constexpr std::uint64_t kBugSeedsMax = 2000;

struct Flags {
  std::string protocol = "raft";
  std::uint64_t seed = 1;
  std::string seeds;
  std::string bug;
  bool twice = false;
  bool json = false;
  bool canary = false;
  bool list_bugs = false;
  std::string find_bugs;  // "all" or a name
};

struct SeedRange {
  std::uint64_t first = 1;
  std::uint64_t last = 1;
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

std::string Quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string Json(const Report& report) {
  std::ostringstream out;
  out << "{\"seed\":" << report.seed << ",\"ok\":" << (report.ok() ? "true" : "false")
      << ",\"members\":" << report.members << ",\"unordered\":" << (report.unordered ? "true" : "false")
      << ",\"good\":" << report.good << ",\"failed\":" << report.failed << ",\"unknown\":" << report.unknown
      << ",\"elections\":" << report.elections << ",\"crashes\":" << report.crashes
      << ",\"member_changes\":" << report.changes << ",\"snapshots\":" << report.snapshots
      << ",\"faults\":" << report.faults << ",\"entries\":" << report.entries << ",\"frames\":" << report.frames
      << ",\"tasks\":" << report.tasks << ",\"simulated_seconds\":" << report.simulated_ms / 1000 << ",\"hash\":\""
      << std::hex << report.hash << std::dec << "\",\"violations\":[";
  for (std::size_t i = 0; i < report.violations.size(); ++i) {
    const Violation& violation = report.violations[i];
    out << (i == 0 ? "" : ",") << "{\"checker\":" << Quoted(violation.checker)
        << ",\"message\":" << Quoted(violation.message) << "}";
  }
  out << "]}";
  return out.str();
}

void Print(const Report& report, bool json) {
  std::printf("%s\n", json ? Json(report).c_str() : Summary(report).c_str());
  if (json) return;
  for (const Violation& violation : report.violations) {
    std::printf("  %s: %s\n", violation.checker.c_str(), violation.message.c_str());
  }
}

int Fail(const std::string& why) {
  std::fprintf(stderr, "quorate sim: %s\n", why.c_str());
  return kCouldNotRun;
}

int RunSeeds(const Flags& flags, RunOptions options, SeedRange range) {
  std::uint64_t violated = 0;
  std::string last;
  for (options.seed = range.first; options.seed <= range.last; ++options.seed) {
    Report report = RunSeedApart(options);
    if (flags.twice && report.ok()) {
      const Report again = RunSeedApart(options);
      if (again.hash != report.hash) {
        report.violations.push_back({"replay", "a second run of the seed went another way"});
      }
    }
    Print(report, flags.json);
    std::fflush(stdout);
    if (report.ok()) continue;
    ++violated;
    last = report.violations.front().checker + " seed " + std::to_string(options.seed);
  }
  if (violated == 0) return kGood;
  if (range.first != range.last && !flags.json) {
    std::printf("%lu of %lu seeds violated a check\n", violated, range.last - range.first + 1);
  }
  std::printf("%s\n", flags.json ? ("{\"violated\":" + Quoted(last) + "}").c_str() : ("violated: " + last).c_str());
  return kViolated;
}

// The protocol under which a seed looks for the bug: its own, or each in turn for a bug of the layers that all share.
consensus::Protocol ProtocolFor(const SeededBug& bug, std::uint64_t seed) {
  return bug.protocol ? *bug.protocol : consensus::kProtocols[seed % std::size(consensus::kProtocols)];
}

// Prints "bug protocol seed checker" with the first seed that fails with the bug and passes without it.
bool FindBug(const SeededBug& bug, RunOptions options, SeedRange range) {
  for (options.seed = range.first; options.seed <= range.last; ++options.seed) {
    options.bug = bug.name;
    options.protocol = ProtocolFor(bug, options.seed);
    const Report with = RunSeedApart(options);
    if (with.ok()) continue;
    options.bug.clear();
    if (!RunSeedApart(options).ok()) continue;
    std::printf("%s %s %lu %s\n", bug.name.c_str(), std::string(consensus::ProtocolName(options.protocol)).c_str(),
                options.seed, with.violations.front().checker.c_str());
    std::fflush(stdout);
    return true;
  }
  std::fprintf(stderr, "%s: not caught by seeds %lu..%lu\n", bug.name.c_str(), range.first, range.last);
  return false;
}

int FindBugs(const Flags& flags, const RunOptions& options) {
  const SeedRange range = flags.seeds.empty() ? SeedRange{1, kBugSeedsMax} : *ParseSeeds(flags);
  bool all = true;
  for (const SeededBug& bug : SeededBugs()) {
    if (flags.find_bugs == "all" || flags.find_bugs == bug.name) all = FindBug(bug, options, range) && all;
  }
  return all ? kGood : kViolated;
}

int ListBugs() {
  for (const SeededBug& bug : SeededBugs()) {
    std::string checkers;
    for (const std::string& checker : bug.checkers) checkers += (checkers.empty() ? "" : ", ") + checker;
    std::printf("%s (%s)\n    %s\n    from: %s\n    caught by: %s\n", bug.name.c_str(),
                std::string(bug.owner()).c_str(), bug.mistake.c_str(), bug.reference.c_str(), checkers.c_str());
  }
  return kGood;
}

void Declare(CLI::App& app, Flags& flags) {
  app.add_option("--protocol", flags.protocol, "raft, paxos or zab")->capture_default_str();
  auto* seed = app.add_option("--seed", flags.seed, "the one seed to run")->capture_default_str();
  app.add_option("--seeds", flags.seeds, "a range of seeds, as 1..200")->excludes(seed);
  app.add_flag("--twice", flags.twice, "run each seed twice and compare the hashes of all that happened");
  app.add_flag("--json", flags.json, "one JSON object a line");
  app.add_flag("--canary", flags.canary, "falsify one answer: the run must fail, or the checkers are asleep");
  app.add_option("--bug", flags.bug, "switch a seeded bug on (needs a build of the `bugs` preset)");
  app.add_flag("--list-bugs", flags.list_bugs, "the seeded bugs, where they come from and what catches them");
  app.add_option("--find-bugs", flags.find_bugs, "the first seed that catches each bug (all, or one name)");
}

}  // namespace

int SimMain(int argc, char** argv) {
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
  const Result<consensus::Protocol> protocol = consensus::ParseProtocol(flags.protocol);
  if (!protocol.ok()) return Fail(protocol.status().message());
  const std::optional<SeedRange> range = ParseSeeds(flags);
  if (!range) return Fail("--seeds " + flags.seeds + ": write it as FIRST..LAST, for example 1..200");
  if (!flags.bug.empty() && FindSeededBug(flags.bug) == nullptr) {
    return Fail("no seeded bug \"" + flags.bug +
                "\" in this build: --list-bugs shows them, the `bugs` preset has them");
  }
  SetLogLevel(LogLevel::kError);
  RunOptions options;
  options.protocol = *protocol;
  options.bug = flags.bug;
  options.canary = flags.canary;
  if (!flags.find_bugs.empty()) return FindBugs(flags, options);
  return RunSeeds(flags, options, *range);
}

}  // namespace quorate::sim
