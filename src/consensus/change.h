// Change: what a membership entry holds, in all three protocols.
//
// Called by the protocols and by sim/. Plain functions, no thread rule.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "consensus/core.h"

namespace quorate::consensus {

// Where a change of voters takes two entries (Raft paper section 6) the first is joint: its `outgoing` holds the former
// voters, and whoever leads once that is decided appends the second. The last entry of a change carries the origin of
// the request, as its entry's origin; a joint entry's own origin is zero and the request's travels here.
struct Change {
  Membership members;
  Origin origin;  // of the request; zero unless the members are joint
  friend bool operator==(const Change&, const Change&) = default;
};

// Sorted, without repetition and without replica 0, and no voter is a learner.
bool IsWellFormed(const Membership& members);

Bytes EncodeChange(const Change& change);
std::optional<Change> DecodeChange(const Bytes& input);  // a legal membership with at least one voter, or nothing

}  // namespace quorate::consensus
