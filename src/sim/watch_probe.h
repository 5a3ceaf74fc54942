// WatchProbe: a client that watches the whole keyspace of one member, at times too slow to take anything, and across
// the member's lives: a new life's watch goes on where the last one's ended.
//
// Owned by Member. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "coord/watch.h"
#include "sim/random.h"

namespace quorate::sim {

class WatchProbe final : public coord::WatchSink {
 public:
  using Judge = std::function<void(Revision next, Revision revision, const std::vector<coord::WatchEvent>& events)>;
  WatchProbe(SeededRandom random, Judge judge) : random_(random), judge_(std::move(judge)) {}

  void Attach(coord::WatchHub& hub);
  void Detach() { hub_ = nullptr; }
  // From time to time: is slow or ready again, and takes what is due.
  void Turn();
  void Pump();
  void BeReady() { always_ready_ = true; }
  Revision next() const { return next_; }

  void OnEvents(coord::WatchHandle watch, Revision revision, std::vector<coord::WatchEvent> events) override;
  void OnCompacted(coord::WatchHandle watch, Revision compact_revision) override;
  bool CanTake() const override { return ready_ || always_ready_; }

 private:
  void Watch();

  SeededRandom random_;
  Judge judge_;
  coord::WatchHub* hub_ = nullptr;
  Revision next_ = 2;  // the first revision that has events
  bool ready_ = true;
  bool always_ready_ = false;
  bool lost_ = false;  // the watch was ended by a compaction: it has to be asked for anew
};

}  // namespace quorate::sim
