// MemberSnapshots: the Snapshots of a real member: SnapshotSender, SnapshotReceiver and the files in its data
// directory.
//
// Made by server/ and sim/ through GroupOptions::make_snapshots. Thread rule: the executor's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/ids.h"
#include "base/result.h"
#include "env/clock.h"
#include "env/disk.h"
#include "env/executor.h"
#include "replica/snapshot_receiver.h"
#include "replica/snapshot_sender.h"
#include "replica/snapshot_stream.h"
#include "replica/snapshots.h"

namespace quorate::replica {

// Who makes snapshots: what their ids and headers say.
struct SnapshotMaker {
  ClusterId cluster;
  GroupId group{1};
  ReplicaId self;
  Incarnation incarnation;
  std::function<std::uint64_t()> feature_level;  // may be empty
};

struct MemberSnapshotsOptions {
  SnapshotMaker maker;
  SnapshotSenderOptions sender;
  SnapshotReceiverOptions receiver;  // cluster and group are the maker's
};

// REQUIRES PrepareSnapshotDirectory. Everything outlives what is made here.
std::unique_ptr<Snapshots> MakeMemberSnapshots(const MemberSnapshotsOptions& options, env::Disk& disk,
                                               env::Executor& executor, const env::Clock& clock, SnapshotHost& host,
                                               StateMachine& machine);

// The machine's present state as a file; `meta` is of its applied index, the id comes from `number`, which must not be
// used twice in a life.
Result<std::shared_ptr<SnapshotStream>> OpenSnapshotStream(const SnapshotMaker& maker, std::uint64_t number,
                                                           consensus::SnapshotMeta meta, StateMachine& machine,
                                                           env::Executor& executor, const env::Clock& clock);

}  // namespace quorate::replica
