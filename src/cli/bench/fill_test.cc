#include "cli/bench/fill.h"

#include <gtest/gtest.h>

#include <set>

namespace quorate::cli {
namespace {

TEST(FillTest, ValuesDifferByKeyAndRoundHaveTheirLengthAndDoNotRepeatThemselves) {
  EXPECT_EQ(FillValue(7, 1, 1'000), FillValue(7, 1, 1'000));
  EXPECT_NE(FillValue(7, 1, 1'000), FillValue(7, 2, 1'000));
  EXPECT_NE(FillValue(7, 1, 1'000), FillValue(8, 1, 1'000));
  const std::string value = FillValue(7, 1, 1'003);
  ASSERT_EQ(value.size(), 1'003u);
  std::set<std::string> words;
  for (std::size_t at = 0; at + 8 <= value.size(); at += 8) words.insert(value.substr(at, 8));
  EXPECT_EQ(words.size(), 125u);
}

TEST(FillTest, SaysWhenNobodyIsThere) {
  FillOptions options;
  options.endpoints = {{"127.0.0.1", 1}};
  options.conns = 2;
  options.timeout_seconds = 0.2;
  EXPECT_FALSE(RunFill(options).ok());
}

}  // namespace
}  // namespace quorate::cli
