// A server of one node on a disk that forgets what was not synced: every reply comes after the sync that covers it, and
// what was answered survives a loss of power. kill -9 cannot show this: it leaves the page cache alone.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "env/disk_testing.h"
#include "env/memory_disk.h"
#include "replica/group.h"
#include "replica/group_testing.h"
#include "wal/log.h"

namespace quorate::replica {
namespace {

class NoTransport final : public env::Transport {
 public:
  void Start(env::TransportListener*) override {}
  void Send(ReplicaId, Bytes) override {}
};

// Remembers what it executed.
class SetMachine final : public StateMachine {
 public:
  std::unique_ptr<Outcome> Apply(const consensus::Entry& entry) override {
    applied_ = entry.index;
    if (entry.kind == consensus::EntryKind::kCommand) commands.insert(entry.payload.ToString());
    return std::make_unique<Outcome>();
  }
  LogIndex applied() const override { return applied_; }
  bool Prepare(const consensus::Entry&, std::function<void()>) override { return true; }
  LogIndex flushed() const override { return LogIndex(); }
  std::shared_ptr<SnapshotSource> OpenSnapshot() override { return nullptr; }
  std::unique_ptr<SnapshotSink> BeginInstall(LogIndex) override { return nullptr; }
  void Stamp(std::string&, std::uint64_t, std::int64_t) override {}
  void OnLeadership(const consensus::Leadership&, std::uint64_t) override {}
  std::uint64_t StateHash() const override { return 0; }

  std::set<std::string> commands;

 private:
  LogIndex applied_;
};

// One life of the server, from opening the log to the crash.
class Life {
 public:
  Life(env::MemoryDisk& disk, env::ManualExecutor& executor) : executor_(executor) {
    wal::LogOptions log;
    log.identity = {ClusterId(1), ReplicaId(1), consensus::Protocol::kRaft};
    log.segment_bytes = 16 << 10;
    log.alone = true;
    log_ = wal::Log::Open(disk, executor, std::move(log)).value();
    GroupOptions options;
    options.core.self = ReplicaId(1);
    options.core.initial.voters = {ReplicaId(1)};
    group_ = Group::Start(std::move(options), *log_, transport_, executor, clock_, machine).value();
    RunUntil([this] { return group_->status().leadership.role == consensus::Role::kLeader; });
  }

  void Propose(const std::string& command, std::function<void()> answered) {
    group_->Propose(command, 0, [answered = std::move(answered)](ProposeResult result) {
      if (result.fate == Fate::kApplied) answered();
    });
  }
  // Until everything that was ever answered has been executed again.
  void CatchUp() {
    bool done = false;
    group_->ReadBarrier(0, [&done](Fate fate) { done = fate == Fate::kApplied; });
    RunUntil([&done] { return done; });
  }
  void RunUntil(const std::function<bool()>& condition) {
    for (int turn = 0; turn < 100'000 && !condition(); ++turn) executor_.RunFirst();
    ASSERT_TRUE(condition());
  }

  SetMachine machine;

 private:
  env::ManualExecutor& executor_;
  ZeroClock clock_;
  NoTransport transport_;
  std::unique_ptr<wal::Log> log_;
  std::unique_ptr<Group> group_;
};

TEST(DurabilityTest, EveryPutsReplyComesAfterAWriteOfItAndTheSyncOfThatWrite) {
  env::ManualExecutor executor;
  env::MemoryDisk disk(executor, 1);
  disk.SetLatency([](const std::string&, std::uint64_t) { return 3'000'000; });
  Life life(disk, executor);
  disk.SetJournal(true);
  for (int i = 0; i < 20; ++i) {
    bool answered = false;
    disk.Note("propose");
    life.Propose("put " + std::to_string(i), [&] {
      disk.Note("reply");
      answered = true;
    });
    life.RunUntil([&] { return answered; });
  }
  int replies = 0;
  bool written = false;
  bool synced = false;
  for (const env::DiskRecord& record : disk.journal()) {
    if (record.op == env::DiskOp::kWrite) written = true;
    if (record.op == env::DiskOp::kSync && written) synced = true;
    if (record.op != env::DiskOp::kNote) continue;
    if (record.path == "reply") {
      EXPECT_TRUE(written && synced) << "reply " << replies;
      ++replies;
    }
    written = synced = false;
  }
  EXPECT_EQ(replies, 20);
}

// Runs lives that end in a loss of power at any moment; returns how many answered puts were not there afterwards.
int LostAfterPowerCuts(bool sync_lies) {
  env::ManualExecutor executor;
  env::MemoryDisk disk(executor, 7);
  std::uint64_t next = 0;
  std::set<std::string> answered;
  int lost = 0;
  for (int round = 0; round < 30; ++round) {
    {
      Life life(disk, executor);
      life.CatchUp();
      for (const std::string& command : answered) lost += life.machine.commands.contains(command) ? 0 : 1;
      disk.SetSyncLies(sync_lies);
      for (int burst = 0; burst < 4; ++burst) {
        for (int i = 0; i < 5; ++i) {
          const std::string command = "put " + std::to_string(next++);
          life.Propose(command, [&answered, command] { answered.insert(command); });
        }
        for (int turn = 0; turn < 6 + round % 5; ++turn) executor.RunFirst();
      }
    }
    disk.Crash(env::Survival::kNothing);
    if (sync_lies && lost > 0) break;
  }
  EXPECT_GT(answered.size(), 20u);
  return lost;
}

TEST(DurabilityTest, WhatWasAnsweredSurvivesALossOfPower) {
  EXPECT_EQ(LostAfterPowerCuts(false), 0);
}

TEST(DurabilityTest, WithTheSyncPatchedOutAnsweredPutsAreFoundMissing) {
  EXPECT_GT(LostAfterPowerCuts(true), 0);
}

}  // namespace
}  // namespace quorate::replica
