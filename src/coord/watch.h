// WatchHub: this member's watches, fed by the applied stream, caught up from the store's history.
//
// Made by Machine; used by frontends. Local to a member, not replicated. Thread rule: the group's executor thread. A
// sink is called from Pump only, never from inside Add, Cancel or Apply.
//
// Invariants, per watch: events come in revision order, each once, all of a revision in one OnEvents call; none is
// older than start_revision; OnProgress(r) comes only after every event <= r. A watch that falls behind (its sink says
// it is full) keeps a position, not a backlog, and is read forward from history later.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "store/key_value.h"

namespace quorate::coord {

struct WatchRequest {
  std::string key;
  std::string end;              // as RangeRequest::end
  Revision start_revision = 0;  // 0 = after the current one; may lie in the future
  bool prev_kv = false;
  bool no_put = false;
  bool no_delete = false;
};

struct WatchEvent {
  store::Event event;
  std::optional<store::KeyValue> prev_kv;  // with WatchRequest::prev_kv, when there was one and it is not compacted
};

using WatchHandle = std::uint64_t;  // unique in this process, never 0

class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // `revision` is the newest the events cover. One call may carry several revisions, whole ones only.
  virtual void OnEvents(WatchHandle watch, Revision revision, std::vector<WatchEvent> events) = 0;
  // What it would have to read next was compacted; the watch is gone.
  virtual void OnCompacted(WatchHandle watch, Revision compact_revision) = 0;
  // False while the connection has more queued than its cap: the hub then skips this sink's watches until it is true
  // again.
  virtual bool CanTake() const = 0;
};

class WatchHub {
 public:
  virtual ~WatchHub() = default;
  // `sink` outlives the watch. A start below the compact revision is told by OnCompacted, from Pump.
  virtual WatchHandle Add(WatchRequest request, WatchSink* sink) = 0;
  virtual void Cancel(WatchHandle watch) = 0;  // unknown ones are ignored
  // Whether the watch has delivered everything up to the store's current revision (for progress replies). A watch that
  // starts in the future counts as not synced.
  virtual bool Synced(WatchHandle watch) const = 0;
  // Delivers what is due, in bounded work; true if there is more to do right away. The owner calls it after applying
  // and when a sink can take again.
  virtual bool Pump() = 0;
  virtual std::size_t size() const = 0;
  // `wake` is called when something that Pump waited for has been read from the disk: then Pump again. From the
  // executor, never from inside a call.
  virtual void SetWake(std::function<void()> wake) = 0;
};

}  // namespace quorate::coord
