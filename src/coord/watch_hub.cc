#include "coord/watch_hub.h"

#include <algorithm>
#include <optional>

#include "base/bug.h"
#include "base/check.h"

namespace quorate::coord {
namespace {

bool Filtered(const WatchRequest& request, store::Event::Type type) {
  return type == store::Event::Type::kPut ? request.no_put : request.no_delete;
}

}  // namespace

AppliedWatchHub::AppliedWatchHub(store::Mvcc& mvcc) : mvcc_(&mvcc), delivered_(mvcc.revision()) {
  disk_.life = std::make_shared<const bool>(true);
}

void AppliedWatchHub::Rebase(store::Mvcc& mvcc) {
  mvcc_ = &mvcc;
  disk_.life = std::make_shared<const bool>(true);
  disk_.under_way = false;
  disk_.history.reset();
  disk_.previous.reset();
  SkipTo(mvcc.revision());
}

void AppliedWatchHub::OnApplied(Revision revision, std::vector<store::Event> events) {
  if (queue_.empty() && synced_.empty()) {
    delivered_ = revision;
    return;
  }
  queued_events_ += events.size();
  queue_.push_back({revision, std::move(events)});
  if (queued_events_ > kQueueEventsMax) DropQueue();
}

WatchHandle AppliedWatchHub::Add(WatchRequest request, WatchSink* sink) {
  const WatchHandle handle = ++last_handle_;
  Placed& watch = watches_[handle];
  watch.handle = handle;
  watch.sink = sink;
  watch.next = request.start_revision == 0 ? mvcc_->revision() + 1 : request.start_revision;
  watch.request = std::move(request);
  if (watch.request.prev_kv) ++disk_.previous_wanted;
  PlaceByPosition(&watch);
  return handle;
}

void AppliedWatchHub::Cancel(WatchHandle handle) {
  const auto found = watches_.find(handle);
  if (found == watches_.end()) return;
  TakeOut(&found->second);
  Forget(found);
}

void AppliedWatchHub::Forget(std::map<WatchHandle, Placed>::iterator watch) {
  if (watch->second.request.prev_kv) --disk_.previous_wanted;
  watches_.erase(watch);
}

// Events that were gathered and not yet delivered count: a progress reply must not overtake them.
bool AppliedWatchHub::Synced(WatchHandle handle) const {
  const auto found = watches_.find(handle);
  if (found == watches_.end()) return false;
  const Placed& watch = found->second;
  return watch.where == Where::kSynced && watch.events.empty() && queue_.empty() && watch.next <= delivered_ + 1;
}

bool AppliedWatchHub::Pump() {
  if (!blocked_.empty()) Unblock();
  TellCompacted();
  if (!queue_.empty()) DispatchQueue();
  if (!behind_.empty()) CatchUp();
  return !disk_.under_way && (!queue_.empty() || !behind_.empty());
}

void AppliedWatchHub::Place(Placed* watch, Where where) {
  watch->where = where;
  if (where == Where::kSynced) synced_.Add(watch);
  if (where == Where::kBehind) behind_.insert({watch->next, watch->handle});
  if (where == Where::kBlocked) blocked_.insert(watch->handle);
}

void AppliedWatchHub::PlaceByPosition(Placed* watch) {
  Place(watch, watch->next > delivered_ ? Where::kSynced : Where::kBehind);
}

void AppliedWatchHub::TakeOut(Placed* watch) {
  if (watch->where == Where::kSynced) synced_.Remove(watch);
  if (watch->where == Where::kBehind) behind_.erase({watch->next, watch->handle});
  if (watch->where == Where::kBlocked) blocked_.erase(watch->handle);
  watch->where = Where::kNowhere;
}

void AppliedWatchHub::Unblock() {
  for (auto it = blocked_.begin(); it != blocked_.end();) {
    Placed& watch = watches_.at(*it);
    if (!watch.sink->CanTake()) {
      ++it;
      continue;
    }
    it = blocked_.erase(it);
    PlaceByPosition(&watch);
  }
}

void AppliedWatchHub::TellCompacted() {
  const Revision compacted = mvcc_->compact_revision();
  for (std::size_t told = 0; told < kGroupMax && !behind_.empty(); ++told) {
    const auto [next, handle] = *behind_.begin();
    if (next >= compacted) return;
    Placed& watch = watches_.at(handle);
    TakeOut(&watch);
    if (!watch.sink->CanTake()) {
      Place(&watch, Where::kBlocked);
      continue;
    }
    WatchSink* sink = watch.sink;
    Forget(watches_.find(handle));
    sink->OnCompacted(handle, compacted);
  }
}

void AppliedWatchHub::DispatchQueue() {
  std::size_t events = 0;
  while (!queue_.empty() && events < kPumpEventsMax && gathered_events_ < kDeliveriesMax) {
    const Applied& applied = queue_.front();
    if (!HavePrevious(synced_, applied.events)) break;
    for (const store::Event& event : applied.events) Gather(synced_, event);
    events += applied.events.size();
    queued_events_ -= applied.events.size();
    delivered_ = applied.revision;
    disk_.previous.reset();
    queue_.pop_front();
  }
  Deliver();
}

// Nobody pumps as fast as entries are applied: whoever was up to date reads the rest from history instead.
void AppliedWatchHub::DropQueue() {
  SkipTo(queue_.back().revision);
}

// Everybody who was up to date is behind now, by what lies between.
void AppliedWatchHub::SkipTo(Revision revision) {
  const Revision position = delivered_ + 1;
  delivered_ = revision;
  queue_.clear();
  queued_events_ = 0;
  for (auto& [handle, watch] : watches_) {
    if (watch.where != Where::kSynced || watch.next > delivered_) continue;
    TakeOut(&watch);
    watch.next = std::max(watch.next, position);
    PlaceByPosition(&watch);
  }
}

std::vector<AppliedWatchHub::Placed*> AppliedWatchHub::TakeGroup() {
  std::vector<Placed*> group;
  for (std::size_t i = 0; i < kGroupMax && !behind_.empty(); ++i) {
    const auto [next, handle] = *behind_.begin();
    if (next < mvcc_->compact_revision()) break;  // TellCompacted had more than it does at once
    Placed& watch = watches_.at(handle);
    TakeOut(&watch);
    if (watch.sink->CanTake()) {
      group.push_back(&watch);
    } else {
      Place(&watch, Where::kBlocked);
    }
  }
  return group;
}

void AppliedWatchHub::CatchUp() {
  std::optional<store::HistoryChunk> history = NextHistory();
  if (!history) return;
  const std::vector<Placed*> group = TakeGroup();
  bool ready = false;
  {
    WatchIndex index;
    for (Placed* watch : group) index.Add(watch);
    ready = HavePrevious(index, history->events);
    for (const store::Event& event : history->events) {
      if (ready) Gather(index, event);
    }
  }
  for (Placed* watch : group) {
    if (ready && watch->next <= history->covered) {
      watch->next = history->covered + (QUORATE_BUG(coord_watch_skips_event_at_catch_up) ? 2 : 1);
    }
    PlaceByPosition(watch);
  }
  if (!ready) {
    disk_.history = std::move(history);
    return;
  }
  disk_.previous.reset();
  Deliver();
}

std::optional<store::HistoryChunk> AppliedWatchHub::NextHistory() {
  const Revision from = behind_.begin()->first;
  if (from < mvcc_->compact_revision()) return std::nullopt;  // TellCompacted had more than it does at once
  std::optional<store::HistoryChunk> history = std::exchange(disk_.history, std::nullopt);
  if (history && history->from <= from && from <= history->covered) return history;
  if (mvcc_->HistoryInMemory(from)) {
    history = store::HistoryChunk{from, from, {}};
    history->covered = mvcc_->History(from, delivered_, kPumpEventsMax,
                                      [&](const store::Event& event) { history->events.push_back(event); });
    return history;
  }
  if (disk_.under_way) return std::nullopt;
  disk_.under_way = true;
  mvcc_->LoadHistory(
      from, delivered_, kPumpEventsMax, kChunkBytesMax,
      [this, life = std::weak_ptr<const bool>(disk_.life), on_read = OnRead()](Result<store::HistoryChunk> chunk) {
        if (life.expired()) return;
        if (chunk.ok()) disk_.history = *std::move(chunk);
        on_read(chunk.status());
      });
  return std::nullopt;
}

// After a failure, whoever pumps next tries again.
std::function<void(const Status&)> AppliedWatchHub::OnRead() {
  return [this, life = std::weak_ptr<const bool>(disk_.life)](const Status& status) {
    if (life.expired()) return;
    disk_.under_way = false;
    if (status.ok() && disk_.wake) disk_.wake();
  };
}

bool AppliedWatchHub::HavePrevious(const WatchIndex& index, const std::vector<store::Event>& events) {
  if (disk_.previous_wanted == 0) return true;
  if (disk_.under_way) return false;
  if (disk_.previous == nullptr) disk_.previous = std::make_shared<store::ReadSet>();
  for (const store::Event& event : events) {
    const Revision revision = event.kv.mod_revision;
    if (revision - 1 < mvcc_->compact_revision()) continue;
    bool wanted = false;
    index.Find(event.kv.key.view(), [&](const Watch& watch) {
      wanted = wanted || (watch.request.prev_kv && revision >= watch.next && !Filtered(watch.request, event.type));
    });
    if (wanted) mvcc_->Get(event.kv.key.view(), revision - 1, disk_.previous.get());
  }
  if (disk_.previous->missing.empty()) return true;
  disk_.under_way = true;
  mvcc_->Load(disk_.previous, OnRead());
  return false;
}

void AppliedWatchHub::Gather(const WatchIndex& index, const store::Event& event) {
  const Revision revision = event.kv.mod_revision;
  bool read_previous = false;
  std::optional<store::KeyValue> previous;
  index.Find(event.kv.key.view(), [&](Watch& watch) {
    if (revision < watch.next || Filtered(watch.request, event.type)) return;
    if (watch.request.prev_kv && !read_previous) {
      read_previous = true;
      if (revision - 1 >= mvcc_->compact_revision()) {
        previous = mvcc_->Get(event.kv.key.view(), revision - 1, disk_.previous.get());
      }
    }
    if (watch.events.empty()) gathered_.push_back(watch.handle);
    watch.events.push_back({event, watch.request.prev_kv ? previous : std::nullopt});
    ++gathered_events_;
  });
}

// Callbacks may add and cancel watches, so each is looked up when its turn comes.
void AppliedWatchHub::Deliver() {
  gathered_events_ = 0;
  for (const WatchHandle handle : std::exchange(gathered_, {})) {
    const auto found = watches_.find(handle);
    if (found == watches_.end()) continue;
    Placed& watch = found->second;
    std::vector<WatchEvent> events = std::exchange(watch.events, {});
    CHECK(!events.empty());
    if (!watch.sink->CanTake()) {
      TakeOut(&watch);
      watch.next = events.front().event.kv.mod_revision;
      Place(&watch, Where::kBlocked);
      continue;
    }
    const Revision newest = events.back().event.kv.mod_revision;
    if (watch.where == Where::kSynced) watch.next = std::max(watch.next, newest + 1);
    watch.sink->OnEvents(handle, newest, std::move(events));
  }
}

}  // namespace quorate::coord
