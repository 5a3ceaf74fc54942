// Phase 2 and learning: PMS section 2.2 (phase 2), 2.3 (learning from a distinguished learner: here the leader counts
// the 2b and tells the others) and 3 (the sequence of slots); PMMC 4.3 (commanders) and 2 (decisions in slot order).
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/change.h"
#include "consensus/paxos/node.h"

namespace quorate::consensus::paxos {
namespace {

constexpr std::uint64_t kLoadMessages = 4;  // a cold load fetches as much as this many messages carry

void AddSlot(LogIndex slot, std::vector<SlotRange>* ranges) {
  if (!ranges->empty() && ranges->back().last.Next() == slot) {
    ranges->back().last = slot;
  } else {
    ranges->push_back({slot, slot});
  }
}

}  // namespace

// ---- As acceptor and learner

// PMS 2.2, phase 2 (b): accept unless a higher ballot was promised, and answer when it is durable. A slot that is known
// to be chosen is answered for without writing: whatever a proposer sends for it is the chosen value.
void Node::Handle(ReplicaId from, const Ballot& ballot, Phase2a request) {
  learner_.Notice(ballot, request.chosen);
  Phase2b answer;
  for (Entry& entry : request.entries) {
    const LogIndex slot = entry.index;
    if (slot <= learner_.chosen() || AcceptHere(std::move(entry))) AddSlot(slot, &answer.accepted);
  }
  Advance();
  answer.match = Held(ballot);
  const PersistSeq after = QUORATE_BUG(paxos_accepted_before_durable) ? PersistSeq() : writes_.Barrier();
  Send(from, ballot, std::move(answer), after);
}

// Whether it is accepted now, or was before.
bool Node::AcceptHere(Entry entry) {
  const LogIndex slot = entry.index;
  switch (acceptor_.Accept(std::move(entry))) {
    case Acceptor::Answer::kAccepted:
      writes_.Put(*acceptor_.At(slot));
      return true;
    case Acceptor::Answer::kHeld:
      return true;
    case Acceptor::Answer::kRefused:
      break;
  }
  return false;
}

void Node::Handle(ReplicaId, const Ballot& ballot, const Chosen& notice) {
  learner_.Notice(ballot, notice.upto);
}

void Node::Handle(ReplicaId from, const Ballot& ballot, Decision decision) {
  learner_.Notice(ballot, decision.chosen);
  TakeChosen(std::move(decision.entries));
  Advance();
  Send(from, ballot, Learned{Held(ballot)}, writes_.Barrier());
}

void Node::TakeChosen(std::vector<Entry> entries) {
  for (Entry& entry : entries) {
    const LogIndex slot = entry.index;
    if (slot <= learner_.chosen()) continue;
    if (acceptor_.Learn(std::move(entry))) writes_.Put(*acceptor_.At(slot));
    learner_.Know(slot);
  }
}

// A proposer that this acceptor has promised is behind what is known to be chosen here.
void Node::Handle(ReplicaId from, const Ballot& ballot, const Learn& request) {
  if (IsTooFarBehind(request.from) || request.from > learner_.chosen()) return;
  timer_.elapsed = 0;
  Send(from, ballot, Decision{learner_.chosen(), learner_.From(request.from, own_.options.message_bytes_max)});
}

void Node::Handle(ReplicaId from, const Ballot& ballot, const Heartbeat& heartbeat) {
  learner_.Notice(ballot, heartbeat.chosen);
  Advance();
  const LogIndex held = Held(ballot);
  HeartbeatReply reply;
  reply.round = heartbeat.round;
  reply.sent = heartbeat.sent;
  reply.echoed = heartbeat.match;
  reply.held = held;
  reply.match = std::min(held, writes_.DurableUpto());
  reply.known = writes_.durable_chosen();
  if (own_.options.lease_reads) {
    acceptor_.GrantLease(own_.options.election_ticks);
    reply.lease = true;
  }
  Send(from, ballot, reply);
}

// Every slot up to here is known to be chosen, or accepted with `ballot`.
LogIndex Node::Held(const Ballot& ballot) {
  if (ballot != acceptor_.promised()) return LogIndex();
  if (holding_.ballot != ballot) holding_ = {ballot, learner_.chosen()};
  holding_.upto = std::max(holding_.upto, learner_.chosen());
  while (true) {
    const Entry* next = acceptor_.At(holding_.upto.Next());
    if (next == nullptr || (next->ballot != ballot && !learner_.IsChosen(*next))) return holding_.upto;
    holding_.upto = holding_.upto.Next();
  }
}

// What is chosen next to the slots that are known to be moves over to them, in slot order; only there is it known who
// the acceptors of later slots are.
void Node::Advance() {
  while (true) {
    const LogIndex slot = learner_.chosen().Next();
    const Entry* held = acceptor_.At(slot);
    if (held == nullptr || !learner_.IsChosen(*held)) break;
    Entry value = acceptor_.TakeOut(slot);
    if (value.kind == EntryKind::kMembership && !configurations_.Append(slot, *DecodeChange(value.payload))) {
      ++traces_.counters.void_changes;
    }
    learner_.Append(std::move(value));
  }
  if (proposer_.active()) proposer_.OnChosen(learner_.chosen());
}

// ---- As leader

void Node::Handle(ReplicaId from, const Phase2b& answer) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  for (const SlotRange& range : answer.accepted) CountAccepted(from, range);
  Handle(from, Learned{answer.match});
}

