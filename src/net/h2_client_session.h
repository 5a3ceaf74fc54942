// H2ClientSession: one HTTP/2 connection of a gRPC channel. Private to net/.
//
// Turns nghttp2's callbacks into ClientCallHandler calls. Thread rule: the reactor's thread. Invariant: a call's
// handler is dropped before its OnDone runs, so nothing reaches it afterwards, whatever order the frames come in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/grpc_client.h"
#include "net/h2_transport.h"

namespace quorate::net {

class ClientCallImpl;

class H2ClientSession final : public H2Transport {
 public:
  struct Events {
    std::function<void()> ready;                         // the server's SETTINGS are here
    std::function<void()> draining;                      // GOAWAY
    std::function<void(const std::string& why)> closed;  // after the last call's OnDone
  };
  H2ClientSession(Reactor& reactor, std::unique_ptr<Stream> stream, const ChannelOptions& options,
                  std::string authority, ChannelMetrics& metrics, Events events);
  ~H2ClientSession() override;

  void Start();
  ClientCall* StartCall(std::string_view path, std::string message, bool unary, ClientCallHandler* handler,
                        std::uint64_t timeout_ns, const CallMetadata* metadata);
  void CloseSoon();  // at the end of this turn
  void CloseNow(const std::string& why) { Close(why); }
  void DropEvents() { events_ = {}; }

 private:
  friend class ClientCallImpl;
  struct Callbacks;

  void OnClosed(const std::string& why) override;
  void AfterFlush() override;
  bool WantsClose() const override { return closing_; }

  std::unique_ptr<ClientCallImpl> NewCall();
  void Detach(ClientCallImpl& call, std::uint32_t error_code);
  void OnSettings();
  void OnGoaway(const std::string& why);

  const ChannelOptions options_;
  const std::string authority_;
  ChannelMetrics& metrics_;
  Events events_;
  std::vector<std::unique_ptr<ClientCallImpl>> calls_;
  std::vector<std::unique_ptr<ClientCallImpl>> spare_;  // ended calls, to use again
  std::vector<std::int32_t> want_writable_;
  std::vector<nghttp2_nv> fields_;  // of the request being made
  std::string goaway_;              // its words, for the calls that end because of it
  std::string timeout_text_;
  std::uint64_t timeout_ns_ = 0;  // what timeout_text_ says
  bool ready_ = false;
  bool closing_ = false;
};

}  // namespace quorate::net
