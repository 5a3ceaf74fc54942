// Mvcc against a naive model that keeps every record ever made and answers by looking through all of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "store/mvcc.h"
#include "store/mvcc_test_util.h"

namespace quorate::store {
namespace {

constexpr int kSequences = 60;
constexpr int kStepsPerSequence = 250;

struct ModelRecord {
  Revision revision;
  std::uint32_t sub;
  std::string key;
  bool tombstone;
  std::string value;
  Revision create;
  std::int64_t version;
  std::int64_t lease;

  std::string AsKv() const {
    return key + "=" + value + " create " + std::to_string(create) + " mod " + std::to_string(revision) + " version " +
           std::to_string(version) + " lease " + std::to_string(lease);
  }
  std::string AsEvent() const {
    std::string text = tombstone ? "delete " : "put ";
    text += tombstone ? key : key + "=" + value;
    return text + "@" + std::to_string(revision);
  }
  std::string AsRecord() const {
    return std::to_string(revision) + "." + std::to_string(sub) + " " + key + (tombstone ? " deleted" : "=" + value);
  }
};

class Model {
 public:
  Revision revision = 1;
  Revision compacted = 0;
  std::vector<ModelRecord> records;  // never compacted

  // The newest record of every key at or below `at`.
  std::map<std::string, ModelRecord> NewestAt(Revision at) const {
    std::map<std::string, ModelRecord> newest;
    for (const ModelRecord& record : records) {
      if (record.revision <= at) newest.insert_or_assign(record.key, record);
    }
    return newest;
  }
  std::map<std::string, ModelRecord> LiveAt(Revision at) const {
    std::map<std::string, ModelRecord> live = NewestAt(at);
    std::erase_if(live, [](const auto& pair) { return pair.second.tombstone; });
    return live;
  }
  // What compaction at `compacted` keeps (Mvcc's third invariant).
  std::vector<ModelRecord> Kept() const {
    std::set<std::pair<Revision, std::uint32_t>> newest;
    for (const auto& [key, record] : NewestAt(compacted)) {
      if (!record.tombstone || record.revision == compacted) newest.emplace(record.revision, record.sub);
    }
    std::vector<ModelRecord> kept;
    for (const ModelRecord& record : records) {
      if (record.revision > compacted || newest.contains({record.revision, record.sub})) kept.push_back(record);
    }
    return kept;
  }
};

bool InRange(const std::string& candidate, const std::string& key, const std::string& end) {
  if (end.empty()) return candidate == key;
  return candidate >= key && (end == std::string(1, '\0') || candidate < end);
}

class ModelTest : public testing::TestWithParam<int> {
 protected:
  ModelTest() : random_(static_cast<std::uint64_t>(GetParam())) {}

  std::uint64_t Below(std::uint64_t bound) { return random_() % bound; }
  std::string Key() {
    return std::string(1 + Below(3), 'a') + std::string(Below(2), static_cast<char>('a' + Below(3)));
  }
  Revision ReadableRevision() {
    return model_.compacted +
           static_cast<Revision>(Below(static_cast<std::uint64_t>(model_.revision - model_.compacted + 1)));
  }

  void Transact();
  void CompactBoth();
  void CheckRange();
  void CheckHistory();
  void CheckTables();

