#include "sim/shrink.h"

#include <algorithm>
#include <cstdio>
#include <sstream>
#include <utility>
#include <vector>

namespace quorate::sim {

Shrunk Shrink(const RunOptions& options, const Report& failed, std::uint64_t runs_max) {
  RunOptions planned = WithPlan(options);
  if (planned.plan.empty()) planned.plan = failed.strikes;
  planned.on_strike = nullptr;
  planned.trace.clear();
  Shrunk best{options.skipped, failed, 0};
  std::size_t parts = 2;
  while (best.runs < runs_max && !best.report.strikes.empty()) {
    const std::vector<Strike> strikes = best.report.strikes;
    parts = std::min(parts, strikes.size());
    bool smaller = false;
    for (std::size_t part = 0; part < parts && best.runs < runs_max && !smaller; ++part) {
      RunOptions attempt = planned;
      attempt.skipped = best.skipped;
      for (std::size_t i = part * strikes.size() / parts; i < (part + 1) * strikes.size() / parts; ++i) {
        attempt.skipped.insert(strikes[i].number);
      }
      Report report = RunSeedApart(attempt);
      ++best.runs;
      smaller = !report.ok() && report.violations[0].checker == failed.violations[0].checker;
      if (smaller) best = {std::move(attempt.skipped), std::move(report), best.runs};
    }
    if (smaller) {
      parts = std::max<std::size_t>(2, parts - 1);
    } else if (parts == strikes.size()) {
      break;
    } else {
      parts *= 2;
    }
  }
  return best;
}

std::string FormatNumbers(const std::set<std::uint64_t>& numbers) {
  std::ostringstream out;
  for (auto from = numbers.begin(); from != numbers.end();) {
    auto to = from;
    while (std::next(to) != numbers.end() && *std::next(to) == *to + 1) ++to;
    out << (from == numbers.begin() ? "" : ",") << *from;
    if (to != from) out << ".." << *to;
    from = std::next(to);
  }
  return out.str();
}

bool ParseNumbers(const std::string& text, std::set<std::uint64_t>* numbers) {
  constexpr std::uint64_t kNumberMax = 1'000'000;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    unsigned long from = 0, to = 0;
    int used = 0;
    if (std::sscanf(part.c_str(), "%lu..%lu%n", &from, &to, &used) != 2) {
      if (std::sscanf(part.c_str(), "%lu%n", &from, &used) != 1) return false;
      to = from;
    }
    if (static_cast<std::size_t>(used) != part.size() || from > to || to > kNumberMax) return false;
    for (unsigned long number = from; number <= to; ++number) numbers->insert(number);
  }
  return true;
}

}  // namespace quorate::sim
