// Changes of the members: joint consensus (paper section 6, thesis 4.3), learners (thesis 4.2.1), and the leader that
// removes itself (thesis 4.2.2).
//
// A change of voters is one of the whole set. The leader appends the joint configuration, in force at once: from then
// on elections and commitment need a majority of the former and of the new voters. When it is committed, whoever leads
// then appends the new configuration alone. So at no time can two disjoint majorities decide. A change of learners only
// leaves every majority as it is, and takes one entry.
//
// A leader begins a change only when
//   - the former one is committed and not joint,
//   - an entry of its own term is committed. Otherwise two leaders in a row could each begin one on a configuration
//   that
//     the other does not know (found in 2015 in single-server changes; the rule costs a joint change nothing),
//   - every new voter is a learner that has caught up: it holds what was committed at the last check of the quorum, so
//     it is less than an election timeout behind, and commitment will not stand still for it.
// Members that are removed keep receiving the log until the new configuration is committed, so that they learn of it
// and stop campaigning. One that does not learn of it cannot disturb: the others hear from a leader and refuse its
// pre-vote.
//
// Whoever is asked for a vote answers, a voter by its own configuration or not (thesis 4.2.2): a learner may have been
// promoted without having heard of it. The candidate counts only who is a voter in its configuration.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"
#include "consensus/raft/node.h"

namespace quorate::consensus::raft {
namespace {

bool Contains(const std::vector<ReplicaId>& sorted, ReplicaId replica) {
  return std::binary_search(sorted.begin(), sorted.end(), replica);
}

Membership WithoutOutgoing(Membership members) {
  members.outgoing.clear();
  return members;
}

}  // namespace

void Node::On(ChangeMembers event) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr || leader->transfer) {
    out_.failed.push_back({event.origin, FailureReason::kNotLeader});
    return;
  }
  if (!MayChange(*leader, event.target)) {
    QUORATE_PROBE(raft_change_refused);
    out_.failed.push_back({event.origin, FailureReason::kDropped});
    return;
  }
  Change change{std::move(event.target), event.origin};
  const bool in_one_step =
      change.members.voters == members().voters || QUORATE_BUG(raft_single_step_change_before_own_commit);
  if (!in_one_step) change.members.outgoing = members().voters;
  AppendChange(change);
}

bool Node::MayChange(const Leader& leader, const Membership& target) const {
  if (target.voters.empty() || !target.outgoing.empty() || !IsWellFormed(target)) return false;
  if (configurations_.IsJoint() || configurations_.latest_index() > hard_.commit) return false;
  if (!OwnTermCommitted(leader) && !QUORATE_BUG(raft_single_step_change_before_own_commit)) return false;
  return std::all_of(target.voters.begin(), target.voters.end(), [&](ReplicaId voter) {
    if (Contains(members().voters, voter)) return true;
    if (QUORATE_BUG(raft_new_voter_before_caught_up)) return true;
    return Contains(members().learners, voter) && IsCaughtUp(leader, voter);
  });
}

bool Node::IsCaughtUp(const Leader& leader, ReplicaId replica) const {
  const auto found = leader.peers.find(replica);
  return found != leader.peers.end() && found->second.replicating() && found->second.match() >= leader.caught_up_from;
}

void Node::AppendChange(const Change& change) {
  const bool joint = !change.members.outgoing.empty();
  const Change content{change.members, joint ? change.origin : Origin()};
  AppendOwn(EntryKind::kMembership, joint ? Origin() : change.origin, EncodeChange(content));
  AddPeers(std::get<Leader>(role_));
}

void Node::AddPeers(Leader& leader) {
  for (const ReplicaId peer : AllReplicas(members())) {
    if (peer != options_.self) leader.peers.try_emplace(peer, Progress(log_.last().Next()));
  }
}

