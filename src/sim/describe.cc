#include "sim/describe.h"

#include <optional>
#include <variant>

#include "replica/peer_message.h"
#include "replica/snapshot_message.h"
#include "sim/describe_parts.h"

namespace quorate::sim {
namespace {

using consensus::Entry;
using consensus::EntryKind;

std::string_view KindName(EntryKind kind) {
  switch (kind) {
    case EntryKind::kCommand:
      return "command";
    case EntryKind::kNoop:
      return "no-op";
    case EntryKind::kMembership:
      return "membership";
  }
  return "?";
}

// ---- The host's messages

class SnapshotDescriber {
 public:
  Described operator()(const replica::SnapshotWanted&) const { return {"Snapshot", "wanted", "asks for a snapshot"}; }
  Described operator()(const replica::SnapshotOffer& m) const {
    return {"Snapshot", "offer", Text("offers a snapshot up to entry ", m.meta.last.value)};
  }
  Described operator()(const replica::SnapshotAccept& m) const {
    return {"Snapshot", "accept", Text("takes it, from byte ", m.offset)};
  }
  Described operator()(const replica::SnapshotRefused& m) const { return {"Snapshot", "refused", m.why}; }
  Described operator()(const replica::SnapshotData& m) const {
    return {"SnapshotData", m.last ? "last" : "",
            Text(m.bytes.size(), " bytes from ", m.offset, m.last ? ", the last" : "")};
  }
  Described operator()(const replica::SnapshotProgress& m) const {
    return {"SnapshotData", m.done ? "done" : "progress", Text("has everything before byte ", m.offset)};
  }
  Described operator()(const replica::SnapshotStopped& m) const { return {"Snapshot", "stopped", m.why}; }
};

class HostDescriber {
 public:
  explicit HostDescriber(consensus::Protocol protocol) : protocol_(protocol) {}

  Described operator()(const replica::CoreMessage& m) const { return DescribeMessage(protocol_, m.payload); }
  Described operator()(const replica::ForwardedProposal& m) const {
    return {"Proposal", Text("#", m.origin.proposal.value),
            Text("a client's command of ", m.command.size(), " bytes, proposal ", m.origin.proposal.value,
                 " of member ", m.origin.replica.value)};
  }
  Described operator()(const replica::ForwardedChange& m) const {
    return {"Proposal", "members",
            Text("a change to ", m.target.voters.size(), " voters and ", m.target.learners.size(), " learners")};
  }
  Described operator()(const replica::ProposalRefused& m) const {
    return {"ProposalRefused", Text("#", m.proposal.value), "it entered no log"};
  }
  Described operator()(const replica::SnapshotFrame& m) const {
    const std::optional<replica::SnapshotMessage> message = replica::DecodeSnapshotMessage(m.payload);
    return message ? std::visit(SnapshotDescriber(), *message) : Unknown(m.payload);
  }

 private:
  consensus::Protocol protocol_;
};

}  // namespace

std::string Range(const std::vector<Entry>& entries) {
  if (entries.empty()) return "nothing";
  const std::uint64_t first = entries.front().index.value;
  return entries.size() == 1 ? Text(first) : Text(first, "..", entries.back().index.value);
}

std::string Listed(const std::vector<Entry>& entries) {
  constexpr std::size_t kShown = 12;
  std::ostringstream out;
  out << entries.size() << (entries.size() == 1 ? " entry" : " entries");
  for (std::size_t i = 0; i < entries.size() && i < kShown; ++i) out << "\n  " << DescribeEntry(entries[i]);
  if (entries.size() > kShown) out << "\n  and " << entries.size() - kShown << " more";
  return out.str();
}

Described Unknown(const Bytes& payload) {
  return {"unknown", "", Text(payload.size(), " bytes that are no message of the protocol")};
}

std::string DescribeEntry(const Entry& entry) {
  std::ostringstream out;
  out << "entry " << entry.index.value << " (" << KindName(entry.kind) << ", ballot " << entry.ballot.number;
  if (entry.ballot.owner) out << "." << entry.ballot.owner.value;
  if (entry.origin.replica) {
    out << ", from " << entry.origin.replica.value << " #" << entry.origin.incarnation.value << "."
        << entry.origin.proposal.value;
  }
  out << ")";
  return out.str();
}

Described DescribeFrame(consensus::Protocol protocol, const Bytes& frame) {
  constexpr GroupId kGroup{1};  // GroupOptions' default
  const std::optional<replica::PeerMessage> message = replica::DecodePeerMessage(kGroup, frame);
  return message ? std::visit(HostDescriber(protocol), *message) : Unknown(frame);
}

Described DescribeMessage(consensus::Protocol protocol, const Bytes& payload) {
  switch (protocol) {
    case consensus::Protocol::kRaft:
      return DescribeRaft(payload);
    case consensus::Protocol::kPaxos:
      return DescribePaxos(payload);
    case consensus::Protocol::kZab:
      return DescribeZab(payload);
  }
  return Unknown(payload);
}

std::string_view RoleName(consensus::Role role) {
  switch (role) {
    case consensus::Role::kFollower:
      return "follower";
    case consensus::Role::kCandidate:
      return "candidate";
    case consensus::Role::kLeader:
      return "leader";
    case consensus::Role::kLearner:
      return "learner";
  }
  return "?";
}

}  // namespace quorate::sim
