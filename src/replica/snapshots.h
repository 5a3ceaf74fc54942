// Snapshots: those on their way to other members and from them, and the files of those that arrived whole.
//
// The seam between Group, which knows when, and snapshot_*.h, which knows how; tests fake it. Thread rule: the
// executor's thread; the host's functions and `done` are called on it, never from inside a call of Snapshots.
//
// Invariants:
//  1. A snapshot is reported as arrived only when its file is verified and durable under its final name.
//  2. Each Send is answered by one OnSent; a Send to a member that is being sent to is answered by that one.
//  3. A file is removed only when the state machine has flushed an applied index at or above its last entry.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "env/clock.h"
#include "env/disk.h"
#include "env/executor.h"
#include "replica/state_machine.h"

namespace quorate::replica {

// What it needs of its group.
class SnapshotHost {
 public:
  virtual ~SnapshotHost() = default;
  // Ballot and members as of the machine's applied index; `id` is 0. Empty: the state is not whole (installing).
  virtual std::optional<consensus::SnapshotMeta> MetaNow() const = 0;
  // Whether the log still has the entry after `last`: else a snapshot up to there helps nobody.
  virtual bool LogFollows(LogIndex last) const = 0;
  // Empty: a snapshot up to `last` would be of use here. Otherwise why not.
  virtual std::string WhyNot(LogIndex last, bool wanted) const = 0;
  // A frame of snapshot_message.h, to the same class at `to`; lost without a word when there is no link.
  virtual void SendFrame(ReplicaId to, Bytes payload) = 0;
  virtual void OnSent(ReplicaId to, const consensus::SnapshotMeta& meta, bool delivered) = 0;
  virtual void OnArrived(ReplicaId from, const consensus::SnapshotMeta& meta) = 0;
};

struct SnapshotTraffic {
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t sending_ns = 0;  // of all transfers to members, each since its receiver began to take it
};

// Of what is being sent to other members: the least that a snapshot of it reaches, and the size of the largest.
struct SnapshotsUnderWay {
  LogIndex last;
  std::uint64_t bytes = 0;
};

class Snapshots {
 public:
  virtual ~Snapshots() = default;

  virtual void OnLeadership(const consensus::Leadership& leadership) = 0;
  virtual void Send(ReplicaId to) = 0;  // the present state, to a member that is below the start of the log
  // Asks whoever leads for its state, again and again, until one arrives: the keyspace is lost, the log is good.
  virtual void Want() = 0;
  virtual void OnLinkDown(ReplicaId peer) = 0;
  virtual bool OnFrame(ReplicaId from, const Bytes& payload) = 0;  // false: malformed

  // The oldest verified file with last >= `at_least`.
  virtual std::optional<consensus::SnapshotMeta> Find(LogIndex at_least) const = 0;
  // Loads that file into the machine: BeginInstall(meta.last), all rows, Finish. One at a time. DATA_LOSS or NOT_FOUND:
  // the file is no good, and gone.
  virtual void Load(const consensus::SnapshotMeta& meta, std::function<void(Status)> done) = 0;
  virtual void RemoveUpTo(LogIndex flushed) = 0;
  virtual SnapshotTraffic traffic() const = 0;
  virtual std::optional<SnapshotsUnderWay> under_way() const = 0;
};

}  // namespace quorate::replica
