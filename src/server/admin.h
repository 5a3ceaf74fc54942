// Admin: the admin port. /metrics, and the client port's /health and /version again, for a probe that must not reach
// the clients' port.
//
// Made by Node. Thread rule: the reactor's thread.
#pragma once

#include <functional>
#include <memory>

#include "net/grpc_server.h"
#include "server/metrics.h"

namespace quorate::server {

class Admin final : public net::HttpService {
 public:
  // `etcd` is looked at when a request comes: the listener is made later.
  Admin(MetricsSources sources, const std::unique_ptr<net::Listener>& etcd, net::HttpService& client_port);

  void Handle(const net::HttpRequest& request, std::function<void(net::HttpResponse)> done) override;

 private:
  MetricsSources sources_;
  const std::unique_ptr<net::Listener>& etcd_;
  net::HttpService& client_port_;
};

}  // namespace quorate::server
