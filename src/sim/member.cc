#include "sim/member.h"

#include <string>
#include <utility>

#include "base/check.h"
#include "coord/command.h"
#include "store/engine_memory/memory_engine.h"
#include "wal/log.h"

namespace quorate::sim {
namespace {

constexpr ClusterId kCluster{0x51};
constexpr std::uint64_t kDueIntervalNs = 100 * kMillisecond;

// Shows the monitor every entry that the group executes, before and after.
class ObservedMachine final : public replica::StateMachine {
 public:
  ObservedMachine(ReplicaId member, coord::Machine& machine, Monitor& monitor, const Scheduler& scheduler)
      : member_(member), machine_(machine), monitor_(monitor), scheduler_(scheduler) {}

  bool Prepare(const consensus::Entry& entry, std::function<void()> ready) override {
    return machine_.Prepare(entry, std::move(ready));
  }
  std::unique_ptr<replica::Outcome> Apply(const consensus::Entry& entry) override {
    monitor_.OnDecided(member_, entry);
    std::unique_ptr<replica::Outcome> outcome = machine_.Apply(entry);
    monitor_.OnExecuted(member_, entry, machine_, outcome.get(), scheduler_.now());
    return outcome;
  }
  LogIndex applied() const override { return machine_.applied(); }
  LogIndex flushed() const override { return machine_.flushed(); }
  std::shared_ptr<replica::SnapshotSource> OpenSnapshot() override { return machine_.OpenSnapshot(); }
  std::unique_ptr<replica::SnapshotSink> BeginInstall(LogIndex last) override { return machine_.BeginInstall(last); }
  void Stamp(std::string& command, std::uint64_t monotonic_ns, std::int64_t wall_ns) override {
    machine_.Stamp(command, monotonic_ns, wall_ns);
    monitor_.OnStamp(command, scheduler_.now());
  }
  void OnLeadership(const consensus::Leadership& leadership, std::uint64_t monotonic_ns) override {
    monitor_.OnLeadership(member_, leadership);
    machine_.OnLeadership(leadership, monotonic_ns);
  }
  std::uint64_t StateHash() const override { return machine_.StateHash(); }

 private:
  ReplicaId member_;
  coord::Machine& machine_;
  Monitor& monitor_;
  const Scheduler& scheduler_;
};

// Small, so that a run sees many flushes, evictions and cold reads.
coord::MachineOptions MachineOptions() {
  coord::MachineOptions options;
  options.memory_bytes = 64 << 10;
  options.buffer.batch_bytes = 4 << 10;
  options.buffer.batch_records = 40;
  return options;
}

}  // namespace

// The disk outlives its member's processes; what it completes is a task of the present one.
class Member::DiskExecutor final : public env::Executor {
 public:
  void set_target(env::Executor* target) { target_ = target; }
  void Post(std::function<void()> task) override {
    if (target_ != nullptr) target_->Post(std::move(task));
  }
  env::TimerId After(std::uint64_t delay_ns, std::function<void()> task) override {
    return target_ == nullptr ? 1 : target_->After(delay_ns, std::move(task));
  }
  void Cancel(env::TimerId timer) override {
    if (target_ != nullptr) target_->Cancel(timer);
  }

 private:
  env::Executor* target_ = nullptr;
};

struct Member::Life {
  Life(Scheduler& scheduler, ProcessId p, ClockSkew skew)
      : process(p), clock(scheduler, skew), executor(scheduler, p, skew) {}

