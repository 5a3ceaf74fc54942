// Watches: order, catch-up, slow sinks, compaction, filters, previous values; and a property test against a model.
#include "coord/watch_hub.h"

#include <gmock/gmock.h>
#include <rapidcheck.h>

#include <map>
#include <optional>

#include "coord/machine_test_util.h"

namespace quorate::coord {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string kOpen("\0", 1);

std::string Describe(const WatchEvent& event) {
  const store::KeyValue& kv = event.event.kv;
  const bool put = event.event.type == store::Event::Type::kPut;
  std::string text = put ? "put " : "delete ";
  text += kv.key.view();
  if (put) text.append("=").append(kv.value.view());
  text.append("@").append(std::to_string(kv.mod_revision));
  if (event.prev_kv) text.append(" was ").append(event.prev_kv->value.view());
  return text;
}

class Recorder : public WatchSink {
 public:
  void OnEvents(WatchHandle watch, Revision revision, std::vector<WatchEvent> events) override {
    EXPECT_TRUE(CanTake());
    EXPECT_FALSE(events.empty());
    EXPECT_EQ(revision, events.back().event.kv.mod_revision);
    for (const WatchEvent& event : events) seen[watch].push_back(Describe(event));
    ++calls;
    if (room != 0) --room;
  }
  void OnCompacted(WatchHandle watch, Revision compact_revision) override {
    EXPECT_TRUE(compacted.emplace(watch, compact_revision).second);
  }
  bool CanTake() const override { return room != 0; }

