// Phase 1 of the leader, discovery: paper 4.1 (algorithm 1), Medeiros 2.1.
//
// The paper's prospective leader takes the best history of a quorum; here, as in ZooKeeper, the election has chosen who
// has it, and discovery verifies: the outlines in ACK-E of a quorum must not be fresher than the own history, else it
// gives up (node_election.cc then finds the better one).
//
// A promise names its leader. Two prospective leaders may choose the same number; ZooKeeper answers an equal epoch with
// an ACKEPOCH that does not count, here it counts for the leader it was given to, and for no other. A follower that
// has promised as much or more to another makes an unsecured leader choose a higher epoch; a secured one, whose epoch
// cannot be another's any more, takes it along if the numbers are equal, and gives up if it has promised more: else
// it could not follow for as long as this leader leads.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"
#include "consensus/zab/node.h"

namespace quorate::consensus::zab {

void Node::DropSession(Leading& leading, ReplicaId peer) {
  leading.reads.DropPeer(peer);
  leading.sessions.erase(peer);
}

// Step l.1.1 of algorithm 1: CEPOCH of a quorum.
void Node::Handle(ReplicaId from, SessionNumber number, const CEpoch& cepoch) {
  peers_.refused.erase(from);
  auto* leading = std::get_if<Leading>(&role_);
  if (leading == nullptr) return Notify(from);  // it is told who leads, or who may
  const std::vector<ReplicaId> all = AllReplicas(members());
  if (!std::binary_search(all.begin(), all.end(), from)) return;
  DropSession(*leading, from);
  Session session;
  session.link = peers_.links.at(from);
  session.number = number;
  session.accepted = cepoch.accepted;
  session.heard = true;
  Session& added = leading->sessions.emplace(from, std::move(session)).first->second;
  if (leading->progress == Progress::kGathering) return TryChooseEpoch(*leading);
  AnswerCEpoch(*leading, from, added);
}

void Node::TryChooseEpoch(Leading& leading) {
  if (!HasQuorum(leading, true, [](const Session&) { return true; })) return;
  std::uint64_t number = hard_.accepted.number;
  for (const auto& [id, session] : leading.sessions) number = std::max(number, session.accepted.number);
  ChooseEpoch(leading, number + 1);
}

// Step l.1.2: NEWEPOCH, once the own promise is durable.
void Node::ChooseEpoch(Leading& leading, std::uint64_t number) {
  CHECK(number > hard_.accepted.number && !leading.secured());
  leading.progress = Progress::kPromising;
  leading.epoch = Epoch(number);
  hard_.accepted = {number, options_.self};
  writes_.HardStateChanged();
  leading.own_promise = writes_.Barrier();
  for (auto& [id, session] : leading.sessions) {
    session.stage = Stage::kPromising;
    session.history = AckEpoch();
    SendToFollower(leading, id, session, NewEpoch{false}, leading.own_promise);
  }
}

void Node::AnswerCEpoch(Leading& leading, ReplicaId from, Session& session) {
  const Ballot& accepted = session.accepted;
  const bool to_another = accepted.number == leading.epoch.value && accepted.owner != options_.self;
  if (accepted.number > leading.epoch.value && leading.secured()) return GoLooking();
  if (!leading.secured() && (accepted.number > leading.epoch.value || to_another)) {
    QUORATE_PROBE(zab_chooses_another_epoch);
    return ChooseEpoch(leading, accepted.number + 1);
  }
  session.stage = Stage::kPromising;
  SendToFollower(leading, from, session, NewEpoch{leading.secured()},
                 leading.secured() ? PersistSeq() : leading.own_promise);
}

void Node::HandleBody(Leading& leading, ReplicaId from, Session& session, const AckEpoch& ack) {
  if (session.stage != Stage::kPromising) return RestartSession(leading, from);
  session.stage = Stage::kPromised;
  session.history = ack;
  if (leading.secured()) return BeginSync(from, session);
  const Zxid last{ack.runs.back().generation, ack.runs.back().last};
  const bool ignores = QUORATE_BUG(zab_ignores_current_epoch);
  const bool fresher = !ignores && ack.current != hard_.current ? ack.current > hard_.current : last > LastZxid();
  if (fresher && IsVoter(members(), from)) {
    QUORATE_PROBE(zab_gives_up_for_a_fresher_history);
    return GoLooking();
  }
  TrySecure(leading);
}

// Step l.1.3: a quorum has promised, durably, and none of it knows more than this leader. From here on the epoch is
// its own, and its history contains whatever was committed.
void Node::TrySecure(Leading& leading) {
  if (leading.progress != Progress::kPromising) return;
  const bool own = leading.own_promise <= writes_.persisted();
  if (!HasQuorum(leading, own, [](const Session& session) { return session.stage == Stage::kPromised; })) return;
  leading.progress = Progress::kSecured;
  leading.history_end = log_.last();
  hard_.current = leading.epoch;
  writes_.HardStateChanged();
  leading.own_ack = writes_.Barrier();
  for (auto& [id, session] : leading.sessions) {
    if (session.stage == Stage::kPromised) BeginSync(id, session);
  }
}

}  // namespace quorate::consensus::zab
