#include "cli/kv_requests.h"

#include <gtest/gtest.h>

#include <string>

namespace quorate::cli {
namespace {

using etcdserverpb::RangeRequest;
using std::string_literals::operator""s;

TEST(MakeRangeTest, PrefixEndsBehindItsLastKey) {
  EXPECT_EQ(MakeRange("a/", "", true, false)->end, "a0");
  EXPECT_EQ(MakeRange("a\xff\xff", "", true, false)->end, "b");
  EXPECT_EQ(MakeRange("\xff", "", true, false)->end, "\0"s);
}

TEST(MakeRangeTest, EmptyPrefixAndEmptyStartMeanEverything) {
  for (const bool prefix : {true, false}) {
    const auto range = MakeRange("", "", prefix, !prefix);
    ASSERT_TRUE(range.ok());
    EXPECT_EQ(range->key, "\0"s);
    EXPECT_EQ(range->end, "\0"s);
  }
}

TEST(MakeRangeTest, ContradictionsAreRefused) {
  EXPECT_FALSE(MakeRange("a", "", true, true).ok());
  EXPECT_FALSE(MakeRange("a", "b", true, false).ok());
  EXPECT_FALSE(MakeRange("a", "b", false, true).ok());
  EXPECT_FALSE(MakeRange("", "", false, false).ok());
}

TEST(MakeRequestTest, SortByAloneAscends) {
  GetArguments get{.key = "a", .sort_by = "MODIFY"};
  EXPECT_EQ(MakeRequest(get)->sort_order(), RangeRequest::ASCEND);
  EXPECT_EQ(MakeRequest(get)->sort_target(), RangeRequest::MOD);
  get.order = "DESCEND";
  EXPECT_EQ(MakeRequest(get)->sort_order(), RangeRequest::DESCEND);
}

TEST(MakeRequestTest, LeaseIsHexadecimal) {
  PutArguments put{.key = "a", .value = "b", .lease = "32695410dcc0ca06"};
  EXPECT_EQ(MakeRequest(put)->lease(), 0x32695410dcc0ca06);
  for (const std::string bad : {"xyz", "-1", "0", "1g", "ffffffffffffffff"}) {
    put.lease = bad;
    EXPECT_EQ(MakeRequest(put).status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

TEST(MakeRequestTest, IgnoreValueAndIgnoreLeaseExcludeTheirCounterparts) {
  EXPECT_FALSE(MakeRequest(PutArguments{.key = "a", .value = "b", .ignore_value = true}).ok());
  EXPECT_FALSE(MakeRequest(PutArguments{.key = "a", .value = "b", .lease = "1", .ignore_lease = true}).ok());
  EXPECT_FALSE(MakeRequest(GetArguments{.key = "a", .keys_only = true, .count_only = true}).ok());
}

}  // namespace
}  // namespace quorate::cli
