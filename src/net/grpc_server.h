// The server side of gRPC over HTTP/2, as frontends see it: a Service is asked for a handler per call, and talks back
// through ServerCall.
//
// Implemented over nghttp2 by net/ (h2_server_session.cc). Thread rule: everything on the reactor's thread.
// ServerCall's methods may be called from inside a handler's and never call back into it; a handler is destroyed after
// OnDone, never from inside a ServerCall method.
//
// Invariants:
//  1. OnMessage* then at most one OnHalfClose, then exactly one OnDone ends every call (Finish sent, reset, connection
//  lost, deadline).
//  2. After OnDone the ServerCall is gone: the handler must not touch it again.
//  3. Nothing is read from a connection whose queued output is over its cap, and with WhenRoom no answer is made for
//  it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace quorate::net {

// A streaming handler stops producing when queued_bytes() is above this.
inline constexpr std::size_t kCallQueueCapBytes = 256 * 1024;

enum class AnswerSize : std::uint8_t { kSmall, kLarge };  // kLarge: perhaps more than kLargeAnswerBytes
inline constexpr std::size_t kLargeAnswerBytes = 64 * 1024;

class ServerCall {
 public:
  virtual ~ServerCall() = default;
  // Queues one message (length prefix added here). Many calls in one loop turn leave in one write.
  virtual void Send(std::string message) = 0;
  // Ends the call with trailers; without a message before it the answer is trailers-only.
  virtual void Finish(const Status& status) = 0;
  // Bytes queued on this call and not yet given to the socket; a streaming handler stops producing above its cap and
  // goes on in OnWritable.
  virtual std::size_t queued_bytes() const = 0;
  // Whether an answer of the size may be added to what the connection, and all together, hold for their clients.
  virtual bool HasRoom(AnswerSize size) const = 0;
  // Runs `start` once HasRoom; from inside if it has, never if the call ends before. For an answer that is made long
  // after its request was taken in.
  virtual void WhenRoom(AnswerSize size, std::function<void()> start) = 0;
  // An answer of about so many bytes is being made: they count as queued until Send or the end of the call.
  virtual void Reserve(std::size_t bytes) = 0;
  virtual std::optional<std::string> metadata(std::string_view lower_case_name) const = 0;
  virtual std::uint64_t deadline_ns() const = 0;  // monotonic, from grpc-timeout; 0 = none
  virtual std::string peer() const = 0;           // for the log
};

class CallHandler {
 public:
  virtual ~CallHandler() = default;
  virtual void OnMessage(std::string_view message) = 0;  // valid during the call only
  virtual void OnHalfClose() = 0;                        // the client has no more messages
  virtual void OnWritable() {}                           // queued_bytes() fell below half the cap
  virtual void OnDone() = 0;                             // over, for whatever reason; release what belongs to the call
};

class GrpcService {
 public:
  virtual ~GrpcService() = default;
  // `path` is "/package.Service/Method". Empty: UNIMPLEMENTED is answered.
  virtual std::unique_ptr<CallHandler> Open(std::string_view path, ServerCall& call) = 0;
  // For the words of UNIMPLEMENTED: whether `service` ("package.Service") exists with other methods.
  virtual bool HasService(std::string_view service) const {
    (void)service;
    return false;
  }
};

// Plain HTTP/1.1 on the same port, told apart by the first bytes.
struct HttpRequest {
  std::string method;
  std::string target;  // path and query
  std::string body;
};
struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};
class HttpService {
 public:
  virtual ~HttpService() = default;
  // Answers now or later, exactly once, on the reactor's thread.
  virtual void Handle(const HttpRequest& request, std::function<void(HttpResponse)> done) = 0;
};

}  // namespace quorate::net
