// What a run is made of, drawn from its seed within what its scenario fixes.
//
// Called by sim/run, in this order: all draw from the one stream. Plain functions, no thread rule.
#pragma once

#include <cstdint>

#include "sim/cluster.h"
#include "sim/nemesis.h"
#include "sim/random.h"
#include "sim/run.h"
#include "sim/workload.h"

namespace quorate::sim {

ClusterOptions DrawCluster(const RunOptions& options, SeededRandom& random);
WorkloadOptions DrawWorkload(const RunOptions& options, SeededRandom& random);
NemesisOptions DrawNemesis(const RunOptions& options, SeededRandom& random);
std::uint64_t DrawChaosNs(const RunOptions& options, SeededRandom& random);

}  // namespace quorate::sim
