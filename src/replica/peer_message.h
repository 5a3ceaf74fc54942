// What one member's host says to another's: a core's message, a proposal or change of members for the leader, the
// refusal of one, or a piece of the conversation about snapshots.
//
// Called by Group and Driver. Plain values, no thread rule. Frames are versioned; Decode is total: garbage, another
// version or another group gives nothing.
#pragma once

#include <optional>
#include <variant>

#include "base/bytes.h"
#include "base/ids.h"
#include "consensus/core.h"

namespace quorate::replica {

struct CoreMessage {
  Bytes payload;
};
// Sent to the member that the origin takes for the leader. The link carries it at most once; a receiver that does not
// lead refuses it.
struct ForwardedProposal {
  consensus::Origin origin;
  Bytes command;
};
struct ForwardedChange {
  consensus::Origin origin;
  consensus::Membership target;
};
// The receiver is certain that the proposal entered no log.
struct ProposalRefused {
  Incarnation incarnation;  // the origin's when it sent the proposal
  ProposalId proposal;
  consensus::FailureReason reason = consensus::FailureReason::kNotLeader;
  bool no_space = false;  // kDropped, because the leader's disk is nearly full
};
struct SnapshotFrame {  // snapshot_message.h
  Bytes payload;
};
using PeerMessage = std::variant<CoreMessage, ForwardedProposal, ForwardedChange, ProposalRefused, SnapshotFrame>;

Bytes EncodePeerMessage(GroupId group, const PeerMessage& message);
std::optional<PeerMessage> DecodePeerMessage(GroupId group, const Bytes& frame);

}  // namespace quorate::replica
