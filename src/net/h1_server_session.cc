#include "net/h1_server_session.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <utility>

namespace quorate::net {

namespace http = boost::beast::http;

class H1ServerSession::Parser : public http::request_parser<http::string_body> {};

namespace {

int StatusOf(const boost::system::error_code& error) {
  if (error == http::error::header_limit) return 431;
  if (error == http::error::body_limit) return 413;
  if (error == http::error::bad_version) return 505;
  return 400;
}

}  // namespace

H1ServerSession::H1ServerSession(ServerContext& context, std::unique_ptr<Stream> stream)
    : context_(context), stream_(std::move(stream)) {}
H1ServerSession::~H1ServerSession() = default;

void H1ServerSession::Start(std::string_view first_bytes) {
  context_.reactor.Arm(*this, Reactor::NowNs() + context_.limits.http1_idle_timeout_ns);
  input_.assign(first_bytes);
  Parse();
  ArmRead();
}

void H1ServerSession::ArmRead() {
  if (!closed_ && !answering_) stream_->WaitReadable(shared_from_this());
}

void H1ServerSession::OnReadable() {
  const auto self = shared_from_this();
  if (closed_ || answering_) return;
  const std::span<char> buffer = context_.reactor.read_buffer();
  const IoResult got = stream_->Read(buffer);
  if (got.state == IoResult::State::kClosed) return Close();
  context_.metrics.bytes.received += got.bytes;
  input_.append(buffer.data(), got.bytes);
  Parse();
  ArmRead();
}

void H1ServerSession::Parse() {
  if (closed_ || answering_ || input_.empty()) return;
  if (parser_ == nullptr) {
    parser_ = std::make_unique<Parser>();
    parser_->eager(true);
    parser_->header_limit(static_cast<std::uint32_t>(context_.limits.http1_header_bytes));
    parser_->body_limit(context_.limits.http1_body_bytes);
    context_.reactor.Arm(*this, Reactor::NowNs() + context_.limits.header_timeout_ns);
  }
  boost::system::error_code error;
  const std::size_t used = parser_->put(boost::asio::buffer(input_), error);
  input_.erase(0, used);
  if (error && error != http::error::need_more) return Refuse(StatusOf(error));
  if (parser_->is_done()) {
    Dispatch();
  } else if (parser_->is_header_done()) {
    // A slow body gets the idle timeout: it is bounded, and each piece is progress.
    context_.reactor.Arm(*this, Reactor::NowNs() + context_.limits.http1_idle_timeout_ns);
  }
}

void H1ServerSession::Dispatch() {
  Disarm();
  ++context_.metrics.http1_requests;
  answering_ = true;
  auto message = parser_->release();
  parser_ = nullptr;
  keep_alive_ = keep_alive_ && message.keep_alive();
  head_only_ = message.method() == http::verb::head;
  HttpRequest request{std::string(message.method_string()), std::string(message.target()), std::move(message.body())};
  if (context_.http == nullptr) return Answer({404, "text/plain; charset=utf-8", "404 page not found\n"});
  context_.http->Handle(request, [self = shared_from_this()](HttpResponse response) {
    if (!self->closed_ && self->answering_) self->Answer(response);
  });
}

void H1ServerSession::Refuse(int status) {
  ++context_.metrics.protocol_errors;
  Disarm();
  answering_ = true;
  keep_alive_ = false;
  head_only_ = false;
  parser_ = nullptr;
  const std::string reason(http::obsolete_reason(static_cast<http::status>(status)));
  Answer({status, "text/plain; charset=utf-8", std::to_string(status) + " " + reason + "\n"});
}

void H1ServerSession::Answer(const HttpResponse& response) {
  output_ = "HTTP/1.1 " + std::to_string(response.status) + " " +
            std::string(http::obsolete_reason(static_cast<http::status>(response.status))) +
            "\r\nContent-Type: " + response.content_type +
            "\r\nContent-Length: " + std::to_string(response.body.size()) +
            (keep_alive_ ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
  if (!head_only_) output_ += response.body;
  output_sent_ = 0;
  Write();
}

void H1ServerSession::Write() {
  const IoResult put = stream_->Write(std::string_view(output_).substr(output_sent_));
  context_.metrics.bytes.sent += put.bytes;
  output_sent_ += put.bytes;
  if (put.state == IoResult::State::kClosed) return Close();
  if (output_sent_ < output_.size()) {
    context_.reactor.Arm(*this, Reactor::NowNs() + context_.limits.http1_idle_timeout_ns);
    return stream_->WaitWritable(shared_from_this());
  }
  output_ = {};
  if (!keep_alive_) return Close();
  // The next request is looked at from the loop: an answer given inside Handle must not recurse through a pipeline.
  context_.reactor.Arm(*this, Reactor::NowNs() + context_.limits.http1_idle_timeout_ns);
  stream_->WaitWritable(shared_from_this());
}

void H1ServerSession::OnWritable() {
  const auto self = shared_from_this();
  if (closed_) return;
  if (!output_.empty()) return Write();
  answering_ = false;
  if (input_.empty()) input_ = {};
  Parse();
  ArmRead();
}

void H1ServerSession::OnTimer() {
  Close();
}

void H1ServerSession::Drain() {
  keep_alive_ = false;
  if (!answering_ && parser_ == nullptr) Close();
}

void H1ServerSession::Abort() {
  Close();
}

void H1ServerSession::Close() {
  if (closed_) return;
  const auto self = shared_from_this();
  closed_ = true;
  Disarm();
  stream_->Close();
  context_.forget(this);
}

}  // namespace quorate::net
