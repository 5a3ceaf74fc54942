// etcdserverpb.Maintenance and the two methods of etcdserverpb.Auth that have an answer while auth does not exist.
//
// Used by EtcdFrontend. Thread rule: the reactor's thread. Status, Hash and HashKV speak of this member alone, without
// a read barrier: they exist to compare members.
#pragma once

#include <string_view>

#include "frontend/etcd/unary_call.h"
#include "frontend/etcd/wiring.h"

namespace quorate::frontend::etcd {

class MaintenanceService {
 public:
  explicit MaintenanceService(const Wiring& wiring) : wiring_(wiring) {}

  void Status(std::string_view message, const Reply& reply);
  void Alarm(std::string_view message, const Reply& reply);
  // Answered at once: the engine compacts itself in the background, and nothing stops for it.
  void Defragment(std::string_view message, const Reply& reply);
  void MoveLeader(std::string_view message, const Reply& reply);
  void Hash(std::string_view message, const Reply& reply);
  void HashKv(std::string_view message, const Reply& reply);

  void AuthStatus(std::string_view message, const Reply& reply);
  void Authenticate(std::string_view message, const Reply& reply);

 private:
  const Wiring& wiring_;
};

}  // namespace quorate::frontend::etcd
