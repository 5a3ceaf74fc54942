// What Zab nodes say to each other, and what a node keeps on disk besides its log, with their encodings.
//
// Called by zab::Node. Plain values, no thread rule. Encodings are ours (base/codec.h) and carry a format version;
// decoding is total: bytes that are not a message of this version, whole and with nothing left over, give nullopt.
//
// References in this folder: Junqueira, Reed, Serafini, "Zab: High-performance broadcast for primary-backup systems",
// DSN 2011 (paper); Medeiros, "ZooKeeper's atomic broadcast protocol", 2012 (Medeiros); Shraer, Reed, Malkhi,
// Junqueira, "Dynamic reconfiguration of primary/backup clusters", USENIX ATC 2012 (ATC'12); ZOOKEEPER-n are issues of
// Apache ZooKeeper.
//
// Invariants (what Decode guarantees, so that the log never meets them broken):
//  1. Entry i of a DIFF, PROPOSE or INFORM has index after.index + 1 + i, and no index overflows.
//  2. Entry epochs never fall, none is below after.epoch or above the message's; those of PROPOSE and INFORM are the
//     message's own.
//  3. A membership entry holds a Change that decodes.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/core.h"
#include "consensus/log.h"
#include "consensus/reads.h"

namespace quorate::consensus::zab {

using Epoch = Generation;  // a primary's; 0 = before the first
// One attempt of a follower to follow; it numbers its own, rising within its life.
using SessionNumber = Id<struct SessionNumberTag>;

struct Zxid {  // of the entry at `index`; entries with the same zxid are the same, with all before them
  Epoch epoch;
  LogIndex index;
  auto operator<=>(const Zxid&) const = default;
};

// ---- Election (ZooKeeper's FastLeaderElection)

enum class State : std::uint8_t { kLooking = 1, kFollowing = 2, kLeading = 3, kObserving = 4 };
std::string_view StateName(State state);

// The order of the members is the order of votes: the freshest history wins, then whom a leaving leader named, then
// the larger id.
struct Vote {
  Epoch epoch;  // currentEpoch of who is voted for
  Zxid last;    // the end of its history
  bool nominated = false;
  ReplicaId leader;  // 0: for nobody
  auto operator<=>(const Vote&) const = default;
};

struct Notification {
  State state = State::kLooking;
  bool established = false;  // leading, and a quorum has acknowledged NEWLEADER
  std::uint64_t round = 0;   // the sender's logical clock
  Vote vote;
  Zxid config;  // the entry of the membership that the sender goes by
  friend bool operator==(const Notification&, const Notification&) = default;
};

// ---- Phase 1, discovery (paper 4.1)

struct CEpoch {     // CEPOCH, ZooKeeper's FOLLOWERINFO
  Ballot accepted;  // the newest NEWEPOCH that the follower has promised, and to whom
  friend bool operator==(const CEpoch&, const CEpoch&) = default;
};
struct NewEpoch {        // ZooKeeper's LEADERINFO
  bool secured = false;  // a quorum has promised this epoch to the sender: nobody else can get one for it
  friend bool operator==(const NewEpoch&, const NewEpoch&) = default;
};
struct AckEpoch {  // ACK-E: the promise, with the history's outline instead of the history
  Epoch current;
  LogIndex start;         // the last entry that the log has released
  std::vector<Run> runs;  // all epochs of the log with the last entry of each
  Zxid staged;            // 0: nothing; else the stream of a former session of this epoch got so far
  friend bool operator==(const AckEpoch&, const AckEpoch&) = default;
};

// ---- Phase 2, synchronization (paper 4.2)

struct Trunc {
  Zxid last_kept;
  friend bool operator==(const Trunc&, const Trunc&) = default;
};
struct Snap {  // the snapshot up to `last` has arrived beside the link
  Zxid last;
  friend bool operator==(const Snap&, const Snap&) = default;
};
struct Diff {
  Zxid after;  // the entry before these
  std::vector<Entry> entries;
  friend bool operator==(const Diff&, const Diff&) = default;
};
struct Received {  // of DIFF: for the leader's window; promises nothing
  LogIndex upto;
  friend bool operator==(const Received&, const Received&) = default;
};
struct NewLeader {
  Zxid last;  // the end of the history that is to be accepted
  friend bool operator==(const NewLeader&, const NewLeader&) = default;
};
struct AckLeader {  // ACK-LD: epoch and history are durable
  friend bool operator==(const AckLeader&, const AckLeader&) = default;
};
struct UpToDate {   // the commit of NEWLEADER
  LogIndex commit;  // the latest of the leader, as far as it was sent
  friend bool operator==(const UpToDate&, const UpToDate&) = default;
};

// ---- Phase 3, broadcast (paper 4.3)

struct Propose {
  Zxid after;
  LogIndex commit;  // a COMMIT that travels along
  std::vector<Entry> entries;
  friend bool operator==(const Propose&, const Propose&) = default;
};
struct Ack {
  LogIndex upto;  // durable up to here
  friend bool operator==(const Ack&, const Ack&) = default;
};
struct Commit {
  LogIndex upto;
  friend bool operator==(const Commit&, const Commit&) = default;
};
struct Inform {  // to learners: committed entries
  Zxid after;
  std::vector<Entry> entries;
  friend bool operator==(const Inform&, const Inform&) = default;
};

struct Ping {
  ReadRound round;  // the leader's latest confirmation round
  friend bool operator==(const Ping&, const Ping&) = default;
};
struct Pong {
  ReadRound round;  // echo
  friend bool operator==(const Pong&, const Pong&) = default;
};
struct Restart {  // the session is over: begin again with CEPOCH
  friend bool operator==(const Restart&, const Restart&) = default;
};
struct Handover {  // the leader leaves office and names its successor (ZooKeeper: COMMITANDACTIVATE)
  Vote vote;
  friend bool operator==(const Handover&, const Handover&) = default;
};
struct ReadRequest {
  ReadRequestId id;
  friend bool operator==(const ReadRequest&, const ReadRequest&) = default;
};
struct ReadReply {
  ReadRequestId id;
  std::optional<LogIndex> index;  // empty: not confirmed
  friend bool operator==(const ReadReply&, const ReadReply&) = default;
};

using Body =
    std::variant<Notification, CEpoch, NewEpoch, AckEpoch, Trunc, Snap, Diff, Received, NewLeader, AckLeader, UpToDate,
                 Propose, Ack, Commit, Inform, Ping, Pong, Restart, Handover, ReadRequest, ReadReply>;

struct Message {
  Epoch epoch;            // the leader's; 0 in a notification and in CEPOCH
  SessionNumber session;  // 0 in a notification
  Body body;
  friend bool operator==(const Message&, const Message&) = default;
};

Bytes EncodeMessage(const Message& message);
std::optional<Message> DecodeMessage(const Bytes& input);  // payloads of entries share input's memory

// What must survive besides the log (paper, table of persistent variables: f.p and f.a).
struct HardState {
  Ballot accepted;       // acceptedEpoch: the last NEWEPOCH promised, and to whom
  Epoch current;         // currentEpoch: the last NEWLEADER accepted
  LogIndex commit;       // a lower bound
  Membership bootstrap;  // the members that the log began with; not used once there is a snapshot
  friend bool operator==(const HardState&, const HardState&) = default;
};

Bytes EncodeHardState(const HardState& state);
std::optional<HardState> DecodeHardState(const Bytes& input);

}  // namespace quorate::consensus::zab
