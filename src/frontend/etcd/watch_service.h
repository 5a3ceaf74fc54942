// etcdserverpb.Watch: one stream carries any number of watches.
//
// Used by EtcdFrontend. Thread rule: the reactor's thread. WatchPump lets the hub deliver what only a stream can know
// to be due: the history of a watch just created, and the rest for a client that reads again.
#pragma once

#include <memory>

#include "frontend/etcd/leader_monitor.h"
#include "frontend/etcd/wiring.h"
#include "net/grpc_server.h"

namespace quorate::frontend::etcd {

class WatchPump : public std::enable_shared_from_this<WatchPump> {
 public:
  explicit WatchPump(const Wiring& wiring) : wiring_(wiring) {}
  // The hub is pumped from a task of its own, and again until it has nothing more to do.
  void Schedule();

 private:
  const Wiring& wiring_;
  bool scheduled_ = false;
};

class WatchService {
 public:
  WatchService(const Wiring& wiring, LeaderMonitor& leader_monitor)
      : wiring_(wiring), leader_monitor_(leader_monitor), pump_(std::make_shared<WatchPump>(wiring)) {}
  std::unique_ptr<net::CallHandler> Open(net::ServerCall& call);

 private:
  const Wiring& wiring_;
  LeaderMonitor& leader_monitor_;
  std::shared_ptr<WatchPump> pump_;
};

}  // namespace quorate::frontend::etcd
