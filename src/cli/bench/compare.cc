#include "cli/bench/compare.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "cli/bench/process_usage.h"

namespace quorate::cli {

Result<CompareTarget> ParseTarget(std::string_view text) {
  const std::string whole(text);
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string_view::npos) {
    return Status::InvalidArgument("--target " + whole + ": expected NAME=host:port,...[@pid,...]");
  }
  const std::size_t at = text.find('@', equals);
  Result<std::vector<client::Endpoint>> endpoints =
      client::ParseEndpoints(text.substr(equals + 1, std::min(at, text.size()) - equals - 1));
  if (!endpoints.ok()) return Status::InvalidArgument("--target " + whole + ": " + endpoints.status().message());
  Result<std::vector<int>> pids = ParsePids(at == std::string_view::npos ? "" : text.substr(at + 1));
  if (!pids.ok()) return Status::InvalidArgument("--target " + whole + ": " + pids.status().message());
  return CompareTarget{std::string(text.substr(0, equals)), *std::move(endpoints), *std::move(pids)};
}

const LoadReport& MedianRound(const std::vector<LoadReport>& rounds) {
  CHECK(!rounds.empty());
  std::vector<const LoadReport*> sorted;
  for (const LoadReport& round : rounds) sorted.push_back(&round);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const LoadReport* a, const LoadReport* b) { return a->ops_per_second() < b->ops_per_second(); });
  return *sorted[(sorted.size() - 1) / 2];
}

Status RunCompare(const CompareOptions& options,
                  const std::function<void(const CompareCell&, const std::vector<std::vector<LoadReport>>&)>& on_cell) {
  for (const CompareCell& cell : options.cells) {
    std::vector<std::vector<LoadReport>> rounds(options.targets.size());
    for (int round = 0; round < options.rounds; ++round) {
      for (std::size_t i = 0; i < options.targets.size(); ++i) {
        LoadOptions load = options.load;
        load.kind = cell.kind;
        load.conns = cell.conns;
        load.endpoints = options.targets[i].endpoints;
        load.pids = options.targets[i].pids;
        Result<LoadReport> report = RunLoad(load);
        if (!report.ok()) {
          return Status(report.status().code(), options.targets[i].name + ": " + report.status().message());
        }
        rounds[i].push_back(*std::move(report));
      }
    }
    on_cell(cell, rounds);
  }
  return Status::Ok();
}

}  // namespace quorate::cli
