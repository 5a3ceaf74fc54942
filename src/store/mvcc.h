// Mvcc: the multi-version keyspace. Key index and recent history in memory, records in the engine's kKv table.
//
// Called by coord/ only. Thread rule: the owner's thread. Semantics are etcd's (docs: revisions, generations,
// tombstones, compaction).
//
// Invariants:
//  1. revision() is 1 when empty and rises by one per committed WriteTxn that made a record; never otherwise, never
//  falls.
//  2. A read at r (compact_revision() <= r <= revision()) gives the same answer until r is compacted.
//  3. Compaction at c keeps, for every key, its newest record <= c unless that is a tombstone below c, and everything
//  above c.
//  4. Memory holds every key's newest record (shared with the engine) and the places of the older ones; these are read
//  from the engine. So what Commit and Compact gave in `out` is in the engine before the next Begin, Compact, History,
//  Hash or read at an older revision.
//
// Memory, measured with the memory engine by bench/store_bench.cc on 22-byte keys and 64-byte values (2^18 keys, three
// puts each): 244 bytes a key with its newest record and 160 bytes an older retained record, besides key and value. CPU
// of a put of an existing key, engine write included: 0.9 us among 4,096 keys, 2.5 us among a million (cache misses).
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
#include "store/engine.h"
#include "store/key_value.h"

namespace quorate::store {

struct RangeOptions {
  Revision revision = 0;   // 0 = latest; REQUIRES compact_revision() <= it <= revision() otherwise
  std::int64_t limit = 0;  // 0 = none; count covers all all the same
  bool keys_only = false;
  bool count_only = false;
};
struct RangeResult {
  std::vector<KeyValue> kvs;  // ascending by key
  std::int64_t count = 0;     // of all keys in the range at that revision
};

// [key, end): end empty = the single key; "\0" = every key >= key.
class Mvcc {
 public:
  static std::unique_ptr<Mvcc> Open(Engine& engine);  // rebuilds the index from the tables
  virtual ~Mvcc() = default;

  virtual Revision revision() const = 0;
  virtual Revision compact_revision() const = 0;  // reads below it are refused; 0 = never compacted
  virtual std::optional<KeyValue> Get(std::string_view key, Revision at = 0) const = 0;
  virtual RangeResult Range(std::string_view key, std::string_view end, const RangeOptions& options) const = 0;

  // One transaction at a time, inside one Apply. Reads between Begin and Commit see its writes (and Range at revision 0
  // does).
  virtual void Begin() = 0;
  virtual void Put(std::string_view key, Bytes value, std::int64_t lease) = 0;
  virtual bool Delete(std::string_view key) = 0;  // false: there is none
  virtual bool wrote() const = 0;                 // whether the open transaction made a record
  // Appends the transaction's table writes to `out` and returns its events in sub-revision order (empty: no revision
  // was taken).
  virtual std::vector<Event> Commit(std::vector<TableWrite>* out) = 0;

  // Table writes go to `out`. REQUIRES compact_revision() < at <= revision().
  virtual void Compact(Revision at, std::vector<TableWrite>* out) = 0;

  // Events of revisions [from, to], ascending, whole revisions; stops after the first one at which at least max_events
  // were visited. Returns the last revision covered (from - 1 if from > to). REQUIRES compact_revision() <= from (etcd:
  // reading at it is allowed) and to <= revision().
  virtual Revision History(Revision from, Revision to, std::size_t max_events,
                           const std::function<void(const Event&)>& visit) const = 0;

  // CRC-32C over (key, value, revisions, version, lease) of what compaction at compact_revision() keeps, up to `at`.
  // Independent of when the compaction ran.
  virtual std::uint32_t Hash(Revision at) const = 0;
  virtual std::uint64_t size_bytes() const = 0;         // retained history
  virtual std::uint64_t size_in_use_bytes() const = 0;  // live keys
};

}  // namespace quorate::store
