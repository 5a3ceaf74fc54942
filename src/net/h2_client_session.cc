#include "net/h2_client_session.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "net/byte_queue.h"
#include "net/grpc.h"
#include "net/grpc_server.h"
#include "net/nghttp2_fields.h"

namespace quorate::net {
namespace {

constexpr std::size_t kSpareCalls = 256;
constexpr int kConnectionWindows = 4;

}  // namespace

class ClientCallImpl final : public ClientCall, private Timer {
 public:
  explicit ClientCallImpl(H2ClientSession& session) : session_(session) {}

  void Begin(ClientCallHandler* handler, std::string message, bool unary) {
    handler_ = handler;
    if (!unary) return;
    Push(std::move(message));
    state_.half_closed = true;
  }
  void ArmDeadline(std::uint64_t timeout_ns) { session_.reactor().Arm(*this, Reactor::NowNs() + timeout_ns); }

  void Send(std::string message) override {
    if (handler_ == nullptr || state_.half_closed) return;
    Push(std::move(message));
    if (output_.size() > kCallQueueCapBytes && !state_.over_cap) {
      state_.over_cap = true;
      session_.want_writable_.push_back(id);
    }
    ResumeOutput();
  }
  void HalfClose() override {
    if (handler_ == nullptr || state_.half_closed) return;
    state_.half_closed = true;
    ResumeOutput();
  }
  void Cancel() override {
    // The stream's closing, once the RST_STREAM is out, brings OnDone.
    Abandon(Status(StatusCode::kCancelled, "context canceled"));
  }
  std::size_t queued_bytes() const override { return output_.size(); }

