// The frames of a connection between two nodes: 16 bytes of header, then the payload.
//
//   magic 4 | format version 1 | kind 1 | zero 2 | payload length 4 | CRC-32C of the 12 bytes before and the payload 4
//
// Integers are little-endian. A connection begins with handshake frames, always of version 1 (peer_handshake.h), and
// goes on with messages of the version both agreed on. Called by PeerConnection; thread rule: plain values.
//
// Invariant: a parser holds at most one payload, and no more of it than has arrived; a length over the limit, a wrong
// magic, version, kind or checksum makes it bad for good. What follows a bad frame cannot be trusted: the connection is
// closed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace quorate::env {

inline constexpr std::size_t kPeerFrameHeaderBytes = 16;
inline constexpr std::size_t kPeerFramePayloadMax = 64 << 20;
inline constexpr std::uint8_t kPeerHandshakeVersion = 1;  // of handshake frames, for ever

enum class PeerFrameKind : std::uint8_t {
  kHello = 1,    // the dialler says who it is and whom it wants
  kWelcome = 2,  // the listener's answer
  kConfirm = 3,  // the dialler takes it: the link is up
  kReject = 4,   // the answer to a hello or a welcome that is not acceptable
  kMessage = 5,
  kJoin = 6,        // instead of a hello: somebody with an empty data directory asks who it is (server/join.h)
  kJoinAnswer = 7,  // and is told; the connection ends here
};

struct PeerFrame {
  PeerFrameKind kind = PeerFrameKind::kMessage;
  Bytes payload;
};

using PeerFrameHeader = std::array<char, kPeerFrameHeaderBytes>;
// REQUIRES payload.size() < 4 GiB.
PeerFrameHeader EncodePeerFrameHeader(PeerFrameKind kind, std::uint8_t version, std::string_view payload);

class PeerFrameParser {
 public:
  PeerFrameParser(std::uint8_t version, std::size_t payload_max) : version_(version), payload_max_(payload_max) {}
  // From the next frame on.
  void Expect(std::uint8_t version, std::size_t payload_max);
  // Takes bytes off the front of *input and gives the next whole frame. Empty: all input is taken, or bad.
  std::optional<PeerFrame> Next(std::string_view* input);
  const char* error() const { return error_; }  // nullptr while all was well

 private:
  bool ParseHeader();

  std::uint8_t version_;
  std::size_t payload_max_;
  PeerFrameHeader header_{};
  std::size_t header_filled_ = 0;
  std::uint32_t length_ = 0;
  std::string payload_;
  const char* error_ = nullptr;
};

}  // namespace quorate::env