void Node::Handle(ReplicaId from, const Learned& answer) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  const auto found = leader->peers.find(from);
  if (found == leader->peers.end()) return;
  found->second.MarkActive();
  // It may know more to be chosen than this leader does yet.
  found->second.OnMatch(std::min(answer.match, proposer_.next().Prev()));
  CountAccepted(from, {LogIndex(1), answer.match});  // an answer that named them may have been lost
  AdvanceTransfer(*leader);
}

// PMS 2.2: a value is chosen when a majority (Flexible Paxos: a phase 2 quorum) of the slot's acceptors has accepted it
// in one ballot. The slots of an answer need not be next to what is chosen already.
void Node::CountAccepted(ReplicaId acceptor, const SlotRange& range) {
  const LogIndex last = std::min(range.last, proposer_.next().Prev());
  for (LogIndex slot = std::max(range.first, learner_.chosen().Next()); slot <= last; slot = slot.Next()) {
    if (!proposer_.IsOpen(slot)) continue;
    proposer_.OnAccepted(acceptor, slot);
    const auto accepted = [&](ReplicaId replica) { return proposer_.HasAccepted(replica, slot); };
    if (own_.quorums.IsPhase2(configurations_.Of(slot), accepted)) learner_.Know(slot);
  }
}

// PMS section 3: no more than alpha slots above what is known to be chosen, for the acceptors of later ones are not
// known; and only where a phase 1 quorum of the slot's own acceptors has reported.
bool Node::MayProposeNext() const {
  const LogIndex slot = proposer_.next();
  return proposer_.HasNext() && slot.value <= learner_.chosen().value + own_.parameters.alpha && !MustLearnFirst() &&
         HasPhase1(slot);
}

// PMS 2.2, phase 2 (a), and section 3: what phase 1 reported, no-ops for the gaps below, then clients' values.
void Node::ProposeMore() {
  while (MayProposeNext()) {
    Entry entry = proposer_.OpenNext();
    const LogIndex slot = entry.index;
    CHECK(AcceptHere(std::move(entry))) << "slot " << slot.value << " was proposed before in this ballot";
    if (QUORATE_BUG(paxos_proposer_counts_unsynced_self)) CountAccepted(self(), {slot, slot});
  }
}

