// Several servers side by side under the same load: rounds alternate between them, so that all meet the same noise, and
// the median round of each is compared.
//
// Used by `quorate bench compare`. Thread rule: RunCompare runs loads on the calling thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/bench/load.h"

namespace quorate::cli {

struct CompareTarget {
  std::string name;
  std::vector<client::Endpoint> endpoints;
  std::vector<int> pids;
};

// "NAME=host:port,host:port" or "NAME=host:port,host:port@pid,pid".
Result<CompareTarget> ParseTarget(std::string_view text);

struct CompareCell {
  LoadKind kind = LoadKind::kPut;
  int conns = 1;
};

struct CompareOptions {
  std::vector<CompareTarget> targets;  // ratios are the first one's against each other one's
  std::vector<CompareCell> cells;
  int rounds = 3;
  LoadOptions load;  // of every cell, but for kind, conns, endpoints and pids
};

// The round with the median throughput. REQUIRES one.
const LoadReport& MedianRound(const std::vector<LoadReport>& rounds);

// Calls on_cell with each target's rounds, in the targets' order, when a cell is done.
Status RunCompare(const CompareOptions& options,
                  const std::function<void(const CompareCell&, const std::vector<std::vector<LoadReport>>&)>& on_cell);

}  // namespace quorate::cli
