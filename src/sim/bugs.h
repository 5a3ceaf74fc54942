// The registry of seeded bugs: mistakes that others made, built into the `bugs` preset, which the simulator must catch
// with its general workload. A release build holds none of them, nor their names.
//
// Each name is used as QUORATE_BUG(name) where the mistake is made. One list a protocol (bugs_raft.cc, bugs_paxos.cc,
// bugs_zab.cc) and one for the layers that all share, whose bugs any protocol may bring to light (bugs_shared.cc). Read
// by sim/sim_command and the tests. Thread rule: constants.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "consensus/core.h"

namespace quorate::sim {

struct SeededBug {
  std::string name;
  std::string mistake;
  std::string reference;              // where it happened, or the paper's sentence that it breaks
  std::vector<std::string> checkers;  // of which one must catch it

  std::optional<consensus::Protocol> protocol = std::nullopt;  // set by the registry; empty = of the shared layers
  std::string_view owner() const;                              // "raft", "paxos", "zab" or "shared"
};

#ifdef QUORATE_BUGS
std::vector<SeededBug> RaftBugs();
std::vector<SeededBug> PaxosBugs();
std::vector<SeededBug> ZabBugs();
std::vector<SeededBug> SharedBugs();
#endif

// Empty but in the `bugs` preset.
const std::vector<SeededBug>& SeededBugs();
const SeededBug* FindSeededBug(const std::string& name);

}  // namespace quorate::sim
