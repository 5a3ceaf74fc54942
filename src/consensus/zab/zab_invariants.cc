// What must hold after every event; the numbers are those of node.h.
#include <algorithm>

#include "base/check.h"
#include "consensus/zab/node.h"

namespace quorate::consensus::zab {

void Node::CheckInvariants() const {
  CheckState();
  CheckChange();
}

void Node::CheckState() const {
  log_.CheckInvariants();
  writes_.CheckInvariants(log_.last());
  CHECK(hard_.current.value <= hard_.accepted.number) << "currentEpoch above acceptedEpoch";  // 1
  CHECK(log_.last_generation().value <= hard_.accepted.number) << "the log is ahead of acceptedEpoch";
  CHECK(hard_.commit <= log_.last()) << "commit " << hard_.commit.value << ", log " << log_.last().value;
  // 2
  CHECK(delivery_.applied <= delivery_.emitted);
  CHECK(delivery_.emitted <= hard_.commit) << "emitted " << delivery_.emitted.value;
  CHECK(delivery_.emitted <= writes_.durable()) << "emitted " << delivery_.emitted.value;
  // Nothing above the applied index is dropped from memory, but for what an installed snapshot covers.
  CHECK(log_.first_cached() <= std::max(delivery_.applied, log_.snapshot_last()).Next());
  // 8
  configurations_.CheckInvariants();
  CHECK(configurations_.latest_index() <= log_.last());
  configurations_.At(log_.snapshot_last());
  CHECK(log_.snapshot_last() <= hard_.commit && log_.snapshot_last() <= delivery_.emitted);
  if (const auto* leading = std::get_if<Leading>(&role_)) {
    CheckLeading(*leading);
  } else if (const auto* following = std::get_if<Following>(&role_)) {
    CHECK(following->leader != options_.self) << "a follower follows itself";
    CHECK(following->phase < Phase::kPromised || following->epoch.value <= hard_.accepted.number);
    CHECK(following->phase < Phase::kAccepted || following->epoch == hard_.current) << "accepted another epoch";
  }
}

void Node::CheckLeading(const Leading& leading) const {
  CHECK(IsSelfVoter() || configurations_.latest_index() > hard_.commit) << "leads without being a member";  // 7
  if (leading.progress == Progress::kGathering) return;
  // 4
  CHECK(hard_.accepted == (Ballot{leading.epoch.value, options_.self})) << "leads an epoch that it did not promise";
  if (leading.secured()) {
    CHECK(leading.own_promise <= writes_.persisted()) << "promises were collected before the own one was durable";
    CHECK(hard_.current == leading.epoch);
  }
  if (leading.established()) CHECK(hard_.commit >= leading.history_end);
  // 5
  if (!leading.established()) CHECK(log_.last_generation() < leading.epoch) << "an entry before NEWLEADER's commit";
  // 7
  const LogIndex latest = configurations_.latest_index();
  CHECK(latest <= leading.history_end || !leading.secured() || configurations_.previous_index() <= hard_.commit)
      << "two changes under way";
  for (const auto& [id, session] : leading.sessions) {
    // 6
    CHECK(session.next <= log_.last().Next()) << "sent more than there is";
    CHECK(session.match <= log_.last()) << "a follower acknowledged " << session.match.value;
    CHECK(session.stage >= Stage::kAcked || !session.match);
    CHECK(session.stage < Stage::kSyncing || leading.secured()) << "a synchronization before the promises";
    CHECK(session.commit_told <= hard_.commit);
    CHECK(session.window.messages() <= options_.inflight_messages_max);
  }
  leading.reads.CheckInvariants();
  std::uint64_t uncommitted = 0;  // above the commit index, so within the proposal bound
  for (LogIndex i = hard_.commit.Next(); i <= log_.last(); i = i.Next()) uncommitted += log_.At(i).payload.size();
  CHECK(uncommitted == leading.uncommitted_bytes);
}

void Node::CheckChange() const {
  const HardState& old = before_.hard;
  const bool leads = std::holds_alternative<Leading>(role_);
  // 1
  CHECK(hard_.accepted.number >= old.accepted.number) << "acceptedEpoch fell";
  CHECK(hard_.current >= old.current) << "currentEpoch fell";
  CHECK(hard_.commit >= old.commit);
  CHECK(delivery_.emitted >= before_.delivery.emitted && delivery_.applied >= before_.delivery.applied);
  // 3
  CHECK(!before_.led || !leads || log_.last() >= before_.last) << "a leader shortened its log";
}

std::uint64_t Node::Fingerprint() const {
  const auto left = [](std::uint64_t limit, std::uint64_t elapsed) { return limit > elapsed ? limit - elapsed : 0; };
  Hasher h;
  h.Add(hard_.accepted.number).Add(hard_.accepted.owner).Add(hard_.current).Add(hard_.commit);
  h.Add(log_.Hash()).Add(writes_.Hash()).Add(configurations_.Hash()).Add(election_.Hash());
  h.Add(generator_.state()).Add(delivery_.emitted).Add(delivery_.applied).Add(forwarded_.Hash());
  for (const auto& [peer, link] : peers_.links) h.Add(peer).Add(link);
  for (const ReplicaId peer : peers_.refused) h.Add(peer);
  h.Add(memory_.sessions).Add(memory_.early_used.value == hard_.accepted.number ? 1 : 0);
  h.Add(memory_.offered ? memory_.offered->last : LogIndex());
  h.Add(memory_.staged.end.epoch).Add(memory_.staged.end.index).Add(memory_.staged_for.number);
  h.Add(role_.index());
  if (const auto* looking = std::get_if<Looking>(&role_)) {
    h.Add(left(options_.heartbeat_ticks, looking->agreed_ticks)).Add(looking->notify_interval);
    h.Add(left(looking->notify_interval, looking->silent_ticks));
  } else if (const auto* following = std::get_if<Following>(&role_)) {
    h.Add(following->leader).Add(following->session).Add(static_cast<std::uint64_t>(following->phase));
    h.Add(following->epoch).Add(left(following->timeout, following->elapsed));
    h.Add(following->early ? *following->early + 1 : 0).Add(following->epoch_first ? 1 : 0);
    const Staging& staging = following->staging;
    h.Add(staging.begun ? 1 : 0).Add(staging.snapshot ? staging.snapshot->last : LogIndex());
    h.Add(staging.cut ? staging.cut->value + 1 : 0).Add(staging.entries.size());
    h.Add(staging.end.epoch).Add(staging.end.index);
    // What one zxid names differs between executions, so the zxid does not stand for the entries here.
    for (const Entry& entry : staging.entries) {
      h.Add(static_cast<std::uint64_t>(entry.kind)).Add(entry.origin.replica).Add(entry.origin.incarnation);
      h.Add(entry.origin.proposal).AddBytes(entry.payload.view());
    }
    h.Add(following->vote.epoch).Add(following->vote.last.epoch).Add(following->vote.last.index);
    h.Add(following->vote.leader).Add(following->vote.nominated ? 1 : 0);
  } else if (const auto* leading = std::get_if<Leading>(&role_)) {
    h.Add(static_cast<std::uint64_t>(leading->progress)).Add(leading->epoch).Add(leading->history_end);
    h.Add(leading->own_promise <= writes_.persisted() ? 1 : 0).Add(leading->own_ack <= writes_.persisted() ? 1 : 0);
    h.Add(left(options_.heartbeat_ticks, leading->heartbeat_elapsed));
    h.Add(left(2 * options_.election_ticks, leading->quorum_elapsed));
    h.Add(leading->settled).Add(leading->caught_up_from).Add(leading->reads.Hash());
    h.Add(leading->vote.epoch).Add(leading->vote.last.epoch).Add(leading->vote.last.index).Add(leading->vote.leader);
    h.Add(leading->vote.nominated ? 1 : 0);
    if (leading->transfer) {
      h.Add(leading->transfer->to).Add(left(options_.election_ticks, leading->transfer->elapsed_ticks));
    }
    for (const auto& [id, session] : leading->sessions) {
      h.Add(id).Add(session.link).Add(session.number).Add(static_cast<std::uint64_t>(session.stage));
      h.Add(session.accepted.number).Add(session.accepted.owner).Add(session.history.current).Add(session.next);
      h.Add(session.accepted_upto).Add(session.match).Add(session.commit_told).Add(session.confirmed);
      h.Add(session.window.messages()).Add(session.window.bytes()).Add(session.heard ? 1 : 0);
      h.Add(session.shipment ? session.shipment->wait_ticks + 1 : 0);
      h.Add(session.history.staged.epoch).Add(session.history.staged.index);
      for (const Run& run : session.history.runs) h.Add(run.generation).Add(run.last);
    }
  }
  for (const Outbound& out : out_.outbound) h.Add(out.to).AddBytes(out.payload.view()).Add(out.after).Add(out.link);
  h.Add(out_.reads.size()).Add(out_.failed_reads.size()).Add(out_.failed.size());
  h.Add(out_.send_snapshot.size()).Add(out_.may_quiesce ? 1 : 0);
  return h.value();
}

}  // namespace quorate::consensus::zab
