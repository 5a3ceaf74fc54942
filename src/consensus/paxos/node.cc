#include "consensus/paxos/node.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/change.h"
#include "consensus/inspection.h"
#include "consensus/options.h"
#include "consensus/quorum/quorum.h"

namespace quorate::consensus::paxos {
namespace {

constexpr Traits kTraits{.name = "paxos", .log_may_have_holes = true, .flexible_quorums = true};

Status CheckQuorums(const Parameters& parameters, const Membership& members) {
  if (members.voters.empty() || Quorums(parameters).Intersect(members.voters.size())) return Status::Ok();
  return Status::InvalidArgument("phase1_quorum = " + std::to_string(parameters.phase1_quorum) +
                                 " and phase2_quorum = " + std::to_string(parameters.phase2_quorum) +
                                 " (0 = a majority) of " + std::to_string(members.voters.size()) +
                                 " voters need not meet: two leaders could choose different values");
}

Status CheckRecovered(const HardState& hard, const Recovered& recovered) {
  const LogIndex chosen = std::max(hard.chosen, recovered.applied);
  if (recovered.applied < recovered.snapshot.last) return Status::DataLoss("applied is below the snapshot");
  LogIndex last = recovered.snapshot.last;
  LogIndex whole = last;  // without a hole up to here
  for (const Entry& entry : recovered.log) {
    const std::string where = "slot " + std::to_string(entry.index.value);
    if (entry.index <= last) return Status::DataLoss(where + " follows " + std::to_string(last.value));
    if (entry.index == whole.Next()) whole = entry.index;
    last = entry.index;
    if (entry.ballot > hard.promised) return Status::DataLoss(where + " was accepted above the promise");
    if (entry.kind == EntryKind::kMembership && !DecodeChange(entry.payload)) {
      return Status::DataLoss(where + " holds no members that decode");
    }
  }
  if (chosen > whole) {
    return Status::DataLoss("slot " + std::to_string(whole.value + 1) + " is chosen, and the log does not have it");
  }
  return Status::Ok();
}

}  // namespace

Result<std::unique_ptr<Core>> Node::Make(const Options& options, Recovered recovered) {
  RETURN_IF_ERROR(ValidateOptions(options));
  const Parameters parameters{options.alpha, options.phase1_quorum, options.phase2_quorum};
  HardState hard;
  hard.parameters = parameters;
  if (recovered.hard_state) {
    std::optional<HardState> decoded = DecodeHardState(*recovered.hard_state);
    if (!decoded) return Status::DataLoss("the paxos hard state does not decode");
    hard = *std::move(decoded);
    if (!CheckMembers(hard.bootstrap, "bootstrap").ok()) return Status::DataLoss("the paxos hard state has no members");
    if (hard.parameters != parameters) {
      return Status::InvalidArgument(
          "this member began with other quorum sizes, or another alpha, than it is given now");
    }
  } else if (recovered.snapshot.last && recovered.log.empty()) {
    // A directory that was restored holds a snapshot and nothing else: nobody has promised or accepted anything.
    hard.chosen = recovered.snapshot.last;
  } else {
    if (!recovered.log.empty() || recovered.applied) {
      return Status::DataLoss("there is a log or an applied index, but no paxos hard state");
    }
    RETURN_IF_ERROR(CheckMembers(options.initial, "initial"));
    hard.bootstrap = options.initial;
  }
  const SnapshotMeta& snapshot = recovered.snapshot;
  if (snapshot.last && !IsWellFormed(snapshot.members)) return Status::DataLoss("the snapshot's members are damaged");
  RETURN_IF_ERROR(CheckRecovered(hard, recovered));
  const Membership& members = snapshot.last ? snapshot.members : hard.bootstrap;
  RETURN_IF_ERROR(CheckQuorums(parameters, members));
  Configurations configurations(snapshot.last, members, parameters.alpha);
  const LogIndex chosen = std::max(hard.chosen, recovered.applied);
  for (const Entry& entry : recovered.log) {
    if (entry.index <= chosen && entry.kind == EntryKind::kMembership) {
      configurations.Append(entry.index, *DecodeChange(entry.payload));
    }
  }
  if (QUORATE_BUG(paxos_promise_forgotten_on_restart)) {
    hard.promised = Ballot();
    for (const Entry& entry : recovered.log) hard.promised = std::max(hard.promised, entry.ballot);
  }
  Own own{options, parameters, Quorums(parameters), hard.life.Next(), hard.bootstrap};
  return std::unique_ptr<Core>(
      new Node(std::move(own), std::move(configurations), hard.promised, chosen, std::move(recovered)));
}

Node::Node(Own own, Configurations configurations, Ballot promised, LogIndex chosen, Recovered recovered)
    : own_(std::move(own)),
      configurations_(std::move(configurations)),
      acceptor_(promised),
      learner_(recovered.snapshot.last, {}),
      generator_(own_.options.seed ^ Mix64(own_.options.self.value)),
      delivery_{recovered.applied, recovered.applied} {
  for (Entry& entry : recovered.log) {
    if (entry.index <= chosen) {
      learner_.Append(std::move(entry));
    } else {
      acceptor_.Restore(std::move(entry));
    }
  }
  // The state machine is never behind its snapshot; whatever it has executed was chosen.
  learner_.Trim(delivery_.applied, own_.options.log_cache_bytes);
  writes_.HardStateChanged();  // a new life
  // What this acceptor lent before it stopped it does not know: it waits as long as any lease.
  if (own_.options.lease_reads && promised.owner) acceptor_.GrantLease(own_.options.election_ticks);
  ResetElectionTimer();
  traces_.before = {acceptor_.promised(), learner_.chosen(), delivery_};
}

const Traits& Node::traits() const {
  return kTraits;
}

void Node::Step(Event event) {
  traces_.before = {acceptor_.promised(), learner_.chosen(), delivery_};
  std::visit([this](auto& one) { On(std::move(one)); }, event);
  GoOn();
}

void Node::GoOn() {
  Advance();
  if (proposer_.active() && std::holds_alternative<Candidate>(role_)) TryLead();
  auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  Settle(*leader);
  ProposeMore();
  if (HasLeft()) LeaveOffice(*leader);
}

void Node::On(Receive event) {
  std::optional<Message> message = DecodeMessage(event.payload);
  if (!message || event.from == self()) {
    ++traces_.counters.malformed_messages;
    return;
  }
  if (message->parameters != own_.parameters) {
    ++traces_.counters.foreign_parameters;
    return;
  }
  refused_.erase(event.from);
  timer_.highest_round = std::max(timer_.highest_round, message->ballot.number);
  Dispatch(event.from, *std::move(message));
}

void Node::Dispatch(ReplicaId from, Message message) {
  const Ballot& ballot = message.ballot;
  std::visit(
      [&](auto& body) {
        using Type = std::decay_t<decltype(body)>;
        if constexpr (std::is_same_v<Type, Poll>) {
          OnPoll(from, body);
        } else if constexpr (std::is_same_v<Type, PollReply>) {
          OnPollReply(from, ballot, body);
        } else if constexpr (std::is_same_v<Type, Preempted>) {
          OnPreempted(ballot);
        } else if constexpr (std::is_same_v<Type, Phase1a>) {
          OnPhase1a(from, ballot, body);
        } else if constexpr (std::is_same_v<Type, ReadRequest>) {
          OnReadRequest(from, body);
        } else if constexpr (std::is_same_v<Type, ReadReply>) {
          OnReadReply(body);
        } else if constexpr (std::is_same_v<Type, Phase1b> || std::is_same_v<Type, Phase2b> ||
                             std::is_same_v<Type, Learned> || std::is_same_v<Type, HeartbeatReply>) {
          ToProposer(from, ballot, body);
        } else {
          FromProposer(from, ballot, std::move(body));
        }
      },
      message.body);
}

// PMS 2.2: an acceptor answers a proposer unless it has promised a higher ballot, and then says so (PMS 2.3: "informing
// the proposer"). Any message of a higher ballot raises the promise: its phase 1 was completed without this acceptor.
template <class Request>
void Node::FromProposer(ReplicaId from, const Ballot& ballot, Request request) {
  constexpr bool kIsLearn = std::is_same_v<Request, Learn>;
  constexpr bool kIsDecision = std::is_same_v<Request, Decision>;
  if constexpr (kIsDecision) {
    if (ballot.owner == self()) {  // asked for after phase 1
      if (proposer_.active() && ballot == proposer_.ballot()) LearnFrom(std::move(request));
      return;
    }
  }
  if (ballot.owner != from) {
    ++traces_.counters.malformed_messages;
    return;
  }
  const bool careless = std::is_same_v<Request, Phase2a> && QUORATE_BUG(paxos_accepts_below_promise);
  if (ballot < acceptor_.promised() && !careless) return Send(from, acceptor_.promised(), Preempted{});
  if (ballot > acceptor_.promised()) BecomeFollower(ballot, std::nullopt);
  if (!kIsLearn && ballot == acceptor_.promised()) HearLeader(from);
  Handle(from, ballot, std::move(request));
}

template <class Answer>
void Node::ToProposer(ReplicaId from, const Ballot& ballot, const Answer& answer) {
  if (proposer_.active() && ballot == proposer_.ballot()) Handle(from, answer);
}

void Node::On(const Tick&) {
  acceptor_.Tick();
  if (auto* leader = std::get_if<Leader>(&role_)) {
    TickLeader(*leader);
  } else {
    TickElection();
  }
  FailReads(forwarded_.Expire(own_.options.election_ticks));
  writes_.OfferChosen(learner_.chosen());
}

void Node::On(const LinkUp& event) {
  refused_.erase(event.peer);
  timer_.early.reset();
  if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->reads.DropPeer(event.peer);
    const auto found = leader->peers.find(event.peer);
    if (found == leader->peers.end()) return;
    // What was in flight on the former connection may be lost, and a replica that restarted has forgotten what it had
    // not made durable. Its answer to this says where it stands.
    found->second.OnLinkChanged();
    Send(event.peer, proposer_.ballot(),
         Heartbeat{learner_.chosen(), leader->reads.last_round(), LogIndex(), found->second.match()});
  }
}

