// Linearizable reads without a slot of their own. PMMC 4.5 discusses read-only commands and leases; the papers leave
// the rest to the reader, so here is the argument.
//
// A read waits for a confirmation of this ballot, sent after the read arrived, by a phase 2 quorum of the acceptors of
// slot c + 1, where c is how far slots are known to be chosen when the quorum is complete. The read is served at c.
// Suppose a write was acknowledged before the read arrived, in slot s > c. Whoever acknowledges has every slot up to s
// chosen, so slot c + 1 was chosen. Not in this ballot, or a lower one that phase 1 did not see: this leader has a
// phase 1 quorum of slot c + 1 and has chosen all that was reported (KnowsAllAcknowledged); and in this ballot this
// leader is the first who knows. So in a higher ballot, whose phase 1 quorum of slot c + 1 shares an acceptor with the
// confirming quorum: it had promised the higher ballot before the read arrived, and would not have confirmed.
//
// A lease (Options::lease_reads) lets the leader skip the round: the acceptors that answered one promise to answer no
// other proposer's phase 1 for an election timeout. It is counted from when the round was sent, and is a quarter
// shorter, for clocks that run at different speeds. Ticks are the only clock: a process that stands still for longer
// than that quarter and serves a read before its ticks go on breaks a lease, which is why leases are off by default.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "consensus/paxos/node.h"

namespace quorate::consensus::paxos {

void Node::On(const ReadBarrier& event) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->reads.Add(OwnRead{event.id});
  } else if (KnownLeader()) {
    forwarded_.Add(event.id);
  } else {
    FailReads(std::vector<ReadId>{event.id});
  }
}

void Node::OnReadRequest(ReplicaId from, const ReadRequest& request) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->reads.Add(PeerRead{from, request.id});
  } else {
    Send(from, acceptor_.promised(), ReadReply{request.id, std::nullopt});
  }
}

void Node::OnReadReply(const ReadReply& reply) {
  const std::vector<ReadId> reads = forwarded_.Answered(reply.id);
  if (!reply.index) return FailReads(reads);
  for (const ReadId read : reads) out_.reads.emplace_back(read, *reply.index);
}

// Whatever earlier ballots may have chosen above what is chosen now, a phase 1 quorum would have reported.
bool Node::KnowsAllAcknowledged() const {
  return learner_.chosen() >= proposer_.last_seen() && !MustLearnFirst() && HasPhase1(learner_.chosen().Next());
}

bool Node::CanStartRound(const Leader& leader) const {
  return leader.reads.waiting() && (KnowsAllAcknowledged() || QUORATE_BUG(paxos_read_before_phase1_slots));
}

// One round of heartbeats for all reads that arrived since the last one.
void Node::FlushReads(Leader& leader) {
  if (!CanStartRound(leader)) return;
  if (leader.lease.until_ticks > leader.lease.ticks && !leader.lease.given_up) {
    return AnswerReads(leader, leader.reads.StartRound(learner_.chosen()));
  }
  BeginRound(leader);
  SendHeartbeats(leader);
  ConfirmReads(leader);
}

void Node::BeginRound(Leader& leader) {
  const ReadRound round = leader.reads.StartRound(learner_.chosen());
  if (own_.options.lease_reads) leader.lease.rounds.emplace_back(round, leader.lease.ticks);
}

void Node::ConfirmReads(Leader& leader) {
  if (!leader.reads.confirming()) return;
  if (!KnowsAllAcknowledged() && !QUORATE_BUG(paxos_read_before_phase1_slots)) return;
  const ReadRound last = leader.reads.last_round();
  const auto confirmed = [&](ReplicaId replica) {
    if (replica == self()) return last;
    const auto found = leader.peers.find(replica);
    return found == leader.peers.end() ? ReadRound() : found->second.confirmed();
  };
  const ReadRound agreed =
      own_.quorums.AgreedByPhase2<ReadRound>(configurations_.Of(learner_.chosen().Next()), confirmed);
  AnswerReads(leader, QUORATE_BUG(paxos_read_without_confirmation) ? last : agreed);
}

void Node::AnswerReads(Leader& leader, ReadRound upto) {
  for (const auto& [read, begun_at] : leader.reads.Confirm(upto)) {
    const LogIndex index = std::max(begun_at, learner_.chosen());
    if (const auto* own = std::get_if<OwnRead>(&read)) {
      out_.reads.emplace_back(own->id, index);
    } else {
      const auto& forwarded = std::get<PeerRead>(read);
      Send(forwarded.from, proposer_.ballot(), ReadReply{forwarded.id, index});
    }
  }
}

void Node::ExtendLease(Leader& leader) {
  if (!own_.options.lease_reads || leader.lease.rounds.empty()) return;
  const ReadRound last = leader.reads.last_round();
  const auto lent = [&](ReplicaId replica) {
    if (replica == self()) return last;
    const auto found = leader.peers.find(replica);
    return found == leader.peers.end() ? ReadRound() : found->second.lent();
  };
  const ReadRound agreed = own_.quorums.AgreedByPhase2<ReadRound>(configurations_.Of(learner_.chosen().Next()), lent);
  // What is lent may be a tick shorter than it says: an acceptor's next tick may come at once.
  const std::uint64_t length = 3 * (own_.options.election_ticks - 1) / 4;
  while (!leader.lease.rounds.empty() && leader.lease.rounds.front().first <= agreed) {
    leader.lease.until_ticks = leader.lease.rounds.front().second + length;
    leader.lease.rounds.pop_front();
  }
}

void Node::FailReads(const std::vector<ReadId>& reads) {
  out_.failed_reads.insert(out_.failed_reads.end(), reads.begin(), reads.end());
}

void Node::FailReads(const std::vector<PendingRead>& reads) {
  for (const PendingRead& read : reads) {
    if (const auto* own = std::get_if<OwnRead>(&read)) {
      out_.failed_reads.push_back(own->id);
    } else {
      const auto& forwarded = std::get<PeerRead>(read);
      Send(forwarded.from, acceptor_.promised(), ReadReply{forwarded.id, std::nullopt});
    }
  }
}

}  // namespace quorate::consensus::paxos
