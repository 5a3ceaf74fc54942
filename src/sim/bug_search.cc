#include "sim/bug_search.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>

#include "sim/bugs.h"
#include "sim/jobs.h"
#include "sim/protocols.h"

namespace quorate::sim {
namespace {

constexpr std::uint64_t kApart = 10'000;  // between the first seeds of two searches

// The protocol under which a seed looks for the bug: its own, or each in turn for a bug of the layers that all share.
consensus::Protocol ProtocolFor(const SeededBug& bug, std::uint64_t seed) {
  return bug.protocol ? *bug.protocol : consensus::kProtocols[seed % std::size(consensus::kProtocols)];
}

// The line to pin, "bug protocol seed checker", of the first seed that fails with the bug and passes without it; empty
// if none does.
std::string FindBug(const BugSearchOptions& search, const SeededBug& bug, SeedRange seeds, bool to_pin) {
  RunOptions options = search.run;
  for (options.seed = seeds.first; options.seed <= seeds.last; ++options.seed) {
    options.scenario = search.scenarios[options.seed % search.scenarios.size()];
    options.protocol = ProtocolFor(bug, options.seed);
    if (!AppliesTo(options.scenario, TraitsOf(options.protocol))) continue;
    options.bug = bug.name;
    const Report with = RunSeedApart(options);
    if (with.ok()) continue;
    options.bug.clear();
    if (to_pin && !RunSeedApart(options).ok()) continue;
    const std::string scenario = options.scenario.name == Scenario().name ? "" : "@" + options.scenario.name;
    return bug.name + " " + std::string(consensus::ProtocolName(options.protocol)) + " " +
           std::to_string(options.seed) + scenario + " " + with.violations.front().checker;
  }
  return "";
}

std::uint64_t SeedIn(const std::string& line) {
  unsigned long seed = 0;
  return std::sscanf(line.c_str(), "%*s %*s %lu", &seed) == 1 ? seed : 0;
}

std::vector<const SeededBug*> Chosen(const std::string& which) {
  std::vector<const SeededBug*> bugs;
  for (const SeededBug& bug : SeededBugs()) {
    if (which == "all" || which == bug.name || which == bug.owner()) bugs.push_back(&bug);
  }
  return bugs;
}

void PrintMedian(const SeededBug& bug, std::vector<std::uint64_t> needed, std::uint64_t searches,
                 std::uint64_t length) {
  std::sort(needed.begin(), needed.end());
  std::printf("| `%s` | %s | ", bug.name.c_str(), std::string(bug.owner()).c_str());
  if (needed.size() <= searches / 2) {
    std::printf("over %lu", length);
  } else {
    std::printf("%lu", needed[searches / 2]);
  }
  std::printf(" | %lu of %lu |\n", static_cast<unsigned long>(needed.size()), searches);
  std::fflush(stdout);
}

}  // namespace

int FindBugs(const BugSearchOptions& options) {
  const std::vector<const SeededBug*> bugs = Chosen(options.which);
  if (bugs.empty()) {
    std::fprintf(stderr, "quorate sim: no seeded bug \"%s\" in this build\n", options.which.c_str());
    return 2;
  }
  const std::uint64_t length = options.seeds.last - options.seeds.first + 1;
  if (options.repeat > 1) std::printf("| bug | of | seeds to detection, median | found |\n|---|---|---|---|\n");
  bool all = true;
  std::vector<std::uint64_t> needed;
  RunJobs(
      0, bugs.size() * options.repeat - 1, options.jobs,
      [&](std::uint64_t item) {
        const std::uint64_t first = options.seeds.first + item % options.repeat * kApart;
        return FindBug(options, *bugs[item / options.repeat], {first, first + length - 1}, options.repeat == 1);
      },
      [&](std::uint64_t item, const std::string& line) {
        const SeededBug& bug = *bugs[item / options.repeat];
        if (line.empty()) {
          std::fprintf(stderr, "%s: not caught within %lu seeds\n", bug.name.c_str(), length);
          all = false;
        } else if (options.repeat == 1) {
          std::printf("%s\n", line.c_str());
          std::fflush(stdout);
        } else {
          needed.push_back(SeedIn(line) - options.seeds.first - item % options.repeat * kApart + 1);
        }
        if (options.repeat > 1 && (item + 1) % options.repeat == 0) {
          PrintMedian(bug, std::exchange(needed, {}), options.repeat, length);
        }
        return true;
      });
  return all ? 0 : 1;
}

int ListBugs() {
  for (const SeededBug& bug : SeededBugs()) {
    std::string checkers;
    for (const std::string& checker : bug.checkers) checkers += (checkers.empty() ? "" : ", ") + checker;
    std::printf("%s (%s)\n    %s\n    from: %s\n    caught by: %s\n", bug.name.c_str(),
                std::string(bug.owner()).c_str(), bug.mistake.c_str(), bug.reference.c_str(), checkers.c_str());
  }
  return 0;
}

}  // namespace quorate::sim
