// LatencyHistogram: counts of durations in buckets less than one per cent wide, so that percentiles of any number of
// operations cost a fixed 60 KB. Used by the load generator. Thread rule: one owner. Invariant: a percentile is never
// below the true one and at most one per cent above it; the maximum is exact.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quorate::cli {

class LatencyHistogram {
 public:
  LatencyHistogram();
  void Record(std::uint64_t nanoseconds);
  // The smallest recorded duration that at least `fraction` of all do not exceed; 0 when nothing is recorded.
  std::uint64_t Percentile(double fraction) const;
  std::uint64_t count() const { return count_; }
  std::uint64_t max() const { return max_; }

 private:
  std::vector<std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace quorate::cli
