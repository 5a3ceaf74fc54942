// SnapshotReceiver: takes the snapshot that a leader sends, into snapshots/<id>.part, and gives it its name once it is
// whole, verified and durable.
//
// Owned by Group. Thread rule: the executor's thread; the host is called from the loop only. Every byte goes through
// SnapshotReader as it arrives, so damage is found before the core hears of the snapshot. Disk calls are pieces of at
// most a frame into the page cache, and every sync_bytes an asynchronous write with a sync.
//
// Invariants:
//  1. One snapshot at a time. What was received stays when the link goes down, so that the same sender goes on from
//  there; an offer of another leader or of another snapshot drops it, and so do keep_ns without a byte.
//  2. A file under its final name is whole, has the right digest, is of this cluster and group, and is durable.
//  3. Memory: what arrives while a sync is under way, at most buffer_bytes_max, and one chunk in the reader.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "env/clock.h"
#include "env/disk.h"
#include "env/executor.h"
#include "replica/snapshot_file.h"
#include "replica/snapshot_message.h"

namespace quorate::replica {

struct SnapshotReceiverOptions {
  ClusterId cluster;
  GroupId group{1};
  std::uint64_t sync_bytes = 4 << 20;
  std::uint64_t buffer_bytes_max = 8 << 20;
  std::uint64_t keep_ns = 600'000'000'000;
  std::uint64_t ask_again_ns = 1'000'000'000;  // SnapshotWanted is said again when nothing happened for so long
};

class SnapshotReceiverHost {
 public:
  virtual ~SnapshotReceiverHost() = default;
  // Empty: it would be of use. Otherwise why not ("has applied more already", "is installing another").
  virtual std::string WhyNotSnapshot(const SnapshotOffer& offer) const = 0;
  virtual void SendSnapshotMessage(ReplicaId to, const SnapshotMessage& message) = 0;
  // snapshots/<header.meta.id>.snap is whole and durable. `wanted`: it answers Want; the core knows nothing of it.
  virtual void OnSnapshotReceived(ReplicaId from, const SnapshotHeader& header, bool wanted) = 0;
};

struct SnapshotReceiverStatus {
  bool receiving = false;
  std::uint64_t bytes = 0;        // of the one that is being received
  std::uint64_t bytes_total = 0;  // about
  std::uint64_t received = 0;     // whole ones in this life
  std::uint64_t failed = 0;
};

class SnapshotReceiver {
 public:
  // REQUIRES PrepareSnapshotDirectory.
  SnapshotReceiver(SnapshotReceiverOptions options, env::Disk& disk, env::Executor& executor, const env::Clock& clock,
                   SnapshotReceiverHost& host);
  ~SnapshotReceiver();

  // Asks for the state at host level, again and again, whoever leads, until OnSnapshotReceived.
  void Want();
  void StopWanting();
  void SetLeader(ReplicaId leader);  // 0 = none known
  void OnMessage(ReplicaId from, const SnapshotOffer& message);
  void OnMessage(ReplicaId from, const SnapshotData& message);
  void OnMessage(ReplicaId from, const SnapshotStopped& message);
  SnapshotReceiverStatus status() const;

 private:
  struct Incoming;

  Status Open(ReplicaId from, const SnapshotOffer& offer);
  void Write();
  void WriteWithSync(bool last);
  void OnSynced(const Status& status, std::uint64_t bytes, bool last);
  void Complete();
  void SayDone();
  void Fail(const Status& why);
  void Drop();
  void AskIfWanted();
  void ScheduleTick();
  void OnTick();

  const SnapshotReceiverOptions options_;
  env::Disk& disk_;
  env::Executor& executor_;
  const env::Clock& clock_;
  SnapshotReceiverHost& host_;
  std::unique_ptr<Incoming> incoming_;
  SnapshotReceiverStatus status_;
  std::uint64_t ballot_ = 0;  // the highest that offered
  bool wanted_ = false;
  ReplicaId leader_;
  std::uint64_t writes_ = 0;  // numbers the writes with a sync; that of one that was given up is passed
  env::TimerId timer_ = 0;
  std::shared_ptr<const bool> alive_;
};

}  // namespace quorate::replica
