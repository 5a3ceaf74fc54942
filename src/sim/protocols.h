// Protocols: what the simulator must know of each consensus protocol besides its core.
//
// Read by everything in sim/ that is not the same for all. Plain functions, no thread rule.
#pragma once

#include <cstdint>

#include "consensus/core.h"

namespace quorate::sim {

// How voters may change from one decided membership entry to the next.
enum class VoterChange : std::uint8_t {
  kJoint,        // Raft (paper, section 6) and Zab: an entry of both configurations, then one of the new
  kAlphaWindow,  // Paxos: an entry of both, which rules the slots from alpha later on, then one that ends the change;
                 // an entry that does not follow from the one before it is void
};

struct ProtocolRules {
  VoterChange voter_change = VoterChange::kJoint;
  bool entries_keep_ballot = true;  // every member decides an entry with the same ballot
};
ProtocolRules RulesOf(consensus::Protocol protocol);

consensus::Traits TraitsOf(consensus::Protocol protocol);

}  // namespace quorate::sim
