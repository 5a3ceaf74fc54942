// H1ServerSession: one HTTP/1.1 connection (the JSON gateway, /health, /metrics). Private to net/.
//
// Parsing is Boost.Beast's, bounded by ServerLimits; one request at a time, answered in order, keep-alive. Thread rule:
// the reactor's thread. Invariant: bytes beyond the request being answered stay in input_, at most a header's worth:
// the socket is not read while an answer is owed.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "net/listener.h"
#include "net/stream.h"
#include "net/timer_wheel.h"

namespace quorate::net {

class H1ServerSession final : public StreamEvents,
                              public ServerConnection,
                              public std::enable_shared_from_this<H1ServerSession>,
                              private Timer {
 public:
  H1ServerSession(ServerContext& context, std::unique_ptr<Stream> stream);
  ~H1ServerSession() override;

  void Start(std::string_view first_bytes);
  void OnReadable() override;
  void OnWritable() override;
  void Drain() override;
  void Abort() override;

 private:
  class Parser;

  void OnTimer() override;
  void Parse();
  void Dispatch();
  void Refuse(int status);
  void Answer(const HttpResponse& response);
  void Write();
  void Close();
  void ArmRead();

  ServerContext& context_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Parser> parser_;  // of the request being received; none while idle
  std::string input_;
  std::string output_;
  std::size_t output_sent_ = 0;
  bool keep_alive_ = true;
  bool head_only_ = false;
  bool answering_ = false;
  bool closed_ = false;
};

}  // namespace quorate::net
