// A Listener on a free loopback port, on a thread of its own, for tests of either side. Test support only.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "net/listener.h"

namespace quorate::net {

class TestServer {
 public:
  // Runs `act` on the server's thread and waits for it.
  template <class Act>
  auto Run(Act act) {
    std::packaged_task<decltype(act())()> task(std::move(act));
    auto done = task.get_future();
    boost::asio::post(context_, [&task] { task(); });
    return done.get();
  }

  explicit TestServer(GrpcService* grpc, HttpService* http = nullptr, ServerLimits limits = {})
      : context_(1), work_(context_.get_executor()), reactor_(context_) {
    listener_ = std::make_unique<Listener>(reactor_, limits, grpc, http);
    port_ = listener_->Listen("127.0.0.1", 0).value();
    thread_ = std::thread([this] { context_.run(); });
  }
  ~TestServer() {
    Run([this] { listener_.reset(); });
    work_.reset();
    thread_.join();
  }

  // True once `condition`, evaluated on the server's thread, holds; false after a minute without it.
  template <class Condition>
  bool Eventually(Condition condition) {
    for (int i = 0; i < 6000; ++i) {
      if (Run(condition)) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  ServerMetrics metrics() {
    return Run([this] { return listener_->metrics(); });
  }
  Listener& listener() { return *listener_; }
  std::uint16_t port() const { return port_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  Reactor reactor_;
  std::unique_ptr<Listener> listener_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

}  // namespace quorate::net
