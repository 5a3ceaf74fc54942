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
  for (const Protocol protocol : {Protocol::kRaft, Protocol::kPaxos, Protocol::kZab}) {
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
  return Status{StatusCode::kUnimplemented, "this build does not know the protocol"};
}

}  // namespace quorate::consensus
