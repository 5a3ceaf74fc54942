// What the tests of snapshots stand on: a loop on virtual time, and a state made of rows. Tests only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "env/clock.h"
#include "env/executor.h"
#include "replica/snapshot_file.h"
#include "replica/state_machine.h"

namespace quorate::replica {

class VirtualLoop final : public env::Executor, public env::Clock {
 public:
  void Post(std::function<void()> task) override { After(0, std::move(task)); }
  env::TimerId After(std::uint64_t delay_ns, std::function<void()> task) override {
    const env::TimerId id = ++last_;
    tasks_.emplace(std::pair(now_ + delay_ns, id), std::move(task));
    return id;
  }
  void Cancel(env::TimerId timer) override {
    std::erase_if(tasks_, [timer](const auto& task) { return task.first.second == timer; });
  }
  std::uint64_t MonotonicNs() const override { return now_; }
  std::int64_t WallNs() const override { return static_cast<std::int64_t>(now_); }

  // Runs what is due within the next `ns`.
  void RunFor(std::uint64_t ns) {
    const std::uint64_t end = now_ + ns;
    while (!tasks_.empty() && tasks_.begin()->first.first <= end) Step();
    now_ = end;
  }
  // Until the condition holds; false when it does not within an hour.
  bool RunUntil(const std::function<bool()>& condition) {
    const std::uint64_t end = now_ + 3'600'000'000'000;
    while (!condition()) {
      if (tasks_.empty() || now_ >= end) return false;
      Step();
    }
    return true;
  }

 private:
  void Step() {
    auto next = tasks_.extract(tasks_.begin());
    now_ = std::max(now_, next.key().first);
    next.mapped()();
  }

  std::uint64_t now_ = 1'000'000'000;
  env::TimerId last_ = 0;
  std::map<std::pair<std::uint64_t, env::TimerId>, std::function<void()>> tasks_;
};

using Rows = std::vector<SnapshotRow>;

inline Rows MakeRows(std::size_t count, std::size_t value_bytes, std::uint64_t seed = 1) {
  Rows rows;
  for (std::size_t i = 0; i < count; ++i) {
    std::string number = std::to_string(i);
    number.insert(0, 10 - number.size(), '0');
    seed = seed * 6364136223846793005 + 1442695040888963407;
    std::string value(value_bytes, '\0');
    for (std::size_t at = 0; at < value_bytes; ++at) value[at] = static_cast<char>((seed >> 33) + at * 31);
    rows.push_back({static_cast<std::uint8_t>(i < count / 2 ? 2 : 5), std::move(number), Bytes(std::move(value))});
  }
  return rows;
}

inline bool SameRows(const Rows& a, const Rows& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const SnapshotRow& x, const SnapshotRow& y) {
    return x.table == y.table && x.key == y.key && x.value == y.value;
  });
}

inline SnapshotHeader MakeHeader(std::uint64_t id = 77) {
  SnapshotHeader header;
  header.cluster = ClusterId(0x1234);
  header.meta = {id, LogIndex(4711), {9, ReplicaId(2)}, {{ReplicaId(1), ReplicaId(2), ReplicaId(3)}, {}, {}}};
  header.revision = 1234;
  header.state_hash = 99;
  header.created_wall_ns = 1'700'000'000'000'000'000;
  return header;
}

class RowsSource final : public SnapshotSource {
 public:
  RowsSource(Rows rows, VirtualLoop& loop) : rows_(std::move(rows)), loop_(loop) {}
  LogIndex applied() const override { return LogIndex(4711); }
  Revision revision() const override { return 1234; }
  std::uint64_t state_hash() const override { return 99; }
  std::uint64_t size_estimate_bytes() const override {
    std::uint64_t bytes = 0;
    for (const SnapshotRow& row : rows_) bytes += row.key.size() + row.value.size();
    return bytes;
  }
  void Read(std::uint8_t table, std::string key, std::size_t bytes_max,
            std::function<void(Result<Rows>)> done) override {
    ++reads;
    const bool from_start = table == 0 && key.empty();
    Rows out;
    std::size_t bytes = 0;
    for (const SnapshotRow& row : rows_) {
      if (!from_start && std::tie(row.table, row.key) <= std::tie(table, key)) continue;
      bytes += row.key.size() + row.value.size();
      if (!out.empty() && bytes > bytes_max) break;
      out.push_back(row);
    }
    loop_.After(10'000, [out = std::move(out), done = std::move(done)] { done(out); });
  }
  int reads = 0;

 private:
  const Rows rows_;
  VirtualLoop& loop_;
};

}  // namespace quorate::replica