  int room = -1;  // calls it takes; below 0 = any number
  int calls = 0;
  std::map<WatchHandle, std::vector<std::string>> seen;
  std::map<WatchHandle, Revision> compacted;
};

class WatchTest : public ::testing::Test {
 protected:
  WatchHandle Add(std::string key, std::string end = {}, Revision start = 0) {
    WatchRequest request;
    request.key = std::move(key);
    request.end = std::move(end);
    request.start_revision = start;
    return m_->watches().Add(request, &sink_);
  }
  void Pump() {
    int turns = 0;
    while (m_->watches().Pump()) ASSERT_LT(++turns, 10'000);
  }
  WatchHub& hub() { return m_->watches(); }

  MachineHarness m_;
  Recorder sink_;
};

TEST_F(WatchTest, ASinkIsCalledFromPumpOnly) {
  const WatchHandle watch = Add("k");
  m_.Put("k", "v");
  EXPECT_EQ(sink_.calls, 0);
  EXPECT_FALSE(hub().Synced(watch));
  Pump();
  EXPECT_THAT(sink_.seen[watch], ElementsAre("put k=v@2"));
  EXPECT_TRUE(hub().Synced(watch));
}

TEST_F(WatchTest, WithoutAStartOnlyWhatComesAfterTheCurrentRevisionIsSeen) {
  m_.Put("k", "1");
  const WatchHandle watch = Add("k");
  m_.Put("k", "2");
  Pump();
  EXPECT_THAT(sink_.seen[watch], ElementsAre("put k=2@3"));
}

TEST_F(WatchTest, AnOldStartIsReadFromHistoryIncludingTheStartItself) {
  for (const char* value : {"1", "2", "3"}) m_.Put("k", value);
  const WatchHandle watch = Add("k", {}, 3);
  EXPECT_FALSE(hub().Synced(watch));
  Pump();
  EXPECT_THAT(sink_.seen[watch], ElementsAre("put k=2@3", "put k=3@4"));
  m_.Delete("k");
  Pump();
  EXPECT_THAT(sink_.seen[watch], ElementsAre("put k=2@3", "put k=3@4", "delete k@5"));
}

TEST_F(WatchTest, AWatchThatStartsInTheFutureIsSilentUntilThen) {
  const WatchHandle watch = Add("k", {}, 4);
  m_.Put("k", "2");
  m_.Put("k", "3");
  Pump();
  EXPECT_THAT(sink_.seen[watch], IsEmpty());
  EXPECT_TRUE(hub().Synced(watch));  // the store is at 3: 4 is what comes next
  m_.Put("k", "4");
  Pump();
  EXPECT_THAT(sink_.seen[watch], ElementsAre("put k=4@4"));
  const WatchHandle far = Add("k", {}, 100);
  Pump();
  EXPECT_FALSE(hub().Synced(far));
}

TEST_F(WatchTest, EventsOfOneRevisionComeInOneCall) {
  Add("a", kOpen);
  TxnRequest txn;
  for (const char* key : {"c", "a", "b"}) txn.success.push_back(MachineHarness::MakePut(key, "v"));
  m_.Apply(txn);
  Pump();
  EXPECT_EQ(sink_.calls, 1);
  EXPECT_THAT(sink_.seen.begin()->second, ElementsAre("put c=v@2", "put a=v@2", "put b=v@2"));
}

TEST_F(WatchTest, RangesCoverTheirKeysAndNothingElse) {
  const WatchHandle single = Add("b");
  const WatchHandle range = Add("b", "d");
  const WatchHandle open = Add("c", kOpen);
  const WatchHandle nothing = Add("d", "b");
  for (const char* key : {"a", "b", "bb", "c", "d"}) m_.Put(key, "v");
  Pump();
  EXPECT_THAT(sink_.seen[single], ElementsAre("put b=v@3"));
  EXPECT_THAT(sink_.seen[range], ElementsAre("put b=v@3", "put bb=v@4", "put c=v@5"));
  EXPECT_THAT(sink_.seen[open], ElementsAre("put c=v@5", "put d=v@6"));
  EXPECT_THAT(sink_.seen[nothing], IsEmpty());
}

TEST_F(WatchTest, FiltersDropPutsOrDeletions) {
  WatchRequest request;
  request.key = "k";
  request.no_put = true;
  const WatchHandle deletions = hub().Add(request, &sink_);
  request.no_put = false;
  request.no_delete = true;
  const WatchHandle puts = hub().Add(request, &sink_);
  m_.Put("k", "v");
  m_.Delete("k");
  Pump();
  EXPECT_THAT(sink_.seen[deletions], ElementsAre("delete k@3"));
  EXPECT_THAT(sink_.seen[puts], ElementsAre("put k=v@2"));
}

TEST_F(WatchTest, PreviousPairsAreThoseBeforeTheRevisionAndMissingOnceCompacted) {
  m_.Put("k", "1");
  m_.Put("k", "2");
  m_.Delete("k");
  m_.Put("k", "3");
  WatchRequest request;
  request.key = "k";
  request.start_revision = 2;
  request.prev_kv = true;
  const WatchHandle all = hub().Add(request, &sink_);
  Pump();
  EXPECT_THAT(sink_.seen[all], ElementsAre("put k=1@2", "put k=2@3 was 1", "delete k@4 was 2", "put k=3@5"));
  m_.Apply(CompactRequest{3});
  request.start_revision = 3;
  const WatchHandle compacted = hub().Add(request, &sink_);
  Pump();
  EXPECT_THAT(sink_.seen[compacted], ElementsAre("put k=2@3", "delete k@4 was 2", "put k=3@5"));
}

TEST_F(WatchTest, AStartBelowTheCompactedRevisionIsToldAndEndsTheWatch) {
  for (const char* value : {"1", "2", "3"}) m_.Put("k", value);
  m_.Apply(CompactRequest{3});
  const WatchHandle below = Add("k", {}, 2);
  const WatchHandle at = Add("k", {}, 3);
  EXPECT_THAT(sink_.compacted, IsEmpty());
  Pump();
  EXPECT_THAT(sink_.compacted, ElementsAre(std::pair(below, 3)));
  EXPECT_THAT(sink_.seen[at], ElementsAre("put k=2@3", "put k=3@4"));
  EXPECT_EQ(hub().size(), 1u);
}

TEST_F(WatchTest, ASlowWatchKeepsItsPositionAndReadsForwardLater) {
  const WatchHandle watch = Add("k");
  sink_.room = 0;
  for (const char* value : {"1", "2"}) m_.Put("k", value);
  Pump();
  EXPECT_FALSE(hub().Synced(watch));
  EXPECT_THAT(sink_.seen[watch], IsEmpty());
  m_.Put("k", "3");
  Pump();
  sink_.room = -1;
  Pump();
  EXPECT_THAT(sink_.seen[watch], ElementsAre("put k=1@2", "put k=2@3", "put k=3@4"));
  EXPECT_TRUE(hub().Synced(watch));
}

TEST_F(WatchTest, ASlowWatchThatIsOvertakenByCompactionIsToldOnceItCanTake) {
  const WatchHandle watch = Add("k");
  sink_.room = 0;
  for (const char* value : {"1", "2", "3"}) m_.Put("k", value);
  Pump();
  m_.Apply(CompactRequest{4});
  Pump();
  EXPECT_THAT(sink_.compacted, IsEmpty());
  sink_.room = -1;
  Pump();
  EXPECT_THAT(sink_.compacted, ElementsAre(std::pair(watch, 4)));
}

TEST_F(WatchTest, CancelledWatchesHearNothingMoreAndUnknownOnesAreIgnored) {
  const WatchHandle first = Add("k");
  const WatchHandle second = Add("k");
  m_.Put("k", "1");
  hub().Cancel(first);
  hub().Cancel(first);
  hub().Cancel(12345);
  Pump();
  EXPECT_THAT(sink_.seen[first], IsEmpty());
  EXPECT_THAT(sink_.seen[second], ElementsAre("put k=1@2"));
  hub().Cancel(second);
  EXPECT_EQ(hub().size(), 0u);
}

TEST_F(WatchTest, SinksMayCancelAndAddFromWithinACallback) {
  class Meddler final : public Recorder {
   public:
    void OnEvents(WatchHandle watch, Revision revision, std::vector<WatchEvent> events) override {
      Recorder::OnEvents(watch, revision, std::move(events));
      for (const WatchHandle victim : victims) hub->Cancel(victim);
      victims.clear();
      WatchRequest request;
      request.key = "k";
      if (added++ == 0) hub->Add(request, this);
    }
    WatchHub* hub = nullptr;
    std::vector<WatchHandle> victims;
    int added = 0;
  } meddler;
  meddler.hub = &hub();
  WatchRequest request;
  request.key = "k";
  for (int i = 0; i < 3; ++i) meddler.victims.push_back(hub().Add(request, &meddler));
  m_.Put("k", "1");
  Pump();
  EXPECT_EQ(meddler.calls, 1);
  m_.Put("k", "2");
  Pump();
  EXPECT_EQ(meddler.seen.size(), 2u);
  EXPECT_THAT(meddler.seen.rbegin()->second, ElementsAre("put k=2@3"));
}

TEST_F(WatchTest, GatheredEventsOfOtherWatchesCountAgainstBeingSynced) {
  class Asker final : public Recorder {
   public:
    void OnEvents(WatchHandle watch, Revision revision, std::vector<WatchEvent> events) override {
      Recorder::OnEvents(watch, revision, std::move(events));
      if (other != 0) {
        EXPECT_FALSE(hub->Synced(other));
      }
      other = 0;
    }
    WatchHub* hub = nullptr;
    WatchHandle other = 0;
  } asker;
  asker.hub = &hub();
  WatchRequest request;
  request.key = "k";
  hub().Add(request, &asker);
  asker.other = hub().Add(request, &asker);
  m_.Put("k", "1");
  Pump();
  EXPECT_EQ(asker.calls, 2);
}

TEST_F(WatchTest, AQueueThatNobodyPumpsIsDroppedAndReadFromHistory) {
  const WatchHandle watch = Add("k");
  const int writes = static_cast<int>(AppliedWatchHub::kQueueEventsMax) + 100;
  TxnRequest txn;
  for (int i = 0; i < 1'000; ++i) txn.success.push_back(MachineHarness::MakePut(Numbered("x", i), "v"));
  m_.Put("k", "first");
  for (int i = 0; i < writes; i += 1'000) m_.Apply(txn);
  m_.Put("k", "last");
  Pump();
  EXPECT_THAT(sink_.seen[watch], ::testing::SizeIs(2));
  EXPECT_EQ(sink_.seen[watch].front(), "put k=first@2");
}

TEST_F(WatchTest, CatchingUpIsBoundedPerPump) {
  for (int i = 0; i < 3'000; ++i) m_.Put("k", "v");
  const WatchHandle watch = Add("k", {}, 2);
  EXPECT_TRUE(hub().Pump());
  EXPECT_THAT(sink_.seen[watch], ::testing::SizeIs(AppliedWatchHub::kPumpEventsMax));
  Pump();
  EXPECT_THAT(sink_.seen[watch], ::testing::SizeIs(3'000));
}

TEST_F(WatchTest, ManyWatchesBehindShareTheReadingAndAllArrive) {
  for (int i = 0; i < 50; ++i) m_.Put(Numbered("k", i % 5), std::to_string(i));
  for (int i = 0; i < 2'000; ++i) Add(Numbered("k", i % 5), {}, 2);
  Pump();
  EXPECT_EQ(sink_.seen.size(), 2'000u);
  for (const auto& [watch, events] : sink_.seen) EXPECT_EQ(events.size(), 10u);
}

// ---- the index against a walk ----

TEST(WatchIndexTest, FindsExactlyTheWatchesThatCoverAKey) {
  EXPECT_TRUE(rc::check([] {
    const auto any_key = [] { return *rc::gen::container<std::string>(2, rc::gen::element('a', 'b', 'c', 'd')); };
    std::vector<std::unique_ptr<Watch>> watches;
    WatchIndex index;
    const auto covers = [](const WatchRequest& request, const std::string& key) {
      if (request.end.empty()) return key == request.key;
      return key >= request.key && (request.end == kOpen || key < request.end);
    };
    for (int step = *rc::gen::inRange(1, 60); step > 0; --step) {
      if (!watches.empty() && *rc::gen::inRange(0, 3) == 0) {
        const auto victim = watches.begin() + *rc::gen::inRange<std::ptrdiff_t>(0, watches.size());
        index.Remove(victim->get());
        watches.erase(victim);
      } else {
        auto watch = std::make_unique<Watch>();
        watch->handle = static_cast<WatchHandle>(step);
        watch->request.key = any_key();
        const int kind = *rc::gen::inRange(0, 4);
        if (kind == 0) watch->request.end = kOpen;
        if (kind == 1 || kind == 2) watch->request.end = any_key();
        index.Add(watch.get());
        watches.push_back(std::move(watch));
      }
      const std::string key = any_key();
      std::set<WatchHandle> found, expected;
      index.Find(key, [&](Watch& watch) { RC_ASSERT(found.insert(watch.handle).second); });
      for (const auto& watch : watches) {
        if (covers(watch->request, key)) expected.insert(watch->handle);
      }
      RC_ASSERT(found == expected);
    }
    for (const auto& watch : watches) index.Remove(watch.get());
    RC_ASSERT(index.empty());
  }));
}

// ---- random histories: every watch gets exactly the model's events, in order, whole revisions per call ----

struct ModelEvent {
  Revision revision = 0;
  bool put = false;
  std::string key;
  std::string text;
  std::string previous;  // empty: none
};

class ModelSink final : public WatchSink {
 public:
  void OnEvents(WatchHandle, Revision revision, std::vector<WatchEvent> events) override {
    RC_ASSERT(room > 0);
    RC_ASSERT(!events.empty() && events.front().event.kv.mod_revision > last);
    RC_ASSERT(events.back().event.kv.mod_revision == revision);
    last = revision;
    for (const WatchEvent& event : events) got.push_back(event);
    --room;
  }
  void OnCompacted(WatchHandle, Revision at) override { compacted = at; }
  bool CanTake() const override { return room > 0; }
  int room = 1'000'000;
  Revision last = 0;
  Revision compacted = 0;
  std::vector<WatchEvent> got;
  WatchRequest request;
  Revision start = 0;
};

class WatchModel {
 public:
  void Run(int steps) {
    for (; steps > 0; --steps) Step();
    for (auto& sink : sinks_) sink->room = 1'000'000;
    int turns = 0;
    while (m_->watches().Pump()) RC_ASSERT(++turns < 10'000);
    for (const auto& sink : sinks_) Verify(*sink);
  }

 private:
  std::string AnyKey() { return std::string(1, *rc::gen::element('a', 'b', 'c', 'd')); }

  void Step() {
    switch (*rc::gen::inRange(0, 10)) {
      case 0:
      case 1:
      case 2:
        return Write(*rc::gen::inRange(1, 4));
      case 3:
      case 4:
        return AddWatch();
      case 5: {
        const Revision at = *rc::gen::inRange<Revision>(1, m_->revision() + 1);
        if (*rc::gen::inRange(0, 3) == 0) m_.Apply(CompactRequest{at});
        return;
      }
      case 6:
        if (!sinks_.empty()) sinks_[*rc::gen::inRange<std::size_t>(0, sinks_.size())]->room = *rc::gen::inRange(0, 3);
        return;
      default:
        m_->watches().Pump();
    }
  }

  void Write(int ops) {
    TxnRequest txn;
    std::set<std::string> keys;
    for (; ops > 0; --ops) keys.insert(AnyKey());
    std::vector<ModelEvent> events;
    const Revision revision = m_->revision() + 1;
    for (const std::string& key : keys) {
      const bool put = *rc::gen::inRange(0, 3) != 0;
      const std::string value = Numbered("v", ++values_);
      const std::string previous = live_.contains(key) ? live_[key] : "";
      if (put) {
        txn.success.push_back(MachineHarness::MakePut(key, value));
        live_[key] = value;
      } else {
        txn.success.push_back(DeleteRangeRequest{key, {}, false});
        live_.erase(key);
        if (previous.empty()) continue;
      }
      events.push_back({revision, put, key, put ? value : "", previous});
    }
    const CommandOutcome outcome = m_.Apply(txn);
    RC_ASSERT(outcome.revision == (events.empty() ? revision - 1 : revision));
    history_.insert(history_.end(), events.begin(), events.end());
  }

  void AddWatch() {
    auto sink = std::make_unique<ModelSink>();
    WatchRequest& request = sink->request;
    request.key = AnyKey();
    const int kind = *rc::gen::inRange(0, 4);
    if (kind == 1) request.end = kOpen;
    if (kind == 2) request.end = AnyKey();
    request.start_revision = *rc::gen::inRange<Revision>(0, m_->revision() + 4);
    request.prev_kv = *rc::gen::arbitrary<bool>();
    request.no_put = *rc::gen::inRange(0, 5) == 0;
    request.no_delete = *rc::gen::inRange(0, 5) == 0;
    sink->start = request.start_revision == 0 ? m_->revision() + 1 : request.start_revision;
    m_->watches().Add(request, sink.get());
    sinks_.push_back(std::move(sink));
  }

  // A watch that was overtaken by a compaction got a prefix of the model's events, up to where the compaction hit.
  void Verify(const ModelSink& sink) {
    std::size_t next = 0;
    for (const ModelEvent& event : history_) {
      const WatchRequest& request = sink.request;
      const bool covered = request.end.empty()
                               ? event.key == request.key
                               : event.key >= request.key && (request.end == kOpen || event.key < request.end);
      if (event.revision < sink.start || !covered || (event.put ? request.no_put : request.no_delete)) continue;
      if (sink.compacted != 0 && next == sink.got.size()) return;
      RC_ASSERT(next < sink.got.size());
      const WatchEvent& got = sink.got[next++];
      RC_ASSERT(got.event.kv.mod_revision == event.revision);
      RC_ASSERT(got.event.kv.key.view() == event.key);
      RC_ASSERT((got.event.type == store::Event::Type::kPut) == event.put);
      RC_ASSERT(got.event.kv.value.view() == event.text);
      if (got.prev_kv) RC_ASSERT(request.prev_kv && got.prev_kv->value.view() == event.previous);
      if (request.prev_kv && !got.prev_kv && !event.previous.empty()) {
        RC_ASSERT(event.revision - 1 < m_->compact_revision());
      }
    }
    RC_ASSERT(next == sink.got.size());
  }

  MachineHarness m_;
  std::map<std::string, std::string> live_;
  std::vector<ModelEvent> history_;
  std::vector<std::unique_ptr<ModelSink>> sinks_;
  int values_ = 0;
};

TEST(WatchPropertyTest, EveryWatchGetsExactlyItsEventsInOrder) {
  EXPECT_TRUE(rc::check([] { WatchModel().Run(*rc::gen::inRange(1, 150)); }));
}

}  // namespace
}  // namespace quorate::coord