void Node::On(const LinkDown& event) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->reads.DropPeer(event.peer);
    const auto found = leader->peers.find(event.peer);
    if (found != leader->peers.end()) found->second.OnLinkChanged();
  } else if (KnownLeader() == event.peer) {
    FailReads(forwarded_.TakeAll());
  }
}

void Node::On(const LinkRefused& event) {
  refused_.insert(event.peer);
  ConsiderEarlyElection(event.peer);
}

void Node::On(const Persisted& event) {
  const std::vector<LogIndex> durable = writes_.OnPersisted(event.upto);
  if (!proposer_.active()) return;
  const auto* candidate = std::get_if<Candidate>(&role_);
  if (candidate != nullptr && candidate->own_promise <= event.upto && !proposer_.HasPromised(self())) {
    Phase1b own{learner_.chosen().Next(), learner_.chosen(), {}, {}};
    own.accepted = acceptor_.Report(own.from, UINT64_MAX, &own.next);
    Handle(self(), own);
  }
  for (const LogIndex slot : durable) {
    const Entry* held = acceptor_.At(slot);
    if (held != nullptr && held->ballot == proposer_.ballot()) CountAccepted(self(), {slot, slot});
  }
}

void Node::On(const Applied& event) {
  CHECK(event.upto <= delivery_.emitted) << "applied " << event.upto.value << ", given " << delivery_.emitted.value;
  delivery_.applied = std::max(delivery_.applied, event.upto);
  learner_.Trim(delivery_.applied, own_.options.log_cache_bytes);
}

