#include "replica/peer_message.h"

#include <vector>

#include "base/codec.h"
#include "consensus/meta_codec.h"

namespace quorate::replica {
namespace {

constexpr std::uint8_t kVersion = 1;
enum Kind : std::uint8_t { kCore = 1, kForward = 2, kRefused = 3, kSnapshot = 4, kForwardChange = 5 };

void PutOrigin(const consensus::Origin& origin, Writer& w) {
  w.PutId(origin.replica);
  w.PutId(origin.incarnation);
  w.PutId(origin.proposal);
}
consensus::Origin GetOrigin(Reader& r) {
  consensus::Origin origin;
  origin.replica = r.GetId<ReplicaId>();
  origin.incarnation = r.GetId<Incarnation>();
  origin.proposal = r.GetId<ProposalId>();
  return origin;
}

struct BodyEncoder {
  Writer& w;
  void operator()(const CoreMessage& m) const {
    w.Put8(kCore);
    w.PutRaw(m.payload.view());
  }
  void operator()(const ForwardedProposal& m) const {
    w.Put8(kForward);
    PutOrigin(m.origin, w);
    w.PutRaw(m.command.view());
  }
  void operator()(const ForwardedChange& m) const {
    w.Put8(kForwardChange);
    PutOrigin(m.origin, w);
    consensus::PutReplicas(m.target.voters, &w);
    consensus::PutReplicas(m.target.learners, &w);
  }
  void operator()(const ProposalRefused& m) const {
    w.Put8(kRefused);
    w.PutId(m.incarnation);
    w.PutId(m.proposal);
    w.Put8(static_cast<std::uint8_t>(m.reason));
    if (m.no_space) w.PutBool(true);
  }
  void operator()(const SnapshotFrame& m) const {
    w.Put8(kSnapshot);
    w.PutRaw(m.payload.view());
  }
};

std::optional<PeerMessage> DecodeBody(Reader& r, const Bytes& frame) {
  switch (r.Get8()) {
    case kCore:
      return CoreMessage{frame.SliceOf(r.rest())};
    case kForward: {
      ForwardedProposal m;
      m.origin = GetOrigin(r);
      m.command = frame.SliceOf(r.rest());
      if (!r.ok()) return std::nullopt;
      return m;
    }
    case kRefused: {
      ProposalRefused m;
      m.incarnation = r.GetId<Incarnation>();
      m.proposal = r.GetId<ProposalId>();
      const std::uint8_t reason = r.Get8();
      m.no_space = !r.AtEnd() && r.GetBool();
      if (!r.Done() || reason < 1 || reason > 3) return std::nullopt;
      m.reason = static_cast<consensus::FailureReason>(reason);
      return m;
    }
    case kForwardChange: {
      ForwardedChange m;
      m.origin = GetOrigin(r);
      m.target.voters = consensus::GetReplicas(&r);
      m.target.learners = consensus::GetReplicas(&r);
      if (!r.Done()) return std::nullopt;
      return m;
    }
    case kSnapshot:
      return SnapshotFrame{frame.SliceOf(r.rest())};
    default:
      return std::nullopt;
  }
}

}  // namespace

Bytes EncodePeerMessage(GroupId group, const PeerMessage& message) {
  const auto* core = std::get_if<CoreMessage>(&message);
  const auto* snapshot = std::get_if<SnapshotFrame>(&message);
  Writer w(32 + (core != nullptr ? core->payload.size() : 0) + (snapshot != nullptr ? snapshot->payload.size() : 0));
  w.Put8(kVersion);
  w.PutId(group);
  std::visit(BodyEncoder{w}, message);
  return Bytes(std::move(w).Take());
}

std::optional<PeerMessage> DecodePeerMessage(GroupId group, const Bytes& frame) {
  Reader r(frame.view());
  if (r.Get8() != kVersion || r.GetId<GroupId>() != group || !r.ok()) return std::nullopt;
  return DecodeBody(r, frame);
}

}  // namespace quorate::replica
