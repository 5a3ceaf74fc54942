#include "env/posix/peer_handshake.h"

#include <algorithm>

#include "base/check.h"
#include "base/codec.h"

namespace quorate::env {
namespace {

constexpr std::size_t kProtocolNameMax = 32;

std::string Hex(std::uint64_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = 0; i < text.size(); ++i) text[text.size() - 1 - i] = kDigits[(value >> (4 * i)) & 0xf];
  return text;
}

std::string Versions(const PeerHello& hello) {
  return std::to_string(hello.version_min) + " to " + std::to_string(hello.version_max);
}

}  // namespace

std::string_view PeerRejectionName(PeerRejection reason) {
  switch (reason) {
    case PeerRejection::kMalformed:
      return "malformed";
    case PeerRejection::kTimeout:
      return "timeout";
    case PeerRejection::kNoCommonVersion:
      return "no_common_version";
    case PeerRejection::kWrongCluster:
      return "wrong_cluster";
    case PeerRejection::kWrongReceiver:
      return "wrong_receiver";
    case PeerRejection::kUnknownSender:
      return "unknown_sender";
    case PeerRejection::kOtherProtocol:
      return "other_protocol";
    case PeerRejection::kStaleIncarnation:
      return "stale_incarnation";
    case PeerRejection::kDuplicate:
      return "duplicate";
    case PeerRejection::kTooMany:
      return "too_many";
    case PeerRejection::kOtherDirectory:
      return "other_directory";
    case PeerRejection::kRemoved:
      return "removed";
  }
  return "unknown";
}

std::string EncodePeerHello(const PeerHello& hello) {
  Writer w;
  w.Put8(hello.version_min);
  w.Put8(hello.version_max);
  w.Put64(hello.cluster.value);
  w.PutId(hello.sender);
  w.PutId(hello.receiver);
  w.PutId(hello.incarnation);
  w.PutVarint(hello.attempt);
  w.PutBytes(hello.protocol);
  w.Put64(hello.directory);
  w.PutVarint(hello.feature_level);
  return std::move(w).Take();
}

std::optional<PeerHello> DecodePeerHello(std::string_view input) {
  Reader r(input);
  PeerHello hello;
  hello.version_min = r.Get8();
  hello.version_max = r.Get8();
  hello.cluster = ClusterId(r.Get64());
  hello.sender = r.GetId<ReplicaId>();
  hello.receiver = r.GetId<ReplicaId>();
  hello.incarnation = r.GetId<Incarnation>();
  hello.attempt = r.GetVarint();
  hello.protocol = std::string(r.GetBytes());
  hello.directory = r.Get64();
  if (r.ok() && !r.AtEnd()) hello.feature_level = static_cast<std::uint32_t>(r.GetVarint());
  if (!r.ok() || hello.version_min > hello.version_max || hello.protocol.size() > kProtocolNameMax) return std::nullopt;
  return hello;
}

std::string EncodePeerReject(PeerRejection reason) {
  return std::string(1, static_cast<char>(reason));
}

std::optional<PeerRejection> DecodePeerReject(std::string_view input) {
  const std::uint8_t reason = Reader(input).Get8();
  if (reason == 0 || reason >= kPeerRejections) return std::nullopt;
  return static_cast<PeerRejection>(reason);
}

std::optional<PeerRejection> CheckPeerHello(const PeerHello& mine, const PeerHello& theirs,
                                            const std::function<std::optional<SeenPeer>(ReplicaId)>& seen_of) {
  if (theirs.version_max < mine.version_min || theirs.version_min > mine.version_max) {
    return PeerRejection::kNoCommonVersion;
  }
  if (theirs.cluster != mine.cluster) return PeerRejection::kWrongCluster;
  if (theirs.receiver != mine.sender) return PeerRejection::kWrongReceiver;
  const std::optional<SeenPeer> seen = seen_of(theirs.sender);
  if (!seen || theirs.sender == mine.sender) return PeerRejection::kUnknownSender;
  if (mine.receiver && theirs.sender != mine.receiver) return PeerRejection::kUnknownSender;
  if (seen->removed) return PeerRejection::kRemoved;
  if (theirs.protocol != mine.protocol) return PeerRejection::kOtherProtocol;
  if (seen->directory != 0 && theirs.directory != seen->directory) return PeerRejection::kOtherDirectory;
  if (!theirs.incarnation || theirs.incarnation < seen->incarnation) return PeerRejection::kStaleIncarnation;
  return std::nullopt;
}

std::uint8_t CommonPeerVersion(const PeerHello& mine, const PeerHello& theirs) {
  const std::uint8_t version = std::min(mine.version_max, theirs.version_max);
  CHECK(version >= mine.version_min && version >= theirs.version_min) << Versions(mine) << " and " << Versions(theirs);
  return version;
}

std::string ExplainPeerRejection(PeerRejection reason, const PeerHello& mine, const PeerHello& theirs) {
  const std::string sender = "member " + Hex(theirs.sender.value);
  switch (reason) {
    case PeerRejection::kMalformed:
      return "it does not speak the peer protocol: something else is using the peer port; check who connects to it";
    case PeerRejection::kTimeout:
      return "it did not finish its handshake in time: check the network and whether that process is stopped";
    case PeerRejection::kNoCommonVersion:
      return sender + " speaks peer versions " + Versions(theirs) + ", this node " + Versions(mine) +
             ": upgrade the older one";
    case PeerRejection::kWrongCluster:
      return sender + " belongs to cluster " + Hex(theirs.cluster.value) + ", this node to " + Hex(mine.cluster.value) +
             ": give both the same --initial-cluster and --cluster-token, or correct the address";
    case PeerRejection::kWrongReceiver:
      return sender + " wanted member " + Hex(theirs.receiver.value) + " and reached " + Hex(mine.sender.value) +
             ": correct the addresses in its --initial-cluster";
    case PeerRejection::kUnknownSender:
      return sender + " is not the member that belongs here: correct the names and addresses in --initial-cluster";
    case PeerRejection::kOtherProtocol:
      return sender + " runs " + theirs.protocol + ", this node " + mine.protocol +
             ": start all members with the same --protocol";
    case PeerRejection::kStaleIncarnation:
      return sender + " calls with incarnation " + std::to_string(theirs.incarnation.value) +
             ", and a later one has been seen: stop the second process, or the data directory is an old copy";
    case PeerRejection::kDuplicate:
      return "a connection in the other direction is kept";
    case PeerRejection::kTooMany:
      return "too many connections that have not finished their handshake: check who connects to the peer port";
    case PeerRejection::kOtherDirectory:
      return sender +
             " starts with another data directory than the one this node knows under its id: it has forgotten " +
             "what it promised and must come back under a new id, or with its old directory";
    case PeerRejection::kRemoved:
      return sender + " was removed from the cluster: stop it; its data directory is of no use any more";
  }
  return "unknown reason";
}

}  // namespace quorate::env
