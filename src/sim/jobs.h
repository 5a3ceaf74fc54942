// Jobs: work on numbered items in child processes, several at a time; what each made comes back in the items' order.
//
// Used by sim_command, whose runs are one process each. Thread rule: one thread in the process.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace quorate::sim {

// `work` runs in a child; `take` in this process, in ascending order, and says whether to go on.
void RunJobs(std::uint64_t first, std::uint64_t last, std::uint64_t jobs,
             const std::function<std::string(std::uint64_t)>& work,
             const std::function<bool(std::uint64_t, std::string)>& take);

std::uint64_t ProcessorCount();

}  // namespace quorate::sim
