#include "net/h2_server_session.h"

#include <algorithm>
#include <utility>

#include "net/server_call.h"

namespace quorate::net {
namespace {

constexpr int kWindowBytes = 1024 * 1024;
constexpr int kMaxPingStrikes = 2;                                // grpc-go's
constexpr std::uint64_t kIdlePingIntervalNs = 7'200'000'000'000;  // grpc-go's, with no call open
// Cancelled streams: a burst as large as the calls one connection may have open, then so many a second (the HTTP/2
// rapid reset attack, CVE-2023-44487). Watch and lease clients cancel streams in earnest, so it is not too low.
constexpr std::uint64_t kResetBurst = 4'096;
constexpr std::uint64_t kResetsPerSecond = 200;
constexpr std::uint8_t kDrainPing[8] = {'q', 'u', 'o', 'd', 'r', 'a', 'i', 'n'};

ServerCallImpl* CallOf(nghttp2_session* session, std::int32_t id) {
  return static_cast<ServerCallImpl*>(nghttp2_session_get_stream_user_data(session, id));
}

const nghttp2_option* SessionOptions() {
  static const nghttp2_option* const options = [] {
    nghttp2_option* made = nullptr;
    CHECK(nghttp2_option_new(&made) == 0);
    nghttp2_option_set_no_closed_streams(made, 1);
    nghttp2_option_set_no_auto_window_update(made, 1);
    // nghttp2's own checks of the messages refuse an :authority of "http://host:port", which etcd's Go client sends for
    // an endpoint that was given as a URL. OnHeader and CheckHead check what matters here.
    nghttp2_option_set_no_http_messaging(made, 1);
    nghttp2_option_set_stream_reset_rate_limit(made, kResetBurst, kResetsPerSecond);
    return made;
  }();
  return options;
}

}  // namespace

struct H2ServerSession::Callbacks {
  static H2ServerSession& Self(void* user) { return *static_cast<H2ServerSession*>(user); }

  static int OnBeginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    H2ServerSession& self = Self(user);
    auto call = std::make_unique<ServerCallImpl>(self, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call.get());
    self.Attach(std::move(call));
    self.head_->Clear();
    return 0;
  }

  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_length, const std::uint8_t* value, std::size_t value_length, std::uint8_t,
                      void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    if (nghttp2_check_header_name(name, name_length) == 0 || nghttp2_check_header_value(value, value_length) == 0) {
      ++Self(user).context_.metrics.protocol_errors;
      nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    H2ServerSession& self = Self(user);
    self.head_->Add({reinterpret_cast<const char*>(name), name_length},
                    {reinterpret_cast<const char*>(value), value_length}, self.context_.limits.max_header_list_bytes);
    return 0;
  }

  static int OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2ServerSession& self = Self(user);
    if (frame->hd.type == NGHTTP2_PING) {
      (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 ? self.OnPingAck() : self.OnPing();
      return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    ServerCallImpl* call = CallOf(session, frame->hd.stream_id);
    if (call == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      call->OnHeadersEnd(*self.head_);
    }
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) call->OnRemoteEnd();
    return 0;
  }

  static int OnData(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                    std::size_t length, void*) {
    if (ServerCallImpl* call = CallOf(session, id)) {
      call->OnData({reinterpret_cast<const char*>(data), length});
    } else {
      nghttp2_session_consume(session, id, length);
    }
    return 0;
  }

  static int OnStreamClose(nghttp2_session* session, std::int32_t id, std::uint32_t, void* user) {
    if (ServerCallImpl* call = CallOf(session, id)) Self(user).Detach(*call);
    return 0;
  }

  static int SendData(nghttp2_session* session, nghttp2_frame* frame, const std::uint8_t* frame_header,
                      std::size_t length, nghttp2_data_source*, void* user) {
    std::string& out = Self(user).reactor().write_buffer();
    out.append(reinterpret_cast<const char*>(frame_header), 9);
    ServerCallImpl* call = CallOf(session, frame->hd.stream_id);
    CHECK(call != nullptr);
    call->WriteData(out, length);
    return 0;
  }

  static int OnFrameSent(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
    Self(user).pings_.reset = true;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    if (ServerCallImpl* call = CallOf(session, frame->hd.stream_id)) call->OnTrailersSent();
    return 0;
  }

  static int OnInvalidFrame(nghttp2_session*, const nghttp2_frame*, int, void* user) {
    ++Self(user).context_.metrics.protocol_errors;
    return 0;
  }

  static const nghttp2_session_callbacks* Get() {
    static const nghttp2_session_callbacks* const callbacks = [] {
      nghttp2_session_callbacks* made = nullptr;
      CHECK(nghttp2_session_callbacks_new(&made) == 0);
      nghttp2_session_callbacks_set_on_begin_headers_callback(made, OnBeginHeaders);
      nghttp2_session_callbacks_set_on_header_callback(made, OnHeader);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, OnFrame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, OnData);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, OnStreamClose);
      nghttp2_session_callbacks_set_send_data_callback(made, SendData);
      nghttp2_session_callbacks_set_on_frame_send_callback(made, OnFrameSent);
      nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, OnInvalidFrame);
      return made;
    }();
    return callbacks;
  }
};

H2ServerSession::H2ServerSession(ServerContext& context, std::unique_ptr<Stream> stream)
    : H2Transport(context.reactor, std::move(stream)), context_(context), head_(std::make_unique<RequestHead>()) {}

H2ServerSession::~H2ServerSession() = default;

