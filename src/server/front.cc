#include "server/front.h"

#include <utility>

#include "frontend/etcd/unary_call.h"

namespace quorate::server {

void Front::Become(net::GrpcService* grpc, net::HttpService& http) {
  grpc_ = grpc;
  http_ = &http;
}

std::unique_ptr<net::CallHandler> Front::Open(std::string_view path, net::ServerCall& call) {
  if (grpc_ != nullptr) return grpc_->Open(path, call);
  return std::make_unique<frontend::etcd::RefusingHandler>(Status::Unavailable("etcdserver: not ready: " + what_),
                                                           call);
}

bool Front::HasService(std::string_view service) const {
  return grpc_ != nullptr && grpc_->HasService(service);
}

void Front::Handle(const net::HttpRequest& request, std::function<void(net::HttpResponse)> done) {
  if (http_ != nullptr) return http_->Handle(request, std::move(done));
  net::HttpResponse response;
  response.status = 503;
  response.content_type = "application/json";
  response.body = R"({"health":"false","reason":")" + what_ + "\"}\n";
  done(std::move(response));
}

}  // namespace quorate::server
