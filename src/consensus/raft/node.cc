#include "consensus/raft/node.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/inspection.h"
#include "consensus/options.h"

namespace quorate::consensus::raft {
namespace {

constexpr Traits kTraits{.name = "raft"};

Status CheckRecovered(const HardState& hard, const Recovered& recovered) {
  LogIndex last = recovered.snapshot.last;
  Term term(recovered.snapshot.ballot.number);
  for (const Entry& entry : recovered.log) {
    if (entry.index != last.Next()) {
      return Status::DataLoss("log entry " + std::to_string(entry.index.value) + " follows " +
                              std::to_string(last.value));
    }
    if (TermOf(entry) < term) {
      return Status::DataLoss("the term falls at log entry " + std::to_string(entry.index.value));
    }
    last = entry.index;
    term = TermOf(entry);
  }
  if (term > hard.term) return Status::DataLoss("the log has a term above the hard state's");
  if (std::max(hard.commit, recovered.applied) > last) {
    return Status::DataLoss("the log ends at " + std::to_string(last.value) + ", below what is known to be decided");
  }
  if (recovered.applied < recovered.snapshot.last) return Status::DataLoss("applied is below the snapshot");
  return Status::Ok();
}

// A directory that was restored holds a snapshot and nothing else: what it says is decided, and nobody has voted.
HardState StartFrom(const SnapshotMeta& snapshot) {
  HardState hard;
  hard.term = Term(snapshot.ballot.number);
  hard.commit = snapshot.last;
  hard.bootstrap = {snapshot.members.voters, {}, snapshot.members.learners};
  return hard;
}

}  // namespace

Result<std::unique_ptr<Core>> Node::Make(const Options& options, Recovered recovered) {
  RETURN_IF_ERROR(ValidateOptions(options));
  HardState hard;
  if (recovered.hard_state) {
    std::optional<HardState> decoded = DecodeHardState(*recovered.hard_state);
    if (!decoded) return Status::DataLoss("the raft hard state does not decode");
    hard = *std::move(decoded);
    if (!CheckMembers(hard.bootstrap, "bootstrap").ok()) return Status::DataLoss("the raft hard state has no members");
  } else if (recovered.snapshot.last && recovered.log.empty()) {
    hard = StartFrom(recovered.snapshot);
  } else {
    if (!recovered.log.empty() || recovered.applied) {
      return Status::DataLoss("there is a log or an applied index, but no raft hard state");
    }
    RETURN_IF_ERROR(CheckMembers(options.initial, "initial"));
    hard.bootstrap = options.initial;
  }
  RETURN_IF_ERROR(CheckRecovered(hard, recovered));
  Result<Configurations> configurations = RecoverConfigurations(hard.bootstrap, recovered);
  if (!configurations.ok()) return configurations.status();
  return std::unique_ptr<Core>(
      new Node(options, std::move(hard), std::move(configurations).value(), std::move(recovered)));
}

Node::Node(const Options& options, HardState hard, Configurations configurations, Recovered recovered)
    : options_(options),
      configurations_(std::move(configurations)),
      hard_(std::move(hard)),
      log_(recovered.snapshot.last, Term(recovered.snapshot.ballot.number), std::move(recovered.log)),
      writes_(log_.last()),
      generator_(options.seed ^ Mix64(options.self.value)),
      delivery_{recovered.applied, recovered.applied} {
  if (QUORATE_BUG(raft_forgets_vote_on_restart)) hard_.vote = ReplicaId();
  hard_.commit = std::max(hard_.commit, recovered.applied);
  hard_.life = hard_.life.Next();
  writes_.HardStateChanged();
  log_.Trim(delivery_.applied, options_.log_cache_bytes);
  ResetElectionTimer();
  before_ = {hard_, delivery_, log_.last(), false};
}

const Traits& Node::traits() const {
  return kTraits;
}

void Node::Step(Event event) {
  before_ = {hard_, delivery_, log_.last(), std::holds_alternative<Leader>(role_)};
  std::visit([this](auto& one) { On(std::move(one)); }, event);
  if (auto* leader = std::get_if<Leader>(&role_); leader != nullptr && leader->removed) LeaveOffice(*leader);
}

void Node::On(Receive event) {
  std::optional<Message> message = DecodeMessage(event.payload);
  if (!message || event.from == options_.self) {
    ++counters_.malformed_messages;
    return;
  }
  refused_.erase(event.from);
  Dispatch(event.from, *std::move(message));
}

// The rules for all servers about terms (paper 5.1, figure 2), and their two exceptions: a pre-vote asks about a term
// without entering it, and a voter that hears from a live leader does not let a candidate disturb it (thesis 4.2.3).
void Node::Dispatch(ReplicaId from, Message message) {
  if (const auto* request = std::get_if<VoteRequest>(&message.body)) {
    if (request->pre) return HandlePreVote(from, message.term, *request);
    if (message.term > hard_.term && ClingsToLeader(request->campaign)) return;
  }
  const auto* reply = std::get_if<VoteReply>(&message.body);
  if (reply != nullptr && reply->pre && (reply->granted || message.term <= hard_.term)) {
    return HandlePreVoteReply(from, message.term, reply->granted);
  }
  if (message.term > hard_.term) BecomeFollower(message.term, std::nullopt);
  if (message.term < hard_.term) return AnswerStale(from, message);
  std::visit([&](const auto& body) { Handle(from, body); }, message.body);
}

// A sender of an old term learns the newer one from the answer; who only answers needs to know nothing.
void Node::AnswerStale(ReplicaId from, const Message& message) {
  if (std::holds_alternative<VoteRequest>(message.body)) {
    Send(from, VoteReply{});
  } else if (std::holds_alternative<AppendRequest>(message.body) || std::holds_alternative<Heartbeat>(message.body)) {
    Send(from, HeartbeatReply{});
  } else if (const auto* read = std::get_if<ReadRequest>(&message.body)) {
    Send(from, ReadReply{read->id, std::nullopt});
  }
}

void Node::On(const Tick&) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    TickLeader(*leader);
  } else {
    TickElection();
  }
  FailReads(forwarded_.Expire(options_.election_ticks));
  writes_.OfferCommit(hard_.commit);
}

