// Finding a leader (phase 0): ZooKeeper's fast leader election with its clocks. election.h has what is without time.
//
// Deviations from ZooKeeper, all of them about time only, since discovery decides: notifications travel on the peer
// link; a quorum's agreement is waited on for a heartbeat interval, and not at all once nobody else can have a better
// vote; a member joins a leader that says of itself that it is established, without asking a quorum of followers; a
// leaving leader names its successor to all its followers.
#include <algorithm>
#include <utility>

#include "base/bug.h"
#include "consensus/zab/node.h"

namespace quorate::consensus::zab {
namespace {
constexpr std::uint64_t kIntervalMax = 16;  // election timeouts between two notifications of one who hears nothing
}

// A voter, or one that is none any more once the newest configuration is committed: it alone may hold that entry, and
// then nobody without it is fresh enough to lead.
bool Node::MayLead() const {
  const LogIndex latest = configurations_.latest_index();
  if (IsSelfVoter() || latest <= hard_.commit) return IsSelfVoter();
  return IsVoter(configurations_.At(latest.Prev()), options_.self);
}

Vote Node::VoteForSelf() const {
  if (!MayLead()) return {};
  return {.epoch = hard_.current, .last = LastZxid(), .nominated = false, .leader = options_.self};
}

Notification Node::OwnNotification() const {
  Notification own;
  own.round = election_.round();
  own.vote = election_.vote();
  own.config = ConfigZxid();
  if (const auto* following = std::get_if<Following>(&role_)) {
    own.state = IsSelfVoter() ? State::kFollowing : State::kObserving;
    own.vote = following->vote;
  } else if (const auto* leading = std::get_if<Leading>(&role_)) {
    own.state = State::kLeading;
    own.established = leading->established();
    own.vote = leading->vote;
    own.vote.epoch = std::max(own.vote.epoch, leading->epoch);
  }
  return own;
}

void Node::Notify(ReplicaId peer) {
  Send(peer, {Epoch(), SessionNumber(), OwnNotification()});
}

void Node::NotifyAll() {
  if (auto* looking = std::get_if<Looking>(&role_)) looking->silent_ticks = 0;
  for (const auto& [peer, link] : peers_.links) Notify(peer);
}

// What was known in the former role goes: the sessions, and reads that nobody will confirm. What was being received is
// of use if the same epoch's leader goes on with it, and otherwise never becomes anything. The log stays as it is, with
// the queue of its writes; nothing that depends on it leaves before it is durable.
void Node::LeaveRole() {
  if (auto* leading = std::get_if<Leading>(&role_)) {
    FailReads(*leading);
    log_.DropLoaded();
  }
  if (auto* following = std::get_if<Following>(&role_)) KeepStaging(*following);
  FailReads(forwarded_.TakeAll());
}

void Node::GoLooking(std::optional<Vote> initial) {
  LeaveRole();
  if (QUORATE_BUG(zab_uncommitted_tail_kept)) CommitUpto(log_.last());
  ++memory_.counters.elections_started;
  role_ = Looking{.notify_interval = options_.election_ticks};
  election_.Begin(initial.value_or(VoteForSelf()));
  NotifyAll();
}

void Node::Follow(ReplicaId leader) {
  LeaveRole();
  Following following;
  following.leader = leader;
  following.timeout = options_.election_ticks + Jitter(options_.heartbeat_ticks);
  following.vote = election_.vote();
  role_ = following;
  OpenSession(std::get<Following>(role_));
}

void Node::Lead() {
  LeaveRole();
  Leading leading;
  leading.vote = election_.vote();
  for (LogIndex index = hard_.commit.Next(); index <= log_.last(); index = index.Next()) {
    leading.uncommitted_bytes += log_.At(index).payload.size();
  }
  role_ = std::move(leading);
  NotifyAll();
  TryChooseEpoch(std::get<Leading>(role_));
}

// Whoever was removed must not hold up the others, and whoever knows an older configuration must not miss them: so a
// vote counts if who gives it takes part as this member knows it, or knows better. Whom it is for is not asked: others
// may not know yet that he is removed, and vote for him; two that could not agree on him would never elect anybody. One
// that is removed and yet the freshest leads only until he finds that out; one that is not the freshest is nobody's
// vote.
bool Node::MayVoteWith(ReplicaId from, const Notification& heard) const {
  if (heard.config > ConfigZxid() || members().voters.empty()) return true;
  const std::vector<ReplicaId> all = AllReplicas(members());
  return std::binary_search(all.begin(), all.end(), from);
}

void Node::Handle(ReplicaId from, const Notification& heard) {
  peers_.refused.erase(from);
  if (heard.state == State::kLooking) {
    HandleLooking(from, heard);
  } else {
    HandleSettled(from, heard);
  }
}

void Node::HandleLooking(ReplicaId from, const Notification& heard) {
  if (std::holds_alternative<Looking>(role_)) {
    if (!MayVoteWith(from, heard)) return;
    const Election::Effect effect = election_.OnLooking(from, heard);
    if (effect == Election::Effect::kTell) {
      std::get<Looking>(role_) = Looking{.notify_interval = options_.election_ticks};
      NotifyAll();
    }
    if (effect == Election::Effect::kAnswer) Notify(from);
    return Conclude();
  }
  const auto* following = std::get_if<Following>(&role_);
  if (following != nullptr && following->leader == from) {
    // It may not have noticed yet that this round has elected it; otherwise it leads no more.
    const bool about_to_lead =
        following->phase == Phase::kJoining && heard.round == election_.round() && heard.vote.leader == from;
    if (!about_to_lead) return GoLooking();
  }
  if (auto* leading = std::get_if<Leading>(&role_)) DropSession(*leading, from);
  Notify(from);
}

void Node::HandleSettled(ReplicaId from, const Notification& heard) {
  if (std::holds_alternative<Looking>(role_)) {
    Notification word = heard;
    // One that knows a newer configuration, or of whose voters this member is none, has the only word there is.
    word.established = heard.established || !MayLead() || heard.config > ConfigZxid();
    election_.OnSettled(from, word);
    return Conclude();
  }
  auto* following = std::get_if<Following>(&role_);
  if (following == nullptr || following->leader != from) return;
  if (heard.state != State::kLeading) return GoLooking();
  // It has no session with this member: CEPOCH came before it knew that it leads.
  if (following->phase == Phase::kJoining) OpenSession(*following);
}

void Node::Conclude() {
  if (const std::optional<ReplicaId> leader = election_.FindLeader(members())) {
    if (*leader != options_.self && peers_.links.contains(*leader)) return Follow(*leader);
  }
  if (!MayLead() || !election_.HasQuorum(members())) return;
  const Looking& looking = std::get<Looking>(role_);
  const bool waited = looking.agreed_ticks >= options_.heartbeat_ticks;
  if (!waited && !election_.IsUnanimous(members(), peers_.refused)) return;
  if (election_.vote().leader == options_.self) return Lead();
  Follow(election_.vote().leader);
}

void Node::TickLooking(Looking& looking) {
  looking.agreed_ticks = election_.HasQuorum(members()) ? looking.agreed_ticks + 1 : 0;
  if (++looking.silent_ticks >= looking.notify_interval) {
    looking.notify_interval = std::min(2 * looking.notify_interval, kIntervalMax * options_.election_ticks);
    NotifyAll();
  }
  Conclude();
}

}  // namespace quorate::consensus::zab
