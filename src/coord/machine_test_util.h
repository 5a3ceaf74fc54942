// MachineHarness: a Machine over the memory engine that is fed through the encoded log, as a group would. For tests of
// coord/ only. After every entry it checks the kept state hash against a walk of all tables.
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

namespace quorate::coord {

inline constexpr std::uint64_t kSecond = 1'000'000'000;

inline std::string Numbered(std::string prefix, std::int64_t number) {
  prefix += std::to_string(number);
  return prefix;
}

class MachineHarness {
 public:
  MachineHarness() : machine_(Machine::Make({}, engine_)) {}

  Machine* operator->() { return machine_.get(); }
  Machine& machine() { return *machine_; }
  store::MemoryEngine& engine() { return engine_; }
  void Reopen() { machine_ = Machine::Make({}, engine_); }
  std::uint64_t time_ns = 0;  // the stamp of the next commands

  CommandOutcome Apply(CommandBody body) {
    Command command;
    command.envelope.cluster_time_ns = time_ns;
    command.body = std::move(body);
    return ApplyEncoded(Bytes(EncodeCommand(command)));
  }
  CommandOutcome ApplyEncoded(Bytes payload) {
    consensus::Entry entry;
    entry.index = machine_->applied().Next();
    entry.kind = consensus::EntryKind::kCommand;
    entry.payload = std::move(payload);
    std::unique_ptr<replica::Outcome> outcome = machine_->Apply(entry);
    EXPECT_EQ(machine_->StateHash(), Tables(engine_).FullHash()) << "after entry " << entry.index.value;
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
  store::MemoryEngine engine_;
  std::unique_ptr<Machine> machine_;
};

}  // namespace quorate::coord
