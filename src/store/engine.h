// Engine: the ordered byte store under the keyspace, off the request path. engine_rocksdb/ keeps it on the disk,
// engine_memory/ models that for the simulator and for tests.
//
// Called by store/ only (made by server/, sim/ and tests). Every replicated byte lives in a table; structures in memory
// above are rebuilt views of these.
//
// Thread rule: the owner's thread, which is the executor's. `build` and `work` run wherever the engine likes, also on
// other threads; completions run on the executor, never from inside the call. The methods of a view are for any thread
// and may block.
//
// Invariants:
//  1. A batch is in the tables whole or not at all, together with its applied index, also after a crash.
//  2. flushed() is the applied index of the last batch that a crash would leave. `done` comes after it is durable.
//  3. A view holds every batch whose `done` ran before it was pinned, and each batch whole or not at all.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "env/executor.h"

namespace quorate::store {

// The registry: snapshot and state hash walk it, in this order. Numbers are on disk: never reused. The two big tables
// come last, so that the small ones lie together and a batch touches three narrow ranges of the engine.
enum class Table : std::uint8_t {
  kLocal = 0,        // this member's own bookkeeping; in no state hash
  kMeta = 1,         // revision, compact revision, feature level
  kZnode = 3,        // reserved
  kConsul = 4,       // reserved
  kSession = 5,      // lease id -> ttl, deadline
  kSessionKey = 6,   // lease id, key -> nothing
  kLock = 7,         // reserved
  kIntent = 8,       // reserved
  kDedup = 9,        // reserved
  kMembership = 10,  // replica id -> name, URLs
  kTime = 11,        // cluster time
  kAlarm = 12,       // replica id, alarm type -> nothing
  kKv = 32,          // revision and sub-revision -> record, without its value when that is large
  kValue = 33,       // revision and sub-revision -> the large value
};

// Every table that is replicated, ascending.
inline constexpr Table kReplicatedTables[] = {Table::kMeta,       Table::kZnode, Table::kConsul, Table::kSession,
                                              Table::kSessionKey, Table::kLock,  Table::kIntent, Table::kDedup,
                                              Table::kMembership, Table::kTime,  Table::kAlarm,  Table::kKv,
                                              Table::kValue};

struct TableWrite {
  Table table = Table::kLocal;
  std::string key;
  std::optional<Bytes> value;  // empty = delete
};
struct TableRange {
  Table table = Table::kLocal;
  std::string begin, end;  // [begin, end)
};

struct EngineBatch {
  LogIndex applied;                // what the tables cover once this batch is in; never goes back
  std::vector<TableWrite> writes;  // ascending by (table, key), each once
  std::vector<TableRange> erased;  // removed first; ascending, apart from each other; none holds a key that is written
};

// The tables as of one moment.
class EngineView {
 public:
  virtual ~EngineView() = default;
  virtual Result<std::optional<Bytes>> Get(Table table, std::string_view key) const = 0;
  // One answer per key, in the order of `keys`.
  virtual Result<std::vector<std::optional<Bytes>>> MultiGet(Table table,
                                                             const std::vector<std::string>& keys) const = 0;
  // Calls `visit` for every pair with begin <= key < end (end empty = to the table's end), ascending, until it returns
  // false.
  virtual Status Scan(Table table, std::string_view begin, std::string_view end,
                      const std::function<bool(std::string_view key, std::string_view value)>& visit) const = 0;
};

struct EngineStats {
  std::uint64_t disk_bytes = 0;     // of live files
  std::uint64_t memory_bytes = 0;   // what the engine itself holds in memory
  std::uint64_t read_bytes = 0;     // from the disk, since the start
  std::uint64_t written_bytes = 0;  // to the disk, since the start, compactions included
  std::uint64_t reads = 0;          // pieces of work done by the pool
  std::uint64_t writes = 0;         // batches made durable
  std::uint64_t failures = 0;       // reads and writes that failed
};

// A whole new state, written beside the present one. Destroyed before Finish was done, it leaves nothing.
class EngineInstall {
 public:
  virtual ~EngineInstall() = default;
  // Ascending by (table, key) over all calls. One call at a time.
  virtual void Add(std::vector<TableWrite> rows, std::function<void(Status)> done) = 0;
  // Durable and in the place of the old state, in one step. `rows` are further small ones.
  virtual void Finish(std::vector<TableWrite> rows, std::function<void(Status)> done) = 0;
};

class Engine {
 public:
  using Work = std::function<Status(const EngineView& view)>;

  virtual ~Engine() = default;
  virtual env::Executor& executor() = 0;
  // `build` makes the batch, off the owner's thread; what it captures must not change until `done`. One at a time. A
  // failure leaves nothing of the batch; the owner may try again.
  virtual void Write(std::function<EngineBatch()> build, std::function<void(Status)> done) = 0;
  // Runs `work` on `view` in the pool, or on one pinned when the work begins if `view` is null.
  virtual void Read(std::shared_ptr<const EngineView> view, Work work, std::function<void(Status)> done) = 0;
  // Runs `work`, which may take seconds and reads nothing but the engine's views, in the pool. engine_memory runs both
  // from inside the call: a state is opened in no time there.
  virtual void Apart(std::function<Status()> work, std::function<void(Status)> done) = 0;
  virtual std::shared_ptr<const EngineView> Pin() = 0;
  virtual LogIndex flushed() const = 0;
  // Of a state that covers the log up to `last`. REQUIRES that nothing is written meanwhile, but through the install.
  virtual std::unique_ptr<EngineInstall> BeginInstall(LogIndex last) = 0;
  virtual EngineStats stats() const = 0;
};

}  // namespace quorate::store