  ProcessId process;
  SimClock clock;
  SimExecutor executor;
  std::unique_ptr<wal::Log> log;
  std::unique_ptr<env::Transport> transport;
  std::unique_ptr<store::MemoryEngine> engine;
  std::unique_ptr<coord::Machine> machine;
  std::unique_ptr<ObservedMachine> observed;
  std::unique_ptr<replica::Group> group;
};

Member::Member(MemberOptions options, Scheduler& scheduler, Network& network, Monitor& monitor)
    : options_(std::move(options)),
      scheduler_(scheduler),
      network_(network),
      monitor_(monitor),
      random_(SeededRandom::ForPurpose(options_.seed, "member", options_.core.self.value)),
      probe_(SeededRandom::ForPurpose(options_.seed, "watch", options_.core.self.value),
             [this](Revision next, Revision revision, const std::vector<coord::WatchEvent>& events) {
               monitor_.OnEvents(id(), next, revision, events);
             }),
      disk_executor_(std::make_unique<DiskExecutor>()),
      disk_(std::make_unique<env::MemoryDisk>(*disk_executor_, random_.Next())) {
  disk_->SetLatency([this](const std::string&, std::uint64_t) {
    std::uint64_t latency = random_.Between(options_.sync_min_ns, options_.sync_max_ns);
    if (slow_disk_max_ns_ != 0) latency += random_.Below(slow_disk_max_ns_);
    return latency;
  });
}

Member::~Member() = default;

ProcessId Member::process() const {
  return life_ == nullptr ? kSimulator : life_->process;
}
replica::Group& Member::group() {
  CHECK(running());
  return *life_->group;
}
coord::Machine& Member::machine() {
  CHECK(running());
  return *life_->machine;
}
const env::Clock& Member::clock() const {
  CHECK(running());
  return life_->clock;
}
bool Member::leads() const {
  return running() && life_->group->status().leadership.role == consensus::Role::kLeader;
}

bool Member::Start() {
  CHECK(!running());
  ClockSkew skew = options_.skew;
  skew.monotonic_start_ns = random_.Below(1'000'000 * kSecond);
  life_ = std::make_unique<Life>(scheduler_, scheduler_.NewProcess(), skew);
  disk_executor_->set_target(&life_->executor);

  wal::LogOptions log_options;
  log_options.identity = {kCluster, id(), options_.protocol};
  log_options.segment_bytes = options_.segment_bytes;
  log_options.on_failure = [this](const Status& status) {
    if (!disk_->stopped()) monitor_.Report("recovery", "the log failed on a good disk: " + status.message());
  };
  Result<std::unique_ptr<wal::Log>> log = wal::Log::Open(*disk_, life_->executor, std::move(log_options));
  if (!log.ok()) {
    if (!disk_->stopped()) {
      monitor_.Report("recovery", "member " + std::to_string(id().value) + ": " + log.status().message());
    }
    return false;
  }
  life_->log = *std::move(log);
  store::MemoryEngineHooks hooks;
  hooks.write_delay_ns = [this](const store::EngineBatch&) {
    return random_.Between(options_.sync_min_ns, options_.sync_max_ns) + kMillisecond;
  };
  hooks.read_delay_ns = [this] { return random_.Between(20 * kMicrosecond, kMillisecond); };
  life_->engine = std::make_unique<store::MemoryEngine>(keyspace_, life_->executor, std::move(hooks));
  life_->machine = coord::Machine::Make(MachineOptions(), *life_->engine);
  life_->observed = std::make_unique<ObservedMachine>(id(), *life_->machine, monitor_, scheduler_);
  monitor_.OnStart(id(), life_->machine->applied());
  life_->transport = network_.Attach(id(), life_->log->incarnation(), life_->process);

  replica::GroupOptions group_options;
  group_options.protocol = options_.protocol;
  group_options.core = options_.core;
  group_options.core.seed = random_.Next();
  group_options.on_applied = [this] { probe_.Pump(); };
  Result<std::unique_ptr<replica::Group>> group = replica::Group::Start(
      std::move(group_options), *life_->log, *life_->transport, life_->executor, life_->clock, *life_->observed);
  if (!group.ok()) {
    monitor_.Report("recovery", "member " + std::to_string(id().value) + ": " + group.status().message());
    return false;
  }
  life_->group = *std::move(group);
  if (options_.protocol == consensus::Protocol::kRaft) monitor_.OnRecovered(id(), life_->group->core());
  life_->transport->Start(life_->group.get());
  probe_.Attach(life_->machine->watches());
  ScheduleDue();
  return true;
}

void Member::Crash(Exit how, env::Survival survival) {
  if (!running()) return;
  scheduler_.Kill(life_->process);
  if (life_->transport != nullptr) network_.Detach(id(), how);
  disk_executor_->set_target(nullptr);
  disk_->Crash(survival);
  probe_.Detach();
  life_.reset();
}

void Member::CheckInvariants() {
  if (!running() || life_->group == nullptr) return;
  life_->group->core().CheckInvariants();
  monitor_.OnLeadership(id(), life_->group->status().leadership);
}

void Member::ScheduleDue() {
  life_->executor.After(kDueIntervalNs, [this] { ProposeDue(); });
}

void Member::ProposeDue() {
  for (const coord::Command& command : life_->machine->Due(life_->clock.MonotonicNs())) {
    life_->group->Propose(coord::EncodeCommand(command), 0, [](replica::ProposeResult) {});
  }
  probe_.Turn();
  ScheduleDue();
}

}  // namespace quorate::sim
