// What the log's tests share: an executor whose time the test moves, and short ways to make batches and to read them
// back. Tests only; thread rule: one thread.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "env/memory_disk.h"
#include "wal/log.h"

namespace quorate::wal {

class ManualExecutor final : public env::Executor {
 public:
  void Post(std::function<void()> task) override { tasks_[{now_, ++last_}] = std::move(task); }
  env::TimerId After(std::uint64_t delay_ns, std::function<void()> task) override {
    tasks_[{now_ + delay_ns, ++last_}] = std::move(task);
    return last_;
  }
  void Cancel(env::TimerId timer) override {
    std::erase_if(tasks_, [&](const auto& item) { return item.first.second == timer; });
  }

  // Runs everything that is due now, and what that posts.
  void RunDue() {
    while (!tasks_.empty() && tasks_.begin()->first.first <= now_) RunFirst();
  }
  // Runs everything there is up to `ns` from now, moving the clock along.
  void RunFor(std::uint64_t ns) {
    const std::uint64_t until = now_ + ns;
    while (!tasks_.empty() && tasks_.begin()->first.first <= until) RunFirst();
    now_ = until;
  }
  bool RunFirst() {
    if (tasks_.empty()) return false;
    auto first = tasks_.extract(tasks_.begin());
    now_ = std::max(now_, first.key().first);
    first.mapped()();
    return true;
  }
  std::size_t waiting() const { return tasks_.size(); }

 private:
  std::uint64_t now_ = 0;
  std::uint64_t last_ = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::function<void()>> tasks_;  // by time, then order
};

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
