#include "net/grpc_client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <utility>

#include "base/check.h"
#include "net/h2_client_session.h"
#include "net/tcp_stream.h"

namespace quorate::net {

using boost::asio::ip::tcp;

class GrpcChannel::Impl : public std::enable_shared_from_this<GrpcChannel::Impl>, private Timer {
 public:
  Impl(Reactor& reactor, ChannelOptions channel_options, OnState on_state)
      : reactor_(reactor), options_(channel_options), on_state_(std::move(on_state)), resolver_(reactor.context()) {}

  void Connect(const std::string& host, std::uint16_t port) {
    CHECK(state == ChannelState::kIdle || state == ChannelState::kClosed);
    const std::uint64_t attempt = ++attempt_;
    authority_ = host + ":" + std::to_string(port);
    socket_ = std::make_unique<tcp::socket>(reactor_.context());
    state = ChannelState::kConnecting;
    reactor_.Arm(*this, Reactor::NowNs() + options_.connect_timeout_ns);
    resolver_.async_resolve(host, std::to_string(port),
                            [self = shared_from_this(), attempt](const boost::system::error_code& error,
                                                                 const tcp::resolver::results_type& found) {
                              if (attempt != self->attempt_ || self->socket_ == nullptr) return;
                              if (error) return self->ConnectFailed(error.message());
                              self->ConnectTo(found, attempt);
                            });
  }

  void Close() {
    if (session != nullptr) return session->CloseSoon();
    if (state == ChannelState::kConnecting) ConnectFailed("given up");
  }

  void Destroy() {
    on_state_ = nullptr;
    ++attempt_;
    Disarm();
    resolver_.cancel();
    socket_ = nullptr;
    if (session == nullptr) return;
    const auto gone = std::exchange(session, nullptr);
    gone->DropEvents();
    gone->CloseNow("the channel is closed");
  }

  ChannelState state = ChannelState::kIdle;
  ChannelMetrics metrics;
  std::shared_ptr<H2ClientSession> session;

 private:
  void OnTimer() override {
    if (session != nullptr) return session->CloseNow("no HTTP/2 SETTINGS before the connect timeout");
    ConnectFailed("timed out");
  }

  void ConnectTo(const tcp::resolver::results_type& found, std::uint64_t attempt) {
    boost::asio::async_connect(
        *socket_, found,
        [self = shared_from_this(), attempt](const boost::system::error_code& error, const tcp::endpoint&) {
          if (attempt != self->attempt_ || self->socket_ == nullptr) return;
          if (error) return self->ConnectFailed(error.message());
          self->RunSession();
        });
  }

  void RunSession() {
    auto stream = std::make_unique<TcpStream>(std::move(*socket_));
    socket_ = nullptr;
    // The session may outlive this by a turn; its events are dropped before that.
    H2ClientSession::Events events{
        [this] {
          Disarm();
          Become(ChannelState::kReady, Status::Ok());
        },
        [this] { Become(ChannelState::kDraining, Status::Ok()); },
        [this](const std::string& why) { SessionClosed(why); },
    };
    session = std::make_shared<H2ClientSession>(reactor_, std::move(stream), options_, authority_, metrics,
                                                std::move(events));
    const auto running = session;
    running->Start();
  }

  void SessionClosed(const std::string& why) {
    Disarm();
    const bool was_ready = state != ChannelState::kConnecting;
    session = nullptr;
    Become(ChannelState::kClosed, Status::Unavailable((was_ready ? "" : "connect: " + authority_ + ": ") + why));
  }

  void ConnectFailed(const std::string& why) {
    Disarm();
    ++attempt_;
    resolver_.cancel();
    socket_ = nullptr;
    Become(ChannelState::kClosed, Status::Unavailable("connect: " + authority_ + ": " + why));
  }

  void Become(ChannelState next, const Status& why) {
    state = next;
    const auto self = shared_from_this();
    const OnState tell = on_state_;  // it may destroy the channel
    if (tell) tell(next, why);
  }

  Reactor& reactor_;
  const ChannelOptions options_;
  OnState on_state_;
  tcp::resolver resolver_;
  std::unique_ptr<tcp::socket> socket_;  // while connecting
  std::string authority_;
  std::uint64_t attempt_ = 0;
};

GrpcChannel::GrpcChannel(Reactor& reactor, ChannelOptions options, OnState on_state)
    : impl_(std::make_shared<Impl>(reactor, options, std::move(on_state))) {}

GrpcChannel::~GrpcChannel() {
  impl_->Destroy();
}

void GrpcChannel::Connect(const std::string& host, std::uint16_t port) {
  impl_->Connect(host, port);
}

void GrpcChannel::Close() {
  impl_->Close();
}

ChannelState GrpcChannel::state() const {
  return impl_->state;
}

ClientCall* GrpcChannel::Start(std::string_view path, ClientCallHandler* handler, std::uint64_t timeout_ns,
                               const CallMetadata* metadata) {
  if (impl_->session == nullptr) return nullptr;
  return impl_->session->StartCall(path, {}, false, handler, timeout_ns, metadata);
}

ClientCall* GrpcChannel::Unary(std::string_view path, std::string request, ClientCallHandler* handler,
                               std::uint64_t timeout_ns, const CallMetadata* metadata) {
  if (impl_->session == nullptr) return nullptr;
  return impl_->session->StartCall(path, std::move(request), true, handler, timeout_ns, metadata);
}

const ChannelMetrics& GrpcChannel::metrics() const {
  return impl_->metrics;
}

}  // namespace quorate::net