  void OnHeader(std::string_view name, std::string_view value) {
    if (name == "grpc-status") {
      grpc_status_ = ParseStatusCode(value);
    } else if (name == "grpc-message") {
      grpc_message_ = PercentDecode(value);
    } else if (name == ":status") {
      std::from_chars(value.data(), value.data() + value.size(), http_status_);
    }
  }
  void OnData(std::string_view data) {
    if (handler_ == nullptr || state_.abandoned || http_status_ != 200) return;
    const Status fed = reader_.Feed(data, session_.options_.max_message_bytes, [this](std::string_view message) {
      handler_->OnMessage(message);
      return !state_.abandoned;
    });
    if (!fed.ok()) Abandon(fed);
  }
  // Ends the call by its own account: for the handler with `why`, for the server with RST_STREAM.
  void Abandon(const Status& why) {
    if (handler_ == nullptr || state_.abandoned || session_.closed()) return;
    state_.abandoned = true;
    grpc_status_ = why.code();
    grpc_message_ = why.message();
    nghttp2_submit_rst_stream(session_.session(), NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    session_.Touch();
  }
  void OnStreamClosed(std::uint32_t error_code) { Done(EndOf(error_code)); }
  void OnConnectionLost(const std::string& why) {
    if (state_.abandoned) return Done({Status(*grpc_status_, grpc_message_), sent});
    Done({Status::Unavailable(why), sent});
  }
  void OfferWritable() {
    state_.over_cap = false;
    if (handler_ != nullptr && !state_.abandoned) handler_->OnWritable();
  }

  ssize_t FillData(std::size_t max_bytes, std::uint32_t* flags) {
    if (output_.size() == 0 && !state_.half_closed) {
      state_.deferred = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    const std::size_t length = std::min(max_bytes, output_.size());
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (length == output_.size() && state_.half_closed) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(length);
  }
  void WriteData(std::string& out, std::size_t length) { output_.PopInto(out, length); }

  // Makes an ended call as good as new.
  void Reset() {
    Disarm();
    output_.Clear();
    reader_.Clear();
    grpc_status_.reset();
    grpc_message_.clear();
    http_status_ = 0;
    sent = false;
    state_ = {};
  }

  std::int32_t id = 0;
  std::size_t slot = 0;  // in the session's list
  bool sent = false;     // its headers were handed to the socket's buffer

 private:
  void OnTimer() override {
    // The handler hears it now; the stream goes when its RST_STREAM is out.
    Abandon(Status(StatusCode::kDeadlineExceeded, "context deadline exceeded"));
    Done({Status(StatusCode::kDeadlineExceeded, "context deadline exceeded"), sent});
  }
  void Push(std::string message) {
    output_.Push(MessagePrefix(message.size()));
    output_.Push(std::move(message));
  }
  void ResumeOutput() {
    if (session_.closed()) return;
    if (state_.deferred) nghttp2_session_resume_data(session_.session(), id);
    state_.deferred = false;
    session_.Touch();
  }
  void Done(const CallEnd& end) {
    Disarm();
    if (ClientCallHandler* handler = std::exchange(handler_, nullptr)) handler->OnDone(end);
  }
  CallEnd EndOf(std::uint32_t error_code) const {
    if (state_.abandoned) return {Status(*grpc_status_, grpc_message_), sent};
    if (grpc_status_ == StatusCode::kOk && reader_.buffered() > 0) {
      return {Status::Internal("the answer ends inside a message"), true};
    }
    if (grpc_status_) return {Status(*grpc_status_, *grpc_status_ == StatusCode::kOk ? "" : grpc_message_), true};
    if (error_code == NGHTTP2_REFUSED_STREAM) {
      return {Status::Unavailable(session_.goaway_.empty() ? "the server refused the stream" : session_.goaway_),
              false};
    }
    if (http_status_ != 0 && http_status_ != 200) {
      return {Status(StatusCodeOfHttp(http_status_),
                     "unexpected HTTP status code received from server: " + std::to_string(http_status_)),
              true};
    }
    if (error_code == NGHTTP2_NO_ERROR) {
      return {Status::Internal("server closed the stream without sending trailers"), true};
    }
    const StatusCode code = error_code == NGHTTP2_CANCEL              ? StatusCode::kCancelled
                            : error_code == NGHTTP2_ENHANCE_YOUR_CALM ? StatusCode::kResourceExhausted
                                                                      : StatusCode::kInternal;
    return {Status(code, std::string("stream terminated by RST_STREAM with error code: ") +
                             nghttp2_http2_strerror(error_code)),
            true};
  }

  H2ClientSession& session_;
  ClientCallHandler* handler_ = nullptr;
  MessageReader reader_;
  ByteQueue output_;
  std::optional<StatusCode> grpc_status_;
  std::string grpc_message_;
  int http_status_ = 0;
  struct {
    bool half_closed : 1 = false;
    bool deferred : 1 = false;   // nghttp2 waits for nghttp2_session_resume_data
    bool abandoned : 1 = false;  // grpc_status_ is our own verdict
    bool over_cap : 1 = false;   // OnWritable is owed
  } state_;
};

struct H2ClientSession::Callbacks {
  static H2ClientSession& Self(void* user) { return *static_cast<H2ClientSession*>(user); }
  static ClientCallImpl* CallOf(nghttp2_session* session, std::int32_t id) {
    return static_cast<ClientCallImpl*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                      std::size_t name_length, const std::uint8_t* value, std::size_t value_length, std::uint8_t,
                      void*) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (ClientCallImpl* call = CallOf(session, frame->hd.stream_id)) {
      call->OnHeader({reinterpret_cast<const char*>(name), name_length},
                     {reinterpret_cast<const char*>(value), value_length});
    }
    return 0;
  }

  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) Self(user).OnSettings();
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      const auto& goaway = frame->goaway;
      std::string why =
          std::string("the server is closing the connection: ") + nghttp2_http2_strerror(goaway.error_code);
      if (goaway.opaque_data_len > 0) {
        why +=
            std::string(": ") + std::string(reinterpret_cast<const char*>(goaway.opaque_data), goaway.opaque_data_len);
      }
      Self(user).OnGoaway(why);
    }
    return 0;
  }

  static int OnData(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                    std::size_t length, void*) {
    if (ClientCallImpl* call = CallOf(session, id)) call->OnData({reinterpret_cast<const char*>(data), length});
    return 0;
  }

  static int OnStreamClose(nghttp2_session* session, std::int32_t id, std::uint32_t error_code, void* user) {
    if (ClientCallImpl* call = CallOf(session, id)) Self(user).Detach(*call, error_code);
    return 0;
  }

  // A request that cannot be sent any more (GOAWAY came first): its stream never opened, so nghttp2 neither finds it
  // nor reports its closing.
  static int OnFrameNotSent(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    H2ClientSession& self = Self(user);
    const auto found = std::find_if(self.calls_.begin(), self.calls_.end(),
                                    [id = frame->hd.stream_id](const auto& call) { return call->id == id; });
    if (found != self.calls_.end()) self.Detach(**found, NGHTTP2_REFUSED_STREAM);
    return 0;
  }

  static int OnFrameSent(nghttp2_session* session, const nghttp2_frame* frame, void*) {
    if (frame->hd.type != NGHTTP2_HEADERS) return 0;
    if (ClientCallImpl* call = CallOf(session, frame->hd.stream_id)) call->sent = true;
    return 0;
  }

  static int SendData(nghttp2_session* session, nghttp2_frame* frame, const std::uint8_t* frame_header,
                      std::size_t length, nghttp2_data_source*, void* user) {
    std::string& out = Self(user).reactor().write_buffer();
    out.append(reinterpret_cast<const char*>(frame_header), 9);
    ClientCallImpl* call = CallOf(session, frame->hd.stream_id);
    CHECK(call != nullptr);
    call->WriteData(out, length);
    return 0;
  }

  static const nghttp2_session_callbacks* Get() {
    static const nghttp2_session_callbacks* const callbacks = [] {
      nghttp2_session_callbacks* made = nullptr;
      CHECK(nghttp2_session_callbacks_new(&made) == 0);
      nghttp2_session_callbacks_set_on_header_callback(made, OnHeader);
      nghttp2_session_callbacks_set_on_frame_recv_callback(made, OnFrame);
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, OnData);
      nghttp2_session_callbacks_set_on_stream_close_callback(made, OnStreamClose);
      nghttp2_session_callbacks_set_on_frame_not_send_callback(made, OnFrameNotSent);
      nghttp2_session_callbacks_set_on_frame_send_callback(made, OnFrameSent);
      nghttp2_session_callbacks_set_send_data_callback(made, SendData);
      return made;
    }();
    return callbacks;
  }

  static const nghttp2_option* Options() {
    static const nghttp2_option* const options = [] {
      nghttp2_option* made = nullptr;
      CHECK(nghttp2_option_new(&made) == 0);
      nghttp2_option_set_no_closed_streams(made, 1);
      return made;
    }();
    return options;
  }
};

