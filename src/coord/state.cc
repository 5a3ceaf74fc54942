#include "coord/state.h"

#include <algorithm>
#include <utility>

namespace quorate::coord {
namespace {

// Of memory_bytes; the rest is the index's and the cache's.
constexpr std::uint64_t kBacklogShare = 5;  // a fifth may wait for the disk
constexpr std::uint64_t kRecentShare = 10;  // a tenth is the recent past
constexpr std::uint64_t kBatchShare = 40;
constexpr std::uint64_t kCacheShareMin = 8;

store::WriteBufferOptions BufferOptions(const MachineOptions& options) {
  store::WriteBufferOptions buffer = options.buffer;
  if (options.memory_bytes == 0) return buffer;
  buffer.backlog_bytes = std::min(buffer.backlog_bytes, options.memory_bytes / kBacklogShare);
  buffer.recent_bytes = std::min(buffer.recent_bytes, options.memory_bytes / kRecentShare);
  buffer.batch_bytes = std::min(buffer.batch_bytes, options.memory_bytes / kBatchShare);
  return buffer;
}

}  // namespace

State::State(const MachineOptions& options, std::unique_ptr<store::WriteBuffer> opened_buffer,
             std::unique_ptr<store::Mvcc> opened_mvcc)
    : buffer(std::move(opened_buffer)),
      mvcc(std::move(opened_mvcc)),
      tables(*buffer),
      cluster_time(tables),
      sessions(tables, *mvcc, options.min_lease_ttl),
      members(tables),
      alarms(tables),
      level(tables, options.feature_level_max),
      admission(alarms, level, sessions),
      kv(*mvcc, sessions) {}

Result<std::unique_ptr<State>> State::Open(const MachineOptions& options, store::Engine& engine) {
  auto buffer = std::make_unique<store::WriteBuffer>(engine, BufferOptions(options));
  RETURN_IF_ERROR(buffer->Load());
  store::MvccOptions mvcc_options;
  mvcc_options.progress = options.open_progress;
  Result<std::unique_ptr<store::Mvcc>> mvcc = store::Mvcc::Open(*buffer, std::move(mvcc_options));
  if (!mvcc.ok()) return mvcc.status();
  std::unique_ptr<State> state(new State(options, std::move(buffer), *std::move(mvcc)));
  RETURN_IF_ERROR(state->tables.Opened());
  if (options.memory_bytes != 0) state->Balance(options.memory_bytes);
  return state;
}

void State::Balance(std::uint64_t memory_bytes) {
  const store::WriteBufferOptions& bounds = buffer->options();
  const std::uint64_t taken = mvcc->stats().index_bytes + bounds.backlog_bytes + bounds.recent_bytes;
  const std::uint64_t left = memory_bytes > taken ? memory_bytes - taken : 0;
  cache_capacity = std::max(memory_bytes / kCacheShareMin, left);
  mvcc->set_cache_bytes(cache_capacity);
}

}  // namespace quorate::coord
