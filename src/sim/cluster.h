// Cluster: the simulated members, their network and their time, and what the nemesis can do to them.
//
// Owned by sim/run; used by the workload and the nemesis. Thread rule: one thread; Crash and Restart must not be called
// from a member's own task.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "sim/member.h"
#include "sim/monitor.h"
#include "sim/network.h"
#include "sim/scheduler.h"
#include "sim/trace_hash.h"

namespace quorate::sim {

struct ClusterOptions {
  std::uint64_t seed = 0;
  consensus::Protocol protocol = consensus::Protocol::kRaft;
  std::uint64_t members = 3;
  consensus::Options core;  // the limits; self, membership and seed are set for each member
  NetworkOptions network;
  StorageOptions storage;                // sync_max_ns is drawn for each member
  std::uint64_t skew_permille_max = 20;  // of the clocks' rates, either way
};

class Cluster {
 public:
  explicit Cluster(const ClusterOptions& options);
  ~Cluster();

  TraceHash& trace() { return trace_; }
  Scheduler& scheduler() { return scheduler_; }
  Network& network() { return network_; }
  Monitor& monitor() { return monitor_; }
  // All there ever were, by id.
  const std::vector<std::unique_ptr<Member>>& members() const { return members_; }
  std::vector<Member*> WithStanding(Standing standing) const;
  // One more, with an empty disk and not started.
  Member& AddMember();
  // It never runs again.
  void Retire(Member& member);
  Member& member(ReplicaId id) { return *members_[id.value - 1]; }
  // The running member that leads in the highest term; null if none.
  Member* leader();

  void StartAll();
  void Crash(Member& member, Exit how, env::Survival survival);
  // Starts a member that is not gone; when its disk loses power during that, crashes it and tries again. One without
  // space tries again later; one whose log is damaged is gone.
  void Restart(Member& member);
  // Called at every crash, after the member is gone.
  void AddCrashHook(std::function<void(ReplicaId)> hook) { crash_hooks_.push_back(std::move(hook)); }
  std::uint64_t crashes() const { return crashes_; }

  // Runs until `time` or the first violation; says whether there was none.
  bool RunUntil(std::uint64_t time);

 private:
  void AfterTask(ProcessId process);
  Member& MakeMember(ReplicaId id, consensus::Membership initial);

  const ClusterOptions options_;
  TraceHash trace_;
  Scheduler scheduler_;
  Monitor monitor_;
  SeededRandom random_;
  Network network_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::function<void(ReplicaId)>> crash_hooks_;
  std::uint64_t crashes_ = 0;
};

}  // namespace quorate::sim
