// What the log's tests share: short ways to make entries, batches and logs. Tests only; thread rule: one thread.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "env/disk_testing.h"
#include "env/memory_disk.h"
#include "wal/log.h"

namespace quorate::wal {

using env::ManualExecutor;

inline consensus::Entry MakeEntry(std::uint64_t index, std::string payload, std::uint64_t term = 1) {
  consensus::Entry entry;
  entry.index = LogIndex(index);
  entry.ballot = {term, {}};
  entry.kind = consensus::EntryKind::kCommand;
  entry.origin = {ReplicaId(1), Incarnation(1), ProposalId(index)};
  entry.payload = Bytes(std::move(payload));
  return entry;
}

inline consensus::WriteBatch MakeBatch(std::uint64_t seq, std::vector<consensus::LogOp> ops,
                                       std::optional<std::string> hard_state = std::nullopt, bool sync = true) {
  consensus::WriteBatch batch;
  batch.seq = PersistSeq(seq);
  batch.ops = std::move(ops);
  if (hard_state) batch.hard_state = Bytes(*hard_state);
  batch.sync = sync;
  return batch;
}

inline LogOptions TestOptions() {
  LogOptions options;
  options.identity = {ClusterId(77), ReplicaId(3), consensus::Protocol::kRaft};
  options.segment_bytes = 16 << 10;
  options.on_failure = [](const Status& status) { ADD_FAILURE() << status.message(); };
  return options;
}

inline std::unique_ptr<Log> MustOpen(env::Disk& disk, env::Executor& executor, LogOptions options = TestOptions()) {
  Result<std::unique_ptr<Log>> log = Log::Open(disk, executor, std::move(options));
  EXPECT_TRUE(log.ok()) << log.status().message();
  return log.ok() ? std::move(*log) : nullptr;
}

}  // namespace quorate::wal
