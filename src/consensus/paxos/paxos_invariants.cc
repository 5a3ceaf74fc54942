// What must hold after every event; the numbers are those of node.h.
#include <algorithm>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/paxos/node.h"
#include "consensus/quorum/quorum.h"

namespace quorate::consensus::paxos {

void Node::CheckInvariants() const {
  CheckState();
  CheckProposer();
  if (const auto* leader = std::get_if<Leader>(&role_)) CheckLeader(*leader);
}

void Node::CheckState() const {
  learner_.CheckInvariants();
  writes_.CheckInvariants();
  configurations_.CheckInvariants();
  const LogIndex chosen = learner_.chosen();
  acceptor_.CheckInvariants(chosen);  // 3
  // 1
  const Watermarks& before = traces_.before;
  CHECK(acceptor_.promised() >= before.promised) << "a promise was taken back";
  CHECK(chosen >= before.chosen);
  // 2
  CHECK(delivery_.emitted >= before.delivery.emitted && delivery_.applied >= before.delivery.applied);
  CHECK(delivery_.applied <= delivery_.emitted && delivery_.emitted <= chosen);
  CHECK(delivery_.emitted <= writes_.DurableUpto()) << "emitted " << delivery_.emitted.value << ", not durable";
  CHECK(learner_.start() <= delivery_.emitted);
  // Nothing above the applied index is dropped from memory, but for what an installed snapshot covers.
  CHECK(learner_.first_cached() <= std::max(delivery_.applied, learner_.start()).Next());
  CHECK(configurations_.latest_index() <= chosen);
  configurations_.At(learner_.start());
  // A leader that is known is the one who was promised.
  const auto* follower = std::get_if<Follower>(&role_);
  CHECK(follower == nullptr || !follower->leader || follower->leader == acceptor_.promised().owner);
  CHECK(follower == nullptr || follower->leader != self()) << "a follower follows itself";
}

// 4
void Node::CheckProposer() const {
  proposer_.CheckInvariants(learner_.chosen());
  const auto* candidate = std::get_if<Candidate>(&role_);
  const bool has_ballot = std::holds_alternative<Leader>(role_) || (candidate != nullptr && !candidate->polling);
  CHECK(proposer_.active() == has_ballot);
  if (!proposer_.active()) return;
  CHECK(proposer_.ballot().owner == self());
  CHECK(proposer_.ballot() == acceptor_.promised()) << "a proposer of a ballot that its own acceptor would refuse";
  CHECK(candidate == nullptr || !proposer_.HasPromised(self()) || candidate->own_promise <= writes_.persisted());
}

void Node::CheckLeader(const Leader& leader) const {
  for (const ReplicaId replica : AllReplicas(members())) {
    CHECK(replica == self() || leader.peers.contains(replica)) << "no progress of " << replica.value;
  }
  for (const auto& [id, peer] : leader.peers) peer.CheckInvariants(proposer_.next().Prev(), Limits());  // 6
  leader.reads.CheckInvariants();
  // 5
  CHECK(proposer_.next().value <= learner_.chosen().value + own_.parameters.alpha + 1);
  for (LogIndex slot = learner_.chosen().Next(); slot < proposer_.next(); slot = slot.Next()) {
    const Entry* held = acceptor_.At(slot);
    CHECK(held != nullptr && held->ballot == proposer_.ballot())
        << "proposed at " << slot.value << ", not accepted here";
    CHECK(HasPhase1(slot)) << "proposed at " << slot.value << " without a phase 1 quorum of its acceptors";
  }
  // 7
  std::size_t changes = 0;
  for (const auto& [slot, entry] : acceptor_.accepted()) {
    if (slot > proposer_.last_seen() && entry.kind == EntryKind::kMembership) ++changes;
  }
  CHECK(changes <= 1) << "two changes begun at once";
}

std::uint64_t Node::Fingerprint() const {
  Hasher h;
  h.Add(own_.life).Add(configurations_.Hash()).Add(acceptor_.Hash()).Add(learner_.Hash()).Add(proposer_.Hash());
  h.Add(writes_.Hash());
  const std::uint64_t election_ticks = own_.options.election_ticks;
  h.Add(timer_.elapsed < timer_.timeout ? timer_.timeout - timer_.elapsed : 0);
  h.Add(timer_.elapsed < election_ticks ? election_ticks - timer_.elapsed : 0);
  h.Add(timer_.early ? *timer_.early + 1 : 0).Add(timer_.early_used == acceptor_.promised() ? 1 : 0);
  h.Add(timer_.highest_round).Add(timer_.polls);
  h.Add(own_.options.jitter ? generator_.state() : 0).Add(delivery_.emitted).Add(delivery_.applied);
  h.Add(holding_.ballot == acceptor_.promised() ? holding_.upto : LogIndex()).Add(forwarded_.Hash());
  for (const ReplicaId peer : refused_) h.Add(peer);
  HashRole(h);
  for (const Outbound& out : out_.outbound) h.Add(out.to).AddBytes(out.payload.view()).Add(out.after);
  h.Add(out_.reads.size()).Add(out_.failed_reads.size()).Add(out_.failed.size());
  h.Add(out_.send_snapshot.size()).Add(out_.may_quiesce ? 1 : 0);
  return h.value();
}

void Node::HashRole(Hasher& h) const {
  h.Add(role_.index());
  if (const auto* follower = std::get_if<Follower>(&role_)) {
    h.Add(follower->leader.value_or(ReplicaId())).Add(follower->served.value_or(ReplicaId()));
  } else if (const auto* candidate = std::get_if<Candidate>(&role_)) {
    h.Add(candidate->polling ? 1 : 0).Add(static_cast<std::uint64_t>(candidate->campaign)).Add(candidate->poll);
    h.Add(candidate->handed.number).Add(candidate->handed.owner).Add(candidate->asked_elapsed);
    h.Add(candidate->own_promise > writes_.persisted() ? candidate->own_promise.value - writes_.persisted().value : 0);
    for (const auto& [replica, granted] : candidate->answers) h.Add(replica).Add(granted ? 1 : 0);
  } else if (const auto* leader = std::get_if<Leader>(&role_)) {
    h.Add(own_.options.heartbeat_ticks - leader->heartbeat_elapsed);
    h.Add(own_.options.election_ticks - leader->quorum_elapsed).Add(leader->reads.Hash());
    h.Add(leader->settled).Add(leader->confirming ? 1 : 0).Add(leader->caught_up_from);
    const Lease& lease = leader->lease;
    h.Add(lease.until_ticks > lease.ticks ? lease.until_ticks - lease.ticks : 0).Add(lease.given_up ? 1 : 0);
    for (const auto& [round, ticks] : lease.rounds) h.Add(round).Add(lease.ticks - ticks);
    for (const auto& [id, peer] : leader->peers) h.Add(id).Add(peer.Hash());
    if (leader->transfer) {
      h.Add(leader->transfer->to).Add(own_.options.election_ticks - leader->transfer->elapsed_ticks);
      h.Add(leader->transfer->sent ? 1 : 0);
    }
  }
}

}  // namespace quorate::consensus::paxos
