// What sender and receiver of a snapshot say to each other: the payload of peer_message.h's SnapshotFrame.
//
//   wanted (receiver)  ->  offer (sender)  ->  accept with an offset, or refused  ->  data...  ->  received... done
//
// Plain values, no thread rule. Decode is total: garbage gives nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "base/bytes.h"
#include "consensus/core.h"

namespace quorate::replica {

// A member whose keyspace is gone, though its log is good, asks the leader for the state. The consensus core of neither
// is told.
struct SnapshotWanted {};
struct SnapshotOffer {
  consensus::SnapshotMeta meta;
  std::uint64_t ballot = 0;      // of the leader: an offer of an older one is refused
  std::uint64_t size_bytes = 0;  // an estimate
  bool wanted = false;           // the answer to SnapshotWanted
};
// Send from this offset on. Also sent when data did not follow what is there.
struct SnapshotAccept {
  std::uint64_t id = 0;
  std::uint64_t offset = 0;
};
struct SnapshotRefused {
  std::uint64_t id = 0;
  std::string why;
};
struct SnapshotData {
  std::uint64_t id = 0;
  std::uint64_t offset = 0;
  bool last = false;
  Bytes bytes;
};
struct SnapshotProgress {
  std::uint64_t id = 0;
  std::uint64_t offset = 0;  // everything before it is kept
  bool done = false;         // whole, verified, durable
};
// The sender gives up, or has nothing to send.
struct SnapshotStopped {
  std::uint64_t id = 0;  // 0: the answer to SnapshotWanted
  std::string why;
};

using SnapshotMessage = std::variant<SnapshotWanted, SnapshotOffer, SnapshotAccept, SnapshotRefused, SnapshotData,
                                     SnapshotProgress, SnapshotStopped>;

Bytes EncodeSnapshotMessage(const SnapshotMessage& message);
std::optional<SnapshotMessage> DecodeSnapshotMessage(const Bytes& payload);

}  // namespace quorate::replica
