// Mvcc: the multi-version keyspace. The key index, the recent past and hot values are in memory, records in the
// engine's tables kKv and kValue.
//
// Called by coord/ only. Thread rule: the owner's thread. Semantics are etcd's (docs: revisions, generations,
// tombstones, compaction).
//
// Reading. Everything about a newest record but its value is in memory. A read that is given a ReadSet never blocks: it
// notes there what it misses, and its result then means nothing; the reader lets Load bring that in, and reads again.
// Without one it reads from the engine at once, and blocks: for tests, tools and the simulator's checkers. What Prepare
// pinned is found by every read.
//
// Invariants:
//  1. revision() is 1 when empty and rises by one per committed WriteTxn that made a record; never otherwise, never
//  falls.
//  2. A read at r (compact_revision() <= r <= revision()) gives the same answer until r is compacted.
//  3. Compaction at c keeps, for every key, its newest record <= c unless that is a tombstone below c, and everything
//  above c. It takes effect for readers at once; the records are removed later, in the background, by Compactor.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "store/key_value.h"
#include "store/record.h"
#include "store/write_buffer.h"

namespace quorate::store {

// What a read needs besides what is in memory. Local to one reader.
struct ReadSet {
  std::vector<RecordKey> missing;
  absl::btree_map<RecordKey, Bytes> loaded;
  std::uint64_t loaded_bytes = 0;

  const Bytes* Find(RecordKey key) const {
    const auto found = loaded.find(key);
    return found == loaded.end() ? nullptr : &found->second;
  }
};

// How many bytes of records reads may still bring together. One that finds too little left takes nothing more.
struct ReadBudget {
  std::uint64_t left = 0;
  bool exceeded = false;

  bool Take(std::uint64_t bytes) {
    exceeded = exceeded || bytes > left;
    if (!exceeded) left -= bytes;
    return !exceeded;
  }
};

struct RangeOptions {
  Revision revision = 0;   // 0 = latest; REQUIRES compact_revision() <= it <= revision() otherwise
  std::int64_t limit = 0;  // 0 = none; count covers all all the same
  bool keys_only = false;
  bool count_only = false;
  ReadBudget* budget = nullptr;  // null: no bound. The result means nothing once it is exceeded
};
struct RangeResult {
  std::vector<KeyValue> kvs;  // ascending by key
  std::int64_t count = 0;     // of all keys in the range at that revision
};

struct HistoryChunk {
  Revision from = 0;
  Revision covered = 0;  // every event of [from, covered] is in here
  std::vector<Event> events;
};

struct MvccOptions {
  std::uint64_t cache_bytes = std::uint64_t{1} << 40;
  // Called now and then while opening: records indexed so far, of how many (0 = not known).
  std::function<void(std::uint64_t records, std::uint64_t of)> progress;
};

struct MvccStats {
  std::uint64_t keys = 0;
  std::uint64_t index_bytes = 0;
  std::uint64_t cache_bytes = 0;
  std::uint64_t cold_loads = 0;          // ReadSets that were loaded
  std::uint64_t blocking_reads = 0;      // single records read by a reader that did not bring a ReadSet
  std::uint64_t compaction_backlog = 0;  // revisions whose compaction is not done physically
};

// [key, end): end empty = the single key; "\0" = every key >= key.
class Mvcc {
 public:
  // Rebuilds the index from the tables; blocks, on any thread. The buffer is loaded and empty. Until Start, on the
  // owner's thread, nothing goes on in the background.
  static Result<std::unique_ptr<Mvcc>> Open(WriteBuffer& buffer, MvccOptions options = {});
  virtual ~Mvcc() = default;

  virtual void Start() = 0;
  // The engine is given another state: whatever is being loaded or compacted ends, and nothing is loaded any more.
  virtual void Retire() = 0;

  virtual Revision revision() const = 0;
  virtual Revision compact_revision() const = 0;  // reads below it are refused; 0 = never compacted
  virtual std::optional<KeyValue> Get(std::string_view key, Revision at = 0, ReadSet* reads = nullptr) const = 0;
  virtual RangeResult Range(std::string_view key, std::string_view end, const RangeOptions& options,
                            ReadSet* reads = nullptr) const = 0;
  // Of a live key; nothing of it is ever cold.
  virtual bool Exists(std::string_view key) const = 0;
  virtual std::optional<KeyValue> GetMeta(std::string_view key) const = 0;  // without the value
  // Bytes of the records that a read of the range at `at` would bring into memory.
  virtual std::uint64_t SizeOf(std::string_view key, std::string_view end, Revision at = 0,
                               std::int64_t limit = 0) const = 0;

  // Completions of these also come when the keyspace is gone by then, with a Status that says so. Load brings in what
  // the set misses. A record that is gone meanwhile stays out: the reader then finds out why. Keeps
  // `reads` until `done`.
  virtual void Load(std::shared_ptr<ReadSet> reads, std::function<void(Status)> done) = 0;
  // Every read finds what is in here, until the next call. Null: nothing is pinned.
  virtual void Pin(std::shared_ptr<const ReadSet> reads) = 0;

  // One transaction at a time, inside one Apply. Reads between Begin and Commit see its writes (and Range at revision 0
  // does).
  virtual void Begin() = 0;
  virtual void Put(std::string_view key, Bytes value, std::int64_t lease) = 0;
  virtual bool Delete(std::string_view key) = 0;  // false: there is none
  virtual bool wrote() const = 0;                 // whether the open transaction made a record
  // Returns its events in sub-revision order (empty: no revision was taken). The records are in the buffer then.
  virtual std::vector<Event> Commit() = 0;

  // REQUIRES compact_revision() < at <= revision(). Only says so, to the tables too; the work is done later.
  virtual void Compact(Revision at) = 0;

  // Events of revisions [from, to], ascending, whole revisions; stops after the first one at which at least max_events
  // were visited. Returns the last revision covered (from - 1 if from > to). REQUIRES compact_revision() <= from (etcd:
  // reading at it is allowed) and to <= revision(). Blocks where it is not HistoryInMemory(from).
  virtual Revision History(Revision from, Revision to, std::size_t max_events,
                           const std::function<void(const Event&)>& visit) const = 0;
  virtual bool HistoryInMemory(Revision from) const = 0;
  // The same, from the engine; REQUIRES it not to be in memory. Covers no more than what is not.
  virtual void LoadHistory(Revision from, Revision to, std::size_t max_events, std::size_t max_bytes,
                           std::function<void(Result<HistoryChunk>)> done) = 0;

  // CRC-32C over the rows of kKv (which name the values' checksums) that compaction at compact_revision() keeps, up to
  // `at`. Independent of how far the removal is.
  virtual std::uint32_t Hash(Revision at) const = 0;  // blocks
  struct Hashed {
    std::uint32_t hash = 0;
    Revision compact_revision = 0;
  };
  // In pieces, in the pool. Nothing: `at` was compacted meanwhile.
  virtual void StartHash(Revision at, std::function<void(Result<std::optional<Hashed>>)> done) = 0;

  virtual std::uint64_t size_bytes() const = 0;         // retained history; depends on how far the removal is
  virtual std::uint64_t size_in_use_bytes() const = 0;  // live keys
  virtual MvccStats stats() const = 0;
  virtual void set_cache_bytes(std::uint64_t bytes) = 0;
};

}  // namespace quorate::store
