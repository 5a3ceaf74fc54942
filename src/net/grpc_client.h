// The client side of gRPC over HTTP/2: a channel is one connection with many calls on it, all asynchronous.
//
// Used by client/ and by the load generator. Thread rule: everything on the reactor's thread. Invariants:
//  1. Every call that Start gave out ends with exactly one OnDone, then its ClientCall is gone.
//  2. ClientCall's and GrpcChannel's methods never call a handler from inside; only the destructor of a channel does.
//  3. A channel never reconnects and never sends a call twice: what to do about a lost connection is the caller's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/h2_transport.h"
#include "net/reactor.h"

namespace quorate::net {

// How a call ended. An answer of the server is always final; otherwise `may_have_run` says whether the server may have
// seen the request: only if not, sending it again elsewhere is safe for a write.
struct CallEnd {
  Status status;
  bool may_have_run = false;
};

class ClientCallHandler {
 public:
  virtual ~ClientCallHandler() = default;
  virtual void OnMessage(std::string_view message) = 0;  // valid during the call only
  virtual void OnWritable() {}                           // queued_bytes() fell below half of kCallQueueCapBytes
  virtual void OnDone(const CallEnd& end) = 0;           // the ClientCall is gone after this
};

class ClientCall {
 public:
  virtual ~ClientCall() = default;
  virtual void Send(std::string message) = 0;
  virtual void HalfClose() = 0;  // no more messages
  virtual void Cancel() = 0;     // OnDone(CANCELLED) follows from the loop
  virtual std::size_t queued_bytes() const = 0;
};

using CallMetadata = std::vector<std::pair<std::string, std::string>>;  // lower-case names

struct ChannelOptions {
  std::uint64_t connect_timeout_ns = 5'000'000'000;
  std::size_t max_message_bytes = 0x7fffffff;  // of answers, as etcd's own client allows
  std::uint32_t window_bytes = 1024 * 1024;    // per call; the connection gets four times as much
};

enum class ChannelState {
  kIdle,        // Connect was not called
  kConnecting,  // TCP, then HTTP/2's SETTINGS
  kReady,
  kDraining,  // the server sent GOAWAY: open calls go on, Start fails
  kClosed,
};

struct ChannelMetrics {
  std::uint64_t calls_started = 0;
  std::uint64_t calls_open = 0;  // gauge
  TransportBytes bytes;
};

class GrpcChannel {
 public:
  // Told of every change of state, from the loop; `why` says what happened when it is kClosed (`connect: ...` when the
  // connection never became ready). It may destroy the channel or connect anew only when told kClosed.
  using OnState = std::function<void(ChannelState state, const Status& why)>;

  GrpcChannel(Reactor& reactor, ChannelOptions options, OnState on_state);
  GrpcChannel(const GrpcChannel&) = delete;
  GrpcChannel& operator=(const GrpcChannel&) = delete;
  ~GrpcChannel();  // ends open calls with UNAVAILABLE; not from inside a handler of this channel

  void Connect(const std::string& host, std::uint16_t port);  // REQUIRES kIdle or kClosed
  void Close();                                               // at the end of this turn
  ChannelState state() const;

  // Begins a call of `path` ("/package.Service/Method"), or returns null when the channel is not ready. `handler` must
  // live until OnDone. `timeout_ns` goes to the server as grpc-timeout and is kept here too; 0 = none.
  ClientCall* Start(std::string_view path, ClientCallHandler* handler, std::uint64_t timeout_ns,
                    const CallMetadata* metadata = nullptr);
  // Start, Send and HalfClose in one.
  ClientCall* Unary(std::string_view path, std::string request, ClientCallHandler* handler, std::uint64_t timeout_ns,
                    const CallMetadata* metadata = nullptr);
  const ChannelMetrics& metrics() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace quorate::net
