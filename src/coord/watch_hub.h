// The WatchHub behind coord/watch.h. Machine tells it what was applied; everything is delivered from Pump.
//
// Owned by Machine. Thread rule: the group's executor thread. Sinks may add and cancel watches from within their
// callbacks.
//
// A watch is in one of three places:
//  - synced_: has everything up to delivered_ (or starts later); an applied event finds it through the index;
//  - behind_: reads forward from Mvcc::History, oldest position first, in batches that up to kGroupMax watches share;
//  - blocked_: its sink was full; it keeps its position and goes to behind_ once the sink can take again.
// Events that were applied and not yet dispatched wait in queue_, with revisions in (delivered_, Mvcc::revision()];
// over kQueueEventsMax of them the queue is dropped and the synced watches fall behind, so memory stays bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
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

  explicit AppliedWatchHub(const store::Mvcc& mvcc);

  // A transaction of `revision` was committed. Called for every revision, in order.
  void OnApplied(Revision revision, std::vector<store::Event> events);

  WatchHandle Add(WatchRequest request, WatchSink* sink) override;
  void Cancel(WatchHandle watch) override;
  bool Synced(WatchHandle watch) const override;
  bool Pump() override;
  std::size_t size() const override { return watches_.size(); }

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

  void Place(Placed* watch, Where where);
  void PlaceByPosition(Placed* watch);
  void TakeOut(Placed* watch);
  void Unblock();
  void TellCompacted();
  void DispatchQueue();
  void DropQueue();
  void CatchUp();
  std::vector<Placed*> TakeGroup();
  // Hands `event` to the watches of `index` on its key that still want it.
  void Gather(const WatchIndex& index, const store::Event& event);
  void Deliver();

  const store::Mvcc& mvcc_;
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
