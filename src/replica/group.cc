#include "replica/group.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/bug.h"
#include "base/check.h"
#include "base/log.h"
#include "replica/driver.h"
#include "replica/log_release.h"
#include "replica/peer_message.h"
#include "replica/peers.h"
#include "replica/proposals.h"
#include "replica/reads.h"
#include "replica/snapshots.h"

namespace quorate::replica {
namespace {

constexpr std::uint64_t kTicksBetweenSweeps = 10;  // deadlines are seconds; looking every 100 ms is close enough
// Heartbeats, votes and acknowledgements are smaller, appends that carry anything are larger.
constexpr std::size_t kSmallMessageBytes = 256;

bool Contains(const std::vector<ReplicaId>& ids, ReplicaId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}
bool IsMember(const consensus::Membership& members, ReplicaId id) {
  return Contains(members.voters, id) || Contains(members.outgoing, id) || Contains(members.learners, id);
}

// What a core counts of messages that it could not use, under the names that each protocol gives it.
std::uint64_t DroppedByCore(const consensus::Core& core) {
  struct Counters final : consensus::Inspector {
    void Number(std::string_view name, std::uint64_t value) override {
      if (name == "malformed_messages" || name == "foreign_parameters") dropped += value;
    }
    void Text(std::string_view, std::string_view) override {}
    std::uint64_t dropped = 0;
  } counters;
  core.Inspect(counters);
  return counters.dropped;
}

struct Beginning {
  LogIndex log_start;                                       // the last entry that the log has released
  bool alone = false;                                       // there is nobody to ask for a snapshot
  std::vector<std::pair<LogIndex, std::uint64_t>> applied;  // entries of the log that are executed, and their sizes
};

class GroupImpl final : public Group, private DriverListener, private SnapshotHost {
 public:
  GroupImpl(GroupOptions options, DriverEnv env, std::unique_ptr<consensus::Core> core, LogIndex log_start,
            Incarnation incarnation)
      : options_(std::move(options)),
        env_(env),
        incarnation_(incarnation),
        driver_(env, std::move(core), log_start, *this),
        proposals_(options_.pending_bytes_max),
        release_({options_.log_keep_bytes, options_.log_keep_always_bytes, options_.log_release_step_bytes}),
        peers_(options_.liveness_ns),
        dispatch_{false, HeldProposals(options_.pending_bytes_max)},
        applied_seen_(env.machine.applied()) {}

  ~GroupImpl() override { env_.executor.Cancel(clockwork_.timer); }

  Status Begin(const Beginning& start) {
    if (options_.make_snapshots) snapshots_ = options_.make_snapshots(*this, env_.machine);
    release_.Restart(start.log_start);
    for (const auto& [index, bytes] : start.applied) release_.Note(index, bytes);
    if (start.log_start > env_.machine.applied()) RETURN_IF_ERROR(CheckSource(start));
    if (snapshots_ != nullptr) driver_.UseSnapshots(snapshots_.get());
    NoteStanding(driver_.core().MetaAt(std::max(start.log_start, env_.machine.applied())).members);
    driver_.SchedulePump();
    ScheduleTick();
    return Status::Ok();
  }

