#include "env/posix/peer_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <utility>

#include "env/posix/host_port.h"
#include "env/posix/peer_handshake.h"

namespace quorate::env {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kHandshakeReadBytes = 2 * kPeerHelloBytesMax;  // before a peer is known, it costs little
constexpr std::size_t kReadBytes = 64 << 10;
constexpr std::size_t kCopyBelow = 8 << 10;  // smaller payloads are cheaper to copy than to have a buffer of their own
constexpr std::size_t kBatchBytes = 1 << 20;
constexpr std::size_t kLargeMax = 30;  // payloads per batch: with the pieces between them, the 64 buffers of one writev
// A peer that vanished without a word is given up after about 10 s, idle or not.
constexpr int kKeepaliveIdleS = 4;
constexpr int kKeepaliveIntervalS = 2;
constexpr int kKeepaliveCount = 3;
constexpr unsigned kUserTimeoutMs = 10'000;

void SetSocketOptions(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepaliveIdleS, sizeof kKeepaliveIdleS);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kKeepaliveIntervalS, sizeof kKeepaliveIntervalS);
  setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &kKeepaliveCount, sizeof kKeepaliveCount);
  setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs, sizeof kUserTimeoutMs);
}

std::string RemoteOf(const asio::ip::tcp::socket& socket) {
  boost::system::error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  return error ? "a peer that is gone" : HostPort{endpoint.address().to_string(), endpoint.port()}.ToString();
}

}  // namespace

PeerConnection::PeerConnection(asio::ip::tcp::socket socket, PeerConnectionEvents* events, PeerTraffic* traffic)
    : socket_(std::move(socket)),
      events_(events),
      traffic_(traffic),
      remote_(RemoteOf(socket_)),
      parser_(kPeerHandshakeVersion, kPeerHelloBytesMax),
      read_buffer_(kHandshakeReadBytes) {
  SetSocketOptions(socket_.native_handle());
}

void PeerConnection::StartReading() {
  Read();
}

void PeerConnection::SwitchTo(std::uint8_t version, std::size_t payload_max) {
  version_ = version;
  parser_.Expect(version, payload_max);
}

void PeerConnection::Send(PeerFrameKind kind, Bytes payload) {
  if (events_ == nullptr || finish_) return;
  const std::uint8_t version = kind == PeerFrameKind::kMessage ? version_ : kPeerHandshakeVersion;
  queued_bytes_ += kPeerFrameHeaderBytes + payload.size();
  Queued next{EncodePeerFrameHeader(kind, version, payload.view()), std::move(payload)};
  queue_.push_back(std::move(next));
  QueueFlush();
}

void PeerConnection::Close() {
  events_ = nullptr;
  traffic_ = nullptr;
  queue_.clear();
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void PeerConnection::FinishSending() {
  finish_ = true;
  QueueFlush();
}

void PeerConnection::Read() {
  socket_.async_read_some(asio::buffer(read_buffer_),
                          [self = shared_from_this()](const boost::system::error_code& error, std::size_t size) {
                            if (self->events_ == nullptr) return;
                            if (error) return self->Fail(error.message(), false);
                            self->OnRead(size);
                          });
}

void PeerConnection::OnRead(std::size_t size) {
  traffic_->bytes_received += size;
  std::string_view input(read_buffer_.data(), size);
  while (auto frame = parser_.Next(&input)) {
    ++traffic_->frames_received;
    events_->OnFrame(*this, std::move(*frame));
    if (events_ == nullptr) return;
  }
  if (parser_.error() != nullptr) return Fail(parser_.error(), true);
  if (version_ != 0 && read_buffer_.size() < kReadBytes) read_buffer_.resize(kReadBytes);
  Read();
}

void PeerConnection::QueueFlush() {
  if (writing_ || flush_posted_) return;
  flush_posted_ = true;
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->flush_posted_ = false;
    self->Write();
  });
}

void PeerConnection::Write() {
  if (events_ == nullptr || writing_) return;
  if (queue_.empty()) {
    boost::system::error_code ignored;
    if (finish_) socket_.shutdown(asio::socket_base::shutdown_send, ignored);
    return;
  }
  writing_ = true;
  std::size_t bytes = 0;
  const auto buffers = TakeBatch(&bytes);
  asio::async_write(socket_, buffers,
                    [self = shared_from_this(), bytes](const boost::system::error_code& error, std::size_t) {
                      self->writing_ = false;
                      if (self->events_ == nullptr) return;
                      if (error) return self->Fail(error.message(), false);
                      self->large_.clear();
                      self->queued_bytes_ -= bytes;
                      self->traffic_->bytes_sent += bytes;
                      ++self->traffic_->writes;
                      self->Write();
                    });
}

// Moves frames from the queue into one gathered write. The staging string is complete before any buffer points into it.
std::vector<asio::const_buffer> PeerConnection::TakeBatch(std::size_t* bytes) {
  staging_.clear();
  large_.clear();
  std::vector<std::size_t> cuts;  // where in the staging string the large payloads come in
  while (!queue_.empty() && *bytes < kBatchBytes && large_.size() < kLargeMax) {
    Queued& next = queue_.front();
    *bytes += next.header.size() + next.payload.size();
    staging_.append(next.header.data(), next.header.size());
    if (next.payload.size() < kCopyBelow) {
      staging_.append(next.payload.view());
    } else {
      cuts.push_back(staging_.size());
      large_.push_back(std::move(next.payload));
    }
    queue_.pop_front();
    ++traffic_->frames_sent;
  }
  std::vector<asio::const_buffer> buffers;
  std::size_t from = 0;
  for (std::size_t i = 0; i < large_.size(); ++i) {
    buffers.emplace_back(staging_.data() + from, cuts[i] - from);
    buffers.emplace_back(large_[i].data(), large_[i].size());
    from = cuts[i];
  }
  if (from < staging_.size()) buffers.emplace_back(staging_.data() + from, staging_.size() - from);
  return buffers;
}

void PeerConnection::Fail(const std::string& why, bool garbage) {
  PeerConnectionEvents* const events = events_;
  const auto self = shared_from_this();
  Close();
  events->OnClosed(*this, why, garbage);
}

}  // namespace quorate::env
