// What every Engine must do; each engine joins the suite with a maker of its own.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "store/engine_memory/memory_engine.h"
#include "store/record.h"

namespace quorate::store {
namespace {

// An engine and the means to flush and to crash it.
class EngineUnderTest {
 public:
  virtual ~EngineUnderTest() = default;
  virtual Engine& engine() = 0;
  virtual void Flush() = 0;
  virtual void Crash() = 0;
};

class MemoryUnderTest final : public EngineUnderTest {
 public:
  Engine& engine() override { return engine_; }
  void Flush() override { engine_.Flush(); }
  void Crash() override { engine_.Crash(); }

 private:
  MemoryEngine engine_;
};

struct Maker {
  const char* name;
  std::function<std::unique_ptr<EngineUnderTest>()> make;
};

using Pairs = std::vector<std::pair<std::string, std::string>>;

class EngineContract : public testing::TestWithParam<Maker> {
 protected:
  EngineContract() : under_test_(GetParam().make()) {}

  Engine& engine() { return under_test_->engine(); }
  void Put(std::uint64_t index, Table table, std::string key, std::string value) {
    engine().Write({LogIndex(index), {{table, std::move(key), Bytes(std::move(value))}}});
  }
  Pairs All(Table table, std::string_view begin = {}, std::string_view end = {}) {
    Pairs pairs;
    engine().Scan(table, begin, end, [&](std::string_view key, const Bytes& value) {
      pairs.emplace_back(key, value.ToString());
      return true;
    });
    return pairs;
  }

