// Reconfiguration (ATC'12), learners, and a leader that leaves.
//
// A change of voters is one of the whole set: an entry that both the former and the new voters must acknowledge, with
// everything proposed after it, until it is activated. In ATC'12 and ZooKeeper activation is a message
// (COMMITANDACTIVATE); here it is a second entry, which whoever leads appends once the first is committed, and which
// answers the client. So a member knows from its log whether the former voters are still needed: had the activation
// been a message only, new voters that missed it could elect nobody once the former ones are switched off. A change of
// learners only leaves every quorum as it is, and takes one entry.
//
// The members are those of the newest such entry in the log, committed or not, for the election and for phases 1 and 2
// as well. One change at a time; new voters must be learners that have caught up.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/probe.h"
#include "consensus/zab/node.h"

namespace quorate::consensus::zab {
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
  auto* leading = std::get_if<Leading>(&role_);
  if (leading == nullptr || !leading->established() || leading->transfer) {
    out_.failed.push_back({event.origin, FailureReason::kNotLeader});
    return;
  }
  if (!MayChange(*leading, event.target)) {
    QUORATE_PROBE(zab_change_refused);
    out_.failed.push_back({event.origin, FailureReason::kDropped});
    return;
  }
  Change change{std::move(event.target), event.origin};
  if (change.members.voters != members().voters) change.members.outgoing = members().voters;
  AppendChange(change);
}

bool Node::MayChange(const Leading& leading, const Membership& target) const {
  if (target.voters.empty() || !target.outgoing.empty() || !IsWellFormed(target)) return false;
  if (configurations_.IsJoint() || configurations_.latest_index() > hard_.commit) return false;
  return std::all_of(target.voters.begin(), target.voters.end(), [&](ReplicaId voter) {
    if (Contains(members().voters, voter)) return true;
    return Contains(members().learners, voter) && IsCaughtUp(leading, voter);
  });
}

bool Node::IsCaughtUp(const Leading& leading, ReplicaId replica) const {
  const auto found = leading.sessions.find(replica);
  return leading.established() && found != leading.sessions.end() && found->second.stage == Stage::kActive &&
         found->second.match >= leading.caught_up_from;
}

void Node::AppendChange(const Change& change) {
  const bool joint = !change.members.outgoing.empty();
  const Change content{change.members, joint ? change.origin : Origin()};
  AppendOwn(EntryKind::kMembership, joint ? Origin() : change.origin, EncodeChange(content));
}

// The commit index has moved: what follows from a configuration that is committed now.
void Node::Settle(Leading& leading) {
  const LogIndex latest = configurations_.latest_index();
  if (leading.settled == latest || latest > hard_.commit || !leading.established()) return;
  leading.settled = latest;
  if (configurations_.IsJoint()) {
    AppendChange({WithoutOutgoing(members()), configurations_.latest_origin()});
    return;
  }
  const std::vector<ReplicaId> staying = AllReplicas(members());
  std::vector<ReplicaId> leaving;
  for (auto& [id, session] : leading.sessions) {
    if (Contains(staying, id)) continue;
    leaving.push_back(id);
    // The last thing that it hears.
    const LogIndex commit = std::min(hard_.commit, session.next.Prev());
    if (session.stage == Stage::kActive && commit > session.commit_told) {
      SendToFollower(leading, id, session, Commit{commit});
    }
  }
  for (const ReplicaId id : leaving) DropSession(leading, id);
  leading.removed = !IsSelfVoter();
}

// ---- Leaving office

void Node::On(const TransferLeadership& event) {
  auto* leading = std::get_if<Leading>(&role_);
  if (leading == nullptr || !leading->established() || event.to == options_.self) return;
  if (!Contains(members().voters, event.to)) return;
  if (leading->transfer && leading->transfer->to == event.to) return;
  leading->transfer = Transfer{.to = event.to};
}

// Proposals are refused meanwhile; the successor has everything, and all of it is committed.
bool Node::TransferIsDue(const Leading& leading) const {
  if (!leading.transfer || hard_.commit < log_.last()) return false;
  const auto found = leading.sessions.find(leading.transfer->to);
  return found != leading.sessions.end() && found->second.stage == Stage::kActive && found->second.match == log_.last();
}

std::optional<ReplicaId> Node::BestHeir(const Leading& leading) const {
  std::optional<ReplicaId> best;
  LogIndex furthest;
  for (const auto& [id, session] : leading.sessions) {
    if (!IsVoter(members(), id) || session.stage != Stage::kActive || (best && session.match <= furthest)) continue;
    best = id;
    furthest = session.match;
  }
  return best;
}

// Followers hear of every commit first, then whom to vote for, so that nobody waits for a timeout.
void Node::LeaveOffice(Leading& leading, std::optional<ReplicaId> heir) {
  std::optional<Vote> vote;
  if (heir) {
    const LogIndex match = leading.sessions.at(*heir).match;
    vote = Vote{.epoch = hard_.current, .last = ZxidAt(match).value_or(Zxid()), .nominated = true, .leader = *heir};
    for (auto& [id, session] : leading.sessions) {
      if (session.stage != Stage::kActive) continue;
      const LogIndex commit = std::min(hard_.commit, session.next.Prev());
      if (commit > session.commit_told) SendToFollower(leading, id, session, Commit{commit});
      SendToFollower(leading, id, session, Handover{*vote});
    }
  }
  GoLooking(IsSelfVoter() ? vote : std::nullopt);
}

// How far the log is durable on a quorum of every configuration that takes part.
LogIndex Node::AgreedMatch(const Leading& leading) const {
  const LogIndex own = QUORATE_BUG(zab_leader_counts_unsynced_self) ? log_.last() : writes_.durable();
  const auto reached = [&](ReplicaId voter) {
    if (voter == options_.self) return own;
    const auto found = leading.sessions.find(voter);
    return found == leading.sessions.end() ? LogIndex() : found->second.match;
  };
  if (QUORATE_BUG(zab_commit_by_new_quorum_only)) return Agreed<LogIndex>(WithoutOutgoing(members()), reached);
  return Agreed<LogIndex>(members(), reached);
}

}  // namespace quorate::consensus::zab
