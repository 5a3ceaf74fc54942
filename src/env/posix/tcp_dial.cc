#include "env/posix/tcp_dial.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <utility>

namespace quorate::env {
namespace {

namespace asio = boost::asio;

// This machine has no way to that address (no IPv6, say), which tells nothing about the peer.
bool IsNotOurs(const boost::system::error_code& error) {
  return error == asio::error::network_unreachable || error == asio::error::address_family_not_supported ||
         error == boost::system::errc::address_not_available;
}

}  // namespace

std::shared_ptr<TcpDial> TcpDial::Start(asio::io_context& context, Executor& executor, const HostPort& to,
                                        std::uint64_t timeout_ns, Done done) {
  auto dial = std::make_shared<TcpDial>(context, executor, std::move(done));
  dial->deadline_ = executor.After(timeout_ns, [dial] {
    dial->error_ = "no answer in time";
    dial->Finish(Outcome::kFailed);
  });
  dial->Resolve(to);
  return dial;
}

TcpDial::TcpDial(asio::io_context& context, Executor& executor, Done done)
    : executor_(executor), resolver_(context), socket_(context), done_(std::move(done)) {}

void TcpDial::Cancel() {
  done_ = nullptr;
  executor_.Cancel(deadline_);
  resolver_.cancel();
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void TcpDial::Resolve(const HostPort& to) {
  boost::system::error_code not_numeric;
  const auto address = asio::ip::make_address(to.host, not_numeric);
  if (!not_numeric) {
    endpoints_.emplace_back(address, to.port);
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->TryNext(); });
    return;
  }
  resolver_.async_resolve(
      to.host, std::to_string(to.port),
      [self = shared_from_this()](const boost::system::error_code& error, Tcp::resolver::results_type found) {
        if (error) {
          self->failed_ = true;
          self->error_ = "the name does not resolve: " + error.message();
        }
        for (const auto& entry : found) self->endpoints_.push_back(entry.endpoint());
        self->TryNext();
      });
}

void TcpDial::TryNext() {
  if (!done_) return;
  if (next_ == endpoints_.size()) return Finish(refused_ && !failed_ ? Outcome::kRefused : Outcome::kFailed);
  boost::system::error_code ignored;
  socket_.close(ignored);
  socket_.async_connect(endpoints_[next_++], [self = shared_from_this()](const boost::system::error_code& error) {
    self->OnConnect(error);
  });
}

void TcpDial::OnConnect(const boost::system::error_code& connect_error) {
  if (!done_) return;
  boost::system::error_code error = connect_error;
  if (!error) {
    // A port of the ephemeral range can be connected to itself while its owner is down. It would even keep the owner
    // from binding it.
    boost::system::error_code local_error;
    boost::system::error_code remote_error;
    const bool to_itself = socket_.local_endpoint(local_error) == socket_.remote_endpoint(remote_error);
    if (!local_error && !remote_error && !to_itself) return Finish(Outcome::kConnected);
    error = asio::error::connection_refused;
  }
  error_ = error.message();
  if (error == asio::error::connection_refused) {
    refused_ = true;
  } else if (!IsNotOurs(error)) {
    failed_ = true;
  }
  TryNext();
}

void TcpDial::Finish(Outcome outcome) {
  if (!done_) return;
  executor_.Cancel(deadline_);
  resolver_.cancel();
  boost::system::error_code ignored;
  if (outcome != Outcome::kConnected) socket_.close(ignored);
  const Done done = std::exchange(done_, nullptr);
  done(outcome, std::move(socket_), error_);
}

}  // namespace quorate::env
