// The load generator's arithmetic: percentiles, gaps, revisions, /proc, medians.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/bench/compare.h"
#include "cli/bench/latency_histogram.h"
#include "cli/bench/load.h"
#include "cli/bench/process_usage.h"
#include "cli/bench/write_record.h"

namespace quorate::cli {
namespace {

TEST(LatencyHistogramTest, PercentilesAreWithinOnePercentOfTheTrueOnes) {
  LatencyHistogram histogram;
  std::vector<std::uint64_t> all;
  std::uint64_t value = 1;
  for (int i = 0; i < 5000; ++i) {
    value = (value * 2862933555777941757 + 3037000493) % 4'000'000'007;
    all.push_back(value);
    histogram.Record(value);
  }
  std::sort(all.begin(), all.end());
  for (const double fraction : {0.001, 0.5, 0.9, 0.99, 0.999}) {
    const std::uint64_t truth = all[static_cast<std::size_t>(fraction * 5000 + 0.999999) - 1];
    EXPECT_GE(histogram.Percentile(fraction), truth) << fraction;
    EXPECT_LE(static_cast<double>(histogram.Percentile(fraction)), static_cast<double>(truth) * 1.01) << fraction;
  }
  EXPECT_EQ(histogram.Percentile(1), all.back());
  EXPECT_EQ(histogram.max(), all.back());
}

TEST(LatencyHistogramTest, SmallValuesAreExactAndEmptyIsZero) {
  LatencyHistogram histogram;
  EXPECT_EQ(histogram.Percentile(0.5), 0u);
  for (const std::uint64_t value : {3u, 1u, 2u}) histogram.Record(value);
  EXPECT_EQ(histogram.Percentile(0.5), 2u);
  histogram.Record(UINT64_MAX);
  EXPECT_EQ(histogram.Percentile(1), UINT64_MAX);
}

WriteRecord Acked(std::uint64_t sent, std::uint64_t done, std::int64_t revision) {
  return {sent, sent, done, WriteOutcome::kAcked, revision};
}

TEST(FindGapsTest, TheEndsOfTheRunCount) {
  const std::vector<WriteRecord> writes = {Acked(10, 120, 2), Acked(11, 130, 3), Acked(12, 135, 4)};
  EXPECT_EQ(FindGaps(writes, 10, 300, 100), (std::vector<Gap>{{10, 120}, {135, 300}}));
  EXPECT_EQ(FindGaps({}, 0, 50, 50), (std::vector<Gap>{{0, 50}}));
}

TEST(FindGapsTest, OnlyAcknowledgementsEndAGapWhateverTheirOrder) {
  std::vector<WriteRecord> writes = {Acked(0, 90, 3), Acked(0, 20, 2), {0, 0, 50, WriteOutcome::kUnknown, 0}};
  EXPECT_EQ(FindGaps(writes, 0, 100, 60), (std::vector<Gap>{{20, 90}}));
}

TEST(RevisionChecksTest, AReusedRevisionIsSeen) {
  EXPECT_EQ(CountReusedRevisions({Acked(1, 5, 7), Acked(2, 6, 8), Acked(3, 9, 7)}), 1u);
  EXPECT_EQ(CountReusedRevisions({Acked(1, 5, 7), Acked(2, 6, 8)}), 0u);
}

TEST(RevisionChecksTest, AWriteSentAfterAnAcknowledgementMustBeAboveIt) {
  EXPECT_EQ(CountOrderViolations({Acked(1, 5, 9), Acked(6, 7, 8)}), 1u);
  EXPECT_EQ(CountOrderViolations({Acked(1, 5, 9), Acked(4, 7, 8)}), 0u);  // they overlap: any order is right
  EXPECT_EQ(CountOrderViolations({Acked(6, 7, 10), Acked(1, 5, 9)}), 0u);
}

TEST(ProcessStatTest, NameMayHoldBlanksAndParentheses) {
  const auto usage = ParseProcessStat(
      "42 (a) b (c)) S 1 2 3 0 -1 4194304 100 0 0 0 700 300 0 0 20 0 4 0 12345 999424 250 18446744073709551615 1");
  ASSERT_TRUE(usage.ok()) << usage.status().message();
  const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  EXPECT_DOUBLE_EQ(usage->cpu_seconds, 700 / ticks + 300 / ticks);
  EXPECT_EQ(usage->resident_bytes, 250u * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  EXPECT_FALSE(ParseProcessStat("42 (cut) S 1 2").ok());
}

TEST(ProcessStatTest, OwnProcessHasMemoryAndAMissingOneIsNamed) {
  EXPECT_GT(UsageOf({::getpid()})->resident_bytes, 0u);
  const auto gone = UsageOf({0x7fffffff});
  ASSERT_FALSE(gone.ok());
  EXPECT_NE(gone.status().message().find("2147483647"), std::string::npos);
}

TEST(ParsePidsTest, TakesAListAndNamesWhatIsNone) {
  EXPECT_EQ(*ParsePids("1,22"), (std::vector<int>{1, 22}));
  EXPECT_TRUE(ParsePids("")->empty());
  for (const std::string bad : {"1,x", "-1", "0", "1,,2"}) EXPECT_FALSE(ParsePids(bad).ok()) << bad;
}

TEST(ParseTargetTest, TakesNameEndpointsAndPids) {
  const auto target = ParseTarget("etcd=127.0.0.1:1,127.0.0.1:2@3,4");
  ASSERT_TRUE(target.ok()) << target.status().message();
  EXPECT_EQ(target->name, "etcd");
  EXPECT_EQ(target->endpoints.size(), 2u);
  EXPECT_EQ(target->pids, (std::vector<int>{3, 4}));
  EXPECT_TRUE(ParseTarget("a=h:1").ok());
  for (const std::string bad : {"h:1", "=h:1", "a=", "a=h", "a=h:1@x"}) EXPECT_FALSE(ParseTarget(bad).ok()) << bad;
}

TEST(MedianRoundTest, IsTheMiddleOneByThroughput) {
  const auto round = [](std::uint64_t ops) {
    LoadReport report;
    report.ops = ops;
    report.seconds = 1;
    return report;
  };
  EXPECT_EQ(MedianRound({round(9), round(1), round(5)}).ops, 5u);
  EXPECT_EQ(MedianRound({round(3)}).ops, 3u);
}

TEST(LoadValueTest, NamesItsKeyAndHasItsLength) {
  EXPECT_EQ(LoadKey(7, 10), "bench/0007");
  EXPECT_EQ(LoadKey(123456, 8), "bench/123456");
  EXPECT_EQ(LoadValue("ab", 5), "ab...");
  EXPECT_EQ(LoadValue("abcdef", 3), "abc");
}

}  // namespace
}  // namespace quorate::cli
