// Mvcc rule by rule; mvcc_model_test.cc compares it with a naive model on random histories.
#include "store/mvcc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/mvcc_test_util.h"

namespace quorate::store {
namespace {

using testing::ElementsAre;

constexpr std::string_view kToTheEnd("\0", 1);

TEST(MvccRevision, AnEmptyStoreIsAtOneAndTheFirstWriteTakesTwo) {
  Harness h;
  EXPECT_EQ(h->revision(), 1);
  EXPECT_EQ(h->compact_revision(), 0);
  h.Put("a", "1");
  EXPECT_EQ(h->revision(), 2);
}

TEST(MvccRevision, OnePerTransactionHoweverManyOperations) {
  Harness h;
  h->Begin();
  h->Put("a", Value("1"), 0);
  h->Put("b", Value("2"), 0);
  EXPECT_TRUE(h->wrote());
  EXPECT_EQ(h->revision(), 1);
  const std::vector<Event> events = h.Commit();
  EXPECT_EQ(h->revision(), 2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kv.key.view(), "a");
  EXPECT_EQ(events[1].kv.key.view(), "b");
  EXPECT_EQ(events[1].kv.mod_revision, 2);
}

TEST(MvccRevision, NoneForAnEmptyTransactionOrADeletionOfNothing) {
  Harness h;
  h->Begin();
  EXPECT_FALSE(h->Delete("a"));
  EXPECT_FALSE(h->wrote());
  EXPECT_TRUE(h.Commit().empty());
  EXPECT_EQ(h->revision(), 1);
  h.Put("a", "1");
  EXPECT_TRUE(h.Delete("a"));
  EXPECT_FALSE(h.Delete("a"));
  EXPECT_EQ(h->revision(), 3);
}

TEST(MvccRevision, VersionAndCreateRevisionCountFromTheCreation) {
  Harness h;
  h.Put("a", "1", 77);
  h.Put("a", "2");
  EXPECT_EQ(Text(*h->Get("a")), "a=2 create 2 mod 3 version 2 lease 0");
  EXPECT_EQ(Text(*h->Get("a", 2)), "a=1 create 2 mod 2 version 1 lease 77");
  h.Delete("a");
  EXPECT_FALSE(h->Get("a").has_value());
  h.Put("a", "3");
  EXPECT_EQ(Text(*h->Get("a")), "a=3 create 5 mod 5 version 1 lease 0");
  EXPECT_FALSE(h->Get("a", 4).has_value());
  EXPECT_EQ(Text(*h->Get("a", 3)), "a=2 create 2 mod 3 version 2 lease 0");
}

TEST(MvccTransaction, ReadsSeeItsOwnWritesAndOlderRevisionsDoNot) {
  Harness h;
  h.Put("a", "1");
  h->Begin();
  h->Put("a", Value("2"), 0);
  h->Put("b", Value("3"), 0);
  EXPECT_EQ(h->Get("a")->value.view(), "2");
  EXPECT_EQ(h->Get("a", 2)->value.view(), "1");
  EXPECT_EQ(h->Range("a", kToTheEnd, {}).count, 2);
  EXPECT_EQ(h->Range("a", kToTheEnd, {.revision = 2}).count, 1);
  EXPECT_TRUE(h->Delete("b"));
  EXPECT_EQ(h->Range("a", kToTheEnd, {}).count, 1);
  h.Commit();
}

TEST(MvccTransaction, AKeyWrittenTwiceKeepsBothRecordsAndCountsBothVersions) {
  Harness h;
  h->Begin();
  h->Put("a", Value("1"), 0);
  h->Put("a", Value("2"), 0);
  EXPECT_EQ(h.Commit().size(), 2u);
  EXPECT_EQ(Text(*h->Get("a")), "a=2 create 2 mod 2 version 2 lease 0");
  EXPECT_EQ(h->Get("a", 2)->value.view(), "2");
}

TEST(MvccDelete, ItsEventHoldsTheKeyAndTheRevisionOnly) {
  Harness h;
  h.Put("a", "1", 5);
  h->Begin();
  h->Delete("a");
  const std::vector<Event> events = h.Commit();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].type, Event::Type::kDelete);
  EXPECT_EQ(Text(events[0].kv), "a= create 0 mod 3 version 0 lease 0");
}

