// Tally: what many runs did together, for the summary at the end.
//
// Used by sim_command. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "sim/run.h"

namespace quorate::sim {

class Tally {
 public:
  explicit Tally(consensus::Protocol protocol) : protocol_(protocol) {}
  void Add(const Report& report);

  std::uint64_t runs() const { return runs_; }
  std::uint64_t violated() const { return violated_; }
  // For people; `wall_ns` is how long all of it took.
  std::string Describe(std::uint64_t wall_ns) const;
  // Rare branches of this protocol and the shared layers that no run reached; empty without probes in the build.
  std::set<std::string> ProbesMissed() const;

 private:
  const consensus::Protocol protocol_;
  std::uint64_t runs_ = 0;
  std::uint64_t violated_ = 0;
  std::uint64_t operations_ = 0;
  std::uint64_t good_ = 0;
  std::uint64_t simulated_ms_ = 0;
  std::uint64_t elections_ = 0;
  std::uint64_t crashes_ = 0;
  std::uint64_t changes_ = 0;
  std::uint64_t snapshots_ = 0;
  std::map<std::string, std::uint64_t> faults_;
  std::map<std::string, std::uint64_t> scenarios_;  // runs of each
  std::set<std::string> probes_;
};

}  // namespace quorate::sim
