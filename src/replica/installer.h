// Installer: replaces the machine's state by a snapshot file, because the core installed it in the log, because a start
// found the machine behind the log's beginning, or because the keyspace was lost.
//
// Owned by Driver. Thread rule: the executor's thread.
//
// Invariants:
//  1. A file is loaded only when the batch that holds its InstallSnapshot is durable, or when the core has decided
//  everything that the file contains: the machine is never ahead of this member's log.
//  2. Nothing is executed from the moment an installation is known until it is done.
//  3. A file that does not verify is no reason to stop: another one is asked for.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "replica/apply_queue.h"
#include "replica/snapshots.h"
#include "replica/state_machine.h"

namespace quorate::replica {

class Installer {
 public:
  struct Calls {
    std::function<void()> installed;            // the machine has the new state; entries go on
    std::function<void(const Status&)> failed;  // the machine cannot take it: the node must stop
  };

  Installer(StateMachine& machine, ApplyQueue& queue, Calls calls);

  // From now on there are files to load. Begins at once if the machine is below `log_start`, the last entry that the
  // log has released.
  void Begin(Snapshots* snapshots, LogIndex log_start);
  void Submitted(PersistSeq seq, const consensus::SnapshotMeta& meta);  // a batch with an InstallSnapshot
  void Persisted(PersistSeq seq);
  void Arrived(const consensus::SnapshotMeta& meta);
  void Decided();  // the queue's decided() has risen

  bool installing() const { return queue_.blocked(); }
  LogIndex wanted() const { return wanted_; }  // the machine needs a snapshot that contains this entry; 0 = it does not
  bool has_source() const { return loading_ || candidate_.has_value(); }
  std::uint64_t installed() const { return installed_; }

 private:
  struct Batch {
    PersistSeq seq;
    consensus::SnapshotMeta meta;
  };

  void Next();
  void WantAnother(LogIndex at_least);
  void Load(const consensus::SnapshotMeta& meta);
  void OnLoaded(const consensus::SnapshotMeta& meta, const Status& status);

  StateMachine& machine_;
  ApplyQueue& queue_;
  const Calls calls_;
  Snapshots* snapshots_ = nullptr;
  PersistSeq persisted_;
  std::optional<Batch> batch_;                        // the newest that was not begun
  LogIndex wanted_;                                   // the log begins after it, and the machine is below
  std::optional<consensus::SnapshotMeta> candidate_;  // for wanted_
  bool loading_ = false;
  std::uint64_t installed_ = 0;
  std::shared_ptr<const bool> alive_;
};

}  // namespace quorate::replica
