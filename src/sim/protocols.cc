#include "sim/protocols.h"

#include <memory>
#include <utility>

namespace quorate::sim {

using consensus::Protocol;

ProtocolRules RulesOf(Protocol protocol) {
  switch (protocol) {
    case Protocol::kRaft:
      break;
    case Protocol::kPaxos:
      // A value that is chosen may be proposed again under any later ballot.
      return {.voter_change = VoterChange::kAlphaWindow, .entries_keep_ballot = false};
    case Protocol::kZab:
      // A prospective leader has no epoch of its own before discovery.
      return {.voter_change = VoterChange::kBothQuorums, .elected_leads_its_ballot = false};
  }
  return {};
}

Result<consensus::Traits> TraitsOf(Protocol protocol) {
  consensus::Options options;
  options.self = ReplicaId(1);
  options.initial.voters = {ReplicaId(1), ReplicaId(2), ReplicaId(3)};
  Result<std::unique_ptr<consensus::Core>> core = consensus::MakeCore(protocol, options, {});
  if (!core.ok()) return core.status();
  return (*core)->traits();
}

std::vector<Protocol> BuiltProtocols() {
  std::vector<Protocol> built;
  for (const Protocol protocol : {Protocol::kRaft, Protocol::kPaxos, Protocol::kZab}) {
    if (TraitsOf(protocol).ok()) built.push_back(protocol);
  }
  return built;
}

}  // namespace quorate::sim
