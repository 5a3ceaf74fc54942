// Snapshots: the start of the log, and followers that need what is before it (SNAP).
//
// The host makes, sends and receives them; this is when, and what the log becomes. A snapshot holds decided entries
// only. One that arrives is an offer: SNAP names it by its zxid when the leader's stream gets there, and it replaces
// the log with NEWLEADER, in the batch that accepts the history (ZOOKEEPER-3104, -3642, -5094: a member whose SNAP was
// accepted by halves).
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"
#include "consensus/zab/node.h"

namespace quorate::consensus::zab {

SnapshotMeta Node::MetaAt(LogIndex index) const {
  CHECK(log_.snapshot_last() <= index && index <= delivery_.applied)
      << "no snapshot can end at " << index.value << ": the log starts after " << log_.snapshot_last().value
      << ", applied up to " << delivery_.applied.value;
  return {.id = 0,
          .last = index,
          .ballot = {log_.GenerationAt(index).value().value, ReplicaId()},
          .members = configurations_.At(index)};
}

void Node::On(const SnapshotTaken& event) {
  const SnapshotMeta& meta = event.meta;
  if (meta.last <= log_.snapshot_last()) return;
  SnapshotMeta expected = MetaAt(meta.last);
  expected.id = meta.id;
  CHECK(meta == expected) << "the snapshot at " << meta.last.value << " says something else than the log";
  log_.ReleaseUpto(meta.last);
  configurations_.ReleaseUpto(meta.last);
}

// ---- As follower

void Node::On(SnapshotReceived event) {
  const SnapshotMeta& meta = event.meta;
  if (meta.last <= hard_.commit || !IsWellFormed(meta.members) || meta.members.voters.empty()) return;
  // The log has its last entry: then it has all, and all of it is decided. A leader finds that out by itself.
  const bool leads = std::holds_alternative<Leading>(role_);
  if (!leads && log_.Matches(meta.last, Epoch(meta.ballot.number))) return CommitUpto(meta.last);
  memory_.offered = std::move(event.meta);
}

void Node::Install(const SnapshotMeta& meta) {
  log_.Reset(meta.last, Epoch(meta.ballot.number));
  configurations_.Reset(meta.last, meta.members);
  hard_.bootstrap = {meta.members.voters, {}, meta.members.learners};
  CommitUpto(meta.last);
  delivery_.emitted = meta.last;
  writes_.Install(meta);
  memory_.offered.reset();
}

// ---- As leader

void Node::AskForSnapshot(ReplicaId to, Session& session) {
  session.shipment = Shipment();
  out_.send_snapshot.push_back({to});
}

// A session whose stream cannot go on: the follower begins anew, and gets what it needs.
void Node::RestartSession(Leading& leading, ReplicaId to) {
  QUORATE_PROBE(zab_restarts_a_session);
  ++memory_.counters.broken_sessions;
  const auto found = leading.sessions.find(to);
  if (leading.epoch) SendToFollower(leading, to, found->second, Restart{});
  DropSession(leading, to);
}

void Node::On(const SnapshotSent& event) {
  auto* leading = std::get_if<Leading>(&role_);
  if (leading == nullptr) return;
  const auto found = leading->sessions.find(event.to);
  if (found == leading->sessions.end() || !found->second.shipment) return;
  Session& session = found->second;
  if (!event.delivered) {
    session.shipment->wait_ticks = options_.election_ticks;
    return;
  }
  const Zxid last{Epoch(event.meta.ballot.number), event.meta.last};
  session.shipment.reset();
  if (!log_.Matches(last.index, last.epoch)) return AskForSnapshot(event.to, session);  // older than the log's start
  session.next = last.index.Next();
  SendToFollower(*leading, event.to, session, Snap{last});
  if (QUORATE_BUG(zab_hole_propagated) && session.next < log_.last()) session.next = session.next.Next();
}

void Node::On(LogLoaded event) {
  const bool gone = event.entries.empty();
  log_.FinishLoad(std::move(event.entries));
  auto* leading = std::get_if<Leading>(&role_);
  if (!gone || leading == nullptr) return;
  // Released since it was asked for: who needs it needs a snapshot.
  std::vector<ReplicaId> without;
  for (auto& [id, session] : leading->sessions) {
    if (!session.streaming() || session.next > event.first) continue;
    if (session.syncing()) {
      AskForSnapshot(id, session);
    } else {
      without.push_back(id);
    }
  }
  for (const ReplicaId id : without) RestartSession(*leading, id);
}

}  // namespace quorate::consensus::zab
