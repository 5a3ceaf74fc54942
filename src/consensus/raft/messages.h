// What Raft nodes say to each other, and what a node keeps on disk besides its log, with their encodings.
//
// Called by raft::Node. Plain values, no thread rule. Encodings are ours (base/codec.h) and carry a format version;
// decoding is total: bytes that are not a message of this version, whole and with nothing left over, give nullopt.
//
// Invariants (what Decode guarantees about an AppendRequest, so that the log never meets them broken):
//  1. Entry i has index prev_index + 1 + i, and no index overflows.
//  2. Entry terms never fall, none is below prev_term and none is above the message's own term.
//  3. A membership entry holds a Change that decodes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/core.h"
#include "consensus/log.h"
#include "consensus/reads.h"

namespace quorate::consensus::raft {

using Term = Generation;  // Raft's leadership generation; 0 = before the first election

inline Term TermOf(const Entry& entry) {
  return GenerationOf(entry);
}

// Why a vote is asked for; voters that hear from a live leader grant only what overrides it.
enum class Campaign : std::uint8_t {
  kTimeout = 1,   // the candidate has not heard from a leader for an election timeout
  kTransfer = 2,  // the leader asked the candidate to take over (thesis 3.10)
  kRefused = 3,   // nobody listens at the leader's address: its process is gone
};

struct VoteRequest {
  bool pre = false;  // a pre-vote (thesis 9.6): would you vote for me in this term?
  Campaign campaign = Campaign::kTimeout;
  LogIndex last_index;
  Term last_term;
  friend bool operator==(const VoteRequest&, const VoteRequest&) = default;
};
struct VoteReply {  // a granted pre-vote carries the term that was asked for, everything else the voter's own
  bool pre = false;
  bool granted = false;
  friend bool operator==(const VoteReply&, const VoteReply&) = default;
};

struct AppendRequest {
  LogIndex prev_index;
  Term prev_term;
  LogIndex commit;
  std::vector<Entry> entries;
  friend bool operator==(const AppendRequest&, const AppendRequest&) = default;
};
struct AppendReply {  // the follower's log equals the leader's up to `match`, durably
  LogIndex match;
  friend bool operator==(const AppendReply&, const AppendReply&) = default;
};
// The follower has no entry (prev_index, prev_term). The hint is its last entry at or below prev_index whose term is
// not above prev_term: nothing between the two can match.
struct AppendReject {
  LogIndex prev_index;
  LogIndex hint_index;
  Term hint_term;
  friend bool operator==(const AppendReject&, const AppendReject&) = default;
};

struct Heartbeat {
  LogIndex commit;     // never above what this follower has acknowledged: there is no consistency check here
  ReadRound round;     // the leader's latest confirmation round
  LogIndex sent_upto;  // the last entry sent to this follower before this message
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};
struct HeartbeatReply {
  ReadRound round;     // echo
  LogIndex sent_upto;  // echo
  LogIndex verified;   // equal to the leader's log up to here, durable or not; below sent_upto: an append was lost
  LogIndex match;      // the durable part of it: repeats an acknowledgement that may have been lost
  friend bool operator==(const HeartbeatReply&, const HeartbeatReply&) = default;
};
struct CommitNotice {  // tells an idle follower of a commit at once; wants no answer
  LogIndex commit;     // never above what this follower has acknowledged
  friend bool operator==(const CommitNotice&, const CommitNotice&) = default;
};

struct TimeoutNow {  // leadership transfer: start an election at once
  friend bool operator==(const TimeoutNow&, const TimeoutNow&) = default;
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

using Body = std::variant<VoteRequest, VoteReply, AppendRequest, AppendReply, AppendReject, Heartbeat, HeartbeatReply,
                          CommitNotice, TimeoutNow, ReadRequest, ReadReply>;

struct Message {
  Term term;  // the sender's; of a pre-vote and its grant: the term that would be entered
  Body body;
  friend bool operator==(const Message&, const Message&) = default;
};

Bytes EncodeMessage(const Message& message);
std::optional<Message> DecodeMessage(const Bytes& input);  // payloads of entries share input's memory

// What must survive besides the log (paper figure 2: currentTerm, votedFor). The commit index may lag.
struct HardState {
  Term term;
  ReplicaId vote;        // 0: none in this term
  LogIndex commit;       // a lower bound; lets a restart apply before it hears from a leader
  Life life;             // raised at every start
  Membership bootstrap;  // the members that the log began with; not used once there is a snapshot
  friend bool operator==(const HardState&, const HardState&) = default;
};

Bytes EncodeHardState(const HardState& state);
std::optional<HardState> DecodeHardState(const Bytes& input);

}  // namespace quorate::consensus::raft
