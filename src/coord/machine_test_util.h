// MachineHarness: a Machine over the memory engine that is fed through the encoded log, as a group would. For tests of
// coord/ only. Entries are prepared before they are applied, and after each the background runs until it has nothing
// left to do. What the memory bounds leave cold is read from the engine.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coord/command.h"
#include "coord/machine.h"
#include "coord/tables.h"
#include "store/engine_memory/memory_engine.h"
#include "store/executor_testing.h"
#include "store/state_hash.h"

namespace quorate::coord {

inline constexpr std::uint64_t kSecond = 1'000'000'000;

inline std::string Numbered(std::string prefix, std::int64_t number) {
  prefix += std::to_string(number);
  return prefix;
}

class MachineHarness {
 public:
  explicit MachineHarness(MachineOptions options = {}, store::MemoryEngineHooks hooks = {})
      : options_(std::move(options)), hooks_(std::move(hooks)) {
    Crash();
  }

  Machine* operator->() { return machine_.get(); }
  Machine& machine() { return *machine_; }
  store::MemoryEngine& engine() { return *engine_; }
  env::ManualExecutor& executor() { return executor_; }
  // A new life over what a crash leaves.
  void Crash() {
    machine_.reset();
    engine_ = std::make_unique<store::MemoryEngine>(storage_, executor_, hooks_);
    machine_ = Machine::Make(options_, *engine_);
    Settle();
  }
  void Flush() {
    bool flushed = false;
    machine_->FlushAll([&](const Status& status) { flushed = status.ok(); });
    Settle();
    EXPECT_TRUE(flushed);
  }
  void Reopen() {
    Flush();
    Crash();
  }
  void Settle() { executor_.RunFor(60 * kSecond); }
  std::vector<std::pair<std::uint8_t, std::string>> Places(replica::SnapshotSource& source) {
    std::vector<std::pair<std::uint8_t, std::string>> places;
    for (const replica::SnapshotRow& row : Rows(source)) places.emplace_back(row.table, row.key);
    return places;
  }
  std::vector<replica::SnapshotRow> Rows(replica::SnapshotSource& source, std::size_t bytes = 1'000) {
    std::vector<replica::SnapshotRow> rows;
    for (;;) {
      const std::size_t before = rows.size();
      source.Read(rows.empty() ? 0 : rows.back().table, rows.empty() ? std::string() : rows.back().key, bytes,
                  [&](Result<std::vector<replica::SnapshotRow>> more) {
                    for (replica::SnapshotRow& row : *more) rows.push_back(std::move(row));
                  });
      Settle();
      if (rows.size() == before) return rows;
    }
  }
  Status Install(std::vector<replica::SnapshotRow> rows, LogIndex last, std::uint64_t hash) {
    std::unique_ptr<replica::SnapshotSink> sink = machine_->BeginInstall(last);
    Status status = Status::Internal("never answered");
    for (replica::SnapshotRow& row : rows) {
      sink->Add({std::move(row)}, [&](Status added) { status = std::move(added); });
      Settle();
      if (!status.ok()) return status;
    }
    status = Status::Internal("never answered");
    sink->Finish(hash, [&](Status finished) { status = std::move(finished); });
    Settle();
    return status;
  }
  // By a walk of the rows that a snapshot would carry.
  std::uint64_t WalkedHash() {
    const std::shared_ptr<replica::SnapshotSource> source = machine_->OpenSnapshot();
    std::uint64_t hash = 0;
    for (const replica::SnapshotRow& row : Rows(*source, 1 << 20)) {
      if (row.table == 0) {
        hash += store::LocalState::Decode(row.value.view())->dropped_hash;
      } else if (row.table != static_cast<std::uint8_t>(store::Table::kValue)) {
        hash += store::RecordHash(static_cast<store::Table>(row.table), row.key, row.value.view());
      }
    }
    return hash;
  }
  std::uint64_t time_ns = 0;  // the stamp of the next commands
  bool settle = true;         // after every entry the background runs
  bool check_hash = false;    // after every entry, by a walk of all tables

  CommandOutcome Apply(CommandBody body) {
    Command command;
    command.envelope.cluster_time_ns = time_ns;
    command.body = std::move(body);
    return ApplyEncoded(Bytes(EncodeCommand(command)));
  }
  // Command `sequence` of a native session.
  CommandOutcome ApplyIn(SessionId session, std::uint64_t sequence, CommandBody body) {
    Command command;
    command.envelope.cluster_time_ns = time_ns;
    command.envelope.session = session;
    command.envelope.sequence = sequence;
    command.body = std::move(body);
    return ApplyEncoded(Bytes(EncodeCommand(command)));
  }
  void OpenSession(SessionId id, std::uint64_t ttl_ms = 10'000) {
    EXPECT_TRUE(Apply(RaiseFeatureLevel{kFeatureLevelMax, {}}).status.ok());
    const CommandOutcome outcome = Apply(OpenSessionRequest{id, ttl_ms});
    EXPECT_TRUE(outcome.status.ok()) << outcome.status.message();
  }
  CommandOutcome ApplyEncoded(Bytes payload) {
    consensus::Entry entry;
    entry.index = machine_->applied().Next();
    entry.kind = consensus::EntryKind::kCommand;
    entry.payload = std::move(payload);
    for (bool ready = false; !machine_->Prepare(entry, [&] { ready = true; }); ready = false) {
      Settle();
      EXPECT_TRUE(ready);
    }
    const std::uint64_t blocked = machine_->stats().keyspace.blocking_reads;
    std::unique_ptr<replica::Outcome> outcome = machine_->Apply(entry);
    EXPECT_EQ(machine_->stats().keyspace.blocking_reads, blocked) << "what apply reads is in memory";
    if (check_hash) {
      EXPECT_EQ(machine_->StateHash(), WalkedHash()) << "after entry " << entry.index.value;
    }
    if (settle) Settle();
    return std::move(static_cast<CommandOutcome&>(*outcome));
  }

  Revision Put(std::string key, std::string value, std::int64_t lease = 0) {
    const CommandOutcome outcome = Apply(MakePut(std::move(key), std::move(value), lease));
    EXPECT_TRUE(outcome.status.ok()) << outcome.status.message();
    return outcome.revision;
  }
  CommandOutcome Delete(std::string key, std::string end = {}, bool prev_kv = false) {
    return Apply(DeleteRangeRequest{std::move(key), std::move(end), prev_kv});
  }
  std::string Value(std::string key) {
    RangeRequest range;
    range.key = std::move(key);
    const Result<RangeResponse> response = machine_->Range(range);
    EXPECT_TRUE(response.ok());
    return response->kvs.empty() ? "(none)" : response->kvs.front().value.ToString();
  }

  static PutRequest MakePut(std::string key, std::string value, std::int64_t lease = 0) {
    PutRequest put;
    put.key = std::move(key);
    put.value = Bytes(std::move(value));
    put.lease = lease;
    return put;
  }

 private:
  const MachineOptions options_;
  const store::MemoryEngineHooks hooks_;
  env::ManualExecutor executor_;
  store::MemoryStorage storage_;
  std::unique_ptr<store::MemoryEngine> engine_;
  std::unique_ptr<Machine> machine_;
};

}  // namespace quorate::coord
