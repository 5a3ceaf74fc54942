#include "cli/bench/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace quorate::cli {
namespace {

// Values below 2 * kHalf have a bucket of their own; above, every power of two is cut into kHalf buckets.
constexpr int kHalfBits = 7;
constexpr std::uint64_t kHalf = 1ull << kHalfBits;
constexpr std::size_t kBuckets = (64 - kHalfBits + 1) * kHalf;

std::size_t BucketOf(std::uint64_t value) {
  if (value < 2 * kHalf) return value;
  const int shift = std::bit_width(value) - kHalfBits - 1;
  return static_cast<std::size_t>(shift) * kHalf + (value >> shift);
}

std::uint64_t LargestIn(std::size_t bucket) {
  if (bucket < 2 * kHalf) return bucket;
  const std::size_t shift = bucket / kHalf - 1;
  return ((bucket % kHalf + kHalf + 1) << shift) - 1;
}

}  // namespace

LatencyHistogram::LatencyHistogram() : buckets_(kBuckets, 0) {}

void LatencyHistogram::Record(std::uint64_t nanoseconds) {
  ++buckets_[BucketOf(nanoseconds)];
  ++count_;
  max_ = std::max(max_, nanoseconds);
}

std::uint64_t LatencyHistogram::Percentile(double fraction) const {
  const auto rank =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(fraction * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < buckets_.size() && count_ > 0; ++bucket) {
    seen += buckets_[bucket];
    if (seen >= rank) return std::min(LargestIn(bucket), max_);
  }
  return max_;
}

}  // namespace quorate::cli
