// Metrics: the numbers of one node in Prometheus's text format, read from the parts at each scrape (nothing is counted
// twice).
//
// Made by Node, served by the admin port. Thread rule: the reactor's thread.
#pragma once

#include <string>

#include "coord/machine.h"
#include "env/posix/tcp_transport.h"
#include "net/listener.h"
#include "replica/group.h"
#include "wal/log.h"

namespace quorate::server {

struct MetricsSources {
  const replica::Group& group;
  const env::TcpTransport& transport;
  const wal::Log& log;
  const coord::Machine& machine;
  const net::Listener* etcd = nullptr;  // null: no such port
};

std::string RenderMetrics(const MetricsSources& sources);

}  // namespace quorate::server