void Node::On(Propose event) {
  const auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr || leader->transfer) {
    out_.failed.push_back({event.origin, FailureReason::kNotLeader});
    return;
  }
  const std::uint64_t pending = proposer_.pending_bytes();
  if (pending > 0 && pending + event.command.size() > own_.options.uncommitted_bytes_max) {
    out_.failed.push_back({event.origin, FailureReason::kDropped});
    return;
  }
  proposer_.Enqueue({EntryKind::kCommand, event.origin, std::move(event.command)});
}

void Node::On(const Quiesce&) {
  out_.may_quiesce = MayQuiesce();
}

void Node::On(const Wake&) {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    leader->heartbeat_elapsed = own_.options.heartbeat_ticks - 1;  // the next tick says that it is there
    leader->quorum_elapsed = 0;
    leader->lease.until_ticks = 0;  // no tick was counted meanwhile
  } else {
    ResetElectionTimer();
  }
}

bool Node::MayQuiesce() const {
  const LogIndex chosen = learner_.chosen();
  if (delivery_.applied != chosen || !acceptor_.accepted().empty() || !writes_.empty() || writes_.Barrier())
    return false;
  if (configurations_.IsChanging()) return false;
  if (const auto* follower = std::get_if<Follower>(&role_)) return follower->leader && forwarded_.empty();
  const auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr || leader->transfer || leader->reads.waiting() || leader->reads.confirming()) return false;
  if (proposer_.HasNext() || proposer_.next() != chosen.Next()) return false;
  return std::all_of(leader->peers.begin(), leader->peers.end(), [chosen](const auto& peer) {
    return peer.second.replicating() && peer.second.match() == chosen && peer.second.told() == chosen;
  });
}