  // ---- Group: what this member's clients ask for
  void Propose(std::string command, std::uint64_t deadline_ns, std::function<void(ProposeResult)> done) override {
    if (const std::optional<Fate> refused = WhyRefuse()) {
      Answer(std::move(done), *refused);
      return;
    }
    Admit({std::move(command), Deadline(deadline_ns), std::move(done)});
  }
  void ChangeMembers(consensus::Membership target, std::uint64_t deadline_ns, std::function<void(Fate)> done) override {
    Admit({"", Deadline(deadline_ns), [done = std::move(done)](const ProposeResult& result) { done(result.fate); },
           std::move(target)});
  }
  void ReadBarrier(std::uint64_t deadline_ns, std::function<void(Fate)> done) override {
    if (driver_.installer().installing()) {
      env_.executor.Post([done = std::move(done)] { done(Fate::kNotReady); });
      return;
    }
    reads_.Add(Deadline(deadline_ns), std::move(done));
    driver_.SchedulePump();
  }
  void TransferLeadership(ReplicaId to, std::uint64_t deadline_ns, std::function<void(Fate)> done) override {
    std::optional<Fate> at_once;
    if (leadership_.role != consensus::Role::kLeader) {
      at_once = Fate::kNoLeader;
    } else if (to == options_.core.self) {
      at_once = Fate::kApplied;
    } else if (transfer_ || !Contains(standing_.in_force.voters, to)) {
      at_once = Fate::kRefused;
    }
    if (at_once) {
      env_.executor.Post([fate = *at_once, done = std::move(done)] { done(fate); });
      return;
    }
    transfer_ = Transfer{to, Deadline(deadline_ns), std::move(done)};
    driver_.Step(consensus::TransferLeadership{to});
  }
  GroupStatus status() const override {
    GroupStatus status;
    status.leadership = leadership_;
    status.commit = driver_.decided();
    status.applied = env_.machine.applied();
    status.proposals_pending = proposals_.size();
    status.proposals_failed = proposals_.failures();
    status.installing = driver_.installer().installing();
    status.apply_queue_entries = driver_.queue().entries();
    status.apply_queue_bytes = driver_.queue().bytes();
    status.log_first = release_.start().Next();
    status.snapshots_installed = driver_.installer().installed();
    if (snapshots_ != nullptr) {
      const SnapshotTraffic traffic = snapshots_->traffic();
      status.snapshot_bytes_sent = traffic.bytes_sent;
      status.snapshot_bytes_received = traffic.bytes_received;
      status.snapshot_sending_ns = traffic.sending_ns;
    }
    return status;
  }
  const consensus::Membership& membership() const override { return standing_.in_force; }
  std::map<ReplicaId, PeerProgress> progress() const override {
    return peers_.Progress(driver_.core(), options_.core.self, env_.clock.MonotonicNs());
  }
  std::optional<ReplicaId> Successor() const override {
    std::optional<ReplicaId> best;
    LogIndex furthest;
    for (const auto& [id, progress] : progress()) {
      if (!driver_.linked(id) || !Contains(standing_.in_force.voters, id)) continue;
      if (best && progress.match <= furthest) continue;
      best = id;
      furthest = progress.match;
    }
    return best;
  }
  const consensus::Core& core() const override { return driver_.core(); }
  std::uint64_t messages_dropped() const override { return messages_dropped_ + DroppedByCore(driver_.core()); }

  // ---- TransportListener: what the peers send
  void OnLinkUp(ReplicaId peer, LinkId link, Incarnation incarnation) override {
    peers_.LinkUp(peer);
    driver_.SetLink(peer, link);
    driver_.Step(consensus::LinkUp{peer, link, incarnation});
  }
  void OnLinkDown(ReplicaId peer, LinkId link) override {
    // What was sent on the link may or may not have arrived: the outcome is unknown and is never tried again here.
    peers_.LinkDown(peer, env_.clock.MonotonicNs());
    driver_.SetLink(peer, LinkId());
    proposals_.FailSentTo(peer, Fate::kLeaderLost);
    driver_.Step(consensus::LinkDown{peer, link});
    if (snapshots_ != nullptr) snapshots_->OnLinkDown(peer);
  }
  void OnLinkRefused(ReplicaId peer) override { driver_.Step(consensus::LinkRefused{peer}); }
  void OnFrame(ReplicaId peer, LinkId link, Bytes frame) override {
    std::optional<PeerMessage> message = DecodePeerMessage(options_.group, frame);
    if (!message) {  // another version or group; the transport has checked cluster and sender
      ++messages_dropped_;
      return;
    }
    std::visit([&](auto& m) { OnMessage(peer, link, std::move(m)); }, *message);
  }

 private:
  struct Transfer {
    ReplicaId to;
    std::uint64_t deadline_ns = 0;
    std::function<void(Fate)> done;
  };
  struct Standing {  // of this member in the cluster
    consensus::Membership in_force;
    bool was_member = false;
    bool removed = false;
    LogIndex arrived;  // what the last snapshot that arrived here covers
  };
  struct Dispatching {
    bool refused = false;  // a proposal was: the next tick tries again, not the next message
    HeldProposals forwarded;
  };
  struct Clockwork {
    std::uint64_t ticks = 0;
    env::TimerId timer = 0;
  };