  std::mt19937_64 random_;
  Model model_;
  // Nothing of a value stays in memory, and every few records go down.
  static constexpr WriteBufferOptions kTight{.batch_bytes = 500, .batch_records = 5, .recent_bytes = 0};
  Harness store_{kTight, {.cache_bytes = 0, .progress = {}}};  // compacts whenever the model does
  Harness late_;  // gets the same writes, compacts only before hashes are compared
};

void ModelTest::Transact() {
  store_->Begin();
  late_->Begin();
  const std::uint64_t operations = Below(4);
  std::vector<std::string> expected;
  for (std::uint64_t i = 0; i < operations; ++i) {
    const std::string key = Key();
    const auto live = model_.LiveAt(model_.revision + 1);
    const auto found = live.find(key);
    const auto sub = static_cast<std::uint32_t>(expected.size());
    if (Below(3) == 0) {
      EXPECT_EQ(store_->Delete(key), found != live.end());
      late_->Delete(key);
      if (found == live.end()) continue;
      model_.records.push_back({model_.revision + 1, sub, key, true, "", 0, 0, 0});
    } else {
      const std::string value = std::to_string(Below(1000));
      const auto lease = static_cast<std::int64_t>(Below(3)) - 1;
      store_->Put(key, Value(value), lease);
      late_->Put(key, Value(value), lease);
      const bool fresh = found == live.end();
      model_.records.push_back({model_.revision + 1, sub, key, false, value,
                                fresh ? model_.revision + 1 : found->second.create,
                                fresh ? 1 : found->second.version + 1, lease});
    }
    expected.push_back(model_.records.back().AsEvent());
    const auto now = model_.LiveAt(model_.revision + 1);
    const std::optional<KeyValue> read = store_->Get(key);
    ASSERT_EQ(read.has_value(), now.contains(key));
    if (read) {
      EXPECT_EQ(Text(*read), now.at(key).AsKv());
    }
  }
  EXPECT_EQ(store_->wrote(), !expected.empty());
  EXPECT_EQ(store_.Commit().size(), expected.size());
  late_.Commit();
  if (!expected.empty()) ++model_.revision;
  ASSERT_EQ(store_->revision(), model_.revision);
}

void ModelTest::CompactBoth() {
  if (model_.compacted == model_.revision) return;
  const Revision at = ReadableRevision();
  if (at == model_.compacted) return;
  model_.compacted = at;
  store_.Compact(at);
  ASSERT_EQ(store_->compact_revision(), at);
}

void ModelTest::CheckRange() {
  const std::string key = Key();
  const std::string ends[] = {"", Key(), std::string(1, '\0'), "b"};
  const std::string end = ends[Below(4)];
  const bool latest = Below(3) == 0;
  const Revision readable = ReadableRevision();
  const Revision at = latest || readable == 0 ? 0 : readable;
  RangeOptions options{.revision = at, .limit = static_cast<std::int64_t>(Below(4))};
  std::vector<std::string> expected;
  for (const auto& [candidate, record] : model_.LiveAt(at == 0 ? model_.revision : at)) {
    if (InRange(candidate, key, end)) expected.push_back(record.AsKv());
  }
  const RangeResult result = store_->Range(key, end, options);
  EXPECT_EQ(result.count, static_cast<std::int64_t>(expected.size()));
  if (options.limit > 0 && expected.size() > static_cast<std::size_t>(options.limit)) {
    expected.resize(static_cast<std::size_t>(options.limit));
  }
  std::vector<std::string> got;
  for (const KeyValue& kv : result.kvs) got.push_back(Text(kv));
  EXPECT_EQ(got, expected) << "[" << key << ", " << end << ") at " << at;
  options.count_only = true;
  EXPECT_EQ(store_->Range(key, end, options).count, result.count);
  EXPECT_TRUE(store_->Range(key, end, options).kvs.empty());
}

void ModelTest::CheckHistory() {
  const Revision from = ReadableRevision();
  std::vector<std::string> expected;
  for (const ModelRecord& record : model_.Kept()) {
    if (record.revision >= from) expected.push_back(record.AsEvent());
  }
  std::vector<std::string> got;
  for (Revision next = from; next <= model_.revision;) {
    const std::size_t bound = 1 + Below(5);
    std::vector<std::string> part = store_.Events(next, model_.revision, bound);
    got.insert(got.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
    next = store_->History(next, model_.revision, bound, [](const Event&) {}) + 1;
  }
  EXPECT_EQ(got, expected) << "from " << from;
}

void ModelTest::CheckTables() {
  std::vector<std::string> kept;
  for (const ModelRecord& record : model_.Kept()) kept.push_back(record.AsRecord());
  EXPECT_EQ(store_.Records(), kept);
  if (late_->compact_revision() < model_.compacted) late_.Compact(model_.compacted);
  const Revision at = ReadableRevision();
  EXPECT_EQ(store_->Hash(at), late_->Hash(at));
  EXPECT_EQ(store_->size_bytes(), late_->size_bytes());
  EXPECT_EQ(store_->size_in_use_bytes(), late_->size_in_use_bytes());
}

TEST_P(ModelTest, AnswersAsTheModelDoes) {
  for (int step = 0; step < kStepsPerSequence && !HasFailure(); ++step) {
    const std::uint64_t choice = Below(100);
    if (choice < 60) Transact();
    if (choice >= 60 && choice < 64) CompactBoth();
    if (choice >= 64 && choice < 68) {
      const std::uint32_t hash = store_->Hash(model_.revision);
      store_.Reopen();
      EXPECT_EQ(store_->revision(), model_.revision);
      EXPECT_EQ(store_->compact_revision(), model_.compacted);
      EXPECT_EQ(store_->Hash(model_.revision), hash);
    }
    if (choice >= 68 && choice < 90) CheckRange();
    if (choice >= 90 && choice < 96) CheckHistory();
    if (choice >= 96) CheckTables();
  }
  CheckTables();
}

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, testing::Range(1, kSequences + 1));

}  // namespace
}  // namespace quorate::store
