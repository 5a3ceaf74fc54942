// EtcdFrontend: etcd's v3 API over a coord::Backend. Bytes of the client port <-> requests, nothing else.
//
// Made by server/ and given to net's server for one reactor; tests drive it with a fake ServerCall. Thread rule: that
// reactor's thread, which also owns the group.
//
// Lifetime: backend, executor and random outlive the frontend, and every call's OnDone comes before its end. Answers of
// the backend that come later go nowhere.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "frontend/etcd/wiring.h"
#include "net/grpc_server.h"

namespace quorate::frontend::etcd {

struct Services;

class EtcdFrontend final : public net::GrpcService, public net::HttpService {
 public:
  EtcdFrontend(coord::Backend& backend, env::Executor& executor, env::Random& random, Options options = {});
  ~EtcdFrontend() override;

  std::unique_ptr<net::CallHandler> Open(std::string_view path, net::ServerCall& call) override;
  bool HasService(std::string_view service) const override;
  void Handle(const net::HttpRequest& request, std::function<void(net::HttpResponse)> done) override;

 private:
  std::unique_ptr<Services> services_;
};

}  // namespace quorate::frontend::etcd
