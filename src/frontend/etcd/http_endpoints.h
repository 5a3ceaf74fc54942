// The plain HTTP endpoints of etcd's client port: /health and /version. Everything else is 404.
//
// Used by EtcdFrontend. Thread rule: the reactor's thread. What a monitoring system makes of /health is etcd's: 200
// with
// {"health":"true"} or 503 with the reason. ?serializable=true asks about this member alone; ?exclude=ALARM leaves an
// alarm out of account.
#pragma once

#include <functional>

#include "frontend/etcd/wiring.h"
#include "net/grpc_server.h"

namespace quorate::frontend::etcd {

class HttpEndpoints {
 public:
  explicit HttpEndpoints(const Wiring& wiring) : wiring_(wiring) {}
  void Handle(const net::HttpRequest& request, std::function<void(net::HttpResponse)> done);

 private:
  void Health(bool serializable, std::function<void(net::HttpResponse)> done);
  net::HttpResponse Version() const;

  const Wiring& wiring_;
};

}  // namespace quorate::frontend::etcd
