#include "replica/group.h"

#include <map>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "replica/driver.h"
#include "replica/peer_message.h"
#include "replica/proposals.h"
#include "replica/reads.h"

namespace quorate::replica {
namespace {

constexpr std::uint64_t kTicksBetweenSweeps = 10;  // deadlines are seconds; looking every 100 ms is close enough

class GroupImpl final : public Group, private DriverListener {
 public:
  GroupImpl(GroupOptions options, DriverEnv env, std::unique_ptr<consensus::Core> core, Incarnation incarnation)
      : options_(std::move(options)),
        env_(env),
        incarnation_(incarnation),
        driver_(env, std::move(core), *this),
        proposals_(options_.pending_bytes_max),
        applied_seen_(env.machine.applied()) {}

  ~GroupImpl() override { env_.executor.Cancel(tick_timer_); }

  void Begin() {
    driver_.SchedulePump();
    ScheduleTick();
  }

  // ---- Group: what this member's clients ask for
  void Propose(std::string command, std::uint64_t deadline_ns, std::function<void(ProposeResult)> done) override {
    WaitingProposal proposal{std::move(command), Deadline(deadline_ns), std::move(done)};
    if (proposals_.Admit(proposal)) {
      driver_.SchedulePump();
      return;
    }
    env_.executor.Post([done = std::move(proposal.done)] { done(ProposeResult{Fate::kOverloaded, {}, nullptr}); });
  }
  void ReadBarrier(std::uint64_t deadline_ns, std::function<void(Fate)> done) override {
    reads_.Add(Deadline(deadline_ns), std::move(done));
    driver_.SchedulePump();
  }
  void TransferLeadership(ReplicaId to) override { driver_.Step(consensus::TransferLeadership{to}); }
  GroupStatus status() const override {
    return {leadership_, driver_.decided(), env_.machine.applied(), proposals_.size(), proposals_.failures()};
  }
  const consensus::Membership& membership() const override { return membership_; }
  const consensus::Core& core() const override { return driver_.core(); }

  // ---- TransportListener: what the peers send
  void OnLinkUp(ReplicaId peer, LinkId link, Incarnation incarnation) override {
    driver_.SetLink(peer, link);
    driver_.Step(consensus::LinkUp{peer, link, incarnation});
  }
  void OnLinkDown(ReplicaId peer, LinkId link) override {
    // What was sent on the link may or may not have arrived: the outcome is unknown and is never tried again here.
    driver_.SetLink(peer, LinkId());
    proposals_.FailSentTo(peer, Fate::kLeaderLost);
    driver_.Step(consensus::LinkDown{peer, link});
  }
  void OnLinkRefused(ReplicaId peer) override { driver_.Step(consensus::LinkRefused{peer}); }
  void OnFrame(ReplicaId peer, LinkId link, Bytes frame) override {
    std::optional<PeerMessage> message = DecodePeerMessage(options_.group, frame);
    if (!message) return;  // another version or group; the transport has checked cluster and sender
    std::visit([&](auto& m) { OnMessage(peer, link, std::move(m)); }, *message);
  }

 private:
  void OnMessage(ReplicaId peer, LinkId link, CoreMessage message) {
    driver_.Step(consensus::Receive{peer, link, std::move(message.payload)});
  }
  void OnMessage(ReplicaId peer, LinkId, ForwardedProposal message) {
    if (message.origin.replica != peer) return;
    // A repeat: what was said the first time stands. A proposer never sends one twice under the same id (Proposals,
    // invariant 2).
    std::pair<Incarnation, ProposalId>& last = last_forwarded_[peer];
    const std::pair<Incarnation, ProposalId> now{message.origin.incarnation, message.origin.proposal};
    if (now <= last) return;
    last = now;
    if (!Leads()) {
      Refuse(message.origin, consensus::FailureReason::kNotLeader);
      return;
    }
    std::string command = message.command.ToString();
    env_.machine.Stamp(command, env_.clock.MonotonicNs(), env_.clock.WallNs());
    driver_.Step(consensus::Propose{message.origin, Bytes(std::move(command))});
  }
  void OnMessage(ReplicaId, LinkId, const ProposalRefused& message) {
    if (message.incarnation == incarnation_) RefusedAt(message.proposal, message.reason);
  }
  void OnMessage(ReplicaId, LinkId, const SnapshotFrame&) {}  // nobody asks for one while the log is never released