void Node::On(const LinkUp& event) {
  refused_.erase(event.peer);
  timer_.early.reset();
  if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->reads.DropPeer(event.peer);
    // Whatever was in flight on the former connection may be lost, and a peer that restarted has forgotten what it had
    // not made durable; only `match`, which was, still holds.
    const auto found = leader->peers.find(event.peer);
    if (found != leader->peers.end()) found->second.OnLinkUp();
  }
}

void Node::On(const LinkDown& event) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->reads.DropPeer(event.peer);
    const auto found = leader->peers.find(event.peer);
    if (found != leader->peers.end()) found->second.OnLinkDown();
  } else if (KnownLeader() == event.peer) {
    FailReads(forwarded_.TakeAll());
  }
}

void Node::On(const LinkRefused& event) {
  refused_.insert(event.peer);
  ConsiderEarlyElection(event.peer);
}

void Node::On(const Persisted& event) {
  writes_.OnPersisted(event.upto);
  if (auto* candidate = std::get_if<Candidate>(&role_)) {
    if (!candidate->pre && candidate->own_vote <= event.upto) {
      candidate->answers[options_.self] = true;
      TallyVotes();
    }
  }
  MaybeCommit();
}

void Node::On(const Applied& event) {
  CHECK(event.upto <= delivery_.emitted) << "applied " << event.upto.value << ", given " << delivery_.emitted.value;
  delivery_.applied = std::max(delivery_.applied, event.upto);
  log_.Trim(delivery_.applied, options_.log_cache_bytes);
}

void Node::On(Propose event) {
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr || leader->transfer) {
    out_.failed.push_back({event.origin, FailureReason::kNotLeader});
    return;
  }
  const bool fits = leader->uncommitted_bytes + event.command.size() <= options_.uncommitted_bytes_max;
  if (!fits && leader->uncommitted_bytes > 0) {
    out_.failed.push_back({event.origin, FailureReason::kDropped});
    return;
  }
  AppendOwn(EntryKind::kCommand, event.origin, std::move(event.command));
}

void Node::On(const Quiesce&) {
  out_.may_quiesce = MayQuiesce();
}

void Node::On(const Wake&) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->heartbeat_elapsed = options_.heartbeat_ticks - 1;  // the next tick says that it is there
    leader->quorum_elapsed = 0;
  } else {
    ResetElectionTimer();
  }
}

bool Node::MayQuiesce() const {
  const LogIndex last = log_.last();
  if (delivery_.applied != last || !writes_.empty() || writes_.durable() != last || configurations_.IsJoint()) {
    return false;
  }
  if (const auto* follower = std::get_if<Follower>(&role_)) {
    return follower->leader && follower->verified == last && forwarded_.empty();
  }
  const auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr || leader->transfer || leader->reads.waiting() || leader->reads.confirming()) return false;
  return std::all_of(leader->peers.begin(), leader->peers.end(), [last](const auto& peer) {
    return peer.second.replicating() && peer.second.match() == last && peer.second.commit_told() == last;
  });
}

void Node::Send(ReplicaId to, Term term, Body body, PersistSeq after) {
  out_.outbound.push_back({to, EncodeMessage({term, std::move(body)}), after});
}

LogIndex Node::Deliverable() const {
  return std::min(hard_.commit, writes_.durable());
}

bool Node::HasReady() const {
  if (!out_.outbound.empty() || !out_.reads.empty() || !out_.failed_reads.empty() || !out_.failed.empty()) return true;
  if (!out_.send_snapshot.empty() || out_.may_quiesce) return true;
  if (!writes_.empty() || Deliverable() > delivery_.emitted || forwarded_.waiting()) return true;
  if (reported_.leadership != CurrentLeadership() || reported_.membership != members()) return true;
  const auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return false;
  if (CanStartRound(*leader)) return true;
  return std::any_of(leader->peers.begin(), leader->peers.end(), [this](const auto& peer) {
    return CanSendAppend(peer.second) || OwesCommitNotice(peer.second) ||
           peer.second.WantsSnapshot(log_.snapshot_last());
  });
}

