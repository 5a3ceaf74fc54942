// A keyspace most of which is on the disk: reads that do not block, history and hashes in pieces, and removal in the
// background under crashes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bug.h"
#include "store/compactor.h"
#include "store/mvcc_test_util.h"

namespace quorate::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr WriteBufferOptions kTight{.batch_bytes = 500, .batch_records = 4, .recent_bytes = 0};
const std::string kLarge(1'000, 'x');

std::string Numbered(std::string prefix, std::int64_t number) {
  prefix += std::to_string(number);
  return prefix;
}

class ColdTest : public testing::Test {
 protected:
  ColdTest() : h_(kTight, {.cache_bytes = 0, .progress = {}}) {}

  bool Load(const std::shared_ptr<ReadSet>& reads) {
    bool good = false;
    h_->Load(reads, [&](const Status& status) { good = status.ok(); });
    EXPECT_FALSE(good) << "answered from inside the call";
    h_.executor().RunDue();
    return good;
  }
  Harness h_;
};

TEST_F(ColdTest, AReadNotesWhatItMissesAndFindsItOnceItIsLoaded) {
  h_.Put("a", "1");
  h_.Put("b", kLarge);
  h_.Put("a", "2");
  h_.Flush();
  auto reads = std::make_shared<ReadSet>();
  EXPECT_FALSE(h_->Get("b", 0, reads.get()).has_value());
  EXPECT_FALSE(h_->Get("a", 2, reads.get()).has_value());
  EXPECT_THAT(reads->missing, SizeIs(2));
  ASSERT_TRUE(Load(reads));
  EXPECT_EQ(h_->Get("b", 0, reads.get())->value.view(), kLarge);
  EXPECT_EQ(h_->Get("a", 2, reads.get())->value.view(), "1");
  EXPECT_THAT(reads->missing, IsEmpty());
  EXPECT_EQ(h_->stats().blocking_reads, 0u);
}

TEST_F(ColdTest, KeysCountsAndExistenceNeedNoDisk) {
  h_.Put("a", kLarge, 7);
  h_.Put("a", kLarge, 7);
  h_.Flush();
  ReadSet reads;
  const RangeResult keys = h_->Range("a", "b", {.keys_only = true}, &reads);
  ASSERT_THAT(keys.kvs, SizeIs(1));
  EXPECT_EQ(Harness::Text(keys.kvs[0]), "a= create 2 mod 3 version 2 lease 7");
  EXPECT_EQ(h_->Range("a", "b", {.count_only = true}, &reads).count, 1);
  EXPECT_TRUE(h_->Exists("a"));
  EXPECT_EQ(h_->GetMeta("a")->version, 2);
  EXPECT_TRUE(h_.Delete("a"));
  EXPECT_THAT(reads.missing, IsEmpty());
  EXPECT_EQ(h_->stats().blocking_reads, 0u);
}

TEST_F(ColdTest, WhatIsPinnedIsFoundByEveryRead) {
  h_.Put("a", kLarge);
  h_.Flush();
  auto reads = std::make_shared<ReadSet>();
  h_->Get("a", 0, reads.get());
  ASSERT_TRUE(Load(reads));
  h_->Pin(reads);
  EXPECT_EQ(h_->Get("a")->value.view(), kLarge);
  EXPECT_EQ(h_->stats().blocking_reads, 0u);
  h_->Pin(nullptr);
  EXPECT_EQ(h_->Get("a")->value.view(), kLarge);
  EXPECT_EQ(h_->stats().blocking_reads, 1u);
}

TEST_F(ColdTest, AFailedLoadSaysSoAndADamagedValueIsFound) {
  h_.Put("a", kLarge);
  h_.Flush();
  h_.engine().Write(
      [] {
        return EngineBatch{LogIndex(1), {{Table::kValue, EncodeRecordKey({2, 0}), Bytes(std::string(1'000, 'y'))}}, {}};
      },
      [](const Status&) {});
  h_.executor().RunDue();
  auto reads = std::make_shared<ReadSet>();
  h_->Get("a", 0, reads.get());
  Status answer;
  h_->Load(reads, [&](const Status& status) { answer = status; });
  h_.executor().RunDue();
  EXPECT_EQ(answer.code(), StatusCode::kDataLoss);
  EXPECT_THAT(answer.message(), testing::HasSubstr("value at revision 2 is damaged"));
}

TEST_F(ColdTest, HistoryComesFromTheDiskInPieces) {
  for (int i = 0; i < 40; ++i) h_.Put(Numbered("k", i % 7), std::to_string(i) + kLarge);
  h_.Flush();
  h_.Put("z", "recent");
  EXPECT_FALSE(h_->HistoryInMemory(2));
  EXPECT_TRUE(h_->HistoryInMemory(42));
  Revision next = 2;
  std::vector<Event> events;
  int chunks = 0;
  while (!h_->HistoryInMemory(next)) {
    Result<HistoryChunk> chunk = Status::Internal("not answered");
    h_->LoadHistory(next, h_->revision(), 1'000, 5'000, [&](Result<HistoryChunk> c) { chunk = std::move(c); });
    h_.executor().RunDue();
    ASSERT_TRUE(chunk.ok());
    EXPECT_EQ(chunk->from, next);
    EXPECT_LE(chunk->events.size(), 6u);
    for (const Event& event : chunk->events) EXPECT_EQ(event.kv.mod_revision, next++);
    events.insert(events.end(), chunk->events.begin(), chunk->events.end());
    EXPECT_EQ(chunk->covered, next - 1);
    ++chunks;
  }
  EXPECT_EQ(events.size(), 40u);
  EXPECT_GT(chunks, 5);
  EXPECT_THAT(h_.Events(next, h_->revision()), ElementsAre("put z=recent@42"));
}

TEST_F(ColdTest, TheHashInPiecesIsTheHashAtOnce) {
  for (int i = 0; i < 3'000; ++i) h_.Put(Numbered("k", i % 500), std::to_string(i));
  h_.Compact(1'000);
  h_.Put("z", "in memory");
  for (const Revision at : {Revision{1'000}, Revision{2'000}, h_->revision()}) {
    std::optional<Mvcc::Hashed> hashed;
    h_->StartHash(at, [&](Result<std::optional<Mvcc::Hashed>> answer) { hashed = *answer; });
    h_.executor().RunDue();
    ASSERT_TRUE(hashed.has_value());
    EXPECT_EQ(hashed->hash, h_->Hash(at));
    EXPECT_EQ(hashed->compact_revision, 1'000);
  }
}

TEST_F(ColdTest, ACompactionDuringTheHashBeginsItAnewOrEndsIt) {
  for (int i = 0; i < 3'000; ++i) h_.Put(Numbered("k", i % 500), std::to_string(i));
  h_.set_settle(false);
  std::optional<std::optional<Mvcc::Hashed>> newest, old;
  h_->StartHash(h_->revision(), [&](Result<std::optional<Mvcc::Hashed>> answer) { newest = *answer; });
  h_->StartHash(1'500, [&](Result<std::optional<Mvcc::Hashed>> answer) { old = *answer; });
  ASSERT_TRUE(h_.executor().RunFirst());
  h_->Compact(2'000);
  h_.End();
  h_.executor().RunFor(60'000'000'000);
  ASSERT_TRUE(newest && newest->has_value());
  EXPECT_EQ((*newest)->hash, h_->Hash(h_->revision()));
  ASSERT_TRUE(old.has_value());
  EXPECT_FALSE(old->has_value()) << "it was compacted meanwhile";
}

// Compaction that is interrupted after every possible step leaves what an uninterrupted one does, and reads never
// notice.
TEST(Compaction, SurvivesACrashAtAnyStep) {
  const auto fill = [](Harness& h) {
    for (int i = 0; i < 30; ++i) h.Put(Numbered("old", i), "kept until it is replaced");
    h.Compact(h->revision());
    for (int i = 0; i < 400; ++i) {
      const std::string key = Numbered(i % 3 == 0 ? "old" : "k", i * 7 % 30);
      if (i % 5 == 4) {
        h.Delete(key);
      } else {
        h.Put(key, std::to_string(i) + (i % 2 == 0 ? kLarge : ""));
      }
    }
    h.Flush();
  };
  Harness whole(kTight, {.cache_bytes = 0, .progress = {}});
  fill(whole);
  const Revision at = whole->revision() - 20;
  whole.Compact(at);
  whole.Flush();
  const std::vector<std::string> records = whole.Records();
  const std::vector<std::string> readable = whole.All(at);
  for (int steps = 0;; ++steps) {
    Harness h(kTight, {.cache_bytes = 0, .progress = {}});
    fill(h);
    h.set_settle(false);
    h.Compact(at);
    bool done = false;
    for (int step = 0; step < steps && !done; ++step) done = !h.executor().RunFirst();
    EXPECT_EQ(h.All(at), readable) << "after " << steps << " steps";
    EXPECT_EQ(h->Hash(h->revision()), whole->Hash(whole->revision()));
    EXPECT_EQ(h.buffer().local().hash, whole.buffer().local().hash);
    const LogIndex flushed = h.buffer().flushed();
    h.Crash();
    if (h->compact_revision() != at) {  // the command itself was not durable: the log brings it again
      EXPECT_LT(flushed, h.buffer().applied().Next().Next());
      h.buffer().Commit(whole.buffer().applied().Prev());
      h->Compact(at);
      h.buffer().Commit(whole.buffer().applied());
      h.executor().RunFor(60'000'000'000);
    }
    EXPECT_EQ(h.Records(), records) << "after " << steps << " steps";
    EXPECT_EQ(h.All(at), readable);
    EXPECT_EQ(h->size_bytes(), whole->size_bytes());
    EXPECT_EQ(h->Hash(h->revision()), whole->Hash(whole->revision()));
    EXPECT_EQ(h.buffer().local().hash, whole.buffer().local().hash);
    EXPECT_EQ(h.buffer().local().dropped_hash, whole.buffer().local().dropped_hash);
    if (done || HasFailure()) break;
  }
}

TEST(Compaction, WritesGoOnBetweenItsSteps) {
  Harness h;
  for (int i = 0; i < 3'000; ++i) h.Put("k", std::to_string(i));
  h.Flush();
  h.set_settle(false);
  h.Compact(h->revision());
  EXPECT_EQ(h->compact_revision(), 3'001) << "readers see it at once";
  std::uint64_t turns = 0;
  while (h->stats().compaction_backlog != 0 && h.executor().RunFirst()) {
    h.Put("k", Numbered("more", static_cast<std::int64_t>(++turns)));
  }
  EXPECT_GT(turns, 3'000 / Compactor::kStepRows);
  EXPECT_EQ(h->Get("k")->value.view(), Numbered("more", static_cast<std::int64_t>(turns)));
  EXPECT_EQ(h->Get("k", 3'001)->value.view(), "2999");
  h.executor().RunFor(60'000'000'000);
  EXPECT_THAT(h.Records(), SizeIs(1 + turns));
}

TEST(ValueCacheTest, KeepsWhatIsReadAndHoldsToItsBound) {
  Harness h(kTight, {.cache_bytes = 20'000, .progress = {}});
  h.Put("hot", kLarge);
  for (int i = 0; i < 500; ++i) {
    h.Put(Numbered("k", i), kLarge);
    EXPECT_LE(h->stats().cache_bytes, 20'000u);
    ReadSet reads;
    EXPECT_TRUE(h->Get("hot", 0, &reads).has_value()) << "after " << i;
  }
  EXPECT_GT(h->stats().cache_bytes, 15'000u);
  h->set_cache_bytes(2'000);
  EXPECT_LE(h->stats().cache_bytes, 2'000u);
}

#ifdef QUORATE_BUGS
class StoreBug : public testing::Test {
 protected:
  ~StoreBug() override { SelectBug(""); }
};

TEST_F(StoreBug, CacheServesStale) {
  SelectBug("store_cache_serves_stale");
  Harness h;
  h.Put("a", "1");
  h.Put("a", "2");
  EXPECT_EQ(h->Get("a")->value.view(), "1");
}

TEST_F(StoreBug, BackgroundCompactionDropsLive) {
  SelectBug("mvcc_background_compaction_drops_live");
  Harness h(kTight, {.cache_bytes = 0, .progress = {}});
  h.Put("a", "1");
  h.Put("b", "1");
  h.Compact(3);
  h.Flush();
  EXPECT_THAT(h.Records(), SizeIs(1));
}
#endif  // QUORATE_BUGS

}  // namespace
}  // namespace quorate::store