TEST(MvccRange, TheEndIsOpenAndAZeroByteMeansEveryGreaterKey) {
  Harness h;
  for (const char* key : {"a", "b", "ba", "c"}) h.Put(key, "v");
  EXPECT_THAT(h.Keys("b", ""), ElementsAre("b"));
  EXPECT_THAT(h.Keys("a", "c"), ElementsAre("a", "b", "ba"));
  EXPECT_THAT(h.Keys("b", kToTheEnd), ElementsAre("b", "ba", "c"));
  EXPECT_THAT(h.Keys(kToTheEnd, kToTheEnd), ElementsAre("a", "b", "ba", "c"));
  EXPECT_THAT(h.Keys("c", "a"), ElementsAre());
  EXPECT_THAT(h.Keys("b", "b"), ElementsAre());
}

TEST(MvccRange, TheCountIsOfAllKeysWhateverTheLimit) {
  Harness h;
  for (const char* key : {"a", "b", "c", "d"}) h.Put(key, "v");
  h.Delete("b");
  const RangeResult limited = h->Range("a", kToTheEnd, {.limit = 2});
  EXPECT_EQ(limited.kvs.size(), 2u);
  EXPECT_EQ(limited.count, 3);
  EXPECT_EQ(h->Range("a", kToTheEnd, {.revision = 5, .limit = 1}).count, 4);
}

TEST(MvccRange, CountOnlyBringsNoKeysAndKeysOnlyNoValues) {
  Harness h;
  h.Put("a", "1", 9);
  const RangeResult counted = h->Range("a", kToTheEnd, {.count_only = true});
  EXPECT_EQ(counted.count, 1);
  EXPECT_TRUE(counted.kvs.empty());
  const RangeResult keys = h->Range("a", "", {.keys_only = true});
  EXPECT_EQ(Text(keys.kvs.at(0)), "a= create 2 mod 2 version 1 lease 9");
}

TEST(MvccRange, AReadAtARevisionKeepsItsAnswer) {
  Harness h;
  h.Put("a", "1");
  h.Put("b", "2");
  const auto before = h.All(3);
  h.Put("a", "3");
  h.Delete("b");
  EXPECT_EQ(h.All(3), before);
}

TEST(MvccRange, UnreadableRevisionsAreRefused) {
  Harness h;
  h.Put("a", "1");
  h.Put("a", "2");
  h.Compact(3);
  EXPECT_DEATH(h->Get("a", 2), "read at revision 2");
  EXPECT_DEATH(h->Get("a", 4), "read at revision 4");
}

TEST(MvccCompact, KeepsTheNewestRecordsAndReadingAtItsRevision) {
  Harness h;
  h.Put("a", "1");  // 2
  h.Put("b", "1");  // 3
  h.Put("a", "2");  // 4
  h.Put("a", "3");  // 5
  const auto at_4 = h.All(4);
  h.Compact(4);
  EXPECT_EQ(h->compact_revision(), 4);
  EXPECT_EQ(h.All(4), at_4);
  EXPECT_THAT(h.Records(), ElementsAre("3.0 b=1", "4.0 a=2", "5.0 a=3"));
  EXPECT_EQ(h->revision(), 5);
}

TEST(MvccCompact, KeepsATombstoneExactlyAtItsRevisionUntilTheNextOne) {
  Harness h;
  h.Put("a", "1");
  h.Delete("a");
  h.Put("b", "1");
  h.Compact(3);
  EXPECT_THAT(h.Records(), ElementsAre("3.0 a deleted", "4.0 b=1"));
  EXPECT_THAT(h.Events(3, 4), ElementsAre("delete a@3", "put b=1@4"));
  h.Compact(4);
  EXPECT_THAT(h.Records(), ElementsAre("4.0 b=1"));
}

