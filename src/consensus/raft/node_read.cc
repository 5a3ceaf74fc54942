// Linearizable reads: read index (paper section 8, thesis 6.4). reads.h has the argument.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "consensus/raft/node.h"

namespace quorate::consensus::raft {

void Node::On(const ReadBarrier& event) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->reads.Add(OwnRead{event.id});
  } else if (KnownLeader()) {
    forwarded_.Add(event.id);
  } else {
    FailReads(std::vector<ReadId>{event.id});
  }
}

void Node::Handle(ReplicaId from, const ReadRequest& request) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->reads.Add(PeerRead{from, request.id});
  } else {
    Send(from, ReadReply{request.id, std::nullopt});
  }
}

void Node::Handle(ReplicaId, const ReadReply& reply) {
  const std::vector<ReadId> reads = forwarded_.Answered(reply.id);
  if (!reply.index) return FailReads(reads);
  for (const ReadId read : reads) out_.reads.emplace_back(read, *reply.index);
}

bool Node::CanStartRound(const Leader& leader) const {
  return leader.reads.waiting() && (OwnTermCommitted(leader) || QUORATE_BUG(raft_read_before_own_term_commit));
}

// One round of heartbeats for all reads that arrived since the last one.
void Node::FlushReads(Leader& leader) {
  if (!CanStartRound(leader)) return;
  if (QUORATE_BUG(raft_read_round_reused)) {
    for (auto& [id, peer] : leader.peers) peer.ForgetConfirmed();
  }
  leader.reads.StartRound(hard_.commit);
  SendHeartbeats(leader);
  ConfirmReads(leader);
}

void Node::ConfirmReads(Leader& leader) {
  if (!leader.reads.confirming()) return;
  const ReadRound last = leader.reads.last_round();
  const ReadRound agreed = Agreed<ReadRound>(
      members(), [&](ReplicaId voter) { return voter == options_.self ? last : leader.peers.at(voter).confirmed(); });
  for (const auto& [read, index] : leader.reads.Confirm(QUORATE_BUG(raft_read_without_quorum) ? last : agreed)) {
    if (const auto* own = std::get_if<OwnRead>(&read)) {
      out_.reads.emplace_back(own->id, index);
    } else {
      const PeerRead& forwarded = std::get<PeerRead>(read);
      Send(forwarded.from, ReadReply{forwarded.id, index});
    }
  }
}

void Node::FailReads(const std::vector<ReadId>& reads) {
  out_.failed_reads.insert(out_.failed_reads.end(), reads.begin(), reads.end());
}

void Node::FailReads(std::vector<PendingRead> reads) {
  for (const PendingRead& read : reads) {
    if (const auto* own = std::get_if<OwnRead>(&read)) {
      out_.failed_reads.push_back(own->id);
    } else {
      const PeerRead& forwarded = std::get<PeerRead>(read);
      Send(forwarded.from, ReadReply{forwarded.id, std::nullopt});
    }
  }
}

}  // namespace quorate::consensus::raft