  void OnMessage(ReplicaId peer, LinkId link, CoreMessage message) {
    // A member that executes more slowly than it hears would hold ever more; a protocol whose links may lose nothing
    // has its own window for that.
    if (IsQueueFull() && message.payload.size() > kSmallMessageBytes && !driver_.core().traits().needs_fifo_links) {
      return;
    }
    driver_.Step(consensus::Receive{peer, link, std::move(message.payload)});
  }
  void OnMessage(ReplicaId peer, LinkId, ForwardedProposal message) {
    if (!IsOwn(message.origin, peer) || peers_.IsRepeat(message.origin)) return;
    if (!Leads()) {
      Refuse(message.origin, consensus::FailureReason::kNotLeader);
      return;
    }
    if (const std::optional<Fate> refused = WhyRefuse()) {
      Refuse(message.origin, consensus::FailureReason::kDropped, *refused == Fate::kNoSpace);
      return;
    }
    if (IsHeld() || !dispatch_.forwarded.empty()) {
      if (!dispatch_.forwarded.Add(message, env_.clock.MonotonicNs())) {
        Refuse(message.origin, consensus::FailureReason::kDropped);
      }
      return;
    }
    driver_.Step(StampForwarded(message));
  }
  void OnMessage(ReplicaId peer, LinkId, ForwardedChange message) {
    if (!IsOwn(message.origin, peer) || peers_.IsRepeat(message.origin)) return;
    if (!Leads()) {
      Refuse(message.origin, consensus::FailureReason::kNotLeader);
      return;
    }
    driver_.Step(consensus::ChangeMembers{message.origin, std::move(message.target)});
  }
  // Only whom it was sent to can be certain that it entered no log: on another's word it would be sent, and perhaps
  // executed, twice.
  void OnMessage(ReplicaId peer, LinkId, const ProposalRefused& message) {
    if (message.incarnation != incarnation_) return;  // of a former life
    if (proposals_.IsSentToAnother(message.proposal, peer)) {
      ++messages_dropped_;
      return;
    }
    RefusedAt(message.proposal, message.reason, message.no_space);
  }
  void OnMessage(ReplicaId peer, LinkId, const SnapshotFrame& message) {
    if (snapshots_ != nullptr && !snapshots_->OnFrame(peer, message.payload)) ++messages_dropped_;
  }
  bool IsOwn(const consensus::Origin& origin, ReplicaId peer) {
    const bool own = origin.replica == peer;
    if (!own) ++messages_dropped_;
    return own;
  }

  // ---- DriverListener: what the core decided
  void OnDecided(const std::vector<consensus::Entry>& decided) override {
    for (const consensus::Entry& entry : decided) {
      release_.Note(entry.index, entry.payload.size() + ApplyQueue::kEntryOverheadBytes);
    }
  }
  void OnExecuted(const consensus::Entry& entry, std::unique_ptr<Outcome> outcome) override {
    const consensus::Origin& origin = entry.origin;
    if (origin.replica != options_.core.self || origin.incarnation != incarnation_) return;
    proposals_.Executed(origin.proposal, entry.index, std::move(outcome));
  }
  void OnReadReady(ReadId id, LogIndex index) override {
    reads_.Ready(id, QUORATE_BUG(replica_read_before_applied) ? LogIndex() : index);
  }
  void OnReadFailed(ReadId id) override { reads_.Failed(id); }
  void OnProposalFailed(const consensus::Failed& failed) override {
    const consensus::Origin& origin = failed.origin;
    if (origin.replica != options_.core.self) {
      Refuse(origin, failed.reason);
    } else if (origin.incarnation == incarnation_) {
      RefusedAt(origin.proposal, failed.reason, false);
    }
  }
  void OnLeadership(const consensus::Leadership& leadership) override {
    const bool other_term = leadership.ballot != leadership_.ballot || leadership.leader != leadership_.leader;
    leadership_ = leadership;
    if (snapshots_ != nullptr) snapshots_->OnLeadership(leadership);
    if (!other_term) return;
    proposals_.FailAllSent(Fate::kLeaderLost);
    dispatch_.refused = false;
    if (transfer_ && leadership.leader && *leadership.leader != options_.core.self) {
      EndTransfer(*leadership.leader == transfer_->to ? Fate::kApplied : Fate::kLeaderLost);
    }
  }
  void OnMembership(const consensus::Membership& membership) override { standing_.in_force = membership; }
  void OnMembershipDecided(const consensus::Membership& membership) override { NoteStanding(membership); }
  void OnLogRestarted(LogIndex start) override { release_.Restart(start); }
  void OnSendSnapshot(ReplicaId to) override {
    CHECK(snapshots_ != nullptr) << "a snapshot was asked for, and the log was never released";
    peers_.SnapshotAsked(to);
    snapshots_->Send(to);
  }
  void OnFailure(const Status& status) override {
    if (options_.on_failure) options_.on_failure(status);
  }
  void BeforePump() override {
    Dispatch();
    if (const std::optional<ReadId> round = reads_.BeginRound(env_.clock.MonotonicNs())) {
      driver_.StepInPump(consensus::ReadBarrier{*round});
    }
  }
  void AfterPump(LogIndex applied) override {
    if (driver_.installer().installing()) {
      reads_.FailAll(Fate::kNotReady);
    } else {
      reads_.ServeUpTo(applied);
    }
    if (applied != applied_seen_ && options_.on_applied) options_.on_applied();
    applied_seen_ = applied;
  }

