#include "cli/bench/server_link.h"

#include <utility>

namespace quorate::cli {
namespace {

constexpr std::uint64_t kPauseNs = 20'000'000;  // when every endpoint has failed in a row

net::ChannelOptions Options(std::uint64_t connect_timeout_ns) {
  net::ChannelOptions options;
  options.connect_timeout_ns = connect_timeout_ns;
  return options;
}

}  // namespace

ServerLink::ServerLink(net::Reactor& reactor, const std::vector<client::Endpoint>& endpoints, std::size_t first,
                       std::uint64_t connect_timeout_ns, std::function<void()> on_ready)
    : reactor_(reactor),
      endpoints_(endpoints),
      at_(first % endpoints.size()),
      on_ready_(std::move(on_ready)),
      channel_(reactor, Options(connect_timeout_ns),
               [this](net::ChannelState state, const Status& why) { OnState(state, why); }) {}

ServerLink::~ServerLink() = default;

void ServerLink::Open() {
  Connect();
}

net::ClientCall* ServerLink::Unary(std::string_view path, std::string request, net::ClientCallHandler* handler,
                                   std::uint64_t timeout_ns) {
  if (!ready()) return nullptr;
  return channel_.Unary(path, std::move(request), handler, timeout_ns);
}

void ServerLink::MoveOn() {
  if (std::exchange(leaving_, true)) return;
  channel_.Close();
}

void ServerLink::OnTimer() {
  Connect();
}

void ServerLink::OnState(net::ChannelState state, const Status& why) {
  if (state == net::ChannelState::kReady) {
    failures_ = 0;
    was_ever_ready_ = true;
    on_ready_();
  } else if (state == net::ChannelState::kClosed) {
    leaving_ = false;
    last_failure_ = why;
    at_ = (at_ + 1) % endpoints_.size();
    if (++failures_ % endpoints_.size() == 0) {
      reactor_.Arm(*this, net::Reactor::NowNs() + kPauseNs);
    } else {
      Connect();
    }
  }
}

void ServerLink::Connect() {
  channel_.Connect(endpoints_[at_].host, endpoints_[at_].port);
}

}  // namespace quorate::cli
