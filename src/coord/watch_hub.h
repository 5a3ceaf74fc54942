// The WatchHub behind coord/watch.h. Machine tells it what was applied; everything is delivered from Pump.
//
// Owned by Machine. Thread rule: the group's executor thread. Sinks may add and cancel watches from within their
// callbacks.
//
// A watch is in one of three places:
//  - synced_: has everything up to delivered_ (or starts later); an applied event finds it through the index;
//  - behind_: reads forward from Mvcc::History, oldest position first, in batches that up to kGroupMax watches share;
//  - blocked_: its sink was full; it keeps its position and goes to behind_ once the sink can take again.
// History, and values that an event replaced, may have to be read from the disk: then the watches of behind_, or the
// queue, wait where they are (Disk) until they have come.
// Events that were applied and not yet dispatched wait in queue_, with revisions in (delivered_, Mvcc::revision()];
// over kQueueEventsMax of them the queue is dropped and the synced watches fall behind, so memory stays bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "coord/watch.h"
#include "coord/watch_index.h"
#include "store/mvcc.h"

namespace quorate::coord {

class AppliedWatchHub final : public WatchHub {
 public:
  static constexpr std::size_t kQueueEventsMax = 16'384;  // applied events that wait for Pump
  static constexpr std::size_t kPumpEventsMax = 1'024;    // dispatched, and read from history, per Pump
  static constexpr std::size_t kDeliveriesMax = 65'536;   // the same, times the watches that get each of them
  static constexpr std::size_t kGroupMax = 512;           // watches that share one reading of history

  static constexpr std::size_t kChunkBytesMax = 4 << 20;  // of history, read from the disk at once

  explicit AppliedWatchHub(store::Mvcc& mvcc);

  // Another keyspace takes the place of the present one: it may be far ahead, and its history may begin later.
  void Rebase(store::Mvcc& mvcc);

  // A transaction of `revision` was committed. Called for every revision, in order.
  void OnApplied(Revision revision, std::vector<store::Event> events);

  WatchHandle Add(WatchRequest request, WatchSink* sink) override;
  void Cancel(WatchHandle watch) override;
  bool Synced(WatchHandle watch) const override;
  bool Pump() override;
  std::size_t size() const override { return watches_.size(); }
  void SetWake(std::function<void()> wake) override { disk_.wake = std::move(wake); }

 private:
  enum class Where : std::uint8_t { kNowhere, kSynced, kBehind, kBlocked };
  struct Placed : Watch {
    Where where = Where::kNowhere;
  };
  struct Applied {
    Revision revision = 0;
    std::vector<store::Event> events;
  };
  using Position = std::pair<Revision, WatchHandle>;
  // What comes from the disk.
  struct Disk {
    std::function<void()> wake;
    bool under_way = false;
    std::optional<store::HistoryChunk> history;
    std::shared_ptr<store::ReadSet> previous;  // what the events in hand replaced
    std::size_t previous_wanted = 0;           // watches with prev_kv
    std::shared_ptr<const bool> life;          // of the keyspace in use
  };

  void Place(Placed* watch, Where where);
  void PlaceByPosition(Placed* watch);
  void TakeOut(Placed* watch);
  void Unblock();
  void TellCompacted();
  void Forget(std::map<WatchHandle, Placed>::iterator watch);
  void DispatchQueue();
  void DropQueue();
  void SkipTo(Revision revision);
  void CatchUp();
  // The next part of history for the watch that is furthest behind. Nothing: it is being read.
  std::optional<store::HistoryChunk> NextHistory();
  // Whether what `events` replaced is in memory, as far as watches of `index` want it. If not, it is being read.
  bool HavePrevious(const WatchIndex& index, const std::vector<store::Event>& events);
  std::function<void(const Status&)> OnRead();
  std::vector<Placed*> TakeGroup();
  // Hands `event` to the watches of `index` on its key that still want it.
  void Gather(const WatchIndex& index, const store::Event& event);
  void Deliver();

  store::Mvcc* mvcc_;
  Disk disk_;
  std::map<WatchHandle, Placed> watches_;
  WatchHandle last_handle_ = 0;
  WatchIndex synced_;
  std::set<Position> behind_;
  std::set<WatchHandle> blocked_;
  std::deque<Applied> queue_;
  std::size_t queued_events_ = 0;
  Revision delivered_ = 0;
  std::vector<WatchHandle> gathered_;  // the watches with events to deliver
  std::size_t gathered_events_ = 0;
};

}  // namespace quorate::coord
