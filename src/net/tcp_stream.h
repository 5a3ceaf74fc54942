// TcpStream: Stream over a Boost.Asio socket. Included by the listener and the channel only (Asio is dear to compile).
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "net/stream.h"

namespace quorate::net {

class TcpStream final : public Stream {
 public:
  // Takes a connected socket; switches Nagle off and keepalive on (a peer that vanished is noticed after about two
  // minutes).
  explicit TcpStream(boost::asio::ip::tcp::socket socket);

  IoResult Read(std::span<char> into) override;
  IoResult Write(std::string_view from) override;
  void WaitReadable(std::shared_ptr<StreamEvents> events) override;
  void WaitWritable(std::shared_ptr<StreamEvents> events) override;
  void Close() override;
  std::string peer() const override;

 private:
  boost::asio::ip::tcp::socket socket_;
  int fd_;
};

}  // namespace quorate::net
