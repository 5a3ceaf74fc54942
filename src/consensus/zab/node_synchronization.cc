// Phase 2 of the leader, synchronization: paper 4.2 (algorithm 2), Medeiros 2.2 and 3.3.
//
// The follower's history becomes the leader's by DIFF (what it lacks), TRUNC and DIFF (it has more than the common
// point), or SNAP and DIFF (the log does not reach down to the common point). NEWLEADER closes the stream and names
// its end; the follower accepts epoch and history in one batch and answers ACK-LD when that is durable. What is
// proposed meanwhile follows right behind NEWLEADER on the same link, so nothing falls between (the set that PROPOSE
// goes to is whoever has sent ACK-E, not whoever has sent ACK-LD).
//
// The common point is proved, not guessed from the last zxid: ACK-E lists every epoch of the follower's log with its
// last entry, and the newest epoch that both logs have gives the last entry that both have, since entries with one
// zxid are the same with all before them. So TRUNC may go back over an epoch; ZooKeeper, which knows the last zxid
// only, must send a snapshot then.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"
#include "consensus/zab/node.h"

namespace quorate::consensus::zab {

std::optional<LogIndex> Node::LastOfEpoch(Epoch epoch) const {
  const LogIndex last = log_.LastNotAbove(log_.last(), epoch);
  return log_.GenerationAt(last) == epoch ? std::optional<LogIndex>(last) : std::nullopt;
}

std::optional<Zxid> Node::CommonPoint(const AckEpoch& history) const {
  if (QUORATE_BUG(zab_trunc_across_epochs)) return ZxidAt(std::min(history.runs.back().last, log_.last()));
  for (auto run = history.runs.rbegin(); run != history.runs.rend(); ++run) {
    const std::optional<LogIndex> own_last = LastOfEpoch(run->generation);
    if (!own_last) continue;
    const LogIndex both = std::min(*own_last, run->last);
    if (both < history.start || both < log_.snapshot_last()) return std::nullopt;
    return Zxid{run->generation, both};
  }
  return std::nullopt;
}

void Node::BeginSync(ReplicaId to, Session& session) {
  Leading& leading = std::get<Leading>(role_);
  session.stage = Stage::kSyncing;
  const AckEpoch history = std::exchange(session.history, AckEpoch());
  if (history.staged.index && history.staged.index >= log_.snapshot_last() &&
      log_.Matches(history.staged.index, history.staged.epoch)) {
    session.next = history.staged.index.Next();
    return;
  }
  const std::optional<Zxid> common = CommonPoint(history);
  if (!common) {
    QUORATE_PROBE(zab_snap_instead_of_diff);
    return AskForSnapshot(to, session);
  }
  session.next = common->index.Next();
  if (common->index < history.runs.back().last) {
    QUORATE_PROBE(zab_trunc);
    SendToFollower(leading, to, session, Trunc{*common});
  }
}

void Node::HandleBody(Leading& leading, ReplicaId from, Session& session, const Received& received) {
  if (session.stage < Stage::kSyncing || received.upto >= session.next) return RestartSession(leading, from);
  session.window.AcknowledgedUpto(received.upto);
}

// Step l.2.1 of algorithm 2, its end.
void Node::SendNewLeader(ReplicaId to, Session& session) {
  session.stage = Stage::kSynced;
  session.accepted_upto = session.next.Prev();
  SendToFollower(std::get<Leading>(role_), to, session, NewLeader{ZxidAt(session.accepted_upto).value()});
}

void Node::HandleBody(Leading& leading, ReplicaId from, Session& session, const AckLeader&) {
  if (session.stage != Stage::kSynced) return RestartSession(leading, from);
  session.stage = Stage::kAcked;
  session.match = session.accepted_upto;
  session.window.AcknowledgedUpto(session.match);
  if (QUORATE_BUG(zab_propose_skips_syncing)) session.next = log_.last().Next();
  TryEstablish(leading);
  MaybeCommit();
}

// Step l.2.2: a quorum, this leader among it or not, has accepted epoch and history; so all of the history is
// committed, and the leader may broadcast.
void Node::TryEstablish(Leading& leading) {
  if (leading.progress != Progress::kSecured) return;
  const bool own = leading.own_ack <= writes_.persisted() && leading.history_end <= writes_.durable();
  const bool early = QUORATE_BUG(zab_serves_before_newleader_committed);
  if (!early && !HasQuorum(leading, own, [](const Session& session) { return session.stage >= Stage::kAcked; })) return;
  leading.progress = Progress::kEstablished;
  leading.caught_up_from = leading.history_end;
  leading.quorum_elapsed = 0;
  AdvanceCommit(leading, leading.history_end);
}

// The commit of NEWLEADER. It tells the latest commit, not the one of NEWLEADER: what was proposed and committed
// meanwhile would else not be told (ZOOKEEPER-4394, and the notes to the TLA+ specification).
void Node::SendUpToDate(ReplicaId to, Session& session) {
  session.stage = Stage::kActive;
  session.commit_told = std::min(hard_.commit, session.next.Prev());
  SendToFollower(std::get<Leading>(role_), to, session, UpToDate{session.commit_told});
}

}  // namespace quorate::consensus::zab
