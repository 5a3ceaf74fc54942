#include "sim/protocols.h"

#include <memory>

#include "base/check.h"
#include "base/result.h"

namespace quorate::sim {

using consensus::Protocol;

ProtocolRules RulesOf(Protocol protocol) {
  switch (protocol) {
    case Protocol::kRaft:
    case Protocol::kZab:
      break;
    case Protocol::kPaxos:
      // A value that is chosen may be proposed again under any later ballot.
      return {.voter_change = VoterChange::kAlphaWindow, .entries_keep_ballot = false};
  }
  return {};
}

consensus::Traits TraitsOf(Protocol protocol) {
  consensus::Options options;
  options.self = ReplicaId(1);
  options.initial.voters = {options.self};
  const Result<std::unique_ptr<consensus::Core>> core = consensus::MakeCore(protocol, options, {});
  CHECK(core.ok()) << core.status().message();
  return (*core)->traits();
}

}  // namespace quorate::sim
