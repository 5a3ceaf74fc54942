// What the tests of this folder share: a state machine with a flushed image and cold data, snapshots that are handed
// over whole, and a network in memory. Tests only; thread rule: one thread.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "env/clock.h"
#include "env/disk_testing.h"
#include "env/transport.h"
#include "replica/snapshots.h"
#include "replica/state_machine.h"

namespace quorate::replica {

class ZeroClock final : public env::Clock {
 public:
  std::uint64_t MonotonicNs() const override { return now_ns; }
  std::int64_t WallNs() const override { return 0; }
  std::uint64_t now_ns = 0;
};

// The commands it executed, by index.
using FakeState = std::map<std::uint64_t, std::string>;

// Remembers what it executed; Crash() leaves what Flush() had seen.
class FakeMachine : public StateMachine {
 public:
  bool Prepare(const consensus::Entry& entry, std::function<void()> ready) override {
    CHECK(entry.index == applied_.Next()) << "prepared out of turn";
    if (!cold.contains(entry.index.value)) return true;
    CHECK(!ready_) << "asked again before it was called";
    ready_ = std::move(ready);
    return false;
  }
  std::unique_ptr<Outcome> Apply(const consensus::Entry& entry) override {
    CHECK(entry.index == applied_.Next()) << "executed out of order";
    if (cold.contains(entry.index.value)) executed_cold = true;
    if (installing) executed_while_installing = true;
    applied_ = entry.index;
    if (entry.kind == consensus::EntryKind::kCommand) state[entry.index.value] = entry.payload.ToString();
    return std::make_unique<Outcome>();
  }
  LogIndex applied() const override { return applied_; }
  LogIndex flushed() const override { return flushed_applied_; }
  std::shared_ptr<SnapshotSource> OpenSnapshot() override { return nullptr; }
  std::unique_ptr<SnapshotSink> BeginInstall(LogIndex) override { return nullptr; }
  void Stamp(std::string&, std::uint64_t, std::int64_t) override {}
  void OnLeadership(const consensus::Leadership&, std::uint64_t) override {}
  std::uint64_t StateHash() const override { return 0; }

  // The data of the entry that waits is in memory now.
  void Warm() {
    cold.clear();
    if (ready_) std::exchange(ready_, nullptr)();
  }
  void Flush() {
    flushed_ = state;
    flushed_applied_ = applied_;
  }
  void Crash() {
    state = flushed_;
    applied_ = flushed_applied_;
    ready_ = nullptr;
    installing = false;
  }
  void Lose() {  // the keyspace is gone
    state.clear();
    flushed_.clear();
    applied_ = flushed_applied_ = LogIndex();
    ready_ = nullptr;
    installing = false;
  }
  void Install(LogIndex last, FakeState rows) {  // durable, as a sink's Finish
    state = std::move(rows);
    applied_ = last;
    ready_ = nullptr;
    Flush();
    installing = false;
  }

  FakeState state;
  std::set<std::uint64_t> cold;
  bool installing = false;
  bool executed_cold = false;
  bool executed_while_installing = false;

 private:
  LogIndex applied_;
  FakeState flushed_;
  LogIndex flushed_applied_;
  std::function<void()> ready_;
};

// The snapshot files of one member: they outlive its processes.
struct FakeSnapshotFiles {
  struct File {
    consensus::SnapshotMeta meta;
    FakeState rows;
    bool damaged = false;
  };
  std::map<std::uint64_t, File> files;  // by meta.last
};

// A snapshot is a copy of the whole state, sent in one frame: the test has a table of what is on its way.
struct FakeSnapshotNetwork {
  std::map<std::uint64_t, FakeSnapshotFiles::File> sent;  // by number, the frame's payload
  std::uint64_t last = 0;
};

class FakeSnapshots final : public Snapshots {
 public:
  FakeSnapshots(SnapshotHost& host, FakeMachine& machine, FakeSnapshotFiles& disk, FakeSnapshotNetwork& network,
                env::Executor& executor, ReplicaId self)
      : host_(host), machine_(machine), disk_(disk), network_(network), executor_(executor), self_(self) {}

  void OnLeadership(const consensus::Leadership& leadership) override {
    leader_ = leadership.leader.value_or(ReplicaId());
    Ask();
  }
  void Send(ReplicaId to) override {
    Later([this, to] {
      const std::optional<consensus::SnapshotMeta> meta = host_.MetaNow();
      if (!meta) return host_.OnSent(to, {}, false);
      network_.sent[++network_.last] = {*meta, machine_.state, false};
      ++sends;
      host_.SendFrame(to, Bytes(std::to_string(network_.last)));
      host_.OnSent(to, *meta, true);
    });
  }
  void Want() override {
    if (!std::exchange(wanted, true)) AskAgain();
  }
  void OnLinkDown(ReplicaId) override {}
  bool OnFrame(ReplicaId from, const Bytes& payload) override {
    if (payload.view() == "want") {
      Send(from);
      return true;
    }
    const auto sent = network_.sent.find(std::strtoull(payload.ToString().c_str(), nullptr, 10));
    if (sent == network_.sent.end()) return false;
    const FakeSnapshotFiles::File file = sent->second;
    if (!host_.WhyNot(file.meta.last, wanted).empty()) return true;
    disk_.files[file.meta.last.value] = file;
    Later([this, from, meta = file.meta] {
      wanted = false;
      host_.OnArrived(from, meta);
    });
    return true;
  }
  std::optional<consensus::SnapshotMeta> Find(LogIndex at_least) const override {
    const auto it = disk_.files.lower_bound(at_least.value);
    return it == disk_.files.end() ? std::nullopt : std::optional(it->second.meta);
  }
  void Load(const consensus::SnapshotMeta& meta, std::function<void(Status)> done) override {
    ++loads;
    machine_.installing = true;
    const auto it = disk_.files.find(meta.last.value);
    if (it == disk_.files.end() || it->second.damaged) {
      if (it != disk_.files.end()) disk_.files.erase(it);
      return Later([this, done = std::move(done)] {
        machine_.installing = false;
        done(Status::DataLoss("damaged"));
      });
    }
    auto finish = [this, last = meta.last, rows = it->second.rows, done = std::move(done)] {
      machine_.Install(last, rows);
      done(Status::Ok());
    };
    if (hold_loads) {
      held = std::move(finish);
    } else {
      Later(std::move(finish));
    }
  }
  void RemoveUpTo(LogIndex flushed) override {
    std::erase_if(disk_.files, [&](const auto& file) { return file.first <= flushed.value; });
  }
  std::optional<SnapshotsUnderWay> under_way() const override { return std::nullopt; }
  SnapshotTraffic traffic() const override { return {}; }

  int sends = 0;
  int loads = 0;
  bool wanted = false;
  bool hold_loads = false;
  std::function<void()> held;

 private:
  void Ask() {
    if (wanted && leader_ && leader_ != self_) host_.SendFrame(leader_, Bytes(std::string("want")));
  }
  void AskAgain() {
    if (!wanted) return;
    Ask();
    executor_.After(500'000'000, [this, alive = std::weak_ptr<const bool>(alive_)] {
      if (!alive.expired()) AskAgain();
    });
  }
  void Later(std::function<void()> task) {
    executor_.Post([alive = std::weak_ptr<const bool>(alive_), task = std::move(task)] {
      if (!alive.expired()) task();
    });
  }

  SnapshotHost& host_;
  FakeMachine& machine_;
  FakeSnapshotFiles& disk_;
  FakeSnapshotNetwork& network_;
  env::Executor& executor_;
  const ReplicaId self_;
  ReplicaId leader_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace quorate::replica
