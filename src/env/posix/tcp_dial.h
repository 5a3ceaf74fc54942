// TcpDial: one attempt to connect to a named address, all of the addresses behind the name in turn.
//
// Called by TcpTransport. Thread rule: the executor's thread. Invariants: `done` is called once, never from inside
// Start or Cancel, and not at all after Cancel. The name is resolved anew by every dial, so a member that moved is
// found.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "env/executor.h"
#include "env/posix/host_port.h"

namespace quorate::env {

class TcpDial : public std::enable_shared_from_this<TcpDial> {
 public:
  enum class Outcome {
    kConnected,
    kRefused,  // nobody listens: every address answered so, or cannot be reached from this machine at all
    kFailed,
  };
  using Done = std::function<void(Outcome, boost::asio::ip::tcp::socket, const std::string& error)>;

  static std::shared_ptr<TcpDial> Start(boost::asio::io_context& context, Executor& executor, const HostPort& to,
                                        std::uint64_t timeout_ns, Done done);
  TcpDial(boost::asio::io_context& context, Executor& executor, Done done);  // for Start
  void Cancel();

 private:
  using Tcp = boost::asio::ip::tcp;

  void Resolve(const HostPort& to);
  void TryNext();
  void OnConnect(const boost::system::error_code& error);
  void Finish(Outcome outcome);

  Executor& executor_;
  Tcp::resolver resolver_;
  Tcp::socket socket_;
  Done done_;  // empty when over
  std::vector<Tcp::endpoint> endpoints_;
  std::size_t next_ = 0;
  TimerId deadline_ = 0;
  bool refused_ = false;  // by some address
  bool failed_ = false;   // otherwise, at some address
  std::string error_;     // of the last address that failed
};

}  // namespace quorate::env
