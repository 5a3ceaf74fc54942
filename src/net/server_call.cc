#include "net/server_call.h"

#include <algorithm>
#include <array>

#include "net/h2_server_session.h"
#include "net/nghttp2_fields.h"

namespace quorate::net {
namespace {

constexpr std::size_t kHeaderOverheadBytes = 32;  // RFC 9113 section 6.5.2

// grpc-status and grpc-message, for trailers of either kind.
class StatusFields {
 public:
  explicit StatusFields(const Status& status)
      : message_(PercentEncode(status.message())),
        fields_{CopiedField("grpc-status", StatusCodeText(status.code())), CopiedField("grpc-message", message_)},
        count_(message_.empty() ? 1 : 2) {}
  const nghttp2_nv* data() const { return fields_.data(); }
  std::size_t size() const { return count_; }

 private:
  std::string message_;
  std::array<nghttp2_nv, 2> fields_;
  std::size_t count_;
};

bool IsGrpc(std::string_view content_type) {
  constexpr std::string_view kGrpc = "application/grpc";
  if (!content_type.starts_with(kGrpc)) return false;
  return content_type.size() == kGrpc.size() || content_type[kGrpc.size()] == '+' || content_type[kGrpc.size()] == ';';
}

}  // namespace

void RequestHead::Clear() {
  method.clear();
  path.clear();
  content_type.clear();
  encoding.clear();
  timeout.clear();
  metadata.clear();
  bytes = 0;
}

void RequestHead::Add(std::string_view name, std::string_view value, std::size_t max_bytes) {
  bytes += name.size() + value.size() + kHeaderOverheadBytes;
  if (bytes > max_bytes) return;  // CheckHead refuses the call
  switch (name.size()) {
    case 2:
      if (name == "te") return;
      break;
    case 5:
      if (name == ":path") {
        path.assign(value);
        return;
      }
      break;
    case 7:
      if (name == ":method") {
        method.assign(value);
        return;
      }
      if (name == ":scheme") return;
      break;
    case 10:
      if (name == ":authority" || name == "user-agent") return;
      break;
    case 12:
      if (name == "content-type") {
        content_type.assign(value);
        return;
      }
      if (name == "grpc-timeout") {
        timeout.assign(value);
        return;
      }
      break;
    case 13:
      if (name == "grpc-encoding") {
        encoding.assign(value);
        return;
      }
      break;
    case 20:
      if (name == "grpc-accept-encoding") return;
      break;
    default:
      break;
  }
  metadata.emplace_back(name, value);
}

std::optional<std::string> ServerCallImpl::metadata(std::string_view lower_case_name) const {
  for (const auto& [name, value] : metadata_) {
    if (name == lower_case_name) return value;
  }
  return std::nullopt;
}

std::string ServerCallImpl::peer() const {
  return session_.peer();
}

Status ServerCallImpl::CheckHead(const RequestHead& head, int* http_status) {
  *http_status = 200;
  if (head.bytes > session_.context_.limits.max_header_list_bytes) {
    *http_status = 431;
    return Status::ResourceExhausted("request header fields larger than " +
                                     std::to_string(session_.context_.limits.max_header_list_bytes) + " bytes");
  }
  if (head.method != "POST") {
    *http_status = 405;
    return Status::Internal("received a request with method \"" + head.method + "\", which should be POST");
  }
  if (!IsGrpc(head.content_type)) {
    *http_status = 415;
    return Status::InvalidArgument("invalid gRPC request content-type \"" + head.content_type + "\"");
  }
  if (!head.timeout.empty()) {
    const std::optional<std::uint64_t> timeout = ParseTimeout(head.timeout);
    if (!timeout) return Status::Internal("malformed grpc-timeout: \"" + head.timeout + "\"");
    deadline_ns_ = Reactor::NowNs() + *timeout;
  }
  if (!head.encoding.empty() && head.encoding != "identity") {
    return {StatusCode::kUnimplemented,
            "grpc: Decompressor is not installed for grpc-encoding \"" + head.encoding + "\""};
  }
  return Status::Ok();
}

void ServerCallImpl::OnHeadersEnd(RequestHead& head) {
  int http_status = 200;
  const Status good = CheckHead(head, &http_status);
  if (!good.ok()) return Reject(http_status, good);
  if (!head.metadata.empty()) metadata_ = std::move(head.metadata);
  if (deadline_ns_ != 0) session_.reactor().Arm(*this, deadline_ns_);
  if (session_.over_output_cap()) {
    Wait();
    waiting_->path = head.path;
    return;
  }
  OpenHandler(head.path);
}

void ServerCallImpl::OpenHandler(std::string_view path) {
  ++session_.context_.metrics.calls_opened;
  if (session_.context_.grpc != nullptr) handler_ = session_.context_.grpc->Open(path, *this);
  if (handler_ != nullptr || state_.finished) return;
  const std::size_t slash = path.rfind('/');
  if (path.empty() || path[0] != '/' || slash == 0) {
    return Finish({StatusCode::kUnimplemented, "malformed method name: \"" + std::string(path) + "\""});
  }
  const std::string service(path.substr(1, slash - 1));
  const bool known = session_.context_.grpc != nullptr && session_.context_.grpc->HasService(service);
  Finish({StatusCode::kUnimplemented,
          known ? "unknown method " + std::string(path.substr(slash + 1)) + " for service " + service
                : "unknown service " + service});
}

void ServerCallImpl::Wait() {
  waiting_ = std::make_unique<Waiting>();
  Queue();
}

bool ServerCallImpl::HasRoom(AnswerSize size) const {
  return !session_.over_output_cap() && (size == AnswerSize::kSmall || !session_.over_total_cap());
}

void ServerCallImpl::WhenRoom(AnswerSize size, std::function<void()> start) {
  if (state_.finished || session_.closed()) return;
  if (HasRoom(size)) return start();
  start_ = std::move(start);
  start_size_ = size;
  Queue();
}

void ServerCallImpl::Queue() {
  session_.waiting_.push_back(id_);
  if (session_.over_total_cap()) session_.Starve();
  ++session_.context_.metrics.output_over_cap;
}

void ServerCallImpl::Reserve(std::size_t bytes) {
  if (state_.finished || session_.closed()) return;
  reserved_ += bytes;
  session_.AddOutput(bytes);
}

void ServerCallImpl::Release() {
  session_.TakeOutput(std::exchange(reserved_, 0));
}

void ServerCallImpl::Consume(std::size_t bytes) {
  nghttp2_session_consume(session_.session(), id_, bytes);
}

void ServerCallImpl::OnData(std::string_view data) {
  if (state_.finished) return Consume(data.size());
  if (waiting_ == nullptr && session_.over_output_cap()) Wait();
  if (waiting_ != nullptr) {
    waiting_->input.append(data);
    return;
  }
  Consume(data.size());
  Dispatch(data);
}

void ServerCallImpl::Dispatch(std::string_view data) {
  const std::size_t before = reader_.buffered();
  const Status fed = reader_.Feed(data, session_.context_.limits.max_message_bytes, [this](std::string_view message) {
    handler_->OnMessage(message);
    return !state_.finished;
  });
  session_.unfinished_bytes_ += reader_.buffered() - before;
  if (state_.finished) return;
  if (!fed.ok()) return Finish(fed);
  if (reader_.buffered() > 0 && session_.unfinished_bytes_ > session_.context_.limits.max_unfinished_message_bytes) {
    Finish(Status::ResourceExhausted("too many bytes in unfinished messages of this connection"));
  }
}

void ServerCallImpl::OnRemoteEnd() {
  state_.remote_ended = true;
  if (state_.finished || waiting_ != nullptr) return;
  if (reader_.buffered() > 0) return Finish(Status::Internal("unexpected EOF"));
  handler_->OnHalfClose();
}

bool ServerCallImpl::Resume() {
  if (start_) {
    if (!HasRoom(start_size_)) return false;
    const std::function<void()> start = std::exchange(start_, nullptr);
    if (!state_.finished) start();
    return true;
  }
  if (waiting_ == nullptr) return true;
  const std::unique_ptr<Waiting> waited = std::move(waiting_);
  Consume(waited->input.size());
  if (state_.finished) return true;
  if (handler_ == nullptr) OpenHandler(waited->path);
  if (!state_.finished) Dispatch(waited->input);
  if (state_.remote_ended) OnRemoteEnd();
  return true;
}

void ServerCallImpl::OnTimer() {
  if (session_.closed()) return;
  ++session_.context_.metrics.deadlines_exceeded;
  // An answer that is already partly on its way cannot get other trailers; the client knows its deadline as well.
  const bool unfinished_output = output_.size() > 0;
  DropOutput();
  Release();
  start_ = nullptr;
  if (state_.finished || unfinished_output) {
    nghttp2_submit_rst_stream(session_.session(), NGHTTP2_FLAG_NONE, id_, NGHTTP2_CANCEL);
    state_.finished = true;
  } else {
    Finish({StatusCode::kDeadlineExceeded, "context deadline exceeded"});
  }
  session_.Touch();
  HandlerDone();
}

void ServerCallImpl::Send(std::string message) {
  if (state_.finished || session_.closed()) return;
  const std::size_t before = output_.size();
  output_.Push(MessagePrefix(message.size()));
  output_.Push(std::move(message));
  Release();
  session_.AddOutput(output_.size() - before);
  if (output_.size() > kCallQueueCapBytes && !state_.over_cap) {
    state_.over_cap = true;
    session_.want_writable_.push_back(id_);
  }
  if (!state_.responded) {
    state_.responded = true;
    const nghttp2_nv fields[] = {ConstantField(":status", "200"), ConstantField("content-type", "application/grpc")};
    nghttp2_data_provider provider{};
    provider.source.ptr = this;
    provider.read_callback = [](nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t length, std::uint32_t* flags,
                                nghttp2_data_source* source, void*) -> ssize_t {
      return static_cast<ServerCallImpl*>(source->ptr)->FillData(length, flags);
    };
    nghttp2_submit_response(session_.session(), id_, fields, std::size(fields), &provider);
  } else if (state_.deferred) {
    state_.deferred = false;
    nghttp2_session_resume_data(session_.session(), id_);
  }
  session_.Touch();
}

void ServerCallImpl::Finish(const Status& status) {
  if (state_.finished || session_.closed()) return;
  state_.finished = true;
  status_ = status;
  Release();
  session_.unfinished_bytes_ -= reader_.buffered();
  reader_.Clear();
  if (!state_.responded) {
    SubmitTrailersOnly(200);
  } else if (state_.deferred) {
    state_.deferred = false;
    nghttp2_session_resume_data(session_.session(), id_);
  }
  session_.Touch();
}

void ServerCallImpl::Reject(int http_status, const Status& status) {
  state_.finished = true;
  status_ = status;
  SubmitTrailersOnly(http_status);
  session_.Touch();
}

void ServerCallImpl::SubmitTrailersOnly(int http_status) {
  state_.responded = true;
  const std::string http = std::to_string(http_status);
  const StatusFields status(status_);
  std::vector<nghttp2_nv> fields = {CopiedField(":status", http), ConstantField("content-type", "application/grpc")};
  if (status_.code() == StatusCode::kUnimplemented) fields.push_back(ConstantField("grpc-accept-encoding", "identity"));
  fields.insert(fields.end(), status.data(), status.data() + status.size());
  nghttp2_submit_response(session_.session(), id_, fields.data(), fields.size(), nullptr);
}

void ServerCallImpl::SubmitTrailers() {
  if (status_.ok()) {
    const nghttp2_nv ok = ConstantField("grpc-status", "0");
    nghttp2_submit_trailer(session_.session(), id_, &ok, 1);
    return;
  }
  const StatusFields status(status_);
  nghttp2_submit_trailer(session_.session(), id_, status.data(), status.size());
}

ssize_t ServerCallImpl::FillData(std::size_t max_bytes, std::uint32_t* flags) {
  if (output_.size() == 0 && !state_.finished) {
    state_.deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const std::size_t length = std::min(max_bytes, output_.size());
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (length == output_.size() && state_.finished) {
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    SubmitTrailers();
  }
  return static_cast<ssize_t>(length);
}

void ServerCallImpl::WriteData(std::string& out, std::size_t length) {
  output_.PopInto(out, length);
  session_.TakeOutput(length);
}

void ServerCallImpl::DropOutput() {
  session_.TakeOutput(output_.size());
  output_.Clear();
}

void ServerCallImpl::OfferWritable() {
  state_.over_cap = false;
  if (!state_.finished && handler_ != nullptr) handler_->OnWritable();
}

void ServerCallImpl::OnTrailersSent() {
  if (state_.remote_ended) return;
  nghttp2_submit_rst_stream(session_.session(), NGHTTP2_FLAG_NONE, id_, NGHTTP2_NO_ERROR);
}

void ServerCallImpl::HandlerDone() {
  if (handler_ == nullptr) return;
  const std::unique_ptr<CallHandler> handler = std::move(handler_);
  handler->OnDone();
}

void ServerCallImpl::OnStreamClosed() {
  Disarm();
  state_.finished = true;
  session_.unfinished_bytes_ -= reader_.buffered();
  reader_.Clear();
  DropOutput();
  Release();
  start_ = nullptr;
  if (waiting_ != nullptr && !session_.closed()) {
    nghttp2_session_consume_connection(session_.session(), waiting_->input.size());
  }
  waiting_ = nullptr;
  HandlerDone();
}

}  // namespace quorate::net
