// Peers: what a group remembers of each other member, and what its core says of them.
//
// Owned by Group. Thread rule: the executor's thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "base/ids.h"
#include "consensus/core.h"
#include "replica/group.h"

namespace quorate::replica {

class Peers {
 public:
  explicit Peers(std::uint64_t liveness_ns) : liveness_ns_(liveness_ns) {}

  void LinkUp(ReplicaId peer) { peers_[peer].linked = true; }
  void LinkDown(ReplicaId peer, std::uint64_t now_ns);
  bool IsLive(ReplicaId peer, std::uint64_t now_ns) const;

  // Whether a forwarded proposal was seen before: what was said the first time stands. A proposer never sends one twice
  // under the same id (Proposals, invariant 2).
  bool IsRepeat(const consensus::Origin& origin);

  // Snapshots that the core asked for and that it must hear of.
  void SnapshotAsked(ReplicaId peer) { peers_[peer].snapshot = true; }
  bool TakeSnapshotAsked(ReplicaId peer) { return std::exchange(peers_[peer].snapshot, false); }

  // Empty unless this member leads.
  std::map<ReplicaId, PeerProgress> Progress(const consensus::Core& core, ReplicaId self, std::uint64_t now_ns) const;

 private:
  struct Peer {
    bool linked = false;
    std::optional<std::uint64_t> lost_ns;  // when its last link ended
    std::pair<Incarnation, ProposalId> last_forwarded;
    bool snapshot = false;
  };

  const std::uint64_t liveness_ns_;
  std::map<ReplicaId, Peer> peers_;
};

}  // namespace quorate::replica
