// The peer handshake: who is calling whom, and whether these two may talk.
//
// The dialler sends a hello, the listener answers with a welcome, the dialler confirms; each checks the other. Both
// messages are a PeerHello. Called by TcpTransport; thread rule: plain functions. The first fields keep their meaning
// for ever and a reader ignores what follows those it knows, so that two versions can always tell each other that they
// do not fit.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/ids.h"

namespace quorate::env {

inline constexpr std::size_t kPeerHelloBytesMax = 1024;
inline constexpr std::uint8_t kPeerVersionMin = 1;  // of message frames
inline constexpr std::uint8_t kPeerVersionMax = 1;

struct PeerHello {
  std::uint8_t version_min = kPeerVersionMin;
  std::uint8_t version_max = kPeerVersionMax;
  ClusterId cluster;
  ReplicaId sender;
  ReplicaId receiver;
  Incarnation incarnation;    // of the sender
  std::uint64_t attempt = 0;  // the dialler's count of dials in this life; a welcome repeats it
  std::string protocol;       // "raft", "paxos", "zab"
  // Chosen at random when the sender's data directory was made; 0 = unknown. Another one under the same id is a member
  // that has forgotten what it promised.
  std::uint64_t directory = 0;
  std::uint32_t feature_level = 1;  // the highest that the sender's build knows; builds that do not say know 1
  friend bool operator==(const PeerHello&, const PeerHello&) = default;
};

enum class PeerRejection : std::uint8_t {
  kMalformed = 1,         // not a handshake
  kTimeout = 2,           // the handshake did not end in time
  kNoCommonVersion = 3,   //
  kWrongCluster = 4,      //
  kWrongReceiver = 5,     // it wanted somebody else
  kUnknownSender = 6,     // not a member
  kOtherProtocol = 7,     //
  kStaleIncarnation = 8,  // a life of the sender that is over
  kDuplicate = 9,         // the connection dialled from the other end is kept; nothing is wrong
  kTooMany = 10,          // pushed out by newer connections before its handshake ended
  kOtherDirectory = 11,   // its id has been seen with another data directory
  kRemoved = 12,          // it was a member, and is none any more
};
inline constexpr std::size_t kPeerRejections = 13;  // array size by reason

std::string_view PeerRejectionName(PeerRejection reason);

std::string EncodePeerHello(const PeerHello& hello);
std::optional<PeerHello> DecodePeerHello(std::string_view input);
std::string EncodePeerReject(PeerRejection reason);
std::optional<PeerRejection> DecodePeerReject(std::string_view input);

// What a node knows of a member: the highest incarnation and the data directory it has seen; 0 = none yet.
struct SeenPeer {
  Incarnation incarnation;
  std::uint64_t directory = 0;
  bool removed = false;  // from the cluster, for good
};

// Why `theirs` is not acceptable to the node that would say `mine`. `seen_of` gives nothing for somebody who is no
// member.
std::optional<PeerRejection> CheckPeerHello(const PeerHello& mine, const PeerHello& theirs,
                                            const std::function<std::optional<SeenPeer>(ReplicaId)>& seen_of);
// The highest version both speak. REQUIRES that there is one.
std::uint8_t CommonPeerVersion(const PeerHello& mine, const PeerHello& theirs);

// One line for the operator: what is wrong and what to do about it.
std::string ExplainPeerRejection(PeerRejection reason, const PeerHello& mine, const PeerHello& theirs);

}  // namespace quorate::env
