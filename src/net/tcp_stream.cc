#include "net/tcp_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace quorate::net {
namespace {

constexpr int kKeepaliveIdleSeconds = 60;
constexpr int kKeepaliveIntervalSeconds = 15;
constexpr int kKeepaliveProbes = 4;

void SetOption(int fd, int level, int name, int value) {
  // A socket without the option still works; its only loss is what the option is for.
  (void)::setsockopt(fd, level, name, &value, sizeof value);
}

IoResult Failure() {
  return {errno == EAGAIN || errno == EWOULDBLOCK ? IoResult::State::kWouldBlock : IoResult::State::kClosed, 0};
}

}  // namespace

TcpStream::TcpStream(boost::asio::ip::tcp::socket socket) : socket_(std::move(socket)), fd_(socket_.native_handle()) {
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
  SetOption(fd_, IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(fd_, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(fd_, IPPROTO_TCP, TCP_KEEPIDLE, kKeepaliveIdleSeconds);
  SetOption(fd_, IPPROTO_TCP, TCP_KEEPINTVL, kKeepaliveIntervalSeconds);
  SetOption(fd_, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
}

IoResult TcpStream::Read(std::span<char> into) {
  ssize_t n = 0;
  do n = ::recv(fd_, into.data(), into.size(), 0);
  while (n < 0 && errno == EINTR);
  if (n < 0) return Failure();
  if (n == 0) return {IoResult::State::kClosed, 0};
  return {IoResult::State::kOk, static_cast<std::size_t>(n)};
}

IoResult TcpStream::Write(std::string_view from) {
  std::size_t written = 0;
  while (written < from.size()) {
    const ssize_t n = ::send(fd_, from.data() + written, from.size() - written, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      IoResult failure = Failure();
      failure.bytes = written;
      return failure;
    }
    written += static_cast<std::size_t>(n);
  }
  return {IoResult::State::kOk, written};
}

void TcpStream::WaitReadable(std::shared_ptr<StreamEvents> events) {
  socket_.async_wait(boost::asio::ip::tcp::socket::wait_read,
                     [events = std::move(events)](const boost::system::error_code& error) {
                       if (error != boost::asio::error::operation_aborted) events->OnReadable();
                     });
}

void TcpStream::WaitWritable(std::shared_ptr<StreamEvents> events) {
  socket_.async_wait(boost::asio::ip::tcp::socket::wait_write,
                     [events = std::move(events)](const boost::system::error_code& error) {
                       if (error != boost::asio::error::operation_aborted) events->OnWritable();
                     });
}

void TcpStream::Close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
  fd_ = -1;
}

std::string TcpStream::peer() const {
  boost::system::error_code error;
  const auto endpoint = socket_.remote_endpoint(error);
  if (error) return "(closed)";
  const std::string host = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(endpoint.port());
}

}  // namespace quorate::net
