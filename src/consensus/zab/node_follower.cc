// The follower, and the learner, in all three phases: paper 4, algorithms 1 to 3, the steps f.
//
// Order on disk is order in memory: everything goes through one write queue, and what is said of it (ACK-E, ACK-LD,
// ACK) names the queue's last batch. The synchronization is staged and becomes the history with NEWLEADER: one batch
// holds TRUNC or SNAP, the entries and currentEpoch, so that no crash leaves one without the other (ZOOKEEPER-4643,
// -4646, -3642, -5094).
//
// Whatever breaks the order of a session ends it: this side begins again with CEPOCH at the next tick.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/zab/node.h"

namespace quorate::consensus::zab {

// The session is over, by no fault of its stream.
void Node::KeepStaging(Following& following) {
  if (following.phase != Phase::kPromised || !following.staging.begun) return;
  memory_.staged = std::move(following.staging);
  memory_.staged_for = hard_.accepted;
}

// What an earlier session of this epoch has brought, if it can still become the history.
Staging Node::TakeStaged(const Ballot& epoch) {
  Staging staged = std::exchange(memory_.staged, Staging());
  const bool of_it = memory_.staged_for == epoch;
  const bool there = !staged.snapshot || (memory_.offered == staged.snapshot && staged.snapshot->last > hard_.commit);
  return of_it && there ? staged : Staging();
}

// Step f.1.1: CEPOCH.
void Node::OpenSession(Following& following) {
  KeepStaging(following);
  following.phase = Phase::kJoining;
  following.epoch = Epoch();
  following.staging = Staging();
  following.session = SessionNumber();
  FailReads(forwarded_.TakeAll());
  if (!peers_.links.contains(following.leader)) return;
  following.session = memory_.sessions = memory_.sessions.Next();
  Send(following.leader, {Epoch(), following.session, CEpoch{hard_.accepted}});
}

void Node::SendToLeader(const Following& following, Body body, PersistSeq after) {
  Send(following.leader, {following.epoch, following.session, std::move(body)}, after);
}

void Node::BreakSession() {
  Following& following = std::get<Following>(role_);
  ++memory_.counters.broken_sessions;
  following.session = SessionNumber();
  following.phase = Phase::kJoining;
  following.staging = Staging();
  FailReads(forwarded_.TakeAll());
}

void Node::TickFollowing(Following& following) {
  ++following.elapsed;
  const bool early = following.early && (*following.early == 0 || --*following.early == 0);
  if (early) {
    memory_.early_used = Epoch(hard_.accepted.number);
    ++memory_.counters.early_elections;
  }
  if (early || following.elapsed >= following.timeout) return GoLooking();
  if (!following.session) OpenSession(following);
}

void Node::DispatchToFollower(ReplicaId from, Message message) {
  Following& following = std::get<Following>(role_);
  if (from != following.leader || !following.session || message.session != following.session) {
    ++memory_.counters.stale_messages;
    return;
  }
  following.elapsed = 0;
  following.early.reset();
  if (const auto* offer = std::get_if<NewEpoch>(&message.body)) return HandleBody(following, *offer, message.epoch);
  if (std::holds_alternative<Restart>(message.body)) return OpenSession(following);
  if (message.epoch != following.epoch) {
    ++memory_.counters.stale_messages;
    return;
  }
  std::visit(
      [&](auto& body) {
        if constexpr (requires { HandleBody(following, std::move(body)); }) {
          HandleBody(following, std::move(body));
        } else {
          ++memory_.counters.stale_messages;  // what only a follower says
        }
      },
      message.body);
}

// Step f.1.2: the promise, durable before ACK-E tells of it.
void Node::HandleBody(Following& following, const NewEpoch& offer, Epoch epoch) {
  if (following.phase > Phase::kPromised) return BreakSession();
  const Ballot wanted{epoch.value, following.leader};
  const Ballot& accepted = hard_.accepted;
  const bool anyone = QUORATE_BUG(zab_equal_epoch_promised_twice) && wanted.number == accepted.number;
  // The same number for another leader: only if nobody else can have it any more.
  const bool taken = wanted.number == accepted.number && wanted.owner != accepted.owner && !offer.secured && !anyone;
  if (wanted.number < accepted.number || taken) return GoLooking();
  if (wanted != accepted) {
    hard_.accepted = wanted;
    writes_.HardStateChanged();
  }
  following.phase = Phase::kPromised;
  following.epoch = epoch;
  following.staging = TakeStaged(wanted);
  const Zxid staged = following.staging.begun ? following.staging.end : Zxid();
  const PersistSeq after = QUORATE_BUG(zab_promise_before_durable) ? PersistSeq() : writes_.Barrier();
  SendToLeader(following, AckEpoch{hard_.current, log_.snapshot_last(), log_.Runs(), staged}, after);
}

void Node::HandleBody(Following& following, const Trunc& trunc) {
  const Zxid& kept = trunc.last_kept;
  if (following.phase != Phase::kPromised || following.staging.begun) return BreakSession();
  if (QUORATE_BUG(zab_trunc_across_epochs)) {
    following.staging = {.begun = true, .snapshot = {}, .cut = kept.index, .entries = {}, .end = kept};
    return;
  }
  if (!log_.Matches(kept.index, kept.epoch)) return BreakSession();
  following.staging = {.begun = true, .snapshot = {}, .cut = kept.index, .entries = {}, .end = kept};
}

// The snapshot came beside the link, in this session or before: its zxid says what it holds.
void Node::HandleBody(Following& following, const Snap& snap) {
  if (following.phase != Phase::kPromised || !memory_.offered) return BreakSession();
  const SnapshotMeta& offered = *memory_.offered;
  const bool the_one = offered.last == snap.last.index && offered.ballot.number == snap.last.epoch.value;
  if (!the_one || snap.last.index <= hard_.commit) return BreakSession();
  following.staging = {.begun = true, .snapshot = offered, .cut = {}, .entries = {}, .end = snap.last};
}

void Node::HandleBody(Following& following, Diff diff) {
  if (following.phase != Phase::kPromised) return BreakSession();
  Staging& staging = following.staging;
  if (!staging.begun) {
    staging.begun = true;
    staging.end = LastZxid();
  }
  const bool careless = QUORATE_BUG(zab_hole_propagated) || QUORATE_BUG(zab_trunc_across_epochs);
  if (diff.after != staging.end && !careless) return BreakSession();
  for (Entry& entry : diff.entries) {
    if (careless) entry.index = staging.end.index.Next();
    staging.end = {GenerationOf(entry), entry.index};
    staging.entries.push_back(std::move(entry));
  }
  SendToLeader(following, Received{staging.end.index});
}

// Step f.2.1: NEWLEADER.
void Node::HandleBody(Following& following, const NewLeader& leader) {
  if (following.phase != Phase::kPromised) return BreakSession();
  const Zxid end = following.staging.begun ? following.staging.end : LastZxid();
  const bool careless = QUORATE_BUG(zab_hole_propagated) || QUORATE_BUG(zab_trunc_across_epochs);
  if (end != leader.last && !careless) return BreakSession();
  if (QUORATE_BUG(zab_epoch_before_history) && hard_.current < following.epoch) {
    hard_.current = following.epoch;
    writes_.HardStateChanged();
    following.epoch_first = true;  // the history with the next event
    return;
  }
  AcceptHistory(following);
}

// Epoch and history, in one batch: everything below is gathered by the write queue until the next Ready.
void Node::AcceptHistory(Following& following) {
  following.epoch_first = false;
  Staging staging = std::exchange(following.staging, Staging());
  memory_.staged = Staging();
  if (staging.snapshot) {
    Install(*staging.snapshot);
  } else if (staging.cut && *staging.cut < log_.last()) {
    CutAfter(*staging.cut);
  }
  for (Entry& entry : staging.entries) Append(std::move(entry));
  if (hard_.current != following.epoch) {
    hard_.current = following.epoch;
    writes_.HardStateChanged();
  }
  following.phase = Phase::kAccepted;
  const PersistSeq after = QUORATE_BUG(zab_newleader_acked_before_durable) ? PersistSeq() : writes_.Barrier();
  SendToLeader(following, AckLeader{}, after);
}

// Step f.2.2: the commit of NEWLEADER.
void Node::HandleBody(Following& following, const UpToDate& uptodate) {
  if (following.phase != Phase::kAccepted || uptodate.commit > log_.last()) return BreakSession();
  following.phase = Phase::kActive;
  CommitUpto(uptodate.commit);
}

// In order and without a hole (ZOOKEEPER-4925, -4882), or the session is broken.
bool Node::AppendProposed(Following& following, const Zxid& after, std::vector<Entry> entries) {
  const bool fits = after == LastZxid() || QUORATE_BUG(zab_propose_skips_syncing);
  if (following.phase < Phase::kAccepted || !fits) {
    BreakSession();
    return false;
  }
  for (Entry& entry : entries) {
    if (QUORATE_BUG(zab_propose_skips_syncing)) entry.index = log_.last().Next();
    Append(std::move(entry));
  }
  const PersistSeq barrier = QUORATE_BUG(zab_ack_before_durable) ? PersistSeq() : writes_.Barrier();
  SendToLeader(following, Ack{log_.last()}, barrier);
  return true;
}

// Step f.3.1: PROPOSE. It may come before UPTODATE; COMMIT does not.
void Node::HandleBody(Following& following, Propose propose) {
  if (!AppendProposed(following, propose.after, std::move(propose.entries))) return;
  if (propose.commit > log_.last()) return BreakSession();
  if (following.phase == Phase::kActive) CommitUpto(propose.commit);
}

// Step f.3.2.
void Node::HandleBody(Following& following, const Commit& commit) {
  if (following.phase != Phase::kActive || commit.upto > log_.last()) return BreakSession();
  CommitUpto(commit.upto);
}

void Node::HandleBody(Following& following, Inform inform) {
  if (!AppendProposed(following, inform.after, std::move(inform.entries))) return;
  if (following.phase == Phase::kActive) CommitUpto(log_.last());
}

void Node::HandleBody(Following& following, const Ping& ping) {
  SendToLeader(following, Pong{following.phase >= Phase::kAccepted ? ping.round : ReadRound()});
}

void Node::HandleBody(Following&, const ReadReply& reply) {
  const std::vector<ReadId> reads = forwarded_.Answered(reply.id);
  if (!reply.index) return FailReads(reads);
  for (const ReadId read : reads) out_.reads.emplace_back(read, *reply.index);
}

// The leader leaves office: who follows it votes as it says.
void Node::HandleBody(Following& following, const Handover& handover) {
  if (following.phase != Phase::kActive) return BreakSession();
  const bool votes = IsSelfVoter() && IsVoter(members(), handover.vote.leader) && handover.vote.last <= LastZxid();
  GoLooking(votes ? std::optional<Vote>(handover.vote) : std::nullopt);
}

}  // namespace quorate::consensus::zab
