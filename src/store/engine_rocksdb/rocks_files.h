// RocksFiles: the RocksDB itself: opening it, taking in batches as sorted files, reading. Blocking.
//
// Used by RocksEngine. Thread rule: Ingest and Clean from one thread; the rest from any.
#pragma once

#include <rocksdb/db.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/engine.h"
#include "store/engine_rocksdb/rocks_engine.h"

namespace quorate::store {

Status FromRocks(const rocksdb::Status& status);

// Of one group's rows in one incarnation.
std::string RowPrefix(GroupId group, std::uint64_t incarnation);
std::string RowKey(std::string_view prefix, Table table, std::string_view key);

class RocksFiles {
 public:
  struct Row {
    std::string key;  // whole
    std::optional<Bytes> value;
  };
  struct File {  // rows ascending; ranges apart from each other
    std::vector<Row> rows;
    std::vector<std::pair<std::string, std::string>> erased;
    bool empty() const { return rows.empty() && erased.empty(); }
  };

  static Result<std::unique_ptr<RocksFiles>> Open(const RocksOptions& options);
  ~RocksFiles();

  // Durable and visible as one when it returns.
  Status Ingest(const std::vector<File>& files);
  // Removes all rows of [begin, end); nobody reads them any more.
  Status Clean(const std::string& begin, const std::string& end);
  // After a failure: RocksDB may have stopped taking writes.
  Status Resume() { return FromRocks(db_->Resume()); }

  rocksdb::DB& db() { return *db_; }
  EngineStats Stats() const;

 private:
  explicit RocksFiles(std::string directory) : directory_(std::move(directory)) {}

  Status OpenDb(const RocksOptions& options);
  Status SyncDirectory();
  Status CheckFormat();
  Result<std::string> WriteFile(const File& file);

  const std::string directory_;
  rocksdb::Options options_;
  std::shared_ptr<rocksdb::Cache> cache_;
  std::unique_ptr<rocksdb::DB> db_;
  std::uint64_t next_file_ = 0;
};

}  // namespace quorate::store