Ready Node::TakeReady() {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    FlushReads(*leader);
    FlushAppends(*leader, &out_);
  } else if (forwarded_.waiting()) {
    // The first batch of a life makes its number durable.
    const PersistSeq first_batch(1);
    Send(*KnownLeader(), ReadRequest{forwarded_.Send(hard_.life)},
         writes_.persisted() < first_batch ? first_batch : PersistSeq());
  }
  Ready ready = std::exchange(out_, {});
  EmitDecided(&ready);
  if (!writes_.empty()) ready.write = writes_.TakeBatch(EncodeHardState(hard_), hard_.commit);
  const Leadership now = CurrentLeadership();
  if (now != reported_.leadership) ready.leadership = reported_.leadership = now;
  if (reported_.membership != members()) ready.membership = reported_.membership = members();
  ready.may_quiesce = ready.may_quiesce && MayQuiesce();
  return ready;
}

void Node::EmitDecided(Ready* ready) {
  while (delivery_.emitted < Deliverable()) {
    delivery_.emitted = delivery_.emitted.Next();
    ready->decided.push_back(log_.At(delivery_.emitted));
  }
}

std::optional<ReplicaId> Node::KnownLeader() const {
  if (std::holds_alternative<Leader>(role_)) return options_.self;
  const auto* follower = std::get_if<Follower>(&role_);
  return follower != nullptr ? follower->leader : std::nullopt;
}

bool Node::IsOnlyVoter() const {
  return members().voters.size() == 1 && !configurations_.IsJoint() && IsSelfVoter();
}

Leadership Node::CurrentLeadership() const {
  Leadership now;
  now.ballot = {hard_.term.value, ReplicaId()};
  now.leader = KnownLeader();
  now.established = now.leader.has_value();
  if (const auto* leader = std::get_if<Leader>(&role_)) {
    now.role = Role::kLeader;
    now.established = !leader->transfer;
  } else if (std::holds_alternative<Candidate>(role_)) {
    now.role = Role::kCandidate;
  } else {
    now.role = IsSelfVoter() ? Role::kFollower : Role::kLearner;
  }
  return now;
}

std::optional<Ticks> Node::NextDeadline() const {
  const auto left = [](std::uint64_t limit, std::uint64_t elapsed) { return limit > elapsed ? limit - elapsed : 1; };
  std::uint64_t ticks = UINT64_MAX;
  if (const auto* leader = std::get_if<Leader>(&role_)) {
    if (!leader->peers.empty()) {
      ticks = std::min(left(options_.heartbeat_ticks, leader->heartbeat_elapsed),
                       left(options_.election_ticks, leader->quorum_elapsed));
    }
    for (const auto& [id, peer] : leader->peers) {
      if (peer.wait_ticks() > 0) ticks = std::min(ticks, peer.wait_ticks());
    }
    if (leader->transfer) ticks = std::min(ticks, left(options_.election_ticks, leader->transfer->elapsed_ticks));
  } else if (MayCampaign()) {
    if (!IsOnlyVoter()) ticks = left(timer_.timeout, timer_.elapsed);
    if (IsOnlyVoter() && std::holds_alternative<Follower>(role_)) ticks = 1;
    if (timer_.early) ticks = std::min(ticks, std::max<std::uint64_t>(*timer_.early, 1));
  }
  if (!forwarded_.empty()) ticks = std::min<std::uint64_t>(ticks, 1);
  if (ticks == UINT64_MAX) return std::nullopt;
  return Ticks(ticks);
}

void Node::Inspect(Inspector& out) const {
  out.Text("role", std::holds_alternative<Leader>(role_)      ? "leader"
                   : std::holds_alternative<Candidate>(role_) ? "candidate"
                   : IsSelfVoter()                            ? "follower"
                                                              : "learner");
  out.Number("term", hard_.term.value);
  out.Number("vote", hard_.vote.value);
  out.Number("leader", KnownLeader().value_or(ReplicaId()).value);
  out.Number("commit", hard_.commit.value);
  out.Number("applied", delivery_.applied.value);
  out.Number("last_index", log_.last().value);
  out.Number("durable_index", writes_.durable().value);
  out.Number("first_cached_index", log_.first_cached().value);
  out.Number("cached_bytes", log_.cached_bytes());
  out.Number("malformed_messages", counters_.malformed_messages);
  out.Number("elections_started", counters_.elections_started);
  out.Number("early_elections", counters_.early_elections);
  out.Number("snapshot_index", log_.snapshot_last().value);
  InspectMembers(members(), out);
  if (const auto* leader = std::get_if<Leader>(&role_)) {
    for (const auto& [id, peer] : leader->peers) {
      const std::string number = std::to_string(id.value);
      out.Number("match." + number, peer.match().value);
      out.Number("next." + number, peer.next().value);
      out.Text("state." + number, peer.in_snapshot() ? "snapshot" : peer.replicating() ? "replicate" : "probe");
      out.Number("caught_up." + number, IsCaughtUp(*leader, id) ? 1 : 0);
    }
  }
}

}  // namespace quorate::consensus::raft
