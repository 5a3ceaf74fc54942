#include "frontend/etcd/http_endpoints.h"

#include <string>
#include <string_view>
#include <utility>

#include "frontend/etcd/convert.h"

namespace quorate::frontend::etcd {
namespace {

net::HttpResponse Text(int status, std::string body) {
  net::HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  return response;
}

net::HttpResponse Healthy() {
  return Text(200, R"({"health":"true","reason":""})");
}

// `reason` is a fixed text or an error of ours: nothing in it needs escaping.
net::HttpResponse Unhealthy(std::string_view reason) {
  return Text(503, R"({"health":"false","reason":")" + std::string(reason) + "\"}\n");
}

// Whether the query's first parameter `name` is `value`, as Go's URL.Query().Get says it.
bool QueryIs(std::string_view query, std::string_view name, std::string_view value) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(pair.size() < query.size() ? pair.size() + 1 : pair.size());
    const std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) != name) continue;
    return equals != std::string_view::npos && pair.substr(equals + 1) == value;
  }
  return false;
}

// Whether any of the query's parameters `name` is `value`.
bool QueryHas(std::string_view query, std::string_view name, std::string_view value) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    if (QueryIs(pair, name, value)) return true;
    query.remove_prefix(pair.size() < query.size() ? pair.size() + 1 : pair.size());
  }
  return false;
}

}  // namespace

void HttpEndpoints::Handle(const net::HttpRequest& request, std::function<void(net::HttpResponse)> done) {
  const std::string_view target = request.target;
  const std::size_t question = target.find('?');
  const std::string_view path = target.substr(0, question);
  const std::string_view query = question == std::string_view::npos ? std::string_view() : target.substr(question + 1);
  if (path != "/health" && path != "/version") return done(Text(404, "404 page not found\n"));
  if (request.method != "GET") return done(Text(405, "Method Not Allowed\n"));
  if (path == "/version") return done(Version());
  for (const coord::Alarm& alarm : wiring_.backend.machine().alarms()) {
    const std::string_view name = AlarmName(alarm.type);
    if (!QueryHas(query, "exclude", name)) return done(Unhealthy("ALARM " + std::string(name)));
  }
  Health(QueryIs(query, "serializable", "true"), std::move(done));
}

void HttpEndpoints::Health(bool serializable, std::function<void(net::HttpResponse)> done) {
  if (serializable) return done(Healthy());  // reading this member's state cannot fail
  if (!wiring_.backend.cluster().leader) return done(Unhealthy("RAFT NO LEADER"));
  wiring_.backend.ReadBarrier({}, [done = std::move(done)](const Status& status) {
    done(status.ok() ? Healthy() : Unhealthy("RANGE ERROR:" + status.message()));
  });
}

net::HttpResponse HttpEndpoints::Version() const {
  net::HttpResponse response = Text(200, R"({"etcdserver":")" + wiring_.options.server_version +
                                             R"(","etcdcluster":")" + wiring_.options.cluster_version + "\"}");
  response.content_type = "application/json";
  return response;
}

}  // namespace quorate::frontend::etcd
