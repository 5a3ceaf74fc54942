// ServerCallImpl: one gRPC call of a server session, between nghttp2's stream and the frontend's handler. Private to
// net/.
//
// The session's callbacks feed it; the handler answers through ServerCall. Thread rule: the reactor's thread.
// Invariants:
//  1. ServerCall's methods only queue and submit; they never call the handler and never delete the call.
//  2. Between FillData (which promises n bytes to nghttp2) and WriteData (which delivers them) the queue only grows.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/byte_queue.h"
#include "net/grpc.h"
#include "net/grpc_server.h"
#include "net/timer_wheel.h"

namespace quorate::net {

class H2ServerSession;

// The request headers being received. One per session, used again for every call: header blocks do not interleave.
struct RequestHead {
  std::string method;
  std::string path;
  std::string content_type;
  std::string encoding;
  std::string timeout;
  std::vector<std::pair<std::string, std::string>> metadata;  // only names that net/ itself does not know
  std::size_t bytes = 0;                                      // as RFC 9113 section 6.5.2 counts them
  void Clear();
  void Add(std::string_view name, std::string_view value, std::size_t max_bytes);
};

class ServerCallImpl final : public ServerCall, private Timer {
 public:
  ServerCallImpl(H2ServerSession& session, std::int32_t id) : session_(session), id_(id) {}

  void Send(std::string message) override;
  void Finish(const Status& status) override;
  std::size_t queued_bytes() const override { return output_.size(); }
  bool HasRoom(AnswerSize size) const override;
  void WhenRoom(AnswerSize size, std::function<void()> start) override;
  void Reserve(std::size_t bytes) override;
  std::optional<std::string> metadata(std::string_view lower_case_name) const override;
  std::uint64_t deadline_ns() const override { return deadline_ns_; }
  std::string peer() const override;

  void OnHeadersEnd(RequestHead& head);
  void OnData(std::string_view data);
  void OnRemoteEnd();
  void OnStreamClosed();  // the handler's OnDone; the call is deleted by the session afterwards
  bool Resume();          // the connection's output has drained: go on with what waited; false: it goes on waiting
  void OfferWritable();
  void OnTrailersSent();  // RST_STREAM(NO_ERROR) if the client is still sending
  ssize_t FillData(std::size_t max_bytes, std::uint32_t* flags);
  void WriteData(std::string& out, std::size_t length);
  std::int32_t id() const { return id_; }
  std::size_t slot = 0;  // in the session's list

 private:
  void OnTimer() override;
  Status CheckHead(const RequestHead& head, int* http_status);
  void OpenHandler(std::string_view path);
  void Dispatch(std::string_view data);
  void Reject(int http_status, const Status& status);
  void SubmitTrailersOnly(int http_status);
  void SubmitTrailers();
  void Wait();
  void Queue();
  void DropOutput();
  void Release();
  void Consume(std::size_t bytes);
  void HandlerDone();

  struct Waiting {
    std::string path;  // of a call that is not open yet
    std::string input;
  };

  H2ServerSession& session_;
  const std::int32_t id_;
  std::unique_ptr<CallHandler> handler_;
  MessageReader reader_;
  ByteQueue output_;
  Status status_;
  std::uint64_t deadline_ns_ = 0;
  std::vector<std::pair<std::string, std::string>> metadata_;
  std::unique_ptr<Waiting> waiting_;  // set while the connection's output is over its cap
  std::function<void()> start_;       // of WhenRoom, while it waits
  AnswerSize start_size_ = AnswerSize::kSmall;
  std::size_t reserved_ = 0;
  struct {
    bool responded : 1 = false;  // response headers are submitted
    bool deferred : 1 = false;   // nghttp2 waits for nghttp2_session_resume_data
    bool finished : 1 = false;
    bool remote_ended : 1 = false;
    bool over_cap : 1 = false;  // OnWritable is owed
  } state_;
};

}  // namespace quorate::net
