// Member: one simulated member of the cluster. A disk and a keyspace that outlive crashes, and at most one life at a
// time: a real wal::Log, replica::Group with its snapshots, coord::Machine and keyspace on virtual time, network and
// disk.
//
// Owned by Cluster. Thread rule: one thread. Start, Crash and what damages must not be called from one of the member's
// own tasks.
//
// A crash leaves of the log's disk what MemoryDisk says, and of the keyspace its last durable image.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/ids.h"
#include "consensus/core.h"
#include "coord/machine.h"
#include "env/memory_disk.h"
#include "replica/group.h"
#include "replica/snapshot_receiver.h"
#include "replica/snapshot_sender.h"
#include "sim/monitor.h"
#include "sim/network.h"
#include "sim/random.h"
#include "sim/scheduler.h"
#include "sim/watch_probe.h"
#include "store/engine_memory/memory_engine.h"

namespace quorate::sim {

// How much is kept, and how fast things reach the disk.
struct StorageOptions {
  std::uint64_t segment_bytes = 1 << 20;
  std::uint64_t log_keep_bytes = 256 << 20;
  std::uint64_t log_keep_always_bytes = 16 << 20;
  std::uint64_t log_release_step_bytes = 8 << 20;
  std::uint64_t liveness_ns = 60 * kSecond;
  std::uint64_t sync_min_ns = 100 * kMicrosecond;
  std::uint64_t sync_max_ns = 3 * kMillisecond;
  std::uint64_t flush_max_ns = 20 * kMillisecond;  // of the keyspace
  replica::SnapshotSenderOptions sender;
  replica::SnapshotReceiverOptions receiver;
  coord::MachineOptions machine;
};

struct MemberOptions {
  consensus::Protocol protocol = consensus::Protocol::kRaft;
  consensus::Options core;  // self, membership and limits; each life gets another seed
  ClockSkew skew;
  std::uint64_t seed = 0;
  StorageOptions storage;
};

enum class Standing : std::uint8_t {
  kNew,      // started, or about to be, and not yet in a decided membership
  kMember,   // voter or learner
  kRemoved,  // it may run on for a while, without knowing
  kGone,     // never comes back
};

enum class StartOutcome : std::uint8_t { kRunning, kPowerLost, kNoSpace, kDamaged };

class Member {
 public:
  Member(MemberOptions options, Scheduler& scheduler, Network& network, Monitor& monitor);
  ~Member();
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  ReplicaId id() const { return options_.core.self; }
  Standing standing() const { return standing_; }
  void set_standing(Standing standing) { standing_ = standing; }
  bool running() const { return life_ != nullptr; }
  ProcessId process() const;

  // Opens the disk, recovers and begins. Unless it runs then, the caller crashes it and may try again.
  StartOutcome Start();
  void Crash(Exit how, env::Survival survival);
  void Pause(std::uint64_t until);
  void JumpWallClock(std::int64_t by_ns);
  // Added to every sync's time from now on; 0 = as drawn.
  void set_slow_disk(std::uint64_t extra_max_ns) { faults_.slow_disk_max_ns = extra_max_ns; }
  // The same for the keyspace's writes and reads, and how many of those fail.
  void set_slow_flush(std::uint64_t extra_max_ns) { faults_.slow_flush_max_ns = extra_max_ns; }
  void set_failing_flush(std::uint64_t permille) { faults_.failing_flush_permille = permille; }
  // The power goes during the n-th disk operation from now: between two durable batches or inside one.
  void LosePowerAfter(std::uint64_t operations) { disk_->StopAfter(operations); }
  bool lost_power() const { return disk_->stopped(); }
  // So many bytes more fit on the disk.
  void LimitDisk(std::uint64_t more_bytes);
  void UnlimitDisk();
  // It met something that it must not go on with: the process ends.
  bool failed() const { return failed_; }

  // The medium changes by itself. REQUIRES !running(). False: there was nothing to damage.
  bool DamageLog();
  void DamageKeyspace();
  bool DamageSnapshots();
  bool HasSnapshots() const;  // files of others' states, whole or on their way
  // As a SIGTERM does. REQUIRES running().
  void CloseLog();
  // Part of what it had durably is lost and not yet made up for. While one is, no other is damaged.
  bool damaged();
  bool log_damaged() const { return damage_.log; }

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
  struct Faults {
    std::uint64_t slow_disk_max_ns = 0;
    std::uint64_t slow_flush_max_ns = 0;
    std::uint64_t failing_flush_permille = 0;
    bool disk_limited = false;
  };
  struct Damage {
    bool log = false;
    bool keyspace = false;
    bool snapshots = false;
  };

  StartOutcome Open();
  StartOutcome OpenLog();
  void OpenMachine();
  StartOutcome StartGroup();
  StartOutcome Refused(const Status& status);
  void CheckNothingReleasedTooEarly();
  replica::GroupOptions GroupOptions();
  store::MemoryEngineHooks Hooks();
  void ScheduleDue();
  void ProposeDue();

  MemberOptions options_;
  Scheduler& scheduler_;
  Network& network_;
  Monitor& monitor_;
  SeededRandom random_;
  WatchProbe probe_;
  Standing standing_ = Standing::kMember;
  Faults faults_;
  Damage damage_;
  bool failed_ = false;
  LogIndex promised_;  // what the last life said was flushed when it ended
  std::unique_ptr<DiskExecutor> disk_executor_;
  std::unique_ptr<env::MemoryDisk> disk_;
  store::MemoryStorage keyspace_;
  std::unique_ptr<Life> life_;
};

}  // namespace quorate::sim
