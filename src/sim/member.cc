#include "sim/member.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "coord/command.h"
#include "replica/member_snapshots.h"
#include "replica/snapshot_directory.h"
#include "sim/trace/recorder.h"
#include "wal/log.h"

namespace quorate::sim {
namespace {

constexpr ClusterId kCluster{0x51};
constexpr std::uint64_t kDueIntervalNs = 100 * kMillisecond;

constexpr char kLogDirectory[] = "wal";
constexpr char kSegmentSuffix[] = ".segment";

class ObservedSink final : public replica::SnapshotSink {
 public:
  ObservedSink(std::unique_ptr<replica::SnapshotSink> sink, std::function<void()> loaded)
      : sink_(std::move(sink)), loaded_(std::move(loaded)) {}
  void Add(std::vector<replica::SnapshotRow> rows, std::function<void(Status)> done) override {
    sink_->Add(std::move(rows), std::move(done));
  }
  void Finish(std::uint64_t state_hash, std::function<void(Status)> done) override {
    sink_->Finish(state_hash, [loaded = loaded_, done = std::move(done)](const Status& status) {
      if (status.ok()) loaded();
      done(status);
    });
  }

 private:
  std::unique_ptr<replica::SnapshotSink> sink_;
  std::function<void()> loaded_;
};

// Shows the monitor every entry that the group executes, before and after, and every snapshot that it loaded.
class ObservedMachine final : public replica::StateMachine {
 public:
  ObservedMachine(ReplicaId member, coord::Machine& machine, Monitor& monitor, const Scheduler& scheduler,
                  const store::MemoryStorage& keyspace)
      : member_(member), machine_(machine), monitor_(monitor), scheduler_(scheduler), keyspace_(keyspace) {}

