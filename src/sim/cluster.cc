#include "sim/cluster.h"

#include <utility>

namespace quorate::sim {
namespace {

std::vector<ReplicaId> Ids(std::uint64_t count) {
  std::vector<ReplicaId> ids;
  for (std::uint64_t i = 1; i <= count; ++i) ids.emplace_back(i);
  return ids;
}

}  // namespace

Cluster::Cluster(const ClusterOptions& options)
    : scheduler_(trace_),
      monitor_(trace_),
      random_(SeededRandom::ForPurpose(options.seed, "cluster")),
      network_(scheduler_, SeededRandom::ForPurpose(options.seed, "network"), options.network, Ids(options.members),
               trace_) {
  for (const ReplicaId id : Ids(options.members)) {
    MemberOptions member;
    member.core = options.core;
    member.core.self = id;
    member.core.initial.voters = Ids(options.members);
    member.protocol = options.protocol;
    member.skew.rate_permille = random_.Between(1000 - options.skew_permille_max, 1000 + options.skew_permille_max);
    member.skew.wall_offset_ns = static_cast<std::int64_t>(random_.Below(10 * kSecond));
    member.seed = options.seed;
    member.segment_bytes = options.segment_bytes;
    member.sync_max_ns = random_.Between(member.sync_min_ns, options.sync_max_ns);
    members_.push_back(std::make_unique<Member>(std::move(member), scheduler_, network_, monitor_));
  }
  if (options.protocol == consensus::Protocol::kRaft) {
    network_.set_tap([this](ReplicaId from, ReplicaId to, const Bytes& frame) { monitor_.OnSent(from, to, frame); });
  }
  scheduler_.set_after_task([this](ProcessId process) { AfterTask(process); });
}

Cluster::~Cluster() {
  // Members refer to the scheduler and the network: they go first, and with them their tasks.
  for (const auto& member : members_) member->Crash(Exit::kProcess, env::Survival::kEverything);
}

Member* Cluster::leader() {
  Member* found = nullptr;
  consensus::Ballot highest;
  for (const auto& member : members_) {
    if (!member->leads()) continue;
    const consensus::Ballot ballot = member->group().status().leadership.ballot;
    if (found == nullptr || ballot > highest) {
      found = member.get();
      highest = ballot;
    }
  }
  return found;
}

void Cluster::StartAll() {
  for (const auto& member : members_) {
    scheduler_.After(random_.Below(100 * kMillisecond), kSimulator, [this, m = member.get()] { Restart(*m); });
  }
}

void Cluster::Crash(Member& member, Exit how, env::Survival survival) {
  if (!member.running()) return;
  member.Crash(how, survival);
  ++crashes_;
  for (const auto& hook : crash_hooks_) hook(member.id());
}

void Cluster::Restart(Member& member) {
  if (member.running()) return;
  while (!member.Start() && !monitor_.violated()) {
    Crash(member, Exit::kHost, env::Survival::kTornSectors);
  }
}

bool Cluster::RunUntil(std::uint64_t time) {
  return scheduler_.RunUntil(time, [this] { return monitor_.violated(); });
}

void Cluster::AfterTask(ProcessId process) {
  for (const auto& member : members_) {
    if (member->process() != process) continue;
    member->CheckInvariants();
    if (!member->lost_power()) return;
    // The member is on the stack no more, but other tasks of this moment must not see it run on.
    scheduler_.Pause(process, kNever);
    scheduler_.After(0, kSimulator, [this, m = member.get(), process] {
      if (m->process() != process) return;
      Crash(*m, Exit::kHost, env::Survival::kTornSectors);
    });
  }
}

}  // namespace quorate::sim