TEST(MvccCompact, DropsATombstoneBelowItsRevisionAndKeepsTheNextGeneration) {
  Harness h;
  h.Put("a", "1");  // 2
  h.Delete("a");    // 3
  h.Put("b", "1");  // 4
  h.Put("a", "2");  // 5
  h.Delete("b");    // 6
  h.Compact(4);
  EXPECT_THAT(h.Records(), ElementsAre("4.0 b=1", "5.0 a=2", "6.0 b deleted"));
  EXPECT_EQ(Text(*h->Get("a")), "a=2 create 5 mod 5 version 1 lease 0");
}

TEST(MvccCompact, AKeyNotWrittenSinceTheLastOneIsDroppedByTheNextWrite) {
  Harness h;
  h.Put("old", "1");
  h.Put("b", "1");
  h.Compact(3);
  h.Compact(h.Put("b", "2"));
  EXPECT_THAT(h.Records(), ElementsAre("2.0 old=1", "4.0 b=2"));
  h.Put("old", "2");
  h.Compact(h.Put("c", "1"));
  EXPECT_THAT(h.Records(), ElementsAre("4.0 b=2", "5.0 old=2", "6.0 c=1"));
}

TEST(MvccCompact, OnlyForwardsAndNotIntoTheFuture) {
  Harness h;
  h.Put("a", "1");
  EXPECT_DEATH(h.Compact(3), "compaction at 3");
  h.Compact(2);
  EXPECT_DEATH(h.Compact(2), "compaction at 2");
}

TEST(MvccHistory, ComesInOrderOfRevisionAndOfOperation) {
  Harness h;
  h.Put("a", "1");  // 2
  h->Begin();       // 3
  h->Delete("a");
  h->Put("b", Value("2"), 0);
  h.Commit();
  h.Put("a", "3");  // 4
  EXPECT_THAT(h.Events(1, 4), ElementsAre("put a=1@2", "delete a@3", "put b=2@3", "put a=3@4"));
  EXPECT_THAT(h.Events(3, 3), ElementsAre("delete a@3", "put b=2@3"));
}

TEST(MvccHistory, StopsBetweenRevisionsOnceItHasEnough) {
  Harness h;
  for (int i = 0; i < 3; ++i) {
    h->Begin();
    h->Put("a", Value("1"), 0);
    h->Put("b", Value("2"), 0);
    h.Commit();
  }
  int visited = 0;
  const auto count = [&](const Event&) { ++visited; };
  EXPECT_EQ(h->History(2, 4, 1, count), 2);
  EXPECT_EQ(visited, 2);
  EXPECT_EQ(h->History(3, 4, 3, count), 4);
  EXPECT_EQ(visited, 6);
  EXPECT_EQ(h->History(5, 4, 3, count), 4);
  EXPECT_EQ(visited, 6);
}

TEST(MvccHistory, CoversRevisionsThatCompactionEmptied) {
  Harness h;
  h.Put("a", "1");
  h.Put("a", "2");
  h.Put("a", "3");
  h.Compact(3);
  EXPECT_EQ(h->History(3, 4, 100, [](const Event&) {}), 4);
  EXPECT_THAT(h.Events(3, 4), ElementsAre("put a=2@3", "put a=3@4"));
}

TEST(MvccHash, DependsOnWhatIsKeptAndNotOnWhenCompactionRan) {
  Harness early;
  Harness late;
  for (Harness* h : {&early, &late}) {
    h->Put("a", "1");
    h->Delete("a");
    h->Put("b", "1");
    if (h == &early) h->Compact(3);
    h->Put("a", "2");
    h->Put("b", "2");
    if (h == &early) h->Compact(4);
    if (h == &late) {
      EXPECT_NE((*h)->Hash(6), early->Hash(6));
    }
    h->Compact(5);
    h->Put("c", "1");
  }
  EXPECT_EQ(early->Hash(7), late->Hash(7));
  EXPECT_EQ(early->Hash(6), late->Hash(6));
  EXPECT_NE(early->Hash(6), early->Hash(7));
}

