// H2Transport: moves bytes between a Stream and an nghttp2 session, the same for server sessions and client channels.
//
// Reads go through the reactor's shared buffer; everything nghttp2 has to send in one loop turn leaves in one write.
// What the socket does not take is kept here and bounds the rest: nothing more is taken from nghttp2 until it is gone.
// Thread rule: the reactor's thread. Invariants:
//  1. nghttp2 is entered from OnReadable and FlushNow only; callbacks submit frames, they never send or read.
//  2. OnClosed is called once, from the loop, never from inside an nghttp2 callback.
//  3. Nothing is read while MayRead() is false; FlushNow looks again.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "net/reactor.h"
#include "net/stream.h"

namespace quorate::net {

struct TransportBytes {
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
};

class H2Transport : public StreamEvents, public Flushable, public std::enable_shared_from_this<H2Transport> {
 public:
  ~H2Transport() override;

  void OnReadable() final;
  void OnWritable() final;
  void FlushNow() final;

 protected:
  H2Transport(Reactor& reactor, std::unique_ptr<Stream> stream) : reactor_(reactor), stream_(std::move(stream)) {}

  // Takes over `session`, whose send-data callback appends to reactor().write_buffer(), and starts reading; `first`
  // holds bytes already read. REQUIRES that a shared_ptr owns this.
  void Run(nghttp2_session* session, std::string_view first, TransportBytes* bytes);
  void Touch() { reactor_.QueueFlush(shared_from_this()); }  // something was submitted: flush at the end of the turn
  void Close(const std::string& why);                        // not from inside an nghttp2 callback

  virtual bool MayRead() const { return true; }
  virtual void OnClosed(const std::string& why) = 0;
  virtual void AfterFlush() {}                       // from the loop: room may have come free
  virtual bool WantsClose() const { return false; }  // close once all output is out

  Reactor& reactor() const { return reactor_; }
  nghttp2_session* session() const { return session_; }
  bool closed() const { return closed_; }
  std::size_t unsent_bytes() const { return pending_.size() - pending_sent_; }
  std::string peer() const { return stream_->peer(); }

 private:
  // False when the connection is closed or the socket is full.
  bool WritePending();
  bool FillWriteBuffer();
  bool Feed(std::string_view bytes);
  void ArmRead();

  Reactor& reactor_;
  std::unique_ptr<Stream> stream_;
  nghttp2_session* session_ = nullptr;
  TransportBytes* bytes_ = nullptr;
  std::string pending_;  // taken from nghttp2, not by the socket; empty on an idle connection
  std::size_t pending_sent_ = 0;
  bool read_armed_ = false;
  bool write_armed_ = false;
  bool closed_ = false;
};

}  // namespace quorate::net
