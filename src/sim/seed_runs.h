// Runs of many seeds for sim_command: in processes side by side, each seed under the scenario that is its turn, some of
// them twice; prints a line for each, for one that fails how to replay it and the fewest strikes that suffice, and a
// summary.
//
// Thread rule: one thread in the process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/pinned.h"
#include "sim/run.h"

namespace quorate::sim {

struct SeedRange {
  std::uint64_t first = 1;
  std::uint64_t last = 1;
};

struct SeedRunOptions {
  RunOptions run;                   // seed and scenario are set for each
  std::vector<Scenario> scenarios;  // seed number n runs the n-th of them, round and round
  SeedRange seeds;
  std::uint64_t jobs = 1;
  bool twice = false;  // every one, not only every tenth of many
  bool json = false;
  bool brief = false;              // no lines for good seeds
  std::vector<PinnedSeed> except;  // known to fail: not run
  bool until_stopped = false;      // goes on after `seeds.first` until SIGINT or SIGTERM
  bool probes_required = false;    // a rare branch that no run reached is a failure
  std::uint64_t shrink_runs_max = 60;
  std::string report;  // where the summary is written as well, from time to time; "" = nowhere
};

// 0: all good; 1: a check was violated.
int RunSeeds(const SeedRunOptions& options);

}  // namespace quorate::sim
