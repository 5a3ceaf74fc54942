#include "cli/json.h"

#include <gtest/gtest.h>

#include <string>

#include "cli/table.h"

namespace quorate::cli {
namespace {

TEST(JsonObjectTest, MembersKeepTheirOrderAndTypes) {
  JsonObject inner;
  inner.Add("x", -1);
  JsonObject out;
  out.Add("text", "a").Add("yes", true).Add("half", 0.5).Add("list", std::vector<JsonObject>{inner, inner});
  out.Add("texts", std::vector<std::string>{"b", "c"}).AddHex("id", 0xabc);
  EXPECT_EQ(out.Line(),
            R"({"text":"a","yes":true,"half":0.500,"list":[{"x":-1},{"x":-1}],"texts":["b","c"],"id":"abc"})");
}

TEST(JsonObjectTest, ControlCharactersAndQuotesAreEscaped) {
  EXPECT_EQ(JsonString("a\"b\\c\n\x01"), R"("a\"b\\c\n\u0001")");
}

TEST(JsonObjectTest, BytesThatAreNotTextGoInBase64UnderTheirOwnName) {
  JsonObject out;
  out.AddBytes("key", "gr\xc3\xbc\xc3\x9f").AddBytes("value", "\xff\xfe");
  EXPECT_EQ(out.Line(), "{\"key\":\"gr\xc3\xbc\xc3\x9f\",\"value_base64\":\"//4=\"}");
}

TEST(Base64Test, PadsToFours) {
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("f"), "Zg==");
  EXPECT_EQ(Base64("fo"), "Zm8=");
  EXPECT_EQ(Base64("foobar"), "Zm9vYmFy");
}

TEST(IsUtf8Test, RefusesCutLongAndSurrogateForms) {
  EXPECT_TRUE(IsUtf8("\xf0\x9f\x98\x80"));
  for (const std::string bad : {"\xc3", "\xc0\x80", "\xed\xa0\x80", "\xe0\x80\x80", "\xf5\x80\x80\x80", "\x80"}) {
    EXPECT_FALSE(IsUtf8(bad));
  }
}

TEST(TableTest, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({"A", "LONG"});
  table.Add({"wide", "x"});
  table.Add({"one cell"});
  EXPECT_EQ(table.Text(), "A         LONG\nwide      x\none cell\n");
}

}  // namespace
}  // namespace quorate::cli
