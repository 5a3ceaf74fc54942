#include "server/admin.h"

#include <utility>

namespace quorate::server {

Admin::Admin(MetricsSources sources, const std::unique_ptr<net::Listener>& etcd, net::HttpService& client_port)
    : sources_(sources), etcd_(etcd), client_port_(client_port) {}

void Admin::Handle(const net::HttpRequest& request, std::function<void(net::HttpResponse)> done) {
  if (request.target != "/metrics") {
    client_port_.Handle(request, std::move(done));
    return;
  }
  net::HttpResponse response;
  if (request.method == "GET") {
    sources_.etcd = etcd_.get();
    response.content_type = "text/plain; version=0.0.4; charset=utf-8";
    response.body = RenderMetrics(sources_);
  } else {
    response.status = 405;
    response.body = "use GET\n";
  }
  done(std::move(response));
}

}  // namespace quorate::server