void Node::Send(ReplicaId to, const Ballot& ballot, Body body, PersistSeq after) {
  out_.outbound.push_back({to, EncodeMessage({own_.parameters, ballot, std::move(body)}), after});
}

// Contract rule 3 of core.h: chosen, and durable here.
LogIndex Node::Deliverable() const {
  return std::min(learner_.chosen(), writes_.DurableUpto());
}

HardState Node::Hard() const {
  return {acceptor_.promised(), learner_.chosen(), own_.life, own_.bootstrap, own_.parameters};
}

bool Node::HasReady() const {
  if (!out_.outbound.empty() || !out_.reads.empty() || !out_.failed_reads.empty() || !out_.failed.empty()) return true;
  if (!out_.send_snapshot.empty() || out_.may_quiesce) return true;
  if (!writes_.empty() || Deliverable() > delivery_.emitted || forwarded_.waiting()) return true;
  if (traces_.reported.leadership != CurrentLeadership() || traces_.reported.membership != members()) return true;
  const auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return false;
  if (CanStartRound(*leader)) return true;
  return std::any_of(leader->peers.begin(), leader->peers.end(), [this](const auto& peer) {
    return CanSend(peer.first, peer.second) || OwesNotice(peer.second) || peer.second.WantsSnapshot(learner_.start());
  });
}

Ready Node::TakeReady() {
  if (auto* leader = std::get_if<Leader>(&role_)) {
    FlushReads(*leader);
    FlushPeers(*leader, &out_);
  }
  if (forwarded_.waiting()) {
    if (const std::optional<ReplicaId> leader = KnownLeader()) {
      Send(*leader, acceptor_.promised(), ReadRequest{forwarded_.Send(own_.life)}, writes_.Barrier());
    }
  }
  Ready ready = std::exchange(out_, {});
  EmitDecided(&ready);
  if (!writes_.empty()) ready.write = writes_.TakeBatch(Hard());
  const Leadership now = CurrentLeadership();
  if (now != traces_.reported.leadership) ready.leadership = traces_.reported.leadership = now;
  if (traces_.reported.membership != members()) ready.membership = traces_.reported.membership = members();
  ready.may_quiesce = ready.may_quiesce && MayQuiesce();
  return ready;
}

void Node::EmitDecided(Ready* ready) {
  while (delivery_.emitted < Deliverable()) {
    delivery_.emitted = delivery_.emitted.Next();
    ready->decided.push_back(learner_.At(delivery_.emitted));
    ready->decided.back().ballot = Ballot();
  }
}