  // ---- proposals
  bool Leads() const { return leadership_.role == consensus::Role::kLeader && leadership_.established; }
  bool IsQueueFull() const { return driver_.queue().bytes() > options_.apply_queue_bytes_max; }
  std::optional<Fate> WhyRefuse() const {
    if (IsQueueFull()) return Fate::kOverloaded;
    return options_.refuse ? options_.refuse() : std::nullopt;
  }
  void Answer(std::function<void(ProposeResult)> done, Fate fate) {
    env_.executor.Post([fate, done = std::move(done)] { done(ProposeResult{fate, {}, nullptr}); });
  }
  void Admit(WaitingProposal proposal) {
    if (proposals_.Admit(proposal)) {
      driver_.SchedulePump();
    } else {
      Answer(std::move(proposal.done), Fate::kOverloaded);
    }
  }

  bool IsHeld() const { return options_.hold && options_.hold(); }
  consensus::Propose StampForwarded(const ForwardedProposal& forwarded) {
    std::string command = forwarded.command.ToString();
    env_.machine.Stamp(command, env_.clock.MonotonicNs(), env_.clock.WallNs());
    return {forwarded.origin, Bytes(std::move(command))};
  }
  // What other members forwarded, and was held here.
  void DispatchForwarded() {
    if (dispatch_.forwarded.empty() || (Leads() && IsHeld())) return;
    while (const std::optional<ForwardedProposal> next = dispatch_.forwarded.Next()) {
      if (Leads()) {
        driver_.StepInPump(StampForwarded(*next));
      } else {
        Refuse(next->origin, consensus::FailureReason::kNotLeader);
      }
    }
  }

  // Sends what waits to whoever leads now; leaves it waiting when nobody does.
  void Dispatch() {
    DispatchForwarded();
    if (!leadership_.leader || !leadership_.established || dispatch_.refused || IsHeld()) return;
    const ReplicaId leader = *leadership_.leader;
    if (!Leads() && !driver_.linked(leader)) return;
    while (std::optional<WaitingProposal> next = proposals_.NextWaiting()) {
      std::string command = next->command;
      std::optional<consensus::Membership> members = next->members;
      const ProposalId id = proposals_.MarkSent(*std::move(next), leader);
      const consensus::Origin origin{options_.core.self, incarnation_, id};
      if (members) {
        DispatchChange(origin, leader, *std::move(members));
      } else if (Leads()) {
        env_.machine.Stamp(command, env_.clock.MonotonicNs(), env_.clock.WallNs());
        driver_.StepInPump(consensus::Propose{origin, Bytes(std::move(command))});
      } else {
        Send(leader, ForwardedProposal{origin, Bytes(std::move(command))});
      }
    }
  }
  void DispatchChange(const consensus::Origin& origin, ReplicaId leader, consensus::Membership target) {
    if (Leads()) {
      driver_.StepInPump(consensus::ChangeMembers{origin, std::move(target)});
    } else {
      Send(leader, ForwardedChange{origin, std::move(target)});
    }
  }