void H2ServerSession::Start(std::string_view first_bytes) {
  nghttp2_session* session = nullptr;
  CHECK(nghttp2_session_server_new2(&session, Callbacks::Get(), this, SessionOptions()) == 0);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, context_.limits.max_streams_per_connection},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindowBytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(context_.limits.max_header_list_bytes)},
  };
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, kWindowBytes);
  Run(session, first_bytes, &context_.metrics.bytes);
}

void H2ServerSession::Attach(std::unique_ptr<ServerCallImpl> call) {
  ++context_.metrics.calls_open;
  call->slot = calls_.size();
  calls_.push_back(std::move(call));
}

void H2ServerSession::Detach(ServerCallImpl& call) {
  nghttp2_session_set_stream_user_data(session(), call.id(), nullptr);
  call.OnStreamClosed();
  --context_.metrics.calls_open;
  const std::size_t slot = call.slot;
  const std::unique_ptr<ServerCallImpl> gone = std::exchange(calls_[slot], nullptr);
  if (slot + 1 != calls_.size()) {
    calls_[slot] = std::move(calls_.back());
    calls_[slot]->slot = slot;
  }
  calls_.pop_back();
  if (calls_.empty()) calls_.shrink_to_fit();
}

bool H2ServerSession::MayRead() const {
  return unsent_bytes() == 0 || !over_output_cap();
}

void H2ServerSession::AfterFlush() {
  if (!want_writable_.empty()) {
    const std::vector<std::int32_t> candidates = std::exchange(want_writable_, {});
    for (const std::int32_t id : candidates) {
      ServerCallImpl* call = CallOf(session(), id);
      if (call == nullptr) continue;
      if (call->queued_bytes() < kCallQueueCapBytes / 2) {
        call->OfferWritable();
      } else {
        want_writable_.push_back(id);
      }
    }
  }
  if (!waiting_.empty() && over_total_cap()) Starve();
  if (waiting_.empty() || output_bytes_ + unsent_bytes() > output_cap() / 2) return;
  bool resumed = false;
  std::vector<std::int32_t> waiting = std::exchange(waiting_, {});
  std::erase_if(waiting, [&](std::int32_t id) {
    if (over_output_cap()) return false;
    ServerCallImpl* call = CallOf(session(), id);
    const bool done = call == nullptr || call->Resume();
    resumed = resumed || done;
    return done;
  });
  waiting.insert(waiting.end(), waiting_.begin(), waiting_.end());  // what was resumed may wait again
  waiting_ = std::move(waiting);
  if (resumed) Touch();
}

void H2ServerSession::AddOutput(std::size_t bytes) {
  if (output_bytes_ == 0) taken_at_ns_ = Reactor::NowNs();
  output_bytes_ += bytes;
  context_.metrics.output_bytes += bytes;
}

void H2ServerSession::TakeOutput(std::size_t bytes) {
  if (bytes == 0) return;
  taken_at_ns_ = Reactor::NowNs();
  const bool over = over_total_cap();
  output_bytes_ -= bytes;
  context_.metrics.output_bytes -= bytes;
  if (over && !over_total_cap()) context_.feed();
}

void H2ServerSession::Starve() {
  context_.starve(shared_from_this());
}

void H2ServerSession::AbortIfStuck(std::uint64_t since_ns) {
  if (output_bytes_ <= kLargeAnswerBytes || taken_at_ns_ > since_ns) return;
  ++context_.metrics.stuck_closed;
  Close("takes nothing of what it asked for");
}

void H2ServerSession::OnPing() {
  // Who pings too often without anything to say in between is told to calm down (grpc-go's enforcement policy with
  // etcd's settings): a ping after our own headers or data is free, the third too early one ends the connection.
  if (refusing_) return;
  const std::uint64_t now = Reactor::NowNs();
  const std::uint64_t last = std::exchange(pings_.last_ns, now);
  if (std::exchange(pings_.reset, false)) {
    pings_.strikes = 0;
    return;
  }
  const std::uint64_t least = calls_.empty() ? kIdlePingIntervalNs : context_.limits.ping_min_interval_ns;
  if (last != 0 && last + least > now) ++pings_.strikes;
  if (pings_.strikes <= kMaxPingStrikes) return;
  ++context_.metrics.pings_refused;
  static constexpr std::string_view kWhy = "too_many_pings";
  nghttp2_submit_goaway(session(), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session()),
                        NGHTTP2_ENHANCE_YOUR_CALM, reinterpret_cast<const std::uint8_t*>(kWhy.data()), kWhy.size());
  refusing_ = true;
}

// Two steps, so that calls on their way when the first GOAWAY is sent are still served: the ping's answer shows that
// the client has read it.
void H2ServerSession::Drain() {
  if (closed() || draining_) return;
  draining_ = true;
  nghttp2_submit_shutdown_notice(session());
  nghttp2_submit_ping(session(), NGHTTP2_FLAG_NONE, kDrainPing);
  Touch();
}

void H2ServerSession::OnPingAck() {
  if (!draining_) return;
  nghttp2_submit_goaway(session(), NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session()),
                        NGHTTP2_NO_ERROR, nullptr, 0);
}

void H2ServerSession::Abort() {
  Close("server stopped");
}

void H2ServerSession::OnClosed(const std::string&) {
  // A handler's OnDone may talk to other calls of this connection: they stay until all have heard it.
  const std::vector<std::unique_ptr<ServerCallImpl>> calls = std::exchange(calls_, {});
  for (const auto& call : calls) call->OnStreamClosed();
  context_.metrics.calls_open -= calls.size();
  context_.forget(this);
}

}  // namespace quorate::net