std::optional<ReplicaId> Node::KnownLeader() const {
  if (std::holds_alternative<Leader>(role_)) return self();
  const auto* follower = std::get_if<Follower>(&role_);
  return follower != nullptr ? follower->leader : std::nullopt;
}

bool Node::IsOnlyVoter() const {
  return members().voters.size() == 1 && !configurations_.IsChanging() && IsSelfVoter();
}

Leadership Node::CurrentLeadership() const {
  Leadership now;
  now.ballot = acceptor_.promised();
  now.leader = KnownLeader();
  now.established = now.leader.has_value();
  if (const auto* leader = std::get_if<Leader>(&role_)) {
    now.role = Role::kLeader;
    now.may_come_late = true;
    now.established = !leader->transfer;
  } else if (!IsSelfVoter()) {
    now.role = Role::kLearner;
  } else {
    now.role = std::holds_alternative<Candidate>(role_) ? Role::kCandidate : Role::kFollower;
  }
  return now;
}

std::optional<Ticks> Node::NextDeadline() const {
  const auto left = [](std::uint64_t limit, std::uint64_t elapsed) { return limit > elapsed ? limit - elapsed : 1; };
  const Options& options = own_.options;
  std::uint64_t ticks = UINT64_MAX;
  if (const auto* leader = std::get_if<Leader>(&role_)) {
    if (!leader->peers.empty()) {
      ticks = std::min(left(options.heartbeat_ticks, leader->heartbeat_elapsed),
                       left(options.election_ticks, leader->quorum_elapsed));
    }
    for (const auto& [id, peer] : leader->peers) {
      if (peer.wait_ticks() > 0) ticks = std::min(ticks, peer.wait_ticks());
    }
    if (leader->transfer) ticks = std::min(ticks, left(options.election_ticks, leader->transfer->elapsed_ticks));
  } else if (IsSelfVoter()) {
    if (!IsOnlyVoter()) ticks = left(timer_.timeout, timer_.elapsed);
    if (IsOnlyVoter() && std::holds_alternative<Follower>(role_)) ticks = 1;
    if (timer_.early) ticks = std::min(ticks, std::max<std::uint64_t>(*timer_.early, 1));
    if (const auto* candidate = std::get_if<Candidate>(&role_); candidate != nullptr && !candidate->polling) {
      ticks = std::min(ticks, left(options.heartbeat_ticks, candidate->asked_elapsed));
    }
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
  out.Number("round", acceptor_.promised().number);
  out.Number("promised_to", acceptor_.promised().owner.value);
  out.Number("leader", KnownLeader().value_or(ReplicaId()).value);
  out.Number("chosen", learner_.chosen().value);
  out.Number("applied", delivery_.applied.value);
  out.Number("accepted_above", acceptor_.accepted().size());
  out.Number("first_cached_index", learner_.first_cached().value);
  out.Number("cached_bytes", learner_.cached_bytes());
  out.Number("malformed_messages", traces_.counters.malformed_messages);
  out.Number("foreign_parameters", traces_.counters.foreign_parameters);
  out.Number("elections_started", traces_.counters.elections_started);
  out.Number("early_elections", traces_.counters.early_elections);
  out.Number("void_changes", traces_.counters.void_changes);
  out.Number("snapshot_index", learner_.start().value);
  InspectMembers(members(), out);
  const auto* leader = std::get_if<Leader>(&role_);
  if (leader == nullptr) return;
  out.Number("next_slot", proposer_.next().value);
  for (const auto& [id, peer] : leader->peers) {
    const std::string number = std::to_string(id.value);
    out.Number("match." + number, peer.match().value);
    out.Number("next." + number, peer.next().value);
    out.Text("state." + number, peer.in_snapshot() ? "snapshot" : peer.replicating() ? "replicate" : "unknown");
    out.Number("caught_up." + number, IsCaughtUp(*leader, id) ? 1 : 0);
  }
}

}  // namespace quorate::consensus::paxos
