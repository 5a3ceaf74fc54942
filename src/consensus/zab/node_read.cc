// Linearizable reads without a log entry.
//
// ZooKeeper's sync goes through the leader without asking a quorum whether it still leads (its documentation says so);
// here a read waits for a round of PING and PONG that begins after it arrived. PONG carries the session and the epoch,
// and a follower that has promised a newer epoch is in the session no more; so a quorum's PONGs prove that no newer
// leader had committed anything when the read arrived. A round begins only when the leader is established: NEWLEADER
// committed all that earlier leaders may have acknowledged. reads.h has the bookkeeping.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "consensus/zab/node.h"

namespace quorate::consensus::zab {

void Node::On(const ReadBarrier& event) {
  if (auto* leading = std::get_if<Leading>(&role_)) {
    leading->reads.Add(OwnRead{event.id});
  } else if (ActiveLeader()) {
    forwarded_.Add(event.id);
  } else {
    FailReads(std::vector<ReadId>{event.id});
  }
}

void Node::HandleBody(Leading& leading, ReplicaId from, Session&, const ReadRequest& request) {
  leading.reads.Add(PeerRead{from, request.id});
}

bool Node::CanStartRound(const Leading& leading) const {
  return leading.reads.waiting() && leading.established();
}

// One round for all reads that arrived since the last one.
void Node::FlushReads(Leading& leading) {
  if (!CanStartRound(leading)) return;
  leading.reads.StartRound(hard_.commit);
  for (auto& [id, session] : leading.sessions) {
    SendToFollower(leading, id, session, Ping{leading.reads.last_round()});
  }
  ConfirmReads(leading);
}

void Node::ConfirmReads(Leading& leading) {
  if (!leading.reads.confirming()) return;
  const ReadRound last = leading.reads.last_round();
  const ReadRound agreed = Agreed<ReadRound>(members(), [&](ReplicaId voter) {
    if (voter == options_.self) return last;
    const auto found = leading.sessions.find(voter);
    return found == leading.sessions.end() ? ReadRound() : found->second.confirmed;
  });
  for (const auto& [read, index] : leading.reads.Confirm(QUORATE_BUG(zab_read_without_quorum) ? last : agreed)) {
    if (const auto* own = std::get_if<OwnRead>(&read)) {
      out_.reads.emplace_back(own->id, index);
      continue;
    }
    const PeerRead& forwarded = std::get<PeerRead>(read);
    const auto found = leading.sessions.find(forwarded.from);
    if (found != leading.sessions.end()) {
      SendToFollower(leading, forwarded.from, found->second, ReadReply{forwarded.id, index});
    }
  }
}

void Node::FailReads(const std::vector<ReadId>& reads) {
  out_.failed_reads.insert(out_.failed_reads.end(), reads.begin(), reads.end());
}

void Node::FailReads(Leading& leading) {
  for (const PendingRead& read : leading.reads.TakeAll()) {
    if (const auto* own = std::get_if<OwnRead>(&read)) {
      out_.failed_reads.push_back(own->id);
      continue;
    }
    const PeerRead& forwarded = std::get<PeerRead>(read);
    const auto found = leading.sessions.find(forwarded.from);
    if (found != leading.sessions.end() && leading.epoch) {
      SendToFollower(leading, forwarded.from, found->second, ReadReply{forwarded.id, std::nullopt});
    }
  }
}

}  // namespace quorate::consensus::zab
