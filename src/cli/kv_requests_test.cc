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
  GetArguments get;
  get.key = "a";
  get.sort_by = "MODIFY";
  EXPECT_EQ(MakeRequest(get)->sort_order(), RangeRequest::ASCEND);
  EXPECT_EQ(MakeRequest(get)->sort_target(), RangeRequest::MOD);
  get.order = "DESCEND";
  EXPECT_EQ(MakeRequest(get)->sort_order(), RangeRequest::DESCEND);
}

TEST(MakeRequestTest, KeysOnlyAndCountOnlyExcludeEachOther) {
  GetArguments get;
  get.key = "a";
  get.keys_only = get.count_only = true;
  EXPECT_EQ(MakeRequest(get).status().code(), StatusCode::kInvalidArgument);
}

PutArguments PutOf(const std::string& key, const std::string& value) {
  PutArguments put;
  put.key = key;
  put.value = value;
  return put;
}

TEST(MakeRequestTest, LeaseIsHexadecimal) {
  PutArguments put = PutOf("a", "b");
  put.lease = "32695410dcc0ca06";
  EXPECT_EQ(MakeRequest(put)->lease(), 0x32695410dcc0ca06);
  for (const std::string bad : {"xyz", "-1", "0", "1g", "ffffffffffffffff"}) {
    put.lease = bad;
    EXPECT_EQ(MakeRequest(put).status().code(), StatusCode::kInvalidArgument) << bad;
  }
}

TEST(MakeRequestTest, IgnoreValueAndIgnoreLeaseExcludeTheirCounterparts) {
  PutArguments put = PutOf("a", "b");
  put.ignore_value = true;
  EXPECT_FALSE(MakeRequest(put).ok());
  put.value.clear();
  EXPECT_TRUE(MakeRequest(put).ok());
  put.lease = "1";
  put.ignore_lease = true;
  EXPECT_FALSE(MakeRequest(put).ok());
}

}  // namespace
}  // namespace quorate::cli