TEST(MvccHash, DiffersByLeaseAndByValue) {
  Harness a, b, c;
  a.Put("k", "v", 1);
  b.Put("k", "v", 2);
  c.Put("k", "w", 1);
  EXPECT_NE(a->Hash(2), b->Hash(2));
  EXPECT_NE(a->Hash(2), c->Hash(2));
}

TEST(MvccSize, RisesWithHistoryAndFallsWithCompaction) {
  Harness h;
  EXPECT_EQ(h->size_bytes(), 0u);
  h.Put("a", std::string(1000, 'x'));
  const std::uint64_t one = h->size_bytes();
  EXPECT_GT(one, 1000u);
  EXPECT_LT(one, 1100u);
  EXPECT_EQ(h->size_in_use_bytes(), one);
  h.Put("a", std::string(1000, 'y'));
  EXPECT_EQ(h->size_bytes(), 2 * one);
  EXPECT_EQ(h->size_in_use_bytes(), one);
  h.Compact(3);
  EXPECT_EQ(h->size_bytes(), one);
  h.Delete("a");
  EXPECT_EQ(h->size_in_use_bytes(), 0u);
  h.Compact(h.Put("b", ""));
  EXPECT_EQ(h->size_bytes(), h->size_in_use_bytes());
}

TEST(MvccOpen, AReopenedStoreIsTheSame) {
  Harness h;
  h.Put("a", "1");
  h.Put("b", "1");
  h.Delete("b");
  h.Put("a", "2");
  h.Compact(4);
  h.Put("b", "2");
  const std::uint32_t hash = h->Hash(6);
  const std::uint64_t size = h->size_bytes();
  const std::uint64_t in_use = h->size_in_use_bytes();
  const std::vector<std::string> at_4 = h.All(4);
  const std::vector<std::string> now = h.All(0);
  const LocalState local = h.buffer().local();
  h.Reopen();
  EXPECT_EQ(h->revision(), 6);
  EXPECT_EQ(h->compact_revision(), 4);
  EXPECT_EQ(h->Hash(6), hash);
  EXPECT_EQ(h->size_bytes(), size);
  EXPECT_EQ(h->size_in_use_bytes(), in_use);
  EXPECT_EQ(h.All(4), at_4);
  EXPECT_EQ(h.All(0), now);
  EXPECT_EQ(h.buffer().local().hash, local.hash);
  EXPECT_EQ(h.buffer().local().records, local.records);
}

TEST(MvccOpen, ADamagedRecordStopsItWithItsRevision) {
  Harness h;
  h.engine().Write(
      [] {
        return EngineBatch{LogIndex(1), {{Table::kKv, EncodeRecordKey({42, 0}), Bytes(std::string("rubbish"))}}, {}};
      },
      [](const Status&) {});
  h.executor().RunDue();
  const Result<std::unique_ptr<Mvcc>> opened = Mvcc::Open(h.buffer());
  EXPECT_EQ(opened.status().code(), StatusCode::kDataLoss);
  EXPECT_THAT(opened.status().message(), testing::HasSubstr("record at revision 42.0 is damaged"));
}

TEST(MvccOpen, AMissingRecordIsFound) {
  Harness h;
  h.Put("a", "1");
  h.Put("b", "1");
  h.Flush();
  h.engine().Write(
      [] {
        return EngineBatch{LogIndex(2), {{Table::kKv, EncodeRecordKey({2, 0}), std::nullopt}}, {}};
      },
      [](const Status&) {});
  h.executor().RunDue();
  EXPECT_THAT(Mvcc::Open(h.buffer()).status().message(), testing::HasSubstr("holds 1 records, written were 2"));
}

TEST(MvccRange, AnEmptyKeyIsAKeyLikeAnyOther) {
  Harness h;
  h.Put("", "1");
  h.Put("a", "2");
  h.Put("", "3");
  EXPECT_EQ(h->Get("")->value.view(), "3");
  EXPECT_EQ(h->Range("", kToTheEnd, {}).count, 2);
  EXPECT_TRUE(h.Delete(""));
  h.Compact(h.Put("a", "4"));
  EXPECT_THAT(h.Records(), ElementsAre("6.0 a=4"));
}

}  // namespace
}  // namespace quorate::store
