// Log replication and commitment: paper 5.3 and 5.4.2, pipelined (thesis 10.2.1).
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"
#include "consensus/raft/node.h"

namespace quorate::consensus::raft {
namespace {
constexpr std::uint64_t kLoadMessages = 4;  // a cold load fetches as much as this many messages carry
}

// ---- As follower

void Node::Handle(ReplicaId from, const AppendRequest& request) {
  HearLeader(from);
  // What our snapshot covers is committed, so any leader has it.
  const bool matches = request.prev_index < log_.snapshot_last() ||
                       log_.Matches(request.prev_index, request.prev_term) ||
                       (QUORATE_BUG(raft_append_skips_prev_term_check) && request.prev_index <= log_.last());
  if (!matches) {
    const LogIndex hint = log_.LastNotAbove(request.prev_index, request.prev_term);
    Send(from, AppendReject{request.prev_index, hint, log_.GenerationAt(hint).value_or(Term())});
    return;
  }
  TakeEntries(request);
  const LogIndex end = std::max(LogIndex(request.prev_index.value + request.entries.size()), log_.snapshot_last());
  Follower& follower = std::get<Follower>(role_);
  follower.verified = std::max(follower.verified, end);
  // Only what this message has verified: the rest of the log may be of another branch (figure 2, step 5).
  const LogIndex limit = QUORATE_BUG(raft_follower_commits_unverified_suffix) ? log_.last() : end;
  CommitUpto(std::min(request.commit, limit));
  const PersistSeq after = QUORATE_BUG(raft_ack_before_durable) ? PersistSeq() : writes_.Barrier();
  Send(from, AppendReply{end}, after);
}

// Figure 2, steps 3 and 4: entries that are there already stay, for a late or repeated message must not take away what
// was appended after it; the first that differs goes, with all that follow.
void Node::TakeEntries(const AppendRequest& request) {
  const auto last_kept_by_bug = std::max(request.prev_index, hard_.commit);
  if (QUORATE_BUG(raft_append_always_truncates) && log_.last() > last_kept_by_bug) {
    CutAfter(last_kept_by_bug);
  }
  for (const Entry& entry : request.entries) {
    if (log_.Matches(entry.index, TermOf(entry)) || entry.index <= log_.snapshot_last()) continue;
    if (entry.index <= log_.last()) {
      CHECK(entry.index > hard_.commit) << "entry " << entry.index.value << " is committed and would be replaced";
      CutAfter(entry.index.Prev());
    }
    Append(entry);
  }
}

void Node::Append(Entry entry) {
  if (entry.kind == EntryKind::kMembership) {
    configurations_.Append(entry.index, DecodeChange(entry.payload).value());
  }
  writes_.Put(entry);
  log_.Append(std::move(entry));
}

void Node::CutAfter(LogIndex last_kept) {
  QUORATE_PROBE(raft_cuts_a_conflicting_tail);
  log_.TruncateAfter(last_kept);
  writes_.TruncateAfter(last_kept);
  configurations_.TruncateAfter(last_kept);
}

void Node::Handle(ReplicaId from, const Heartbeat& heartbeat) {
  HearLeader(from);
  CommitUpto(std::min(heartbeat.commit, log_.last()));
  const LogIndex verified = std::get<Follower>(role_).verified;
  // Repeating an acknowledgement is a promise; it is left out while anything is on its way to disk.
  const bool quiet = !writes_.Barrier();
  const LogIndex match = quiet ? std::min(verified, writes_.durable()) : LogIndex();
  Send(from, HeartbeatReply{heartbeat.round, heartbeat.sent_upto, verified, match});
}

void Node::Handle(ReplicaId from, const CommitNotice& notice) {
  HearLeader(from);
  CommitUpto(std::min(notice.commit, log_.last()));
}

// ---- As leader

void Node::AppendOwn(EntryKind kind, Origin origin, Bytes payload) {
  Leader& leader = std::get<Leader>(role_);
  Entry entry{log_.last().Next(), Ballot{hard_.term.value, ReplicaId()}, kind, origin, std::move(payload)};
  leader.uncommitted_bytes += entry.payload.size();
  Append(std::move(entry));
}

void Node::Handle(ReplicaId from, const AppendReply& reply) {
  if (auto* leader = std::get_if<Leader>(&role_)) Acknowledge(*leader, from, reply.match);
}

void Node::Acknowledge(Leader& leader, ReplicaId from, LogIndex match) {
  const auto found = leader.peers.find(from);
  if (found == leader.peers.end() || match > log_.last()) return;
  found->second.MarkActive();
  if (!found->second.OnAcknowledged(match)) return;
  MaybeCommit();
  AdvanceTransfer(leader);
}

void Node::Handle(ReplicaId from, const AppendReject& reject) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  const auto found = leader->peers.find(from);
  if (found == leader->peers.end()) return;
  found->second.MarkActive();
  // The follower has nothing above hint_term up to hint_index, and the leader's entries of higher terms cannot match
  // there: each side skips whole terms, as paper 5.3 suggests.
  found->second.OnRejected(reject.prev_index, log_.LastNotAbove(reject.hint_index, reject.hint_term));
}

