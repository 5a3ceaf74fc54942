// Each seeded bug of this folder's executing and releasing really breaks what it says; the simulator's part is to
// notice.
#ifdef QUORATE_BUGS

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/bug.h"
#include "env/memory_disk.h"
#include "replica/apply_queue.h"
#include "replica/group.h"
#include "replica/group_testing.h"
#include "wal/log.h"

namespace quorate::replica {
namespace {

class ReplicaBug : public ::testing::Test {
 protected:
  ~ReplicaBug() override { SelectBug(""); }
  void Push(std::uint64_t upto) {
    std::vector<consensus::Entry> entries;
    for (std::uint64_t i = queue_.decided().value + 1; i <= upto; ++i) {
      entries.push_back({LogIndex(i), {}, consensus::EntryKind::kCommand, {}, Bytes(std::to_string(i))});
    }
    queue_.Push(std::move(entries));
    queue_.Run([](const consensus::Entry&, std::unique_ptr<Outcome>) {});
  }
  FakeMachine machine_;
  ApplyQueue queue_{machine_, LogIndex(), [] {}};
};

TEST_F(ReplicaBug, SkipsPrepareWait) {
  machine_.cold = {1};
  SelectBug("replica_skips_prepare_wait");
  Push(1);
  EXPECT_TRUE(machine_.executed_cold);
}

TEST_F(ReplicaBug, AppliesWhileInstalling) {
  SelectBug("replica_applies_while_installing");
  queue_.Block(LogIndex());
  machine_.installing = true;
  Push(1);
  EXPECT_TRUE(machine_.executed_while_installing);
}

class LoneTransport final : public env::Transport {
 public:
  void Start(env::TransportListener*) override {}
  void Send(ReplicaId, Bytes) override {}
};

// What was answered is gone after a crash: the log that had it was released, and the machine had not flushed it.
TEST_F(ReplicaBug, ReleaseAboveFlushed) {
  SelectBug("replica_release_above_flushed");
  env::ManualExecutor executor;
  env::MemoryDisk disk(executor, 1);
  ZeroClock clock;
  LoneTransport transport;
  FakeSnapshotFiles files;
  FakeSnapshotNetwork network;
  const auto start = [&](std::unique_ptr<wal::Log>* log) {
    wal::LogOptions log_options;
    log_options.identity = {ClusterId(1), ReplicaId(1), consensus::Protocol::kRaft};
    log_options.segment_bytes = 16 << 10;
    log_options.alone = true;
    *log = wal::Log::Open(disk, executor, std::move(log_options)).value();
    GroupOptions options;
    options.core.self = ReplicaId(1);
    options.core.initial.voters = {ReplicaId(1)};
    options.log_keep_always_bytes = 0;
    options.log_release_step_bytes = 1;
    options.make_snapshots = [&](SnapshotHost& host, StateMachine&) {
      return std::make_unique<FakeSnapshots>(host, machine_, files, network, executor, ReplicaId(1));
    };
    return Group::Start(std::move(options), **log, transport, executor, clock, machine_);
  };
  std::unique_ptr<wal::Log> log;
  {
    auto group = start(&log);
    ASSERT_TRUE(group.ok());
    executor.RunFor(1'000'000'000);
    bool answered = false;
    (*group)->Propose("put", 0, [&](const ProposeResult& result) { answered = result.fate == Fate::kApplied; });
    executor.RunFor(1'000'000'000);
    ASSERT_TRUE(answered);
  }
  log.reset();
  disk.Crash(env::Survival::kNothing);
  machine_.Crash();
  EXPECT_FALSE(start(&log).ok());
}

}  // namespace
}  // namespace quorate::replica

#endif  // QUORATE_BUGS