// The commit index has moved: what follows from a configuration that is committed now.
void Node::Settle(Leader& leader) {
  const LogIndex latest = configurations_.latest_index();
  if (leader.settled == latest || latest > hard_.commit || !OwnTermCommitted(leader)) return;
  leader.settled = latest;
  if (configurations_.IsJoint()) {
    AppendChange({WithoutOutgoing(members()), configurations_.latest_origin()});
    return;
  }
  DropPeersThatLeft(leader);
  leader.removed = !IsSelfVoter();
}

void Node::DropPeersThatLeft(Leader& leader) {
  if (QUORATE_BUG(raft_counts_removed_member)) return;
  const std::vector<ReplicaId> staying = AllReplicas(members());
  for (auto it = leader.peers.begin(); it != leader.peers.end();) {
    if (Contains(staying, it->first)) {
      ++it;
      continue;
    }
    // The last thing that it hears, if it can make use of it.
    if (OwesCommitNotice(it->second)) Send(it->first, CommitNotice{std::min(hard_.commit, it->second.match())});
    leader.reads.DropPeer(it->first);
    it = leader.peers.erase(it);
  }
}

// Thesis 4.2.2: a leader that is not in the new configuration leads until that is committed, without counting itself.
// The follower that has most is told to take over at once, so that nobody waits for an election timeout.
void Node::LeaveOffice(Leader& leader) {
  const Progress* best = nullptr;
  ReplicaId heir;
  for (auto& [id, peer] : leader.peers) {
    if (OwesCommitNotice(peer)) Send(id, CommitNotice{std::min(hard_.commit, peer.match())});
    if (!IsVoter(members(), id) || (best != nullptr && best->match() >= peer.match())) continue;
    best = &peer;
    heir = id;
  }
  if (best != nullptr) Send(heir, TimeoutNow{});
  BecomeFollower(hard_.term, std::nullopt);
}

std::vector<ReplicaId> Node::Electorate() const {
  std::vector<ReplicaId> voters =
      QUORATE_BUG(raft_counts_removed_member) ? configurations_.Everyone() : AllReplicas(members());
  if (!QUORATE_BUG(raft_counts_removed_member)) {
    std::erase_if(voters, [this](ReplicaId replica) { return !IsVoter(members(), replica); });
  }
  return voters;
}

// How far the log is durable on a quorum.
LogIndex Node::AgreedMatch(const Leader& leader) const {
  const LogIndex own = QUORATE_BUG(raft_leader_counts_unsynced_self) ? log_.last() : writes_.durable();
  const auto reached = [&](ReplicaId voter) { return voter == options_.self ? own : leader.peers.at(voter).match(); };
  if (QUORATE_BUG(raft_joint_needs_one_majority)) return Agreed<LogIndex>(WithoutOutgoing(members()), reached);
  if (QUORATE_BUG(raft_counts_removed_member)) {
    std::vector<LogIndex> all;
    for (const ReplicaId replica : configurations_.Everyone()) {
      if (replica == options_.self || leader.peers.contains(replica)) all.push_back(reached(replica));
    }
    std::sort(all.begin(), all.end(), std::greater<>());
    return all[std::min(members().voters.size() / 2, all.size() - 1)];
  }
  return Agreed<LogIndex>(members(), reached);
}

VoteResult Node::ResultOfElection(const Candidate& candidate) const {
  const auto answered = [&candidate](ReplicaId voter) {
    const auto found = candidate.answers.find(voter);
    if (found == candidate.answers.end()) return Answer::kMissing;
    return found->second ? Answer::kYes : Answer::kNo;
  };
  if (QUORATE_BUG(raft_joint_needs_one_majority)) return ResultOfVote(WithoutOutgoing(members()), answered);
  if (QUORATE_BUG(raft_counts_removed_member)) {
    const std::size_t yes = static_cast<std::size_t>(
        std::count_if(candidate.answers.begin(), candidate.answers.end(), [](const auto& one) { return one.second; }));
    if (yes > members().voters.size() / 2) return VoteResult::kWon;
  }
  return ResultOfVote(members(), answered);
}

}  // namespace quorate::consensus::raft