H2ClientSession::H2ClientSession(Reactor& reactor, std::unique_ptr<Stream> stream, const ChannelOptions& options,
                                 std::string authority, ChannelMetrics& metrics, Events events)
    : H2Transport(reactor, std::move(stream)),
      options_(options),
      authority_(std::move(authority)),
      metrics_(metrics),
      events_(std::move(events)) {}

H2ClientSession::~H2ClientSession() = default;

void H2ClientSession::Start() {
  nghttp2_session* session = nullptr;
  CHECK(nghttp2_session_client_new2(&session, Callbacks::Get(), this, Callbacks::Options()) == 0);
  const nghttp2_settings_entry settings[] = {
      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, options_.window_bytes},
  };
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, std::size(settings));
  nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<std::int32_t>(options_.window_bytes) * kConnectionWindows);
  Run(session, {}, &metrics_.bytes);
}

std::unique_ptr<ClientCallImpl> H2ClientSession::NewCall() {
  if (spare_.empty()) return std::make_unique<ClientCallImpl>(*this);
  std::unique_ptr<ClientCallImpl> call = std::move(spare_.back());
  spare_.pop_back();
  return call;
}

ClientCall* H2ClientSession::StartCall(std::string_view path, std::string message, bool unary,
                                       ClientCallHandler* handler, std::uint64_t timeout_ns,
                                       const CallMetadata* metadata) {
  if (closed() || closing_ || !ready_ || !goaway_.empty()) return nullptr;
  fields_.assign({ConstantField(":method", "POST"), ConstantField(":scheme", "http"), CopiedField(":path", path),
                  CopiedField(":authority", authority_), ConstantField("te", "trailers"),
                  ConstantField("content-type", "application/grpc"), ConstantField("user-agent", "quorate")});
  if (timeout_ns != 0) {
    if (timeout_ns != std::exchange(timeout_ns_, timeout_ns)) timeout_text_ = FormatTimeout(timeout_ns);
    fields_.push_back(CopiedField("grpc-timeout", timeout_text_));
  }
  if (metadata != nullptr) {
    for (const auto& [name, value] : *metadata) fields_.push_back(AnyField(name, value));
  }
  std::unique_ptr<ClientCallImpl> call = NewCall();
  nghttp2_data_provider provider{};
  provider.source.ptr = call.get();
  provider.read_callback = [](nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t length, std::uint32_t* flags,
                              nghttp2_data_source* source, void*) -> ssize_t {
    return static_cast<ClientCallImpl*>(source->ptr)->FillData(length, flags);
  };
  const std::int32_t id =
      nghttp2_submit_request(session(), nullptr, fields_.data(), fields_.size(), &provider, call.get());
  if (id < 0) return nullptr;  // stream ids are used up: the channel is as good as draining
  call->id = id;
  call->slot = calls_.size();
  call->Begin(handler, std::move(message), unary);
  if (timeout_ns != 0) call->ArmDeadline(timeout_ns);
  ++metrics_.calls_started;
  ++metrics_.calls_open;
  calls_.push_back(std::move(call));
  Touch();
  return calls_.back().get();
}

