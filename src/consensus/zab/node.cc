#include "consensus/zab/node.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "consensus/options.h"

namespace quorate::consensus::zab {
namespace {

constexpr Traits kTraits{.name = "zab", .needs_fifo_links = true};

Status CheckRecovered(const HardState& hard, const Recovered& recovered) {
  LogIndex last = recovered.snapshot.last;
  Epoch epoch(recovered.snapshot.ballot.number);
  for (const Entry& entry : recovered.log) {
    if (entry.index != last.Next()) {
      return Status::DataLoss("log entry " + std::to_string(entry.index.value) + " follows " +
                              std::to_string(last.value));
    }
    if (GenerationOf(entry) < epoch) {
      return Status::DataLoss("the epoch falls at log entry " + std::to_string(entry.index.value));
    }
    last = entry.index;
    epoch = GenerationOf(entry);
  }
  const Epoch accepted(hard.accepted.number);
  if (epoch > accepted || hard.current > accepted) {
    return Status::DataLoss("the log or currentEpoch is above acceptedEpoch");
  }
  if (std::max(hard.commit, recovered.applied) > last) {
    return Status::DataLoss("the log ends at " + std::to_string(last.value) + ", below what is known to be decided");
  }
  if (recovered.applied < recovered.snapshot.last) return Status::DataLoss("applied is below the snapshot");
  return Status::Ok();
}

// A directory that was restored holds a snapshot and nothing else: what it says is decided, and nothing was promised.
HardState StartFrom(const SnapshotMeta& snapshot) {
  HardState hard;
  hard.accepted.number = snapshot.ballot.number;
  hard.current = Epoch(snapshot.ballot.number);
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
    if (!decoded) return Status::DataLoss("the zab hard state does not decode");
    hard = *std::move(decoded);
    if (!CheckMembers(hard.bootstrap, "bootstrap").ok()) return Status::DataLoss("the zab hard state has no members");
  } else if (recovered.snapshot.last && recovered.log.empty()) {
    hard = StartFrom(recovered.snapshot);
  } else {
    if (!recovered.log.empty() || recovered.applied) {
      return Status::DataLoss("there is a log or an applied index, but no zab hard state");
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
      log_(recovered.snapshot.last, Epoch(recovered.snapshot.ballot.number), std::move(recovered.log)),
      writes_(log_.last()),
      election_(options.self),
      generator_(options.seed ^ Mix64(options.self.value)),
      delivery_{recovered.applied, recovered.applied} {
  if (QUORATE_BUG(zab_forgets_promise_on_restart)) {
    hard_.accepted = {std::max(hard_.current, log_.last_generation()).value, ReplicaId()};
  }
  hard_.commit = std::max(hard_.commit, recovered.applied);
  if (!recovered.hard_state) writes_.HardStateChanged();  // the members that it began with
  log_.Trim(delivery_.applied, options_.log_cache_bytes);
  role_ = Looking{.notify_interval = options_.election_ticks};
  election_.Begin(VoteForSelf());
  before_ = {hard_, delivery_, log_.last(), false};
}

const Traits& Node::traits() const {
  return kTraits;
}

void Node::Step(Event event) {
  before_ = {hard_, delivery_, log_.last(), std::holds_alternative<Leading>(role_)};
  if (auto* following = std::get_if<Following>(&role_); following != nullptr && following->epoch_first) {
    AcceptHistory(*following);
  }
  std::visit([this](auto& one) { On(std::move(one)); }, event);
  auto* leading = std::get_if<Leading>(&role_);
  if (leading == nullptr) return;
  if (leading->removed) {
    LeaveOffice(*leading, BestHeir(*leading));
  } else if (TransferIsDue(*leading)) {
    LeaveOffice(*leading, leading->transfer->to);
  }
}

void Node::On(Receive event) {
  std::optional<Message> message = DecodeMessage(event.payload);
  if (!message || event.from == options_.self) {
    ++memory_.counters.malformed_messages;
    return;
  }
  const auto link = peers_.links.find(event.from);
  if (link == peers_.links.end() || link->second != event.link) {
    ++memory_.counters.stale_messages;
    return;
  }
  Dispatch(event.from, *std::move(message));
}

void Node::Dispatch(ReplicaId from, Message message) {
  if (const auto* heard = std::get_if<Notification>(&message.body)) return Handle(from, *heard);
  if (const auto* cepoch = std::get_if<CEpoch>(&message.body)) return Handle(from, message.session, *cepoch);
  if (std::holds_alternative<Leading>(role_)) return DispatchToLeader(from, message);
  if (std::holds_alternative<Following>(role_)) return DispatchToFollower(from, std::move(message));
  ++memory_.counters.stale_messages;
}

void Node::On(const Tick&) {
  if (auto* leading = std::get_if<Leading>(&role_)) {
    TickLeading(*leading);
  } else if (auto* following = std::get_if<Following>(&role_)) {
    TickFollowing(*following);
  } else {
    TickLooking(std::get<Looking>(role_));
  }
  FailReads(forwarded_.Expire(options_.election_ticks));
  writes_.OfferCommit(hard_.commit);
}

void Node::On(const LinkUp& event) {
  peers_.links[event.peer] = event.link;
  peers_.refused.erase(event.peer);
  election_.Forget(event.peer);
  if (auto* leading = std::get_if<Leading>(&role_)) DropSession(*leading, event.peer);
  auto* following = std::get_if<Following>(&role_);
  if (following != nullptr && following->leader == event.peer) {
    following->early.reset();
    return OpenSession(*following);
  }
  if (following == nullptr) Notify(event.peer);
}

// The session is forgotten, on both sides; what comes next begins with CEPOCH.
void Node::On(const LinkDown& event) {
  peers_.links.erase(event.peer);
  election_.Forget(event.peer);
  if (auto* leading = std::get_if<Leading>(&role_)) return DropSession(*leading, event.peer);
  auto* following = std::get_if<Following>(&role_);
  if (following != nullptr && following->leader == event.peer) {
    KeepStaging(*following);
    following->session = SessionNumber();
    following->phase = Phase::kJoining;
    following->staging = Staging();
    following->epoch_first = false;
    return FailReads(forwarded_.TakeAll());
  }
  if (following == nullptr && election_.vote().leader == event.peer) GoLooking();
}

void Node::On(const LinkRefused& event) {
  peers_.refused.insert(event.peer);
  auto* following = std::get_if<Following>(&role_);
  if (following == nullptr || options_.lease_reads) return;
  // A refused connection says that the leader's process is gone, long before the timeout does. One attempt an epoch
  // must do; a live leader is not deposed by it, for the others still follow it and this member joins them again.
  const Epoch epoch(hard_.accepted.number);
  if (following->leader != event.peer || following->early || memory_.early_used == epoch) return;
  following->early = Jitter(options_.heartbeat_ticks);
}

void Node::On(const Persisted& event) {
  writes_.OnPersisted(event.upto);
  if (auto* leading = std::get_if<Leading>(&role_)) {
    TrySecure(*leading);
    TryEstablish(*leading);
    MaybeCommit();
  }
}

void Node::On(const Applied& event) {
  CHECK(event.upto <= delivery_.emitted) << "applied " << event.upto.value << ", given " << delivery_.emitted.value;
  delivery_.applied = std::max(delivery_.applied, event.upto);
  log_.Trim(delivery_.applied, options_.log_cache_bytes);
}

void Node::On(consensus::Propose event) {
  auto* leading = std::get_if<Leading>(&role_);
  if (leading == nullptr || !leading->established() || leading->transfer) {
    out_.failed.push_back({event.origin, FailureReason::kNotLeader});
    return;
  }
  const bool fits = leading->uncommitted_bytes + event.command.size() <= options_.uncommitted_bytes_max;
  if (!fits && leading->uncommitted_bytes > 0) {
    out_.failed.push_back({event.origin, FailureReason::kDropped});
    return;
  }
  AppendOwn(EntryKind::kCommand, event.origin, std::move(event.command));
}

void Node::On(const Quiesce&) {
  out_.may_quiesce = MayQuiesce();
}

void Node::On(const Wake&) {
  if (auto* leading = std::get_if<Leading>(&role_)) {
    leading->heartbeat_elapsed = options_.heartbeat_ticks - 1;  // the next tick says that it is there
    leading->quorum_elapsed = 0;
  } else if (auto* following = std::get_if<Following>(&role_)) {
    following->elapsed = 0;
    following->early.reset();
  }
}

bool Node::MayQuiesce() const {
  const LogIndex last = log_.last();
  if (delivery_.applied != last || !writes_.empty() || writes_.durable() != last || configurations_.IsJoint()) {
    return false;
  }
  if (const auto* following = std::get_if<Following>(&role_)) {
    return following->phase == Phase::kActive && forwarded_.empty();
  }
  const auto* leading = std::get_if<Leading>(&role_);
  if (leading == nullptr || !leading->established() || leading->transfer) return false;
  if (leading->reads.waiting() || leading->reads.confirming()) return false;
  const std::vector<ReplicaId> all = AllReplicas(members());
  return std::all_of(all.begin(), all.end(), [&](ReplicaId one) {
    if (one == options_.self) return true;
    const auto found = leading->sessions.find(one);
    return found != leading->sessions.end() && found->second.stage == Stage::kActive && found->second.match == last &&
           found->second.commit_told == last;
  });
}

void Node::Send(ReplicaId to, Message message, PersistSeq after) {
  const auto link = peers_.links.find(to);
  if (link == peers_.links.end()) return;
  out_.outbound.push_back({to, EncodeMessage(message), after, link->second});
}

void Node::Append(Entry entry) {
  if (entry.kind == EntryKind::kMembership) {
    configurations_.Append(entry.index, DecodeChange(entry.payload).value());
  }
  writes_.Put(entry);
  log_.Append(std::move(entry));
}

void Node::CutAfter(LogIndex last_kept) {
  CHECK(last_kept >= hard_.commit) << "committed up to " << hard_.commit.value << ", to be cut after "
                                   << last_kept.value;
  log_.TruncateAfter(last_kept);
  writes_.TruncateAfter(last_kept);
  configurations_.TruncateAfter(last_kept);
}

std::optional<Zxid> Node::ZxidAt(LogIndex index) const {
  const std::optional<Epoch> epoch = log_.GenerationAt(index);
  if (!epoch) return std::nullopt;
  return Zxid{*epoch, index};
}

LogIndex Node::Deliverable() const {
  return std::min(hard_.commit, writes_.durable());
}

bool Node::HasReady() const {
  if (!out_.outbound.empty() || !out_.reads.empty() || !out_.failed_reads.empty() || !out_.failed.empty()) return true;
  if (!out_.send_snapshot.empty() || out_.may_quiesce) return true;
  if (!writes_.empty() || Deliverable() > delivery_.emitted || forwarded_.waiting()) return true;
  if (reported_.leadership != CurrentLeadership() || reported_.membership != members()) return true;
  const auto* leading = std::get_if<Leading>(&role_);
  if (leading == nullptr) return false;
  if (CanStartRound(*leading)) return true;
  return std::any_of(leading->sessions.begin(), leading->sessions.end(), [&](const auto& one) {
    return WantsEntries(*leading, one.first, one.second) || OwesWord(*leading, one.first, one.second);
  });
}

Ready Node::TakeReady() {
  if (auto* leading = std::get_if<Leading>(&role_)) {
    FlushReads(*leading);
    FlushStreams(*leading, &out_);
  } else if (forwarded_.waiting()) {
    const Following& following = std::get<Following>(role_);
    // The session's number is used once in this life, and the link ends with the life.
    SendToLeader(following, ReadRequest{forwarded_.Send(Life(following.session.value))});
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

// Whom a read may be sent to.
std::optional<ReplicaId> Node::ActiveLeader() const {
  const auto* following = std::get_if<Following>(&role_);
  if (following == nullptr || following->phase != Phase::kActive) return std::nullopt;
  return following->leader;
}

Leadership Node::CurrentLeadership() const {
  Leadership now;
  now.ballot = {hard_.accepted.number, ReplicaId()};
  now.role = MayLead() ? Role::kCandidate : Role::kLearner;
  if (const auto* following = std::get_if<Following>(&role_)) {
    if (IsSelfVoter()) now.role = Role::kFollower;
    now.leader = following->leader;
    now.established = following->phase == Phase::kActive;
  } else if (const auto* leading = std::get_if<Leading>(&role_); leading != nullptr && leading->secured()) {
    now.role = Role::kLeader;
    now.leader = options_.self;
    now.established = leading->established() && !leading->transfer;
  }
  return now;
}

std::optional<Ticks> Node::NextDeadline() const {
  const auto left = [](std::uint64_t limit, std::uint64_t elapsed) { return limit > elapsed ? limit - elapsed : 1; };
  std::uint64_t ticks = UINT64_MAX;
  if (const auto* leading = std::get_if<Leading>(&role_)) {
    if (members() != Membership{{options_.self}, {}, {}}) {
      ticks = std::min(left(options_.heartbeat_ticks, leading->heartbeat_elapsed),
                       left(options_.election_ticks, leading->quorum_elapsed));
    }
    for (const auto& [id, session] : leading->sessions) {
      if (session.shipment && session.shipment->wait_ticks > 0) ticks = std::min(ticks, session.shipment->wait_ticks);
    }
    if (leading->transfer) ticks = std::min(ticks, left(options_.election_ticks, leading->transfer->elapsed_ticks));
  } else if (const auto* following = std::get_if<Following>(&role_)) {
    ticks = left(following->timeout, following->elapsed);
    if (following->early) ticks = std::min(ticks, std::max<std::uint64_t>(*following->early, 1));
    if (!following->session) ticks = 1;
  } else {
    const Looking& looking = std::get<Looking>(role_);
    ticks = left(looking.notify_interval, looking.silent_ticks);
    if (election_.HasQuorum(members())) ticks = 1;
  }
  if (!forwarded_.empty()) ticks = std::min<std::uint64_t>(ticks, 1);
  if (ticks == UINT64_MAX) return std::nullopt;
  return Ticks(ticks);
}

}  // namespace quorate::consensus::zab
