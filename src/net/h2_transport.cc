#include "net/h2_transport.h"

#include <utility>

#include "base/check.h"

namespace quorate::net {
namespace {

constexpr int kReadsPerTurn = 4;                       // then the other connections' turn
constexpr std::size_t kWriteBytesAtOnce = 256 * 1024;  // bounds what one connection can hold besides its calls
constexpr int kWritesPerTurn = 4;
constexpr std::size_t kKeptWriteBuffer = 1024 * 1024;

}  // namespace

H2Transport::~H2Transport() {
  if (session_ != nullptr) nghttp2_session_del(session_);
}

void H2Transport::Run(nghttp2_session* session, std::string_view first, TransportBytes* bytes) {
  session_ = session;
  bytes_ = bytes;
  if (!first.empty() && !Feed(first)) return;
  FlushNow();
  ArmRead();
}

bool H2Transport::Feed(std::string_view bytes) {
  bytes_->received += bytes.size();
  const ssize_t used =
      nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  if (used >= 0) return true;
  Close(nghttp2_strerror(static_cast<int>(used)));
  return false;
}

void H2Transport::OnReadable() {
  const auto self = shared_from_this();
  read_armed_ = false;
  for (int i = 0; i < kReadsPerTurn && !closed_ && MayRead(); ++i) {
    const std::span<char> buffer = reactor_.read_buffer();
    const IoResult got = stream_->Read(buffer);
    if (got.state == IoResult::State::kWouldBlock) break;
    if (got.state == IoResult::State::kClosed) return Close("connection closed by the peer");
    if (!Feed({buffer.data(), got.bytes})) return;
    if (got.bytes < buffer.size()) break;
  }
  FlushNow();
  ArmRead();
}

void H2Transport::ArmRead() {
  if (closed_ || read_armed_ || !MayRead()) return;
  read_armed_ = true;
  stream_->WaitReadable(shared_from_this());
}

void H2Transport::OnWritable() {
  write_armed_ = false;
  FlushNow();
}

bool H2Transport::WritePending() {
  if (pending_.empty()) return true;
  if (write_armed_) return false;
  const IoResult put = stream_->Write(std::string_view(pending_).substr(pending_sent_));
  bytes_->sent += put.bytes;
  pending_sent_ += put.bytes;
  if (put.state == IoResult::State::kClosed) {
    Close("connection closed by the peer");
    return false;
  }
  if (pending_sent_ < pending_.size()) {
    write_armed_ = true;
    stream_->WaitWritable(shared_from_this());
    return false;
  }
  pending_ = {};
  pending_sent_ = 0;
  return true;
}

bool H2Transport::FillWriteBuffer() {
  std::string& out = reactor_.write_buffer();
  out.clear();
  if (out.capacity() > kKeptWriteBuffer) out.shrink_to_fit();
  while (out.size() < kWriteBytesAtOnce) {
    const std::uint8_t* data = nullptr;
    const ssize_t n = nghttp2_session_mem_send(session_, &data);
    if (n < 0) {
      Close(nghttp2_strerror(static_cast<int>(n)));
      return false;
    }
    if (n == 0) break;
    out.append(reinterpret_cast<const char*>(data), static_cast<std::size_t>(n));
  }
  return true;
}

void H2Transport::FlushNow() {
  if (closed_) return;
  const auto self = shared_from_this();
  bool socket_has_room = WritePending();
  for (int i = 0; socket_has_room; ++i) {
    if (i == kWritesPerTurn) {
      Touch();
      break;
    }
    if (!FillWriteBuffer()) return;
    const std::string& out = reactor_.write_buffer();
    if (out.empty()) break;
    const IoResult put = stream_->Write(out);
    bytes_->sent += put.bytes;
    if (put.state == IoResult::State::kClosed) return Close("connection closed by the peer");
    const bool more = out.size() >= kWriteBytesAtOnce;
    if (put.bytes < out.size()) {
      pending_.assign(out, put.bytes);
      socket_has_room = WritePending();
    }
    if (!more) break;
  }
  if (closed_) return;
  AfterFlush();
  if (closed_) return;
  const bool finished = nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
  if (unsent_bytes() == 0 && (finished || WantsClose())) return Close("closed after its last frame");
  ArmRead();
}

void H2Transport::Close(const std::string& why) {
  if (closed_) return;
  const auto self = shared_from_this();
  closed_ = true;
  stream_->Close();
  pending_ = {};
  pending_sent_ = 0;
  OnClosed(why);
}

}  // namespace quorate::net