void Node::Handle(ReplicaId from, const HeartbeatReply& reply) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  const auto found = leader->peers.find(from);
  if (found == leader->peers.end()) return;
  Progress& peer = found->second;
  HeartbeatReply position = reply;
  position.held = std::min(reply.held, proposer_.next().Prev());
  position.match = std::min(reply.match, proposer_.next().Prev());
  peer.OnPosition(position);
  peer.OnKnown(reply.known);
  Handle(from, Learned{reply.match});
  if (reply.round <= leader->reads.last_round()) {
    peer.OnConfirmed(reply.round);
    if (reply.lease) peer.OnLent(reply.round);
    ExtendLease(*leader);
    ConfirmReads(*leader);
  }
}

void Node::SendHeartbeats(Leader& leader) {
  leader.heartbeat_elapsed = 0;
  for (const auto& [id, peer] : leader.peers) {
    const LogIndex sent = peer.replicating() ? peer.sent() : LogIndex();
    Send(id, proposer_.ballot(), Heartbeat{learner_.chosen(), leader.reads.last_round(), sent, peer.match()});
  }
}

bool Node::CanSend(ReplicaId to, const Progress& peer) const {
  const LogIndex next = peer.next();
  if (next <= learner_.start() || !peer.MaySend(Limits())) return false;
  if (next <= learner_.chosen()) return !learner_.IsCold(next) || !learner_.loading();
  return next < proposer_.next() && configurations_.Of(next).Contains(to);
}

bool Node::OwesNotice(const Progress& peer) const {
  return peer.replicating() && std::min(learner_.chosen(), peer.match()) > peer.told();
}

void Node::FlushPeers(Leader& leader, Ready* ready) {
  bool loaded_in_use = false;
  for (auto& [id, peer] : leader.peers) {
    if (peer.WantsSnapshot(learner_.start())) AskForSnapshot(id, peer, learner_.start());
    while (CanSend(id, peer)) {
      if (peer.next() <= learner_.chosen() && learner_.IsCold(peer.next())) {
        ready->load_log = learner_.StartLoad(peer.next(), kLoadMessages * own_.options.message_bytes_max);
        break;
      }
      SendNext(id, peer);
    }
    if (OwesNotice(peer)) {
      Send(id, proposer_.ballot(), Chosen{learner_.chosen()});
      peer.OnTold(std::min(learner_.chosen(), peer.match()));
    }
    loaded_in_use = loaded_in_use || (peer.replicating() && peer.next() < learner_.first_cached());
  }
  if (!loaded_in_use) learner_.DropLoaded();
}

// Chosen values as such, to everybody; what is open only to the acceptors of its slot.
void Node::SendNext(ReplicaId to, Progress& peer) {
  const LogIndex next = peer.next();
  std::vector<Entry> entries;
  std::uint64_t bytes = 0;
  if (next <= learner_.chosen()) {
    entries = learner_.From(next, own_.options.message_bytes_max);
    for (const Entry& entry : entries) bytes += entry.payload.size();
  }
  const bool decided = !entries.empty();
  for (LogIndex slot = next; !decided && slot < proposer_.next(); slot = slot.Next()) {
    const Entry* open = acceptor_.At(slot);
    CHECK(open != nullptr && open->ballot == proposer_.ballot()) << "slot " << slot.value << " is not open";
    if (!configurations_.Of(slot).Contains(to)) break;
    if (!entries.empty() && bytes + open->payload.size() > own_.options.message_bytes_max) break;
    bytes += open->payload.size();
    entries.push_back(*open);
  }
  const LogIndex last = entries.back().index;
  if (decided) {
    Send(to, proposer_.ballot(), Decision{learner_.chosen(), std::move(entries)});
  } else {
    Send(to, proposer_.ballot(), Phase2a{learner_.chosen(), std::move(entries)});
  }
  peer.OnSent(last, bytes, learner_.chosen());
}

}  // namespace quorate::consensus::paxos
