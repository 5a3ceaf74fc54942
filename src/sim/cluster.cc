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
    : options_(options),
      scheduler_(trace_),
      monitor_(trace_, options.protocol, {Ids(options.members), {}, {}}),
      random_(SeededRandom::ForPurpose(options.seed, "cluster")),
      network_(scheduler_, SeededRandom::ForPurpose(options.seed, "network"), options.network, Ids(options.members),
               trace_) {
  for (const ReplicaId id : Ids(options.members)) MakeMember(id, {Ids(options.members), {}, {}});
  network_.set_tap([this](ReplicaId from, ReplicaId to, const Bytes& frame) { monitor_.OnSent(from, to, frame); });
  scheduler_.set_after_task([this](ProcessId process) { AfterTask(process); });
}

Member& Cluster::MakeMember(ReplicaId id, consensus::Membership initial) {
  MemberOptions member;
  member.core = options_.core;
  member.core.self = id;
  member.core.initial = std::move(initial);
  member.protocol = options_.protocol;
  member.skew.rate_permille = random_.Between(1000 - options_.skew_permille_max, 1000 + options_.skew_permille_max);
  member.skew.wall_offset_ns = static_cast<std::int64_t>(random_.Below(10 * kSecond));
  member.seed = options_.seed;
  member.storage = options_.storage;
  member.storage.sync_max_ns = random_.Between(member.storage.sync_min_ns, options_.storage.sync_max_ns);
  members_.push_back(std::make_unique<Member>(std::move(member), scheduler_, network_, monitor_));
  return *members_.back();
}

Member& Cluster::AddMember() {
  const ReplicaId id(members_.size() + 1);
  network_.AddHost(id);
  Member& member = MakeMember(id, {});
  member.set_standing(Standing::kNew);
  return member;
}

void Cluster::Retire(Member& member) {
  if (member.running()) Crash(member, Exit::kProcess, env::Survival::kEverything);
  member.set_standing(Standing::kGone);
  network_.Forget(member.id());
}

std::vector<Member*> Cluster::WithStanding(Standing standing) const {
  std::vector<Member*> found;
  for (const auto& member : members_) {
    if (member->standing() == standing) found.push_back(member.get());
  }
  return found;
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
  while (!member.running() && member.standing() != Standing::kGone && !monitor_.violated()) {
    switch (member.Start()) {
      case StartOutcome::kRunning:
        return;
      case StartOutcome::kPowerLost:
        Crash(member, Exit::kHost, env::Survival::kTornSectors);
        break;
      case StartOutcome::kNoSpace:
        member.Crash(Exit::kProcess, env::Survival::kEverything);
        scheduler_.After(random_.Below(2 * kSecond), kSimulator, [this, &member] { Restart(member); });
        return;
      case StartOutcome::kDamaged:
        Retire(member);
        break;
    }
  }
}

bool Cluster::RunUntil(std::uint64_t time) {
  return scheduler_.RunUntil(time, [this] { return monitor_.violated(); });
}

void Cluster::AfterTask(ProcessId process) {
  for (const auto& member : members_) {
    if (member->process() != process) continue;
    member->CheckInvariants();
    if (!member->lost_power() && !member->failed()) return;
    // The member is on the stack no more, but other tasks of this moment must not see it run on.
    scheduler_.Pause(process, kNever);
    scheduler_.After(0, kSimulator, [this, m = member.get(), process] {
      if (m->process() != process) return;
      if (m->lost_power()) {
        Crash(*m, Exit::kHost, env::Survival::kTornSectors);
      } else {
        Crash(*m, Exit::kProcess, env::Survival::kEverything);
      }
    });
  }
}

}  // namespace quorate::sim
