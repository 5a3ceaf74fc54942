// Searches for seeded bugs, for sim_command: the first seed that catches each, or how many it takes in the middle of
// several searches that begin at different seeds. Thread rule: one thread in the process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/run.h"
#include "sim/seed_runs.h"

namespace quorate::sim {

struct BugSearchOptions {
  RunOptions run;
  std::vector<Scenario> scenarios;
  std::string which;  // "all", a name, or "raft", "paxos", "zab", "shared"
  SeedRange seeds;
  std::uint64_t jobs = 1;
  std::uint64_t repeat = 1;  // more than 1: a table of medians instead of seeds to pin
};

// 0: every one was caught; 1: not every one.
int FindBugs(const BugSearchOptions& options);
int ListBugs();

}  // namespace quorate::sim
