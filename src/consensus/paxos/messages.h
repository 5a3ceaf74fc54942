// What Paxos replicas say to each other, and what one keeps on disk besides its acceptances, with their encodings. The
// phases are those of Lamport, "Paxos Made Simple" (section 2.2 for one value, section 3 for a sequence of slots).
//
// Called by paxos::Node. Plain values, no thread rule. Encodings are ours (base/codec.h) and carry a format version;
// decoding is total: bytes that are not a message of this version, whole and with nothing left over, give nullopt.
//
// Invariants (what Decode guarantees, so that the parts never meet it broken):
//  1. Slots of one message rise strictly, none is 0 or above kSlotMax; no round is above kRoundMax.
//  2. No entry has a ballot above the message's own; those of a phase 2a have exactly that one.
//  3. A membership entry holds a Change that decodes.
//  4. A ballot that somebody leads or campaigns with has an owner.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/core.h"
#include "consensus/paxos/quorums.h"
#include "consensus/reads.h"

namespace quorate::consensus::paxos {

constexpr LogIndex kSlotMax{std::uint64_t{1} << 62};
constexpr std::uint64_t kRoundMax = std::uint64_t{1} << 62;

// Why somebody would lead; an acceptor that hears from a live leader grants only what overrides it.
enum class Campaign : std::uint8_t {
  kTimeout = 1,   // nothing was heard from a leader for an election timeout
  kTransfer = 2,  // the leader asked the candidate to take over
  kRefused = 3,   // nobody listens at the leader's address: its process is gone
};

struct SlotRange {
  LogIndex first;
  LogIndex last;
  friend bool operator==(const SlotRange&, const SlotRange&) = default;
};

// ---- Before phase 1: who would lead asks first, and promises nothing by that
struct Poll {
  std::uint64_t number = 0;  // of the asker's polls
  Campaign campaign = Campaign::kTimeout;
  LogIndex first_open;  // the first slot that the asker does not know to be chosen
  friend bool operator==(const Poll&, const Poll&) = default;
};
struct PollReply {
  std::uint64_t number = 0;
  bool granted = false;
  friend bool operator==(const PollReply&, const PollReply&) = default;
};

// ---- Phase 1, for all slots from `from` on at once. Asked again from a later slot it gives the next page.
struct Phase1a {
  Campaign campaign = Campaign::kTimeout;
  LogIndex from;
  Ballot handed;  // kTransfer: the ballot whose leader gave up; no lease of another one is broken by it
  friend bool operator==(const Phase1a&, const Phase1a&) = default;
};
struct Phase1b {
  LogIndex from;    // echo
  LogIndex chosen;  // the acceptor knows all slots up to here to be chosen, and reports only those above
  LogIndex next;    // the page ends before this slot; 0 = nothing is left
  std::vector<Entry> accepted;
  friend bool operator==(const Phase1b&, const Phase1b&) = default;
};
struct Preempted {  // the sender has promised the ballot of this message, a higher one than it was asked with
  friend bool operator==(const Preempted&, const Preempted&) = default;
};

// ---- Phase 2
struct Phase2a {
  LogIndex chosen;  // all slots up to here are chosen
  std::vector<Entry> entries;
  friend bool operator==(const Phase2a&, const Phase2a&) = default;
};
struct Phase2b {
  std::vector<SlotRange> accepted;  // durably, with the message's ballot, or known to be chosen
  LogIndex match;                   // that holds of every slot up to here
  friend bool operator==(const Phase2b&, const Phase2b&) = default;
};

// ---- Learning
struct Chosen {  // notice: all slots up to here are chosen. Who accepted one with this ballot has its value.
  LogIndex upto;
  friend bool operator==(const Chosen&, const Chosen&) = default;
};
struct Decision {  // chosen values for who may not have them
  LogIndex chosen;
  std::vector<Entry> entries;
  friend bool operator==(const Decision&, const Decision&) = default;
};
struct Learned {  // the answer to a leader's Decision; `match` as in Phase2b
  LogIndex match;
  friend bool operator==(const Learned&, const Learned&) = default;
};
struct Learn {  // asked by who has finished phase 1 and is behind what an acceptor knows; answered by Decision
  LogIndex from;
  friend bool operator==(const Learn&, const Learn&) = default;
};

// ---- A leader's presence
struct Heartbeat {
  LogIndex chosen;
  ReadRound round;  // the latest confirmation round
  LogIndex sent;    // the last slot sent to this follower before this message
  LogIndex match;   // what it has acknowledged
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};
struct HeartbeatReply {
  ReadRound round;     // echo
  LogIndex sent;       // echo
  LogIndex echoed;     // echo of Heartbeat::match
  LogIndex held;       // every slot up to here is known to be chosen or accepted with this ballot, durable or not
  LogIndex match;      // the durable part of it
  LogIndex known;      // every slot up to here is durably known to be chosen: a restart finds it so
  bool lease = false;  // and no other proposer is answered for an election timeout from now on
  friend bool operator==(const HeartbeatReply&, const HeartbeatReply&) = default;
};
struct TakeOver {  // leadership transfer: begin phase 1 at once
  friend bool operator==(const TakeOver&, const TakeOver&) = default;
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

using Body = std::variant<Poll, PollReply, Phase1a, Phase1b, Preempted, Phase2a, Phase2b, Chosen, Decision, Learned,
                          Learn, Heartbeat, HeartbeatReply, TakeOver, ReadRequest, ReadReply>;

struct Message {
  Parameters parameters;
  // Of a proposer's message: its ballot. Of an answer: the ballot that is answered. Of Preempted, Poll, PollReply,
  // ReadRequest and ReadReply: what the sender has promised.
  Ballot ballot;
  Body body;
  friend bool operator==(const Message&, const Message&) = default;
};

Bytes EncodeMessage(const Message& message);
std::optional<Message> DecodeMessage(const Bytes& input);  // payloads of entries share input's memory

// What must survive besides the acceptances. `chosen` may lag.
struct HardState {
  Ballot promised;
  LogIndex chosen;       // all slots up to here are chosen and, as they stand on disk, hold the chosen value
  Life life;             // raised at every start
  Membership bootstrap;  // the members that the log began with; not used once there is a snapshot
  Parameters parameters;
  friend bool operator==(const HardState&, const HardState&) = default;
};

Bytes EncodeHardState(const HardState& state);
std::optional<HardState> DecodeHardState(const Bytes& input);

}  // namespace quorate::consensus::paxos