  // ---- DriverListener: what the core decided
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
      RefusedAt(origin.proposal, failed.reason);
    }
  }
  void OnLeadership(const consensus::Leadership& leadership) override {
    const bool other_term = leadership.ballot != leadership_.ballot || leadership.leader != leadership_.leader;
    leadership_ = leadership;
    if (!other_term) return;
    proposals_.FailAllSent(Fate::kLeaderLost);
    dispatch_held_ = false;
  }
  void OnMembership(const consensus::Membership& membership) override { membership_ = membership; }
  void BeforePump() override {
    Dispatch();
    if (const std::optional<ReadId> round = reads_.BeginRound(env_.clock.MonotonicNs())) {
      driver_.StepInPump(consensus::ReadBarrier{*round});
    }
  }
  void AfterPump(LogIndex applied) override {
    reads_.ServeUpTo(applied);
    if (applied != applied_seen_ && options_.on_applied) options_.on_applied();
    applied_seen_ = applied;
  }

  // ---- proposals
  bool Leads() const { return leadership_.role == consensus::Role::kLeader && leadership_.established; }

  // Sends what waits to whoever leads now; leaves it waiting when nobody does.
  void Dispatch() {
    if (!leadership_.leader || !leadership_.established || dispatch_held_) return;
    const ReplicaId leader = *leadership_.leader;
    if (!Leads() && !driver_.linked(leader)) return;
    while (std::optional<WaitingProposal> next = proposals_.NextWaiting()) {
      std::string command = next->command;
      const ProposalId id = proposals_.MarkSent(*std::move(next), leader);
      const consensus::Origin origin{options_.core.self, incarnation_, id};
      if (Leads()) {
        env_.machine.Stamp(command, env_.clock.MonotonicNs(), env_.clock.WallNs());
        driver_.StepInPump(consensus::Propose{origin, Bytes(std::move(command))});
      } else {
        Send(leader, ForwardedProposal{origin, Bytes(std::move(command))});
      }
    }
  }

  void RefusedAt(ProposalId id, consensus::FailureReason reason) {
    switch (reason) {
      case consensus::FailureReason::kNotLeader:
        proposals_.Refused(id);
        dispatch_held_ = true;
        return;
      case consensus::FailureReason::kDropped:
        proposals_.Fail(id, Fate::kOverloaded);
        return;
      case consensus::FailureReason::kUnknown:
        proposals_.Fail(id, Fate::kLeaderLost);
        return;
    }
  }
  void Refuse(const consensus::Origin& origin, consensus::FailureReason reason) {
    Send(origin.replica, ProposalRefused{origin.incarnation, origin.proposal, reason});
  }
  void Send(ReplicaId to, const PeerMessage& message) {
    env_.transport.Send(to, EncodePeerMessage(options_.group, message));
  }

  // ---- time
  std::uint64_t Deadline(std::uint64_t deadline_ns) const {
    const std::uint64_t latest = env_.clock.MonotonicNs() + options_.request_timeout_ns;
    return deadline_ns == 0 || deadline_ns > latest ? latest : deadline_ns;
  }
  void ScheduleTick() {
    tick_timer_ = env_.executor.After(options_.tick_ns, [this] { OnTick(); });
  }
  void OnTick() {
    if (++ticks_ % kTicksBetweenSweeps == 0) {
      const std::uint64_t now = env_.clock.MonotonicNs();
      proposals_.Expire(now);
      reads_.Expire(now, leadership_.leader.has_value());
    }
    dispatch_held_ = false;
    driver_.Step(consensus::Tick{});
    ScheduleTick();
  }

  const GroupOptions options_;
  const DriverEnv env_;
  const Incarnation incarnation_;
  Driver driver_;
  Proposals proposals_;
  Reads reads_;
  consensus::Leadership leadership_;
  consensus::Membership membership_;
  std::map<ReplicaId, std::pair<Incarnation, ProposalId>> last_forwarded_;  // per origin, to drop repeats
  bool dispatch_held_ = false;  // a proposal was refused: the next tick tries again, not the next message
  LogIndex applied_seen_;
  std::uint64_t ticks_ = 0;
  env::TimerId tick_timer_ = 0;
};

}  // namespace

Result<std::unique_ptr<Group>> Group::Start(GroupOptions options, wal::Log& log, env::Transport& transport,
                                            env::Executor& executor, const env::Clock& clock, StateMachine& machine) {
  consensus::Recovered recovered = log.TakeRecovered(options.group);
  recovered.applied = machine.applied();
  Result<std::unique_ptr<consensus::Core>> core =
      consensus::MakeCore(options.protocol, options.core, std::move(recovered));
  if (!core.ok()) return core.status();
  const DriverEnv env{options.group, log, transport, executor, clock, machine};
  auto group = std::make_unique<GroupImpl>(std::move(options), env, *std::move(core), log.incarnation());
  group->Begin();
  return std::unique_ptr<Group>(std::move(group));
}

}  // namespace quorate::replica
