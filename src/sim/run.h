// Run: one simulation from one seed. Draws the cluster, the workload and the nemesis; a phase of chaos, then a healed
// phase in which every member must serve; then the checkers judge.
//
// RunSeed runs in this process, and a CHECK of the product ends it. RunSeedApart does the same in a child process and
// reports a CHECK as a violation of `invariant`. Thread rule: one thread in the process when RunSeedApart is called.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "consensus/core.h"
#include "sim/checkers.h"
#include "sim/scenario.h"
#include "sim/strike.h"

namespace quorate::sim {

struct RunOptions {
  consensus::Protocol protocol = consensus::Protocol::kRaft;
  std::uint64_t seed = 1;
  Scenario scenario;
  std::vector<Strike> plan;                      // of the seed's own run; empty = drawn
  std::set<std::uint64_t> skipped;               // strikes of the plan that are left out, by number
  std::function<void(const Strike&)> on_strike;  // told of each as it happens
  std::string bug;                               // of sim/bugs.h, in the `bugs` preset; "" = none
  bool canary = false;                           // falsifies an answer at the end: the run must fail
  std::string trace;                             // where to write the run's page; "" = nowhere
};

struct Report {
  std::uint64_t seed = 0;
  std::string scenario;
  std::uint64_t members = 0;
  bool unordered = false;  // the network lost, doubled and reordered single frames
  std::uint64_t good = 0;  // operations
  std::uint64_t failed = 0;
  std::uint64_t unknown = 0;
  std::uint64_t elections = 0;
  std::uint64_t crashes = 0;
  std::uint64_t changes = 0;    // of the members, whole ones
  std::uint64_t snapshots = 0;  // loaded
  std::uint64_t faults = 0;
  std::map<std::string, std::uint64_t> faults_by_kind;
  std::vector<Strike> strikes;
  std::uint64_t entries = 0;
  std::uint64_t frames = 0;
  std::uint64_t tasks = 0;
  std::uint64_t simulated_ms = 0;
  std::uint64_t hash = 0;           // of everything that happened: equal when the seed is run again
  std::vector<std::string> probes;  // of base/probe.h that were reached
  std::vector<Violation> violations;

  bool ok() const { return violations.empty(); }
};

Report RunSeed(const RunOptions& options);
// `options.on_strike` is told in this process.
Report RunSeedApart(const RunOptions& options);
// `options` with the plan that they skip strikes of, which a run of the seed without skipping makes.
RunOptions WithPlan(RunOptions options);

std::string EncodeReport(const Report& report);
bool DecodeReport(std::string_view encoded, Report* report);

// One line: what happened.
std::string Summary(const Report& report);

}  // namespace quorate::sim
