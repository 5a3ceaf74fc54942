// Shrink: the fewest strikes with which a failed run still fails in the same way.
//
// Delta debugging (Zeller and Hildebrandt, Simplifying and isolating failure-inducing input, 2002) over the numbered
// strikes of the nemesis: parts of them are left out as long as the same checker fails. Bounded by a number of runs, so
// what it finds is small, and not always the smallest. Used by sim_command. Thread rule: one thread in the process.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "sim/run.h"

namespace quorate::sim {

struct Shrunk {
  std::set<std::uint64_t> skipped;
  Report report;  // of the run without them
  std::uint64_t runs = 0;
};

// `failed` is what `options` gave.
Shrunk Shrink(const RunOptions& options, const Report& failed, std::uint64_t runs_max);

// "3,5..9" and back; false if it says something else.
std::string FormatNumbers(const std::set<std::uint64_t>& numbers);
bool ParseNumbers(const std::string& text, std::set<std::uint64_t>* numbers);

}  // namespace quorate::sim
