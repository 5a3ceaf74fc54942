// Front: what a client's or the admin port answers with. The ports are opened before the keyspace is, which may take
// seconds; until Become, every call is told that the member is starting, and how far it is.
//
// Made by Node, one for each port. Thread rule: the reactor's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/grpc_server.h"

namespace quorate::server {

class Front final : public net::GrpcService, public net::HttpService {
 public:
  // How far it is: "opening the keyspace: 35 %". Nothing in it needs escaping.
  void Say(std::string what) { what_ = std::move(what); }
  void Become(net::GrpcService* grpc, net::HttpService& http);

  std::unique_ptr<net::CallHandler> Open(std::string_view path, net::ServerCall& call) override;
  bool HasService(std::string_view service) const override;
  void Handle(const net::HttpRequest& request, std::function<void(net::HttpResponse)> done) override;

 private:
  std::string what_ = "starting";
  net::GrpcService* grpc_ = nullptr;
  net::HttpService* http_ = nullptr;
};

}  // namespace quorate::server
