// The services of one EtcdFrontend, in the order of what they need. Thread rule: the reactor's thread.
#pragma once

#include "frontend/etcd/cluster_service.h"
#include "frontend/etcd/http_endpoints.h"
#include "frontend/etcd/kv_service.h"
#include "frontend/etcd/leader_monitor.h"
#include "frontend/etcd/lease_service.h"
#include "frontend/etcd/maintenance_service.h"
#include "frontend/etcd/watch_service.h"
#include "frontend/etcd/wiring.h"

namespace quorate::frontend::etcd {

struct Services {
  explicit Services(Wiring wiring_in) : wiring(std::move(wiring_in)) {}

  const Wiring wiring;
  LeaderMonitor leader_monitor{wiring};
  KvService kv{wiring};
  LeaseService lease{wiring, leader_monitor};
  WatchService watch{wiring, leader_monitor};
  ClusterService cluster{wiring};
  MaintenanceService maintenance{wiring};
  HttpEndpoints http{wiring};
};

}  // namespace quorate::frontend::etcd
