// Engine: the ordered byte store under the keyspace. engine_memory/ models RocksDB (an applied and a flushed image);
// engine_rocksdb/ comes with the storage issue.
//
// Called by store/ only, with writes in batches that each carry the applied index they bring the tables to. Thread
// rule: the owner's thread. Every replicated byte lives in a table; RAM structures above are rebuilt views of these.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"

namespace quorate::store {

// The registry: snapshot and state hash walk it, in this order. Numbers are on disk: never reused.
enum class Table : std::uint8_t {
  kMeta = 1,         // applied index, revision, compact revision, feature level
  kKv = 2,           // revision and sub-revision -> KeyValue (as etcd)
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
};

struct TableWrite {
  Table table;
  std::string key;
  std::optional<Bytes> value;  // empty = delete
};

struct EngineBatch {
  LogIndex applied;  // what the tables cover once this batch is in
  std::vector<TableWrite> writes;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual void Write(EngineBatch batch) = 0;
  virtual std::optional<Bytes> Get(Table table, std::string_view key) const = 0;
  // Calls `visit` for every pair with begin <= key < end (end empty = to the table's end), ascending, until it returns
  // false.
  virtual void Scan(Table table, std::string_view begin, std::string_view end,
                    const std::function<bool(std::string_view key, const Bytes& value)>& visit) const = 0;
  virtual LogIndex applied() const = 0;  // of the applied image
  virtual LogIndex flushed() const = 0;  // of the flushed image: what a crash leaves
};

}  // namespace quorate::store
