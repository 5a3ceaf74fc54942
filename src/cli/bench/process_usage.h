// What processes use, read from /proc: the servers' share of a measurement, and the noise beside it.
//
// Used by the load generator at the two ends of a window. Thread rule: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quorate::cli {

struct ProcessUsage {
  double cpu_seconds = 0;  // of all its threads, user and system, since it began
  std::uint64_t resident_bytes = 0;
};

// "12,345": INVALID_ARGUMENT names the part that is wrong.
Result<std::vector<int>> ParsePids(std::string_view list);

// Of /proc/PID/stat's one line; the command's name in it may hold blanks and parentheses.
Result<ProcessUsage> ParseProcessStat(std::string_view line);

// The sum over `pids`. UNAVAILABLE names one that is gone.
Result<ProcessUsage> UsageOf(const std::vector<int>& pids);
double OwnCpuSeconds();
double MachineBusySeconds();  // of all processors together, since boot

}  // namespace quorate::cli