void Node::Handle(ReplicaId from, const HeartbeatReply& reply) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  Acknowledge(*leader, from, reply.match);
  const auto found = leader->peers.find(from);
  if (found == leader->peers.end()) return;
  found->second.OnHeartbeatAnswered(reply.sent_upto, reply.verified);
  if (reply.round <= leader->reads.last_round()) found->second.OnConfirmed(reply.round);
  ConfirmReads(*leader);
}

// The commit rule of paper 5.4.2: an entry of an earlier term is never committed by counting (figure 8); once one of
// this term is, all before it are by the Log Matching property.
void Node::MaybeCommit() {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  const LogIndex agreed = AgreedMatch(*leader);
  if (agreed <= hard_.commit) return;
  if (log_.GenerationAt(agreed) != hard_.term && !QUORATE_BUG(raft_commits_old_term_by_counting)) return;
  for (LogIndex index = hard_.commit.Next(); index <= agreed; index = index.Next()) {
    leader->uncommitted_bytes -= log_.At(index).payload.size();
  }
  CommitUpto(agreed);
  Settle(*leader);
}

void Node::CommitUpto(LogIndex commit) {
  hard_.commit = std::max(hard_.commit, commit);
}

void Node::SendHeartbeats(Leader& leader) {
  leader.heartbeat_elapsed = 0;
  for (const auto& [id, peer] : leader.peers) {
    const LogIndex commit =
        QUORATE_BUG(raft_heartbeat_commit_unbounded) ? hard_.commit : std::min(hard_.commit, peer.match());
    Send(id, Heartbeat{commit, leader.reads.last_round(), peer.sent_upto()});
  }
}

bool Node::CanSendAppend(const Progress& peer) const {
  if (peer.next() <= log_.snapshot_last() || !peer.WantsAppend(log_.last(), Limits())) return false;
  return peer.probing() || !log_.IsCold(peer.next()) || !log_.loading();
}

bool Node::OwesCommitNotice(const Progress& peer) const {
  return peer.replicating() && std::min(hard_.commit, peer.match()) > peer.commit_told();
}

void Node::FlushAppends(Leader& leader, Ready* ready) {
  bool loaded_in_use = false;
  for (auto& [id, peer] : leader.peers) {
    if (peer.WantsSnapshot(log_.snapshot_last())) AskForSnapshot(id, peer, log_.snapshot_last());
    while (CanSendAppend(peer)) {
      if (!peer.probing() && log_.IsCold(peer.next())) {
        ready->load_log = log_.StartLoad(peer.next(), kLoadMessages * options_.message_bytes_max);
        break;
      }
      SendAppend(id, peer);
    }
    if (OwesCommitNotice(peer)) {
      const LogIndex commit = std::min(hard_.commit, peer.match());
      Send(id, CommitNotice{commit});
      peer.OnCommitTold(commit);
    }
    loaded_in_use = loaded_in_use || (!peer.in_snapshot() && peer.next() < log_.first_cached());
  }
  if (!loaded_in_use) log_.DropLoaded();
}

// The whole commit index may travel here: the follower takes it only as far as this message verifies.
void Node::SendAppend(ReplicaId to, Progress& peer) {
  AppendRequest request;
  request.prev_index = peer.next().Prev();
  request.prev_term = log_.GenerationAt(request.prev_index).value();
  request.commit = hard_.commit;
  request.entries = log_.From(peer.next(), options_.message_bytes_max);
  std::uint64_t bytes = 0;
  for (const Entry& entry : request.entries) bytes += entry.payload.size();
  const LogIndex end(request.prev_index.value + request.entries.size());
  Send(to, std::move(request));
  peer.OnAppendSent(end, bytes, hard_.commit);
}

}  // namespace quorate::consensus::raft
