// Listener: one server port. Accepts connections, tells HTTP/2 (gRPC) from HTTP/1.1 by the first bytes, and owns the
// sessions.
//
// Made by server/ wiring with the services that answer. Thread rule: everything on the reactor's thread; the services
// outlive the listener. Invariants:
//  1. Connections, streams, headers, messages and output are bounded by ServerLimits.
//  2. After Close no service is called any more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/grpc_server.h"
#include "net/h2_transport.h"
#include "net/reactor.h"

namespace quorate::net {

struct ServerLimits {
  std::size_t max_connections = 16'384;
  // etcd sets none; 4,096 is more than etcdctl, Kubernetes or a lock service keep open on one connection (etcd's own
  // clients share one stream among their watches), and bounds what a connection may hold.
  std::uint32_t max_streams_per_connection = 4'096;
  std::size_t max_message_bytes = 1'572'864 + 512 * 1024;  // etcd's request limit and its allowance for the envelope
  std::size_t max_header_list_bytes = 32 * 1024;
  std::size_t max_unfinished_message_bytes = 8 * 1024 * 1024;  // a connection's messages that have begun to arrive
  std::size_t connection_output_bytes = 16 * 1024 * 1024;      // over it, no new request of the connection is begun
  // Of all connections. Over it a connection's cap is kLargeAnswerBytes, no larger answer is begun, and connections
  // that take nothing of what they hold for so long are closed.
  std::size_t total_output_bytes = 256 * 1024 * 1024;
  std::uint64_t stuck_after_ns = 30'000'000'000;
  std::uint64_t ping_min_interval_ns = 5'000'000'000;  // etcd's --grpc-keepalive-min-time
  std::uint64_t header_timeout_ns = 10'000'000'000;
  std::uint64_t http1_idle_timeout_ns = 120'000'000'000;  // also for a connection that never said anything
  std::size_t http1_header_bytes = 16 * 1024;
  std::size_t http1_body_bytes = 4 * 1024 * 1024;
};

// Counters since start, gauges where it says so.
struct ServerMetrics {
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_refused = 0;  // over max_connections
  std::uint64_t connections_open = 0;     // gauge
  std::uint64_t calls_opened = 0;
  std::uint64_t calls_open = 0;  // gauge
  std::uint64_t http1_requests = 0;
  std::uint64_t protocol_errors = 0;
  std::uint64_t deadlines_exceeded = 0;
  std::uint64_t pings_refused = 0;
  std::uint64_t stuck_closed = 0;     // connections that took nothing while all together held too much
  std::uint64_t output_over_cap = 0;  // times a connection's requests had to wait for its output
  std::uint64_t output_bytes = 0;     // gauge: answers that wait for their clients, or are being made
  TransportBytes bytes;
};

// What a listener knows of a connection, whatever it speaks.
class ServerConnection {
 public:
  virtual ~ServerConnection() = default;
  virtual void Drain() = 0;  // no new calls; closes by itself when the open ones are done
  virtual void Abort() = 0;  // at once
  // Closes it when it has taken nothing since `since_ns` of what it is owed.
  virtual void AbortIfStuck(std::uint64_t since_ns) { (void)since_ns; }
};

// What a connection knows of its listener.
struct ServerContext {
  Reactor& reactor;
  const ServerLimits& limits;
  ServerMetrics& metrics;
  GrpcService* grpc;  // either may be null: that protocol is then refused
  HttpService* http;
  std::function<void(std::shared_ptr<Flushable>)> starve;  // flushed again when all together hold less
  std::function<void()> feed;                              // they do
  std::function<void(ServerConnection*)> forget;           // the connection is closed
  std::function<void(ServerConnection*, std::shared_ptr<ServerConnection>)> become;  // the first is now the second
};

class Listener {
 public:
  Listener(Reactor& reactor, ServerLimits limits, GrpcService* grpc, HttpService* http);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  ~Listener();

  // Binds and accepts. `port` 0 takes a free one; returns the port. UNAVAILABLE names address and reason.
  Result<std::uint16_t> Listen(const std::string& host, std::uint16_t port);
  // Graceful: accepts nothing more, tells clients to go elsewhere, calls `done` when the last connection is closed.
  void Drain(std::function<void()> done);
  void Close();  // at once; every open call gets its OnDone
  const ServerMetrics& metrics() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace quorate::net
