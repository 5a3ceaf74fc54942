// Phase 3 of the leader, broadcast: paper 4.3 (algorithm 3), Medeiros 2.3; and what keeps a leader in office.
//
// PROPOSE carries as many entries as fit, several are on their way at a time, ACK is cumulative. An entry is committed
// when a quorum has acknowledged it, the leader by its own disk like any other, and never before those ahead of it.
// COMMIT travels with the next PROPOSE if there is one. Learners get INFORM, with entries that are committed.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/zab/node.h"

namespace quorate::consensus::zab {
namespace {
constexpr std::uint64_t kLoadMessages = 4;  // a cold load fetches as much as this many messages carry
}

void Node::SendToFollower(Leading& leading, ReplicaId to, Session& session, Body body, PersistSeq after) {
  Send(to, {leading.epoch, session.number, std::move(body)}, after <= writes_.persisted() ? PersistSeq() : after);
}

// Nothing counts that is not of the current session and epoch (ZOOKEEPER-4712: acknowledgements of a former one).
void Node::DispatchToLeader(ReplicaId from, const Message& message) {
  Leading& leading = std::get<Leading>(role_);
  const auto found = leading.sessions.find(from);
  const bool any_session = QUORATE_BUG(zab_stale_session_ack) && std::holds_alternative<Ack>(message.body);
  if (found == leading.sessions.end() ||
      (!any_session && (found->second.number != message.session || leading.epoch != message.epoch))) {
    ++memory_.counters.stale_messages;
    return;
  }
  Session& session = found->second;
  session.heard = true;
  std::visit(
      [&](const auto& body) {
        if constexpr (requires { HandleBody(leading, from, session, body); }) {
          HandleBody(leading, from, session, body);
        } else {
          ++memory_.counters.stale_messages;  // what only a leader says
        }
      },
      message.body);
}

void Node::AppendOwn(EntryKind kind, Origin origin, Bytes payload) {
  Leading& leading = std::get<Leading>(role_);
  Entry entry{log_.last().Next(), Ballot{leading.epoch.value, ReplicaId()}, kind, origin, std::move(payload)};
  leading.uncommitted_bytes += entry.payload.size();
  Append(std::move(entry));
}

void Node::HandleBody(Leading& leading, ReplicaId from, Session& session, const Ack& ack) {
  const bool careless = QUORATE_BUG(zab_stale_session_ack) && ack.upto <= log_.last();
  if (!careless && (session.stage < Stage::kAcked || ack.upto >= session.next)) return RestartSession(leading, from);
  session.match = std::max(session.match, ack.upto);
  session.window.AcknowledgedUpto(ack.upto);
  MaybeCommit();
}

void Node::HandleBody(Leading& leading, ReplicaId, Session& session, const Pong& pong) {
  if (session.stage < Stage::kAcked || pong.round > leading.reads.last_round()) return;
  session.confirmed = std::max(session.confirmed, pong.round);
  ConfirmReads(leading);
}

// Step l.3.2 of algorithm 3.
void Node::MaybeCommit() {
  auto* leading = std::get_if<Leading>(&role_);
  if (leading == nullptr || !leading->established()) return;
  AdvanceCommit(*leading, AgreedMatch(*leading));
}

void Node::AdvanceCommit(Leading& leading, LogIndex commit) {
  if (commit > hard_.commit) {
    for (LogIndex index = hard_.commit.Next(); index <= commit; index = index.Next()) {
      leading.uncommitted_bytes -= log_.At(index).payload.size();
    }
    CommitUpto(commit);
  }
  Settle(leading);
}

// A voter; and who is no member any more once the newest configuration is committed, so that it hears of that.
bool Node::TakesProposals(ReplicaId replica) const {
  const std::vector<ReplicaId> all = AllReplicas(members());
  return IsVoter(members(), replica) || !std::binary_search(all.begin(), all.end(), replica);
}

// The last entry that may be sent now. The initial history goes to everyone: NEWLEADER commits it.
LogIndex Node::StreamEnd(const Leading& leading, ReplicaId to, const Session& session) const {
  if (QUORATE_BUG(zab_propose_skips_syncing) && session.stage == Stage::kSynced) return session.next.Prev();
  return TakesProposals(to) ? log_.last() : std::max(hard_.commit, leading.history_end);
}

bool Node::WantsEntries(const Leading& leading, ReplicaId to, const Session& session) const {
  if (!session.streaming() || session.next > StreamEnd(leading, to, session)) return false;
  if (session.next <= log_.snapshot_last()) return true;  // it has to begin anew, with a snapshot
  return !session.window.Full(Limits()) && (!log_.IsCold(session.next) || !log_.loading());
}

bool Node::OwesWord(const Leading& leading, ReplicaId to, const Session& session) const {
  if (session.shipment) return false;
  switch (session.stage) {
    case Stage::kSyncing:
      return session.next > StreamEnd(leading, to, session);
    case Stage::kAcked:
      return leading.established();
    case Stage::kActive:
      return std::min(hard_.commit, session.next.Prev()) > session.commit_told;
    default:
      return false;
  }
}

void Node::FlushStreams(Leading& leading, Ready* ready) {
  bool loaded_in_use = false;
  std::vector<ReplicaId> everyone;
  for (const auto& [id, session] : leading.sessions) everyone.push_back(id);
  for (const ReplicaId id : everyone) {
    while (true) {
      const auto found = leading.sessions.find(id);
      if (found == leading.sessions.end() || !FlushStream(leading, id, found->second, ready)) break;
    }
    const auto found = leading.sessions.find(id);
    loaded_in_use = loaded_in_use || (found != leading.sessions.end() && found->second.streaming() &&
                                      found->second.next < log_.first_cached());
  }
  if (!loaded_in_use) log_.DropLoaded();
}

// One step of what is due; false when nothing is.
bool Node::FlushStream(Leading& leading, ReplicaId to, Session& session, Ready* ready) {
  if (session.stage == Stage::kAcked && OwesWord(leading, to, session)) {
    SendUpToDate(to, session);
    return true;
  }
  if (WantsEntries(leading, to, session)) {
    if (session.next <= log_.snapshot_last()) {
      session.syncing() ? AskForSnapshot(to, session) : RestartSession(leading, to);
      return false;
    }
    if (log_.IsCold(session.next)) {
      ready->load_log = log_.StartLoad(session.next, kLoadMessages * options_.message_bytes_max);
      return false;
    }
    SendEntries(leading, to, session);
    return true;
  }
  if (!OwesWord(leading, to, session)) return false;
  if (session.syncing()) {
    SendNewLeader(to, session);
  } else {
    session.commit_told = std::min(hard_.commit, session.next.Prev());
    SendToFollower(leading, to, session, Commit{session.commit_told});
  }
  return true;
}

void Node::SendEntries(Leading& leading, ReplicaId to, Session& session) {
  const Zxid after = ZxidAt(session.next.Prev()).value();
  const LogIndex stream_end = StreamEnd(leading, to, session);
  std::vector<Entry> entries = log_.From(session.next, options_.message_bytes_max);
  std::erase_if(entries, [stream_end](const Entry& entry) { return entry.index > stream_end; });
  std::uint64_t bytes = 0;
  for (const Entry& entry : entries) bytes += entry.payload.size();
  const LogIndex end = entries.back().index;
  session.next = end.Next();
  session.window.Sent(end, bytes);
  if (session.syncing()) return SendToFollower(leading, to, session, Diff{after, std::move(entries)});
  const bool active = session.stage == Stage::kActive;
  if (active) session.commit_told = std::min(hard_.commit, end);
  if (TakesProposals(to)) {
    const LogIndex commit = active ? session.commit_told : LogIndex();
    return SendToFollower(leading, to, session, Propose{after, commit, std::move(entries)});
  }
  SendToFollower(leading, to, session, Inform{after, std::move(entries)});
}

// To everyone in a session; whoever takes part and is in none is told who leads.
void Node::SendPings(Leading& leading) {
  leading.heartbeat_elapsed = 0;
  for (auto& [id, session] : leading.sessions) {
    if (leading.epoch) SendToFollower(leading, id, session, Ping{leading.reads.last_round()});
  }
  for (const ReplicaId member : AllReplicas(members())) {
    if (member != options_.self && !leading.sessions.contains(member)) Notify(member);
  }
}

void Node::TickLeading(Leading& leading) {
  if (leading.transfer && ++leading.transfer->elapsed_ticks >= options_.election_ticks) leading.transfer.reset();
  for (auto& [id, session] : leading.sessions) {
    if (!session.shipment || session.shipment->wait_ticks == 0 || --session.shipment->wait_ticks > 0) continue;
    session.shipment.reset();
    AskForSnapshot(id, session);
  }
  if (++leading.heartbeat_elapsed >= options_.heartbeat_ticks) SendPings(leading);
  CheckQuorum(leading);
}

// A leader that no quorum answers gives up, so that its clients look for another. Answers wait behind acknowledgements
// that wait for a sync: an established leader waits twice as long.
void Node::CheckQuorum(Leading& leading) {
  const std::uint64_t patience = (leading.secured() ? 2 : 1) * options_.election_ticks;
  if (++leading.quorum_elapsed < patience) return;
  leading.quorum_elapsed = 0;
  leading.caught_up_from = std::max(leading.history_end, hard_.commit);
  const bool heard = HasQuorum(leading, true, [](const Session& session) { return session.heard; });
  for (auto& [id, session] : leading.sessions) session.heard = false;
  if (!heard) GoLooking();
}

}  // namespace quorate::consensus::zab
