// etcdserverpb.Cluster: MemberList. The methods that change the membership are answered UNIMPLEMENTED in words.
//
// Used by EtcdFrontend. Thread rule: the reactor's thread. Replies carry no revision, as etcd's.
#pragma once

#include <string_view>

#include "frontend/etcd/unary_call.h"
#include "frontend/etcd/wiring.h"

namespace quorate::frontend::etcd {

class ClusterService {
 public:
  explicit ClusterService(const Wiring& wiring) : wiring_(wiring) {}
  void MemberList(std::string_view message, const Reply& reply);

 private:
  const Wiring& wiring_;
};

}  // namespace quorate::frontend::etcd
