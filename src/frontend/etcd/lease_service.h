// etcdserverpb.Lease: LeaseGrant, LeaseRevoke, LeaseTimeToLive, LeaseLeases and the stream of LeaseKeepAlive.
//
// Used by EtcdFrontend. Thread rule: the reactor's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "frontend/etcd/leader_monitor.h"
#include "frontend/etcd/unary_call.h"
#include "frontend/etcd/wiring.h"
#include "net/grpc_server.h"

namespace quorate::frontend::etcd {

class LeaseService {
 public:
  LeaseService(const Wiring& wiring, LeaderMonitor& leader_monitor)
      : wiring_(wiring), leader_monitor_(leader_monitor) {}

  void Grant(std::string_view message, const Reply& reply);
  void Revoke(std::string_view message, const Reply& reply);
  void TimeToLive(std::string_view message, const Reply& reply);
  void Leases(std::string_view message, const Reply& reply);
  std::unique_ptr<net::CallHandler> OpenKeepAlive(net::ServerCall& call);

 private:
  std::int64_t ChooseId();

  const Wiring& wiring_;
  LeaderMonitor& leader_monitor_;
};

}  // namespace quorate::frontend::etcd