void H2ClientSession::Detach(ClientCallImpl& call, std::uint32_t error_code) {
  nghttp2_session_set_stream_user_data(session(), call.id, nullptr);
  const std::size_t slot = call.slot;
  std::unique_ptr<ClientCallImpl> gone = std::exchange(calls_[slot], nullptr);
  if (slot + 1 != calls_.size()) {
    calls_[slot] = std::move(calls_.back());
    calls_[slot]->slot = slot;
  }
  calls_.pop_back();
  --metrics_.calls_open;
  gone->OnStreamClosed(error_code);
  gone->Reset();
  if (spare_.size() < kSpareCalls) spare_.push_back(std::move(gone));
}

void H2ClientSession::AfterFlush() {
  if (want_writable_.empty()) return;
  const std::vector<std::int32_t> candidates = std::exchange(want_writable_, {});
  for (const std::int32_t id : candidates) {
    ClientCallImpl* call = Callbacks::CallOf(session(), id);
    if (call == nullptr) continue;
    if (call->queued_bytes() < kCallQueueCapBytes / 2) {
      call->OfferWritable();
    } else {
      want_writable_.push_back(id);
    }
  }
}

void H2ClientSession::OnSettings() {
  if (std::exchange(ready_, true)) return;
  if (events_.ready) events_.ready();
}

void H2ClientSession::OnGoaway(const std::string& why) {
  const bool first = goaway_.empty();
  goaway_ = why;
  if (first && events_.draining) events_.draining();
}

void H2ClientSession::CloseSoon() {
  if (closed() || closing_) return;
  closing_ = true;
  nghttp2_session_terminate_session(session(), NGHTTP2_NO_ERROR);
  Touch();
}

void H2ClientSession::OnClosed(const std::string& why) {
  const auto& reason = goaway_.empty() ? why : goaway_;
  const std::vector<std::unique_ptr<ClientCallImpl>> calls = std::exchange(calls_, {});
  metrics_.calls_open -= calls.size();
  for (const auto& call : calls) call->OnConnectionLost(reason);
  if (events_.closed) events_.closed(reason);
}

}  // namespace quorate::net
