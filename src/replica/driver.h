// Driver: turns a core's Ready values into actions. The one place where the order of writing, sending, applying and
// answering stands.
//
// Owned by Group. Thread rule: the executor's thread.
//
// Invariants:
//  1. An Outbound leaves only when the batch it names is durable (core.h, contract 2).
//  2. Decided entries are applied in index order, each once, and only when their data is in memory (apply_queue.h);
//  writing, sending and answering peers go on meanwhile.
//  3. All events that arrive in one turn of the loop are stepped before one Pump, so they share a batch, a message and
//  a sync.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "consensus/core.h"
#include "env/clock.h"
#include "env/executor.h"
#include "env/transport.h"
#include "replica/apply_queue.h"
#include "replica/installer.h"
#include "replica/state_machine.h"
#include "wal/log.h"

namespace quorate::replica {

// What the driver tells its group; called from Pump.
class DriverListener {
 public:
  virtual ~DriverListener() = default;
  virtual void OnExecuted(const consensus::Entry& entry, std::unique_ptr<Outcome> outcome) = 0;
  virtual void OnReadReady(ReadId id, LogIndex index) = 0;  // serve it once the applied index reaches `index`
  virtual void OnReadFailed(ReadId id) = 0;
  virtual void OnProposalFailed(const consensus::Failed& failed) = 0;
  virtual void OnLeadership(const consensus::Leadership& leadership) = 0;
  virtual void OnMembership(const consensus::Membership& membership) = 0;
  virtual void OnDecided(const std::vector<consensus::Entry>& decided) = 0;       // and not executed yet
  virtual void OnMembershipDecided(const consensus::Membership& membership) = 0;  // executed as well
  virtual void OnLogRestarted(LogIndex start) = 0;  // a snapshot is being installed: the log begins after `start`
  virtual void OnSendSnapshot(ReplicaId to) = 0;
  virtual void OnFailure(const Status& status) = 0;  // the machine cannot go on
  virtual void BeforePump() = 0;                     // last moment to step events of this turn
  virtual void AfterPump(LogIndex applied) = 0;
};

struct DriverEnv {
  GroupId group;
  wal::Log& log;
  env::Transport& transport;
  env::Executor& executor;
  const env::Clock& clock;
  StateMachine& machine;
};

class Driver {
 public:
  // `log_start`: the last entry that the log has released.
  Driver(DriverEnv env, std::unique_ptr<consensus::Core> core, LogIndex log_start, DriverListener& listener);

  // Before the first pump, if there are snapshots at all. Outlives the pumps.
  void UseSnapshots(Snapshots* snapshots) { installer_.Begin(snapshots, log_start_); }
  void SnapshotArrived(const consensus::SnapshotMeta& meta) { installer_.Arrived(meta); }
  void Step(consensus::Event event);  // and pumps before the loop's next turn is over
  // From BeforePump only: the pump under way acts on it.
  void StepInPump(consensus::Event event) { core_->Step(std::move(event)); }
  void SchedulePump();
  void SetLink(ReplicaId peer, LinkId link);  // 0 = there is none
  bool linked(ReplicaId peer) const { return links_.contains(peer); }
  const consensus::Core& core() const { return *core_; }
  LogIndex decided() const { return apply_.decided(); }
  const ApplyQueue& queue() const { return apply_; }
  const Installer& installer() const { return installer_; }

 private:
  using Queue = std::deque<consensus::Outbound>;  // `after` never falls along a queue

  void Pump();
  void Act(consensus::Ready ready);
  void Submit(consensus::WriteBatch batch);
  void Send(std::vector<consensus::Outbound> outbound);
  void SendNow(const consensus::Outbound& out);
  void OnPersisted(PersistSeq seq);
  void Take(std::vector<consensus::Entry> decided);
  void Execute();
  void TellApplied();
  void Load(consensus::LoadLog wanted);

  DriverEnv env_;
  std::unique_ptr<consensus::Core> core_;
  DriverListener& listener_;
  const LogIndex log_start_;
  PersistSeq persisted_;
  LogIndex applied_told_;
  ApplyQueue apply_;
  Installer installer_;
  std::map<ReplicaId, Queue> held_;  // outbound that waits for its batch, per peer, in the core's order
  std::map<ReplicaId, LinkId> links_;
  bool pump_scheduled_ = false;
  std::shared_ptr<const bool> alive_;  // callbacks that outlive the driver see it gone
};

}  // namespace quorate::replica
