// Member: one simulated member of the cluster. A disk that outlives crashes, and at most one life at a time: a real
// wal::Log, replica::Group, coord::Machine and store engine on virtual time, network and disk.
//
// Owned by Cluster. Thread rule: one thread. Start and Crash must not be called from one of the member's own tasks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/ids.h"
#include "consensus/core.h"
#include "coord/machine.h"
#include "env/memory_disk.h"
#include "replica/group.h"
#include "sim/monitor.h"
#include "sim/network.h"
#include "sim/random.h"
#include "sim/scheduler.h"
#include "sim/watch_probe.h"
#include "store/engine_memory/memory_engine.h"

namespace quorate::sim {

struct MemberOptions {
  consensus::Protocol protocol = consensus::Protocol::kRaft;
  consensus::Options core;  // self, membership and limits; each life gets another seed
  ClockSkew skew;
  std::uint64_t seed = 0;
  std::uint64_t segment_bytes = 1 << 20;
  std::uint64_t sync_min_ns = 100 * kMicrosecond;
  std::uint64_t sync_max_ns = 3 * kMillisecond;
};

class Member {
 public:
  Member(MemberOptions options, Scheduler& scheduler, Network& network, Monitor& monitor);
  ~Member();
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  ReplicaId id() const { return options_.core.self; }
  bool running() const { return life_ != nullptr; }
  ProcessId process() const;

  // Opens the disk, recovers and begins. False: the disk lost its power meanwhile (the caller crashes and tries again).
  bool Start();
  void Crash(Exit how, env::Survival survival);
  void Pause(std::uint64_t until) { scheduler_.Pause(process(), until); }
  // Added to every sync's time from now on; 0 = as drawn.
  void set_slow_disk(std::uint64_t extra_max_ns) { slow_disk_max_ns_ = extra_max_ns; }
  // The power goes during the n-th disk operation from now: between two durable batches or inside one.
  void LosePowerAfter(std::uint64_t operations) { disk_->StopAfter(operations); }
  bool lost_power() const { return disk_->stopped(); }

  // REQUIRES running().
  replica::Group& group();
  coord::Machine& machine();
  const env::Clock& clock() const;
  bool leads() const;
  WatchProbe& probe() { return probe_; }
  // After each of the member's tasks.
  void CheckInvariants();

 private:
  class DiskExecutor;
  struct Life;

  void ScheduleDue();
  void ProposeDue();

  MemberOptions options_;
  Scheduler& scheduler_;
  Network& network_;
  Monitor& monitor_;
  SeededRandom random_;
  WatchProbe probe_;
  std::uint64_t slow_disk_max_ns_ = 0;
  std::unique_ptr<DiskExecutor> disk_executor_;
  std::unique_ptr<env::MemoryDisk> disk_;
  store::MemoryStorage keyspace_;  // what was flushed
  std::unique_ptr<Life> life_;
};

}  // namespace quorate::sim