  void RefusedAt(ProposalId id, consensus::FailureReason reason, bool no_space) {
    switch (reason) {
      case consensus::FailureReason::kNotLeader:
        proposals_.Refused(id);
        dispatch_.refused = true;
        return;
      case consensus::FailureReason::kDropped:
        proposals_.Fail(id, proposals_.IsChange(id) ? Fate::kRefused : no_space ? Fate::kNoSpace : Fate::kOverloaded);
        return;
      case consensus::FailureReason::kUnknown:
        proposals_.Fail(id, Fate::kLeaderLost);
        return;
    }
  }
  void Refuse(const consensus::Origin& origin, consensus::FailureReason reason, bool no_space = false) {
    Send(origin.replica, ProposalRefused{origin.incarnation, origin.proposal, reason, no_space});
  }
  void Send(ReplicaId to, const PeerMessage& message) {
    env_.transport.Send(to, EncodePeerMessage(options_.group, message));
  }

  // ---- membership and leadership
  // `decided`: the members as of an executed entry. Entries from before this member was added are without it as well.
  void NoteStanding(const consensus::Membership& decided) {
    if (IsMember(decided, options_.core.self)) {
      standing_.was_member = true;
    } else if (standing_.was_member && !std::exchange(standing_.removed, true) && options_.on_removed) {
      options_.on_removed();
    }
  }
  void EndTransfer(Fate fate) {
    const Transfer transfer = *std::exchange(transfer_, std::nullopt);
    transfer.done(fate);
  }

  // ---- snapshots and the log
  Status CheckSource(const Beginning& start) {
    const std::string where = "the keyspace has what was written up to entry " +
                              std::to_string(env_.machine.applied().value) + ", and the log begins after entry " +
                              std::to_string(start.log_start.value);
    if (snapshots_ == nullptr) return Status::DataLoss(where);
    if (start.alone && !snapshots_->Find(start.log_start)) {
      return Status::DataLoss(where +
                              "; there is no other member to get the rest from: bring a snapshot back with `quorate "
                              "snapshot restore` into a new data directory");
    }
    LogWarn(where + ": loading a snapshot before anything is served");
    return Status::Ok();
  }

  std::optional<consensus::SnapshotMeta> MetaNow() const override {
    if (driver_.installer().installing() || MayBeginInstalling()) return std::nullopt;
    return driver_.core().MetaAt(env_.machine.applied());
  }
  bool LogFollows(LogIndex last) const override { return last >= release_.start(); }
  std::string WhyNot(LogIndex last, bool wanted) const override {
    const LogIndex need = driver_.installer().wanted();
    if (need) return last >= need ? "" : "the log begins later";
    if (driver_.installer().installing()) return "another one is being installed";
    return wanted || last <= driver_.decided() ? "it is not needed any more" : "";
  }
  void SendFrame(ReplicaId to, Bytes payload) override { Send(to, SnapshotFrame{std::move(payload)}); }
  void OnSent(ReplicaId to, const consensus::SnapshotMeta& meta, bool delivered) override {
    if (peers_.TakeSnapshotAsked(to)) driver_.Step(consensus::SnapshotSent{to, meta, delivered});
  }
  // A keyspace that was lost takes a snapshot without the core's knowledge as long as the log contains all of it; the
  // core decides on one that goes further.
  void OnArrived(ReplicaId from, const consensus::SnapshotMeta& meta) override {
    const bool contained = driver_.installer().wanted() && meta.last <= driver_.decided();
    driver_.SnapshotArrived(meta);
    standing_.arrived = std::max(standing_.arrived, meta.last);
    if (!contained) driver_.Step(consensus::SnapshotReceived{from, meta});
  }

  // The core may have replaced its log by a snapshot, and nobody has taken the Ready yet that says so: its log then
  // starts above what the machine has.
  bool MayBeginInstalling() const { return standing_.arrived > env_.machine.applied() && driver_.core().HasReady(); }

  std::optional<LogIndex> SlowestLive() const {
    std::optional<LogIndex> slowest;
    for (const auto& [id, progress] : progress()) {
      if (progress.live && (!slowest || progress.match < *slowest)) slowest = progress.match;
    }
    return slowest;
  }
  void ReleaseLog() {
    if (snapshots_ == nullptr || driver_.installer().installing() || MayBeginInstalling()) return;
    const LogIndex flushed =
        QUORATE_BUG(replica_release_above_flushed) ? env_.machine.applied() : env_.machine.flushed();
    if (!release_.Worth(flushed)) return;
    const LogIndex before = release_.start();
    const std::optional<LogRelease::Point> point = release_.Decide(flushed, SlowestLive(), snapshots_->under_way());
    if (!point) return;
    env_.log.Release(options_.group, driver_.core().MetaAt(point->covered), point->keep_from);
    if (release_.start() > before) {
      driver_.Step(consensus::SnapshotTaken{driver_.core().MetaAt(release_.start())});
    }
    snapshots_->RemoveUpTo(env_.machine.flushed());
  }

