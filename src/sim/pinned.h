// The pinned seeds of tests/sim: one per seeded bug, and those that once found a bug of our own. Read by the tests.
// Plain functions, no thread rule.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "consensus/core.h"

namespace quorate::sim {

// One line of a pinned-seeds file: a name, a protocol, a seed (as 7, or 7@disks under a scenario) and a word or more;
// lines that begin with '#' are comments.
struct PinnedSeed {
  std::string name;
  consensus::Protocol protocol = consensus::Protocol::kRaft;
  std::uint64_t seed = 0;
  std::string scenario;  // as LoadScenario takes it
  std::string note;      // of a seeded bug: the checker that catches it
};

std::vector<PinnedSeed> ReadPinnedSeeds(const std::string& path);

}  // namespace quorate::sim
