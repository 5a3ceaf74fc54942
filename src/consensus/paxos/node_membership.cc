// Changes of the acceptors: PMS section 3, the window alpha. configurations.h has the rules of what an entry does and
// from which slot on; this is when a leader proposes one, and what follows.
//
// A leader begins a change only when
//   - none is under way, neither chosen nor proposed,
//   - every slot that phase 1 saw is chosen, so it knows what earlier leaders may have begun,
//   - the quorum sizes intersect for the new number of voters,
//   - every new voter is a learner that has caught up, so that the window does not stand still for it.
// Once the joint entry is chosen, no-ops fill the window up to the slot from which the new acceptors are in force, if
// no client does; phase 1 is made good with the new acceptors; then comes the entry that ends the change. Replicas that
// leave are sent what is chosen until they know that entry, so that they learn of it and stop campaigning. One that
// does not learn of it cannot disturb: the others hear from a leader and refuse its poll.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"
#include "consensus/change.h"
#include "consensus/paxos/node.h"
#include "consensus/quorum/quorum.h"

namespace quorate::consensus::paxos {
namespace {

constexpr std::uint64_t kLeavingTimeouts = 4;  // election timeouts that a replica is sent the log after its removal

bool Contains(const std::vector<ReplicaId>& sorted, ReplicaId replica) {
  return std::binary_search(sorted.begin(), sorted.end(), replica);
}

}  // namespace

void Node::On(ChangeMembers event) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr || leader->transfer) {
    out_.failed.push_back({event.origin, FailureReason::kNotLeader});
    return;
  }
  if (!MayChange(*leader, event.target)) {
    QUORATE_PROBE(paxos_change_refused);
    out_.failed.push_back({event.origin, FailureReason::kDropped});
    return;
  }
  const bool joint = event.target.voters != members().voters;
  Change change{std::move(event.target), joint ? event.origin : Origin()};
  if (joint) change.members.outgoing = members().voters;
  proposer_.Enqueue({EntryKind::kMembership, joint ? Origin() : event.origin, EncodeChange(change)});
}

bool Node::MayChange(const Leader& leader, const Membership& target) const {
  if (target.voters.empty() || !target.outgoing.empty() || !IsWellFormed(target)) return false;
  if (configurations_.IsChanging() || HasOpenMembership() || !KnowsAllAcknowledged()) return false;
  if (!own_.quorums.Intersect(target.voters.size())) return false;
  return std::all_of(target.voters.begin(), target.voters.end(), [&](ReplicaId voter) {
    if (Contains(members().voters, voter)) return true;
    return Contains(members().learners, voter) && IsCaughtUp(leader, voter);
  });
}

bool Node::HasOpenMembership() const {
  if (proposer_.HasMembership()) return true;
  const auto& accepted = acceptor_.accepted();
  return std::any_of(accepted.begin(), accepted.end(),
                     [](const auto& one) { return one.second.kind == EntryKind::kMembership; });
}

bool Node::IsCaughtUp(const Leader& leader, ReplicaId replica) const {
  const auto found = leader.peers.find(replica);
  return found != leader.peers.end() && found->second.replicating() && found->second.match() >= leader.caught_up_from;
}

// The members as of what is chosen have changed, or this replica leads since now.
void Node::Settle(Leader& leader) {
  if (leader.settled != configurations_.latest_index().Next()) {
    leader.settled = configurations_.latest_index().Next();
    leader.confirming = false;
    AddPeers(leader);
    DropPeersThatLeft(leader);
    if (configurations_.IsChanging()) AskPhase1();
  }
  if (configurations_.IsChanging() && !leader.confirming && !HasOpenMembership()) EndChange(leader);
}

// No-ops up to the last slot of the former acceptors, and the second entry once those are needed no more.
void Node::EndChange(Leader& leader) {
  const LogIndex last = configurations_.InForceFrom().Prev();
  std::uint64_t slot = std::max(proposer_.next(), proposer_.last_seen().Next()).value + proposer_.waiting();
  for (; slot <= last.value; ++slot) proposer_.Enqueue({EntryKind::kNoop, Origin(), Bytes()});
  if (learner_.chosen() < last) return;
  const auto knows = [&](ReplicaId replica) {
    if (replica == self()) return writes_.durable_chosen() >= last;
    const auto found = leader.peers.find(replica);
    return found != leader.peers.end() && found->second.known() >= last;
  };
  if (!own_.quorums.IsPhase2(configurations_.Of(last.Next()), knows)) return;
  leader.confirming = true;
  Membership settled = members();
  settled.outgoing.clear();
  proposer_.Enqueue(
      {EntryKind::kMembership, configurations_.latest_origin(), EncodeChange({std::move(settled), Origin()})});
}

void Node::AddPeers(Leader& leader) {
  for (const ReplicaId peer : AllReplicas(members())) {
    if (peer == self()) continue;
    const auto [at, is_new] = leader.peers.try_emplace(peer);
    at->second.Stay();
    const std::optional<LogIndex> position = proposer_.PositionOf(peer);
    if (is_new && position && *position <= learner_.chosen()) at->second.StandsAt(*position);
  }
}

void Node::DropPeersThatLeft(Leader& leader) {
  const std::vector<ReplicaId> staying = AllReplicas(members());
  for (auto& [id, peer] : leader.peers) {
    if (!Contains(staying, id)) peer.Leave(kLeavingTimeouts * own_.options.election_ticks);
  }
}

bool Node::HasLeft() const {
  return !configurations_.IsChanging() && !IsSelfVoter() && !members().voters.empty();
}

// A leader that is no acceptor of the slots to come leads until the change is over. Who has most is told to take over
// at once, so that nobody waits for an election timeout.
void Node::LeaveOffice(Leader& leader) {
  QUORATE_PROBE(paxos_removed_leader_leaves_office);
  const Progress* best = nullptr;
  ReplicaId heir;
  for (auto& [id, peer] : leader.peers) {
    if (OwesNotice(peer)) Send(id, proposer_.ballot(), Chosen{learner_.chosen()});
    if (!Contains(members().voters, id) || (best != nullptr && best->match() >= peer.match())) continue;
    best = &peer;
    heir = id;
  }
  if (best != nullptr) Send(heir, proposer_.ballot(), TakeOver{});
  BecomeFollower(acceptor_.promised(), std::nullopt);
}

}  // namespace quorate::consensus::paxos