  std::unique_ptr<EngineUnderTest> under_test_;
};

TEST_P(EngineContract, ANewEngineIsEmptyAtIndexZero) {
  EXPECT_EQ(engine().applied(), LogIndex(0));
  EXPECT_EQ(engine().flushed(), LogIndex(0));
  EXPECT_FALSE(engine().Get(Table::kMeta, "a").has_value());
  EXPECT_TRUE(All(Table::kMeta).empty());
  EXPECT_TRUE(All(Table::kKv).empty());
}

TEST_P(EngineContract, ABatchIsReadBackAndCarriesItsIndex) {
  engine().Write(
      {LogIndex(7), {{Table::kMeta, "a", Bytes(std::string("1"))}, {Table::kSession, "a", Bytes(std::string("2"))}}});
  EXPECT_EQ(engine().applied(), LogIndex(7));
  EXPECT_EQ(engine().Get(Table::kMeta, "a")->view(), "1");
  EXPECT_EQ(engine().Get(Table::kSession, "a")->view(), "2");
  EXPECT_FALSE(engine().Get(Table::kLock, "a").has_value());
}

TEST_P(EngineContract, WritesOfOneBatchTakeEffectInOrder) {
  engine().Write({LogIndex(1),
                  {{Table::kMeta, "a", Bytes(std::string("1"))},
                   {Table::kMeta, "a", std::nullopt},
                   {Table::kMeta, "b", std::nullopt},
                   {Table::kMeta, "b", Bytes(std::string("2"))},
                   {Table::kMeta, "b", Bytes(std::string("3"))}}});
  EXPECT_EQ(All(Table::kMeta), (Pairs{{"b", "3"}}));
}

TEST_P(EngineContract, AnEmptyValueIsAValue) {
  Put(1, Table::kSessionKey, "a", "");
  ASSERT_TRUE(engine().Get(Table::kSessionKey, "a").has_value());
  EXPECT_EQ(All(Table::kSessionKey), (Pairs{{"a", ""}}));
}

TEST_P(EngineContract, ScansAscendingByUnsignedBytesOverAHalfOpenRange) {
  for (const char* key : {"b", "a", "\xff", "c", "ab"}) Put(1, Table::kMeta, key, key);
  EXPECT_EQ(All(Table::kMeta), (Pairs{{"a", "a"}, {"ab", "ab"}, {"b", "b"}, {"c", "c"}, {"\xff", "\xff"}}));
  EXPECT_EQ(All(Table::kMeta, "ab", "c"), (Pairs{{"ab", "ab"}, {"b", "b"}}));
  EXPECT_EQ(All(Table::kMeta, "c"), (Pairs{{"c", "c"}, {"\xff", "\xff"}}));
  EXPECT_TRUE(All(Table::kMeta, "c", "a").empty());
}

TEST_P(EngineContract, AScanStopsWhenItsVisitorSaysSo) {
  for (const char* key : {"a", "b", "c"}) Put(1, Table::kMeta, key, key);
  int visited = 0;
  engine().Scan(Table::kMeta, {}, {}, [&](std::string_view, const Bytes&) { return ++visited < 2; });
  EXPECT_EQ(visited, 2);
}

TEST_P(EngineContract, RecordsAreScannedInRevisionOrderWhateverOrderTheyCameIn) {
  const auto key = [](Revision revision, std::uint32_t sub) { return EncodeRecordKey({revision, sub}); };
  for (const auto& [revision, sub] :
       std::vector<std::pair<Revision, std::uint32_t>>{{300, 0}, {2, 1}, {2, 0}, {70000, 2}})
    Put(1, Table::kKv, key(revision, sub), std::to_string(revision));
  EXPECT_EQ(All(Table::kKv),
            (Pairs{{key(2, 0), "2"}, {key(2, 1), "2"}, {key(300, 0), "300"}, {key(70000, 2), "70000"}}));
  EXPECT_EQ(All(Table::kKv, key(2, 1), key(70000, 0)), (Pairs{{key(2, 1), "2"}, {key(300, 0), "300"}}));
  EXPECT_TRUE(All(Table::kKv, key(400, 0), key(3, 0)).empty());
  EXPECT_TRUE(All(Table::kKv, key(70001, 0), key(70002, 0)).empty());
  engine().Write({LogIndex(2), {{Table::kKv, key(2, 1), std::nullopt}, {Table::kKv, key(5, 5), std::nullopt}}});
  EXPECT_FALSE(engine().Get(Table::kKv, key(2, 1)).has_value());
  EXPECT_EQ(engine().Get(Table::kKv, key(300, 0))->view(), "300");
  EXPECT_EQ(All(Table::kKv).size(), 3u);
}

TEST_P(EngineContract, ACrashLeavesExactlyWhatTheLastFlushCovered) {
  Put(1, Table::kMeta, "a", "old");
  Put(2, Table::kKv, EncodeRecordKey({2, 0}), "kept");
  under_test_->Flush();
  EXPECT_EQ(engine().flushed(), LogIndex(2));
  Put(3, Table::kMeta, "a", "new");
  engine().Write({LogIndex(4), {{Table::kKv, EncodeRecordKey({2, 0}), std::nullopt}}});
  EXPECT_EQ(engine().flushed(), LogIndex(2));
  EXPECT_EQ(engine().applied(), LogIndex(4));
  under_test_->Crash();
  EXPECT_EQ(engine().applied(), LogIndex(2));
  EXPECT_EQ(engine().flushed(), LogIndex(2));
  EXPECT_EQ(All(Table::kMeta), (Pairs{{"a", "old"}}));
  EXPECT_EQ(All(Table::kKv), (Pairs{{EncodeRecordKey({2, 0}), "kept"}}));
}

TEST_P(EngineContract, ACrashBeforeAnyFlushLeavesNothing) {
  Put(5, Table::kMeta, "a", "1");
  under_test_->Crash();
  EXPECT_EQ(engine().applied(), LogIndex(0));
  EXPECT_TRUE(All(Table::kMeta).empty());
}

TEST_P(EngineContract, AnIndexThatGoesBackIsRefused) {
  Put(5, Table::kMeta, "a", "1");
  EXPECT_DEATH(Put(4, Table::kMeta, "a", "2"), "batch for index 4");
}

INSTANTIATE_TEST_SUITE_P(Engines, EngineContract,
                         testing::Values(Maker{"Memory", [] { return std::make_unique<MemoryUnderTest>(); }}),
                         [](const auto& param_info) { return std::string(param_info.param.name); });

TEST(MemoryEngine, AFlushSavesTheImageOfItsBeginningAndAFailedOneNothing) {
  MemoryEngine engine;
  engine.Write({LogIndex(1), {{Table::kMeta, "a", Bytes(std::string("1"))}}});
  engine.BeginFlush();
  engine.Write({LogIndex(2), {{Table::kMeta, "a", Bytes(std::string("2"))}}});
  engine.FinishFlush(true);
  EXPECT_EQ(engine.flushed(), LogIndex(1));
  engine.BeginFlush();
  engine.FinishFlush(false);
  EXPECT_EQ(engine.flushed(), LogIndex(1));
  engine.BeginFlush();
  engine.Crash();
  EXPECT_EQ(engine.applied(), LogIndex(1));
  EXPECT_EQ(engine.Get(Table::kMeta, "a")->view(), "1");
}

TEST(MemoryEngine, TheFlushedImageSharesTheValues) {
  MemoryEngine engine;
  const Bytes value(std::string(1000, 'v'));
  engine.Write({LogIndex(1), {{Table::kMeta, "a", value}}});
  engine.Flush();
  engine.Crash();
  EXPECT_EQ(engine.Get(Table::kMeta, "a")->data(), value.data());
}

}  // namespace
}  // namespace quorate::store
