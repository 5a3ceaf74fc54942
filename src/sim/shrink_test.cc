#include "sim/shrink.h"

#include <gtest/gtest.h>

#include "base/log.h"

namespace quorate::sim {
namespace {

TEST(Shrink, NumbersSurviveTheirText) {
  std::set<std::uint64_t> numbers;
  ASSERT_TRUE(ParseNumbers("3,5..9,11", &numbers));
  EXPECT_EQ(numbers, (std::set<std::uint64_t>{3, 5, 6, 7, 8, 9, 11}));
  EXPECT_EQ(FormatNumbers(numbers), "3,5..9,11");
  for (const char* bad : {"x", "3..", "9..5", "3 5", "1,,2", "99999999999"}) {
    EXPECT_FALSE(ParseNumbers(bad, &numbers)) << bad;
  }
}

// A falsified answer needs no fault at all.
TEST(Shrink, AFailureThatNeedsNoStrikeKeepsNone) {
  SetLogLevel(LogLevel::kError);
  RunOptions options;
  options.canary = true;
  const Report failed = RunSeedApart(options);
  ASSERT_FALSE(failed.ok());
  ASSERT_FALSE(failed.strikes.empty());
  const Shrunk shrunk = Shrink(options, failed, 30);
  EXPECT_EQ(shrunk.report.violations[0].checker, failed.violations[0].checker);
  EXPECT_LT(shrunk.report.strikes.size(), failed.strikes.size() / 2);
  options.skipped = shrunk.skipped;
  EXPECT_EQ(EncodeReport(RunSeedApart(WithPlan(options))), EncodeReport(shrunk.report)) << "it does not replay";
}

}  // namespace
}  // namespace quorate::sim
