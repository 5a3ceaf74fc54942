// PeerConnection: one socket between two nodes, cut into frames. Knows nothing of handshakes, members or links.
//
// Owned by TcpTransport. Thread rule: the executor's thread; the events come from the loop, never from inside a call.
//
// Invariants:
//  1. Frames leave in the order of Send; all frames queued in one turn of the loop leave in one writev (as long as the
//     socket takes them).
//  2. After Close, and after OnClosed, there is no further event.
//  3. Memory: what is queued (the owner looks at queued_bytes), one frame that is arriving, one read buffer.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "env/posix/peer_frame.h"

namespace quorate::env {

class PeerConnection;

class PeerConnectionEvents {
 public:
  virtual ~PeerConnectionEvents() = default;
  virtual void OnFrame(PeerConnection& connection, PeerFrame frame) = 0;
  virtual void OnClosed(PeerConnection& connection, const std::string& why, bool garbage) = 0;
};

// Shared by all connections of a transport.
struct PeerTraffic {
  std::uint64_t frames_sent = 0;
  std::uint64_t frames_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t writes = 0;  // writev calls that completed
};

class PeerConnection : public std::enable_shared_from_this<PeerConnection> {
 public:
  // `events` and `traffic` live until Close.
  PeerConnection(boost::asio::ip::tcp::socket socket, PeerConnectionEvents* events, PeerTraffic* traffic);

  void StartReading();  // in the form of a handshake until SwitchTo
  void SwitchTo(std::uint8_t version, std::size_t payload_max);
  void Send(PeerFrameKind kind, Bytes payload);
  void Close();
  // Sends what is queued, then ends the sending half; frames that still arrive are dropped by the owner. The other
  // end's close ends it.
  void FinishSending();

  std::size_t queued_bytes() const { return queued_bytes_; }
  std::string_view remote() const { return remote_; }  // "address:port"

 private:
  struct Queued {
    PeerFrameHeader header;
    Bytes payload;
  };

  void Read();
  void OnRead(std::size_t size);
  void QueueFlush();
  void Write();
  std::vector<boost::asio::const_buffer> TakeBatch(std::size_t* bytes);
  void Fail(const std::string& why, bool garbage);

  boost::asio::ip::tcp::socket socket_;
  PeerConnectionEvents* events_;  // nullptr once closed
  PeerTraffic* traffic_;
  std::string remote_;
  PeerFrameParser parser_;
  std::uint8_t version_ = 0;  // of messages; 0 until SwitchTo
  std::vector<char> read_buffer_;
  std::deque<Queued> queue_;
  std::size_t queued_bytes_ = 0;  // of queue_ and of the batch that is being written
  std::string staging_;           // of that batch: headers and small payloads
  std::vector<Bytes> large_;      // of that batch: payloads that are not worth a copy
  bool writing_ = false;
  bool flush_posted_ = false;
  bool finish_ = false;
};

}  // namespace quorate::env