  // ---- time
  std::uint64_t Deadline(std::uint64_t deadline_ns) const {
    const std::uint64_t latest = env_.clock.MonotonicNs() + options_.request_timeout_ns;
    return deadline_ns == 0 || deadline_ns > latest ? latest : deadline_ns;
  }
  void ScheduleTick() {
    clockwork_.timer = env_.executor.After(options_.tick_ns, [this] { OnTick(); });
  }
  void OnTick() {
    if (++clockwork_.ticks % kTicksBetweenSweeps == 0) Sweep(env_.clock.MonotonicNs());
    dispatch_.refused = false;
    driver_.Step(consensus::Tick{});
    ScheduleTick();
  }
  void Sweep(std::uint64_t now) {
    proposals_.Expire(now);
    dispatch_.forwarded.Expire(now, options_.request_timeout_ns);
    reads_.Expire(now, leadership_.leader.has_value());
    if (transfer_ && transfer_->deadline_ns <= now) EndTransfer(Fate::kTimedOut);
    // A leader that can serve nothing until another member has given it a snapshot lets one that can lead.
    if (driver_.installer().wanted() && !driver_.installer().has_source() && Leads()) {
      if (const std::optional<ReplicaId> to = Successor()) driver_.Step(consensus::TransferLeadership{*to});
    }
    ReleaseLog();
  }

  const GroupOptions options_;
  const DriverEnv env_;
  const Incarnation incarnation_;
  Driver driver_;
  Proposals proposals_;
  Reads reads_;
  LogRelease release_;
  Peers peers_;
  Standing standing_;
  consensus::Leadership leadership_;
  std::optional<Transfer> transfer_;
  Dispatching dispatch_;
  LogIndex applied_seen_;
  std::uint64_t messages_dropped_ = 0;
  Clockwork clockwork_;
  std::unique_ptr<Snapshots> snapshots_;
};

// What contradicts itself would be executed wrongly; nothing is started on it.
Status CheckRecovered(const consensus::Recovered& recovered, LogIndex applied) {
  const LogIndex end = recovered.log.empty() ? recovered.snapshot.last : recovered.log.back().index;
  if (applied <= end) return Status::Ok();
  return Status::DataLoss("the keyspace has executed entry " + std::to_string(applied.value) +
                          ", and the log ends with entry " + std::to_string(end.value) +
                          ": it has lost what was durable. This member must not go on under its id; replace it");
}

Beginning Examine(const consensus::Recovered& recovered, ReplicaId self) {
  Beginning start;
  start.log_start = recovered.snapshot.last;
  start.alone =
      recovered.snapshot.members.voters == std::vector<ReplicaId>{self} && recovered.snapshot.members.outgoing.empty();
  for (const consensus::Entry& entry : recovered.log) {
    if (entry.kind == consensus::EntryKind::kMembership) start.alone = false;
    if (entry.index <= recovered.applied) {
      start.applied.emplace_back(entry.index, entry.payload.size() + ApplyQueue::kEntryOverheadBytes);
    }
  }
  return start;
}

}  // namespace

Result<std::unique_ptr<Group>> Group::Start(GroupOptions options, wal::Log& log, env::Transport& transport,
                                            env::Executor& executor, const env::Clock& clock, StateMachine& machine) {
  consensus::Recovered recovered = log.TakeRecovered(options.group);
  RETURN_IF_ERROR(CheckRecovered(recovered, machine.applied()));
  recovered.applied = std::max(machine.applied(), recovered.snapshot.last);
  const Beginning start = Examine(recovered, options.core.self);
  Result<std::unique_ptr<consensus::Core>> core =
      consensus::MakeCore(options.protocol, options.core, std::move(recovered));
  if (!core.ok()) return core.status();
  const DriverEnv env{options.group, log, transport, executor, clock, machine};
  auto group =
      std::make_unique<GroupImpl>(std::move(options), env, *std::move(core), start.log_start, log.incarnation());
  RETURN_IF_ERROR(group->Begin(start));
  return std::unique_ptr<Group>(std::move(group));
}

}  // namespace quorate::replica
