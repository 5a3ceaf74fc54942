// RocksEngine: the Engine on a disk, one RocksDB for all groups of a node. This is one group's.
//
// Made by server/ and by tests. Thread rule: as Engine's; it has a pool of its own for reading and one thread for
// writing, and no other thread calls RocksDB, but for opening, and for Pin.
//
// How things lie (docs/disk-format.md): key = group, incarnation (8 bytes each, big-endian), table (1 byte), the
// table's own key. One column family, no log of RocksDB's own, and nothing ever goes through its memtable: a batch is
// written as sorted files, which are synced and taken in by one atomic edit of RocksDB's manifest. The files of a batch
// are narrow (small tables, records, values), so that the records and values of a new batch lie beyond all older ones,
// go straight to the bottom level, and are never rewritten before compaction of revisions touches them.
//
// Invariants: as Engine's. The pointer row of a group names its incarnation in use; rows of others are nobody's and go.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/ids.h"
#include "store/engine.h"

namespace rocksdb {
class Env;
}

namespace quorate::store {

struct RocksOptions {
  std::string directory;  // made if it does not exist; nothing else lies in it
  GroupId group{1};
  std::uint64_t cache_bytes = 16 << 20;  // blocks, indexes and filters
  int open_files_max = 512;
  std::size_t read_threads = 2;
  std::uint64_t compaction_bytes_per_second = 64 << 20;
  rocksdb::Env* env = nullptr;  // null = RocksDB's own; outlives the engine
  // A file of it is damaged; says which. Called on the executor, once.
  std::function<void(const Status&)> on_damage;
};

class RocksEngine : public Engine {
 public:
  // Blocks. DataLoss: it does not open, or is of a newer format; the directory is to be moved aside.
  static Result<std::unique_ptr<RocksEngine>> Open(RocksOptions options, env::Executor& executor);
};

}  // namespace quorate::store
