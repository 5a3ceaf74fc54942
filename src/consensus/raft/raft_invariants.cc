// What must hold after every event; the numbers are those of node.h.
#include <algorithm>

#include "base/check.h"
#include "consensus/raft/node.h"

namespace quorate::consensus::raft {

void Node::CheckInvariants() const {
  CheckState();
  CheckChange();
}

void Node::CheckState() const {
  log_.CheckInvariants();
  writes_.CheckInvariants(log_.last());
  CHECK(log_.last_generation() <= hard_.term) << "the log is ahead of the term";
  CHECK(hard_.commit <= log_.last()) << "commit " << hard_.commit.value << ", log " << log_.last().value;
  // 2
  CHECK(delivery_.applied <= delivery_.emitted);
  CHECK(delivery_.emitted <= hard_.commit) << "emitted " << delivery_.emitted.value;
  CHECK(delivery_.emitted <= writes_.durable()) << "emitted " << delivery_.emitted.value;
  // Nothing above the applied index is dropped from memory, but for what an installed snapshot covers.
  CHECK(log_.first_cached() <= std::max(delivery_.applied, log_.snapshot_last()).Next());
  // 9
  configurations_.CheckInvariants();
  CHECK(configurations_.latest_index() <= log_.last());
  configurations_.At(log_.snapshot_last());
  CHECK(log_.snapshot_last() <= hard_.commit && log_.snapshot_last() <= delivery_.emitted);
  if (const auto* candidate = std::get_if<Candidate>(&role_)) {
    // 5
    CHECK(MayCampaign());
    CHECK(candidate->pre || hard_.vote == options_.self);
    CHECK(candidate->pre || !candidate->answers.contains(options_.self) || candidate->own_vote <= writes_.persisted());
  } else if (const auto* leader = std::get_if<Leader>(&role_)) {
    CheckLeader(*leader);
  } else if (const auto* follower = std::get_if<Follower>(&role_)) {
    CHECK(follower->verified <= log_.last());
    CHECK(follower->leader != options_.self) << "a follower follows itself";
  }
}

void Node::CheckLeader(const Leader& leader) const {
  CHECK(hard_.vote == options_.self);  // 5
  CHECK(log_.GenerationAt(std::max(leader.own_from, log_.snapshot_last())) == hard_.term)
      << "no entry of its own term";  // 7
  CHECK(log_.GenerationAt(leader.own_from.Prev()) < hard_.term);
  for (const ReplicaId replica : AllReplicas(members())) {
    CHECK(replica == options_.self || leader.peers.contains(replica)) << "no progress of " << replica.value;
  }
  // 8
  const LogIndex latest = configurations_.latest_index();
  CHECK(IsSelfVoter() || latest > hard_.commit) << "leads without being a member";
  CHECK(latest < leader.own_from || configurations_.previous_index() <= hard_.commit) << "two changes under way";
  CHECK(latest < leader.own_from || OwnTermCommitted(leader)) << "a change before an entry of the term was committed";
  CHECK(!leader.transfer || leader.peers.contains(leader.transfer->to));
  for (const auto& [id, peer] : leader.peers) peer.CheckInvariants(log_.last(), Limits());  // 6
  leader.reads.CheckInvariants();
  std::uint64_t uncommitted = 0;  // above the commit index, so within the proposal bound
  for (LogIndex i = hard_.commit.Next(); i <= log_.last(); i = i.Next()) uncommitted += log_.At(i).payload.size();
  CHECK(uncommitted == leader.uncommitted_bytes);
}

void Node::CheckChange() const {
  const HardState& old = before_.hard;
  const bool leads = std::holds_alternative<Leader>(role_);
  // 1
  CHECK(hard_.term >= old.term);
  CHECK(hard_.commit >= old.commit);
  CHECK(hard_.term > old.term || !old.vote || hard_.vote == old.vote) << "a second vote in term " << hard_.term.value;
  CHECK(delivery_.emitted >= before_.delivery.emitted && delivery_.applied >= before_.delivery.applied);
  if (hard_.term != old.term) return;
  // 3 and 4
  CHECK(!before_.led || !leads || log_.last() >= before_.last) << "a leader shortened its log";
  const auto* candidate = std::get_if<Candidate>(&role_);
  CHECK(!before_.led || candidate == nullptr) << "a leader became a candidate within its term";
  // 7
  const bool advanced = leads && before_.led && hard_.commit > old.commit;
  CHECK(!advanced || log_.GenerationAt(hard_.commit) == hard_.term)
      << "committed an entry of an earlier term by counting";
}

std::uint64_t Node::Fingerprint() const {
  Hasher h;
  h.Add(hard_.term).Add(hard_.vote).Add(hard_.commit).Add(hard_.life).Add(log_.Hash()).Add(writes_.Hash());
  h.Add(configurations_.Hash());
  h.Add(timer_.elapsed < timer_.timeout ? timer_.timeout - timer_.elapsed : 0);
  h.Add(timer_.elapsed < options_.election_ticks ? options_.election_ticks - timer_.elapsed : 0);
  h.Add(timer_.early ? *timer_.early + 1 : 0).Add(timer_.early_used == hard_.term ? 1 : 0);
  h.Add(generator_.state()).Add(delivery_.emitted).Add(delivery_.applied).Add(forwarded_.Hash());
  for (const ReplicaId peer : refused_) h.Add(peer);
  h.Add(role_.index());
  if (const auto* follower = std::get_if<Follower>(&role_)) {
    h.Add(follower->leader.value_or(ReplicaId())).Add(follower->verified);
  } else if (const auto* candidate = std::get_if<Candidate>(&role_)) {
    h.Add(candidate->pre ? 1 : 0).Add(static_cast<std::uint64_t>(candidate->campaign));
    h.Add(candidate->own_vote > writes_.persisted() ? candidate->own_vote.value - writes_.persisted().value : 0);
    for (const auto& [voter, granted] : candidate->answers) h.Add(voter).Add(granted ? 1 : 0);
  } else if (const auto* leader = std::get_if<Leader>(&role_)) {
    h.Add(leader->own_from).Add(options_.heartbeat_ticks - leader->heartbeat_elapsed);
    h.Add(options_.election_ticks - leader->quorum_elapsed).Add(leader->reads.Hash());
    h.Add(leader->settled).Add(leader->caught_up_from);
    for (const auto& [id, peer] : leader->peers) h.Add(id).Add(peer.Hash());
    if (leader->transfer) {
      h.Add(leader->transfer->to).Add(options_.election_ticks - leader->transfer->elapsed_ticks);
      h.Add(leader->transfer->sent ? 1 : 0);
    }
  }
  for (const Outbound& out : out_.outbound) h.Add(out.to).AddBytes(out.payload.view()).Add(out.after);
  h.Add(out_.reads.size()).Add(out_.failed_reads.size()).Add(out_.failed.size());
  h.Add(out_.send_snapshot.size()).Add(out_.may_quiesce ? 1 : 0);
  return h.value();
}

}  // namespace quorate::consensus::raft
