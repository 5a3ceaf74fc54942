// H2ServerSession: one HTTP/2 connection of a gRPC client. Private to net/; the listener makes it.
//
// Turns nghttp2's callbacks into GrpcService/CallHandler calls. Thread rule: the reactor's thread. References: RFC
// 9113, gRPC over HTTP2; where grpc-go's server gives a wording or a limit, it is that one, because etcd's clients know
// it. Invariants:
//  1. A call's handler hears OnMessage*, OnHalfClose?, OnDone, and nothing after.
//  2. output_bytes_ is the sum of the calls' queues and of what they have reserved; over the cap, requests wait in the
//  receive window (which is then not given back), and answers to those that were taken in before are not made, so a
//  peer that does not read cannot make the server hold more.
//  3. While the socket itself is full and output is over the cap, nothing is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/h2_transport.h"
#include "net/listener.h"

namespace quorate::net {

class ServerCallImpl;
struct RequestHead;

class H2ServerSession final : public H2Transport, public ServerConnection {
 public:
  H2ServerSession(ServerContext& context, std::unique_ptr<Stream> stream);
  ~H2ServerSession() override;

  void Start(std::string_view first_bytes);
  void Drain() override;
  void Abort() override;
  void AbortIfStuck(std::uint64_t since_ns) override;

 private:
  friend class ServerCallImpl;
  struct Callbacks;

  bool MayRead() const override;
  void OnClosed(const std::string& why) override;
  void AfterFlush() override;
  bool WantsClose() const override { return refusing_; }

  void Attach(std::unique_ptr<ServerCallImpl> call);
  void Detach(ServerCallImpl& call);
  bool over_total_cap() const { return context_.metrics.output_bytes > context_.limits.total_output_bytes; }
  std::size_t output_cap() const {
    return over_total_cap() ? kLargeAnswerBytes : context_.limits.connection_output_bytes;
  }
  bool over_output_cap() const { return output_bytes_ + unsent_bytes() > output_cap(); }
  void AddOutput(std::size_t bytes);
  void TakeOutput(std::size_t bytes);
  void Starve();
  void OnPing();
  void OnPingAck();

  ServerContext& context_;
  std::unique_ptr<RequestHead> head_;  // of the header block being received
  std::vector<std::unique_ptr<ServerCallImpl>> calls_;
  std::vector<std::int32_t> waiting_;        // streams whose requests wait for output to drain
  std::vector<std::int32_t> want_writable_;  // streams over their queue's cap
  std::size_t output_bytes_ = 0;
  std::uint64_t taken_at_ns_ = 0;     // when some of it left last, or there was none
  std::size_t unfinished_bytes_ = 0;  // of messages that have begun to arrive
  struct {
    std::uint64_t last_ns = 0;
    int strikes = 0;
    bool reset = false;  // headers or data were sent since the last ping
  } pings_;
  bool draining_ = false;
  bool refusing_ = false;  // a last GOAWAY is on its way; close after it
};

}  // namespace quorate::net
