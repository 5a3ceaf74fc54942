// Snapshots: the start of the log, and replicas that need what is before it (PMMC 4.4, garbage collection: what all or
// enough replicas have performed need not be kept by the acceptors).
//
// The host makes, sends and receives them; this is when, and what the log becomes. A snapshot holds decided entries
// only, so whoever sent it, in whatever ballot, it is never wrong, only perhaps old.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"
#include "consensus/change.h"
#include "consensus/paxos/node.h"

namespace quorate::consensus::paxos {

// No ballot: a value is chosen, and members know it from different ones.
SnapshotMeta Node::MetaAt(LogIndex index) const {
  CHECK(learner_.start() <= index && index <= delivery_.applied)
      << "no snapshot can end at " << index.value << ": the log starts after " << learner_.start().value
      << ", applied up to " << delivery_.applied.value;
  return {.id = 0, .last = index, .ballot = {}, .members = configurations_.At(index)};
}

void Node::On(const SnapshotTaken& event) {
  const SnapshotMeta& meta = event.meta;
  if (meta.last <= learner_.start()) return;
  SnapshotMeta expected = MetaAt(meta.last);
  expected.id = meta.id;
  CHECK(meta == expected) << "the snapshot at " << meta.last.value << " says something else than the log";
  learner_.ReleaseUpto(meta.last);
  configurations_.ReleaseUpto(meta.last);
}

// ---- As learner

void Node::On(SnapshotReceived event) {
  const SnapshotMeta& meta = event.meta;
  if (std::holds_alternative<Leader>(role_) || meta.last <= learner_.chosen() || meta.last > kSlotMax) return;
  if (!IsWellFormed(meta.members) || meta.members.voters.empty()) return;
  Install(meta);
}

// What was accepted above the snapshot stays accepted: somebody may count on it. The batch empties the log, so that is
// written once more, behind it and with it.
void Node::Install(const SnapshotMeta& meta) {
  // A candidate's phase 1 is about slots from before.
  if (proposer_.active()) BecomeFollower(acceptor_.promised(), std::nullopt);
  learner_.Reset(meta.last);
  configurations_.Reset(meta.last, meta.members);
  acceptor_.ForgetUpto(meta.last);
  delivery_.emitted = meta.last;
  writes_.Install(meta);
  if (QUORATE_BUG(paxos_install_drops_acceptances)) acceptor_.ForgetUpto(kSlotMax);
  for (const auto& [slot, entry] : acceptor_.accepted()) writes_.Put(entry);
}

// ---- As leader

void Node::AskForSnapshot(ReplicaId to, Progress& peer, LogIndex needed) {
  peer.OnSnapshotAsked(needed);
  out_.send_snapshot.push_back({to});
}

void Node::On(const SnapshotSent& event) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  const auto found = leader->peers.find(event.to);
  if (found == leader->peers.end() || event.meta.last > learner_.chosen()) return;
  if (event.delivered) {
    found->second.OnSnapshotDelivered(event.meta.last);
  } else {
    found->second.OnSnapshotFailed(own_.options.election_ticks);
  }
}

void Node::On(LogLoaded event) {
  const bool gone = event.entries.empty();
  learner_.FinishLoad(std::move(event.entries));
  auto* leader = std::get_if<Leader>(&role_);
  if (!gone || leader == nullptr) return;
  QUORATE_PROBE(paxos_log_released_while_it_was_loaded);
  // Released since it was asked for: who needs it needs a snapshot.
  for (auto& [id, peer] : leader->peers) {
    if (peer.replicating() && peer.next() <= event.first) AskForSnapshot(id, peer, event.first);
  }
}

}  // namespace quorate::consensus::paxos
