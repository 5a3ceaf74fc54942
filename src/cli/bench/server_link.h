// ServerLink: one connection of the load generator that stays with a list of members: when it is lost or given up, it
// goes on at the next endpoint.
//
// Used by the closed-loop load and by the availability check. Thread rule: the reactor's thread. Invariants:
//  1. on_ready is called from the loop each time the link has become usable, never from inside a call of this class.
//  2. A call is never sent twice: calls that end with their connection end with an error, and that is final here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "client/etcd_client.h"
#include "net/grpc_client.h"
#include "net/reactor.h"

namespace quorate::cli {

class ServerLink final : private net::Timer {
 public:
  // Begins at `first`, modulo the number of endpoints. `endpoints` must live as long as this.
  ServerLink(net::Reactor& reactor, const std::vector<client::Endpoint>& endpoints, std::size_t first,
             std::uint64_t connect_timeout_ns, std::function<void()> on_ready);
  ~ServerLink() override;

  void Open();
  bool ready() const { return channel_.state() == net::ChannelState::kReady && !leaving_; }
  // Null when the link is not usable right now; on_ready follows.
  net::ClientCall* Unary(std::string_view path, std::string request, net::ClientCallHandler* handler,
                         std::uint64_t timeout_ns);
  // Gives the connection up, with all its calls, at the end of this turn.
  void MoveOn();
  bool was_ever_ready() const { return was_ever_ready_; }
  const Status& last_failure() const { return last_failure_; }

 private:
  void OnTimer() override;
  void OnState(net::ChannelState state, const Status& why);
  void Connect();

  net::Reactor& reactor_;
  const std::vector<client::Endpoint>& endpoints_;
  std::size_t at_;
  const std::function<void()> on_ready_;
  net::GrpcChannel channel_;
  std::size_t failures_ = 0;  // in a row
  Status last_failure_;
  bool leaving_ = false;
  bool was_ever_ready_ = false;
};

}  // namespace quorate::cli