  bool Prepare(const consensus::Entry& entry, std::function<void()> ready) override {
    const bool prepared = machine_.Prepare(entry, std::move(ready));
    if (prepared) prepared_ = entry.index;
    return prepared;
  }
  std::unique_ptr<replica::Outcome> Apply(const consensus::Entry& entry) override {
    monitor_.OnDecided(member_, entry);
    if (Recorder* recorder = scheduler_.recorder()) recorder->OnExecuted(scheduler_.now(), member_, entry);
    if (prepared_ != entry.index) {
      monitor_.Report("invariant", "member " + std::to_string(member_.value) + " executes entry " +
                                       std::to_string(entry.index.value) + " before what it reads is in memory");
    }
    std::unique_ptr<replica::Outcome> outcome = machine_.Apply(entry);
    monitor_.OnExecuted(member_, entry, machine_, outcome.get(), scheduler_.now());
    return outcome;
  }
  LogIndex applied() const override { return machine_.applied(); }
  LogIndex flushed() const override { return machine_.flushed(); }
  std::shared_ptr<replica::SnapshotSource> OpenSnapshot() override { return machine_.OpenSnapshot(); }
  std::unique_ptr<replica::SnapshotSink> BeginInstall(LogIndex last) override {
    return std::make_unique<ObservedSink>(machine_.BeginInstall(last), [this] {
      monitor_.CountSnapshotLoaded();
      if (Recorder* recorder = scheduler_.recorder()) {
        recorder->OnSnapshotLoaded(scheduler_.now(), member_, machine_.applied());
      }
      monitor_.OnState(member_, machine_, *keyspace_.image());
    });
  }
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
  const store::MemoryStorage& keyspace_;
  LogIndex prepared_;
};

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
  bool low_on_space = false;
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
    std::uint64_t latency = random_.Between(options_.storage.sync_min_ns, options_.storage.sync_max_ns);
    if (faults_.slow_disk_max_ns != 0) latency += random_.Below(faults_.slow_disk_max_ns);
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

// ---- What is wrong with it

// Its processes to come have the clock that was set, too.
void Member::JumpWallClock(std::int64_t by_ns) {
  options_.skew.wall_offset_ns += by_ns;
  if (running()) life_->clock.JumpWall(by_ns);
}

void Member::Pause(std::uint64_t until) {
  if (Recorder* recorder = scheduler_.recorder()) recorder->OnPaused(scheduler_.now(), id(), until);
  scheduler_.Pause(process(), until);
}

void Member::LimitDisk(std::uint64_t more_bytes) {
  disk_->SetCapacity(disk_->used() + more_bytes);
  faults_.disk_limited = true;
}

void Member::UnlimitDisk() {
  disk_->SetCapacity(0);
  faults_.disk_limited = false;
}

void Member::CloseLog() {
  CHECK(running());
  const Status closed = life_->log->Close();
  if (!closed.ok() && !disk_->stopped() && closed.code() != StatusCode::kResourceExhausted) {
    monitor_.Report("recovery", "the log did not close: " + closed.message());
  }
}

bool Member::DamageLog() {
  CHECK(!running());
  const Result<std::vector<std::string>> names = disk_->List(kLogDirectory);
  if (!names.ok()) return false;
  std::vector<std::pair<std::string, std::uint64_t>> files;  // up to the last byte that is not zero
  for (const std::string& name : *names) {
    const std::string path = std::string(kLogDirectory) + "/" + name;
    const std::size_t last = disk_->Content(path).find_last_not_of('\0');
    if (last != std::string::npos) files.emplace_back(path, last + 1);
  }
  if (files.empty()) return false;
  const auto& [path, length] = random_.Pick(files);
  const std::uint64_t offset = random_.Below(length);
  // A stretch that takes the last write and the mark that follows it leaves what a torn write leaves: the one damage
  // that no log can tell. So the newest segments (one may be prepared) lose single bits only.
  const auto newer = std::count_if(files.begin(), files.end(), [&path = path](const auto& file) {
    return file.first > path && file.first.find(kSegmentSuffix) != std::string::npos;
  });
  const bool newest = path.find(kSegmentSuffix) != std::string::npos && newer < 2;
  if (newest || random_.Chance(300)) {
    disk_->FlipBit(path, offset, static_cast<unsigned>(random_.Below(8)));
  } else {
    disk_->Corrupt(path, offset, random_.Between(1, std::min<std::uint64_t>(length - offset, 8'192)));
  }
  return damage_.log = true;
}

// A keyspace that does not open any more is moved aside, and an empty one takes its place.
void Member::DamageKeyspace() {
  CHECK(!running());
  keyspace_.Replace({});
  promised_ = LogIndex();
  damage_.keyspace = true;
}

bool Member::DamageSnapshots() {
  CHECK(!running());
  for (const std::uint64_t file : replica::ListSnapshots(*disk_)) {
    const std::string path = replica::SnapshotPath(file);
    const std::size_t length = disk_->Content(path).size();
    if (length == 0) continue;
    disk_->FlipBit(path, random_.Below(length), static_cast<unsigned>(random_.Below(8)));
    damage_.snapshots = true;
  }
  return damage_.snapshots;
}

bool Member::HasSnapshots() const {
  const Result<std::vector<std::string>> names = disk_->List(replica::kSnapshotDirectory);
  return names.ok() && !names->empty();
}

bool Member::damaged() {
  if (running() && !life_->group->status().installing) damage_.keyspace = damage_.snapshots = false;
  return damage_.log || damage_.keyspace || damage_.snapshots;
}

// ---- Its lives

StartOutcome Member::Start() {
  CHECK(!running());
  failed_ = false;
  ClockSkew skew = options_.skew;
  skew.monotonic_start_ns = random_.Below(1'000'000 * kSecond);
  life_ = std::make_unique<Life>(scheduler_, scheduler_.NewProcess(), skew);
  disk_executor_->set_target(&life_->executor);
  const StartOutcome outcome = Open();
  if (outcome != StartOutcome::kRunning) return outcome;
  if (Recorder* recorder = scheduler_.recorder()) {
    recorder->OnStarted(scheduler_.now(), id(), life_->log->incarnation());
  }
  monitor_.OnRecovered(id(), life_->group->core());
  CheckNothingReleasedTooEarly();
  life_->transport->Start(life_->group.get());
  probe_.Attach(life_->machine->watches());
  ScheduleDue();
  return outcome;
}

StartOutcome Member::Open() {
  const StartOutcome log = OpenLog();
  if (log != StartOutcome::kRunning) return log;
  const Status prepared = replica::PrepareSnapshotDirectory(*disk_);
  if (!prepared.ok()) return Refused(prepared);
  OpenMachine();
  return StartGroup();
}

// What a start may be refused for; everything else is a finding.
StartOutcome Member::Refused(const Status& status) {
  if (disk_->stopped()) return StartOutcome::kPowerLost;
  if (faults_.disk_limited && status.code() == StatusCode::kResourceExhausted) return StartOutcome::kNoSpace;
  if (damage_.log && status.code() == StatusCode::kDataLoss) return StartOutcome::kDamaged;
  monitor_.Report("recovery", "member " + std::to_string(id().value) + ": " + status.message());
  return StartOutcome::kPowerLost;
}

StartOutcome Member::OpenLog() {
  wal::LogOptions log_options;
  log_options.identity = {kCluster, id(), options_.protocol};
  log_options.directory = kLogDirectory;
  log_options.segment_bytes = options_.storage.segment_bytes;
  log_options.on_failure = [this](const Status& status) {
    failed_ = true;
    if (disk_->stopped() || damage_.log) return;
    monitor_.Report("recovery", "the log failed on a good disk: " + status.message());
  };
  log_options.on_space = [this](bool low) { life_->low_on_space = low; };
  Result<std::unique_ptr<wal::Log>> log = wal::Log::Open(*disk_, life_->executor, std::move(log_options));
  if (!log.ok()) return Refused(log.status());
  life_->log = *std::move(log);
  return StartOutcome::kRunning;
}

void Member::OpenMachine() {
  life_->engine = std::make_unique<store::MemoryEngine>(keyspace_, life_->executor, Hooks());
  Result<std::unique_ptr<coord::Machine>> machine = coord::Machine::Open(options_.storage.machine, *life_->engine);
  if (!machine.ok()) {
    monitor_.Report("recovery", "member " + std::to_string(id().value) + "'s keyspace: " + machine.status().message());
    machine = coord::Machine::Make({}, *life_->engine);
  }
  life_->machine = *std::move(machine);
  life_->observed = std::make_unique<ObservedMachine>(id(), *life_->machine, monitor_, scheduler_, keyspace_);
  if (life_->machine->applied() < promised_) {
    monitor_.Report("recovery", "member " + std::to_string(id().value) + " had flushed entry " +
                                    std::to_string(promised_.value) + " and came back with " +
                                    std::to_string(life_->machine->applied().value));
  }
  monitor_.OnState(id(), *life_->machine, *keyspace_.image());
}

store::MemoryEngineHooks Member::Hooks() {
  store::MemoryEngineHooks hooks;
  hooks.write_delay_ns = [this](const store::EngineBatch&) {
    return random_.Below(options_.storage.flush_max_ns + faults_.slow_flush_max_ns + 1);
  };
  hooks.read_delay_ns = [this] { return random_.Below(kMillisecond + faults_.slow_flush_max_ns / 8); };
  hooks.write_fate = [this](const store::EngineBatch&) {
    const bool fails = faults_.failing_flush_permille != 0 && random_.Chance(faults_.failing_flush_permille);
    return fails ? Status::Unavailable("the write failed") : Status();
  };
  hooks.read_fate = [this] {
    const bool fails = faults_.failing_flush_permille != 0 && random_.Chance(faults_.failing_flush_permille / 4);
    return fails ? Status::Unavailable("the read failed") : Status();
  };
  return hooks;
}

replica::GroupOptions Member::GroupOptions() {
  const StorageOptions& storage = options_.storage;
  replica::GroupOptions options;
  options.protocol = options_.protocol;
  options.core = options_.core;
  options.core.seed = random_.Next();
  options.log_keep_bytes = storage.log_keep_bytes;
  options.log_keep_always_bytes = storage.log_keep_always_bytes;
  options.log_release_step_bytes = storage.log_release_step_bytes;
  options.liveness_ns = storage.liveness_ns;
  options.on_applied = [this] { probe_.Pump(); };
  options.on_failure = [this](const Status&) { failed_ = true; };
  options.refuse = [this]() -> std::optional<replica::Fate> {
    if (life_->low_on_space) return replica::Fate::kNoSpace;
    if (life_->machine->backlogged()) return replica::Fate::kOverloaded;
    return std::nullopt;
  };
  options.make_snapshots = [this](replica::SnapshotHost& host, replica::StateMachine& machine) {
    replica::MemberSnapshotsOptions snapshots;
    snapshots.maker = {kCluster, {}, id(), life_->log->incarnation(), {}};
    snapshots.maker.group = GroupId{1};
    snapshots.sender = options_.storage.sender;
    snapshots.receiver = options_.storage.receiver;
    return replica::MakeMemberSnapshots(snapshots, *disk_, life_->executor, life_->clock, host, machine);
  };
  return options;
}

StartOutcome Member::StartGroup() {
  life_->transport = network_.Attach(id(), life_->log->incarnation(), life_->process);
  Result<std::unique_ptr<replica::Group>> group = replica::Group::Start(
      GroupOptions(), *life_->log, *life_->transport, life_->executor, life_->clock, *life_->observed);
  if (!group.ok()) return Refused(group.status());
  life_->group = *std::move(group);
  return StartOutcome::kRunning;
}

// A member whose disk is good has by itself what its log has released: in its keyspace, or as a snapshot that it was
// given.
void Member::CheckNothingReleasedTooEarly() {
  if (damage_.keyspace || damage_.snapshots || damage_.log) return;
  const LogIndex released = life_->group->status().log_first.Prev();
  if (released <= life_->machine->applied()) return;
  for (const std::uint64_t file : replica::ListSnapshots(*disk_)) {
    const auto header = replica::ReadSnapshotHeader(*disk_, replica::SnapshotPath(file));
    if (header.ok() && header->meta.last >= released) return;
  }
  if (disk_->stopped()) return;
  monitor_.Report("recovery", "member " + std::to_string(id().value) + " has released its log up to entry " +
                                  std::to_string(released.value) + " and holds what was written up to entry " +
                                  std::to_string(life_->machine->applied().value) + " only");
}

void Member::Crash(Exit how, env::Survival survival) {
  if (!running()) return;
  if (Recorder* recorder = scheduler_.recorder()) {
    recorder->OnEnded(scheduler_.now(), id(), how == Exit::kProcess ? "the process is killed" : "the power is gone");
  }
  scheduler_.Kill(life_->process);
  if (life_->transport != nullptr) network_.Detach(id(), how);
  disk_executor_->set_target(nullptr);
  disk_->Crash(survival);
  probe_.Detach();
  if (life_->machine != nullptr) promised_ = life_->machine->flushed();
  life_.reset();
}

void Member::CheckInvariants() {
  if (!running() || life_->group == nullptr) return;
  life_->group->core().CheckInvariants();
  monitor_.OnLeadership(id(), life_->group->status().leadership, life_->group->membership());
  if (Recorder* recorder = scheduler_.recorder()) {
    recorder->OnLeadership(scheduler_.now(), id(), life_->group->status().leadership);
  }
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
