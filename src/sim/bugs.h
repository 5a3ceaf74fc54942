// The registry of seeded bugs: mistakes that others made, built into the `bugs` preset, which the simulator must catch
// with its general workload. A release build holds none of them, nor their names.
//
// Each name is used as QUORATE_BUG(name) where the mistake is made. Read by sim/sim_command and the tests. Thread rule:
// constants.
#pragma once

#include <string>
#include <vector>

namespace quorate::sim {

struct SeededBug {
  std::string name;
  std::string mistake;
  std::string reference;              // where it happened, or the paper's sentence that it breaks
  std::vector<std::string> checkers;  // of which one must catch it
};

// Empty but in the `bugs` preset.
const std::vector<SeededBug>& SeededBugs();
const SeededBug* FindSeededBug(const std::string& name);

}  // namespace quorate::sim
