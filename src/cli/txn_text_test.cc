#include "cli/txn_text.h"

#include <gtest/gtest.h>

#include <string>

namespace quorate::cli {
namespace {

using etcdserverpb::Compare;
using etcdserverpb::RangeRequest;

std::string ErrorOf(const std::string& text) {
  const auto txn = ParseTxn(text);
  return txn.ok() ? "" : txn.status().message();
}

TEST(SplitWordsTest, QuotesKeepBlanksAndEscapes) {
  const auto words = SplitWords(R"(put  "a b"	'c\n d' e"f"g "\x41\"\\\n\t")");
  ASSERT_TRUE(words.ok()) << words.status().message();
  EXPECT_EQ(*words, (std::vector<std::string>{"put", "a b", "c\\n d", "efg", "A\"\\\n\t"}));
}

TEST(SplitWordsTest, EmptyQuotesAreAWord) {
  const auto words = SplitWords(R"(put key "")");
  ASSERT_TRUE(words.ok());
  EXPECT_EQ(*words, (std::vector<std::string>{"put", "key", ""}));
}

TEST(SplitWordsTest, BadQuotesAndEscapesAreNamed) {
  EXPECT_EQ(SplitWords("\"a").status().message(), "no closing \"");
  EXPECT_NE(SplitWords(R"("\q")").status().message().find("\\q"), std::string::npos);
  EXPECT_FALSE(SplitWords(R"("\x4")").ok());
  EXPECT_FALSE(SplitWords(R"("\)").ok());
}

TEST(ParseTxnTest, ReadsTheThreeParts) {
  const auto txn = ParseTxn(
      "# a remark\n"
      "mod(\"key1\") > \"0\"\n"
      "value(key2) = \"two words\"\n"
      "lease(\"key3\") != \"ff\"\n"
      "\n"
      "put key1 \"overwrote key1\" --lease 1a\n"
      "get key2 --prefix --limit 3\n"
      "\n"
      "del key1 key9 --prev-kv\n"
      "\n");
  ASSERT_TRUE(txn.ok()) << txn.status().message();
  ASSERT_EQ(txn->compare_size(), 3);
  EXPECT_EQ(txn->compare(0).target(), Compare::MOD);
  EXPECT_EQ(txn->compare(0).result(), Compare::GREATER);
  EXPECT_EQ(txn->compare(0).key(), "key1");
  EXPECT_EQ(txn->compare(0).mod_revision(), 0);
  EXPECT_EQ(txn->compare(1).value(), "two words");
  EXPECT_EQ(txn->compare(2).result(), Compare::NOT_EQUAL);
  EXPECT_EQ(txn->compare(2).lease(), 0xff);
  ASSERT_EQ(txn->success_size(), 2);
  EXPECT_EQ(txn->success(0).request_put().value(), "overwrote key1");
  EXPECT_EQ(txn->success(0).request_put().lease(), 0x1a);
  EXPECT_EQ(txn->success(1).request_range().range_end(), "key3");
  EXPECT_EQ(txn->success(1).request_range().limit(), 3);
  ASSERT_EQ(txn->failure_size(), 1);
  EXPECT_EQ(txn->failure(0).request_delete_range().range_end(), "key9");
  EXPECT_TRUE(txn->failure(0).request_delete_range().prev_kv());
}

TEST(ParseTxnTest, PartsAtTheEndMayBeMissing) {
  const auto txn = ParseTxn("\nput a b");
  ASSERT_TRUE(txn.ok()) << txn.status().message();
  EXPECT_EQ(txn->compare_size(), 0);
  EXPECT_EQ(txn->success_size(), 1);
}

TEST(ParseTxnTest, ErrorsNameTheLine) {
  EXPECT_TRUE(ErrorOf("put a b\n").starts_with("line 1: expected a compare"));
  EXPECT_TRUE(ErrorOf("mod(\"a\") >= \"1\"\n").starts_with("line 1: "));
  EXPECT_EQ(ErrorOf("mod(\"a\") = \"x\"\n"), "line 1: \"x\" is not a number");
  EXPECT_TRUE(ErrorOf("size(\"a\") = \"1\"\n").starts_with("line 1: cannot compare \"size\""));
  EXPECT_TRUE(ErrorOf("mod(\"\") = \"1\"\n").starts_with("line 1: the key of a compare is empty"));
  EXPECT_TRUE(ErrorOf("mod(\"a\") = \"1\" \"2\"\n").starts_with("line 1: expected a compare"));
  EXPECT_TRUE(ErrorOf("\nincr a\n").starts_with("line 2: unknown request \"incr\""));
  EXPECT_TRUE(ErrorOf("\nput a\n").starts_with("line 2: put needs a value"));
  EXPECT_TRUE(ErrorOf("\nget a --nonsense\n").starts_with("line 2: "));
  EXPECT_TRUE(ErrorOf("\nput a b\n\n\nget a\n").starts_with("line 5: more than three parts"));
  EXPECT_TRUE(ErrorOf("").starts_with("no request"));
}

}  // namespace
}  // namespace quorate::cli
