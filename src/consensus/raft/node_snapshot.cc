// Snapshots: the start of the log, and followers that need what is before it (paper section 7).
//
// The host makes, sends and receives them; this is when, and what the log becomes. A snapshot holds decided entries
// only, so whoever sent it, in whatever term, it is never wrong, only perhaps old.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"
#include "consensus/raft/node.h"

namespace quorate::consensus::raft {

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

// Paper section 7: if the log has the snapshot's last entry, it is complete up to there, and what follows stays;
// otherwise all of it goes.
void Node::On(SnapshotReceived event) {
  const SnapshotMeta& meta = event.meta;
  if (std::holds_alternative<Leader>(role_) || meta.last <= hard_.commit) return;
  if (!IsWellFormed(meta.members) || meta.members.voters.empty()) return;
  if (!log_.Matches(meta.last, Term(meta.ballot.number))) return Install(std::move(event.meta));
  QUORATE_PROBE(raft_snapshot_ends_inside_the_log);
  CommitUpto(meta.last);
  // It may have said that this member is a voter no more.
  if (std::holds_alternative<Candidate>(role_) && !MayCampaign()) BecomeFollower(hard_.term, std::nullopt);
  if (auto* follower = std::get_if<Follower>(&role_)) follower->verified = std::max(follower->verified, meta.last);
}

void Node::Install(SnapshotMeta meta) {
  const Term term(meta.ballot.number);
  // A candidate has claimed a log that ends elsewhere now; and no log is ahead of its owner's term.
  if (term > hard_.term || std::holds_alternative<Candidate>(role_)) {
    QUORATE_PROBE(raft_installs_above_its_term_or_as_candidate);
    BecomeFollower(std::max(term, hard_.term), std::nullopt);
  }
  const std::vector<Entry> stale =
      QUORATE_BUG(raft_install_keeps_stale_log) ? log_.From(meta.last.Next(), UINT64_MAX) : std::vector<Entry>();
  log_.Reset(meta.last, term);
  configurations_.Reset(meta.last, meta.members);
  hard_.bootstrap = {meta.members.voters, {}, meta.members.learners};
  CommitUpto(meta.last);
  delivery_.emitted = meta.last;
  std::get<Follower>(role_).verified = meta.last;
  writes_.Install(meta);
  for (const Entry& entry : stale) Append(entry);
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
  if (found == leader->peers.end() || event.meta.last > log_.last()) return;
  if (event.delivered) {
    found->second.OnSnapshotDelivered(event.meta.last);
  } else {
    found->second.OnSnapshotFailed(options_.election_ticks);
  }
}

void Node::On(LogLoaded event) {
  const bool gone = event.entries.empty();
  log_.FinishLoad(std::move(event.entries));
  auto* leader = std::get_if<Leader>(&role_);
  if (!gone || leader == nullptr) return;
  QUORATE_PROBE(raft_log_released_while_it_was_loaded);
  // Released since it was asked for: who needs it needs a snapshot.
  for (auto& [id, peer] : leader->peers) {
    if (peer.replicating() && peer.next() <= event.first) AskForSnapshot(id, peer, event.first);
  }
}

}  // namespace quorate::consensus::raft
