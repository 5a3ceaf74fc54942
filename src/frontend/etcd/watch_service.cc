#include "frontend/etcd/watch_service.h"

#include "frontend/etcd/watch_stream.h"

namespace quorate::frontend::etcd {

void WatchPump::Schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  wiring_.executor.Post([weak = weak_from_this()] {
    const std::shared_ptr<WatchPump> pump = weak.lock();
    if (pump == nullptr) return;
    pump->scheduled_ = false;
    if (pump->wiring_.backend.machine().watches().Pump()) pump->Schedule();
  });
}

std::unique_ptr<net::CallHandler> WatchService::Open(net::ServerCall& call) {
  return std::make_unique<WatchStream>(wiring_, leader_monitor_, *pump_, call);
}

}  // namespace quorate::frontend::etcd
