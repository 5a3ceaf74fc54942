#include "consensus/core.h"
#include "consensus/paxos/node.h"
#include "consensus/raft/node.h"
#include "consensus/zab/node.h"

namespace quorate::consensus {

std::string_view ProtocolName(Protocol protocol) {
  switch (protocol) {
    case Protocol::kRaft:
      return "raft";
    case Protocol::kPaxos:
      return "paxos";
    case Protocol::kZab:
      return "zab";
  }
  return "?";
}

Result<Protocol> ParseProtocol(std::string_view name) {
  for (const Protocol protocol : kProtocols) {
    if (name == ProtocolName(protocol)) return protocol;
  }
  return Status::InvalidArgument("unknown protocol \"" + std::string(name) + "\": use raft, paxos or zab");
}

Result<std::unique_ptr<Core>> MakeCore(Protocol protocol, const Options& options, Recovered recovered) {
  switch (protocol) {
    case Protocol::kRaft:
      return raft::Node::Make(options, std::move(recovered));
    case Protocol::kPaxos:
      return paxos::Node::Make(options, std::move(recovered));
    case Protocol::kZab:
      return zab::Node::Make(options, std::move(recovered));
  }
  return Status::InvalidArgument("protocol " + std::to_string(static_cast<int>(protocol)) +
                                 " is unknown to this build");
}

}  // namespace quorate::consensus
