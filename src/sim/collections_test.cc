#include "sim/collections.h"

#include <gtest/gtest.h>

namespace quorate::sim {
namespace {

CollectionHistory Good() {
  CollectionHistory history;
  history.addings = {{"a", 1, 3}, {"b", 2, 6}, {"c", 4, kNever}, {"d", 7, 9, true}};
  history.lookings = {{4, 5, {"a"}}, {7, 8, {"a", "b"}}, {10, 11, {"a", "b", "c"}}};
  return history;
}

bool Wrong(const CollectionHistory& history, bool ordered = true) {
  return CheckCollection("l", history, ordered).has_value();
}

TEST(Collections, AGoodHistoryPasses) {
  EXPECT_FALSE(Wrong(Good()));
  EXPECT_FALSE(Wrong(Good(), false));
}

TEST(Collections, AnAcknowledgedElementThatIsMissingIsFound) {
  CollectionHistory history = Good();
  history.lookings[2].elements = {"a", "c"};
  EXPECT_TRUE(Wrong(history, false));
  history = Good();
  history.lookings[0].elements.clear();
  EXPECT_TRUE(Wrong(history));
}

TEST(Collections, AnElementTwiceOrFromNowhereOrRefusedIsFound) {
  for (const char* element : {"a", "x", "d"}) {
    CollectionHistory history = Good();
    history.lookings[2].elements.emplace_back(element);
    EXPECT_TRUE(Wrong(history)) << element;
    EXPECT_TRUE(Wrong(history, false)) << element;
  }
}

TEST(Collections, AReadThatSeesLessThanAnEarlierOneIsFound) {
  CollectionHistory history = Good();
  history.lookings.push_back({12, 13, {"a", "b"}});
  EXPECT_TRUE(Wrong(history));
  EXPECT_TRUE(Wrong(history, false));
}

TEST(Collections, TwoOrdersOfAListAreFoundAndNoneOfASet) {
  CollectionHistory history = Good();
  history.lookings.push_back({10, 12, {"b", "a", "c"}});
  EXPECT_TRUE(Wrong(history));
  EXPECT_FALSE(Wrong(history, false));
}

TEST(Collections, AnOrderAgainstRealTimeIsFound) {
  CollectionHistory history;
  history.addings = {{"a", 1, 2}, {"b", 3, 4}};
  history.lookings = {{5, 6, {"b", "a"}}};
  EXPECT_TRUE(Wrong(history));
}

}  // namespace
}  // namespace quorate::sim
