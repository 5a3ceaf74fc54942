// etcdserverpb.Cluster, and quoratepb.Cluster, which has what etcd lacks: MemberReplace.
//
// Used by EtcdFrontend. Thread rule: the reactor's thread. Replies carry no revision, as etcd's.
#pragma once

#include <string_view>

#include "base/ids.h"
#include "frontend/etcd/unary_call.h"
#include "frontend/etcd/wiring.h"

namespace quorate::frontend::etcd {

class ClusterService {
 public:
  explicit ClusterService(const Wiring& wiring) : wiring_(wiring) {}
  void MemberList(std::string_view message, const Reply& reply);
  void MemberAdd(std::string_view message, const Reply& reply);
  void MemberRemove(std::string_view message, const Reply& reply);
  void MemberUpdate(std::string_view message, const Reply& reply);
  void MemberPromote(std::string_view message, const Reply& reply);
  void MemberReplace(std::string_view message, const Reply& reply);

 private:
  ReplicaId NewId() const;

  const Wiring& wiring_;
};

}  // namespace quorate::frontend::etcd
