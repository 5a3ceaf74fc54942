#include "store/engine_rocksdb/rocks_files.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/rate_limiter.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/codec.h"

namespace quorate::store {
namespace {

constexpr std::string_view kFormatKey = "quorate keyspace";
constexpr std::uint8_t kFormat = 1;

rocksdb::Slice SliceOf(std::string_view view) {
  return {view.data(), view.size()};
}

rocksdb::Options MakeOptions(const RocksOptions& wanted, const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::Options options;
  options.create_if_missing = true;
  if (wanted.env != nullptr) options.env = wanted.env;
  options.compression = rocksdb::kLZ4Compression;
  options.level_compaction_dynamic_level_bytes = true;
  options.write_buffer_size = 1 << 20;  // unused but for what RocksDB does on its own
  options.max_write_buffer_number = 2;
  options.max_open_files = wanted.open_files_max;
  options.max_background_jobs = 2;
  options.max_subcompactions = 1;
  options.target_file_size_base = 32 << 20;
  options.max_file_opening_threads = 2;
  options.skip_stats_update_on_db_open = true;
  options.skip_checking_sst_file_sizes_on_db_open = true;
  options.bytes_per_sync = 1 << 20;
  options.keep_log_file_num = 2;
  options.max_log_file_size = 1 << 20;
  options.info_log_level = rocksdb::WARN_LEVEL;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.rate_limiter.reset(
      rocksdb::NewGenericRateLimiter(static_cast<std::int64_t>(wanted.compaction_bytes_per_second)));
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = 8 << 10;
  table.cache_index_and_filter_blocks = true;
  table.format_version = 5;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

Status FromRocks(const rocksdb::Status& status) {
  if (status.ok()) return {};
  const std::string text = "keyspace: " + status.ToString();
  if (status.IsCorruption()) return Status::DataLoss(text);
  if (status.IsNoSpace()) return Status::ResourceExhausted(text);
  return Status::Unavailable(text);
}

std::string RowPrefix(GroupId group, std::uint64_t incarnation) {
  Writer w;
  w.PutOrdered64(group.value);
  w.PutOrdered64(incarnation);
  return std::move(w).Take();
}

std::string RowKey(std::string_view prefix, Table table, std::string_view key) {
  std::string row;
  row.reserve(prefix.size() + 1 + key.size());
  row.append(prefix);
  row.push_back(static_cast<char>(table));
  row.append(key);
  return row;
}

RocksFiles::~RocksFiles() {
  if (db_ != nullptr) {
    rocksdb::CancelAllBackgroundWork(db_.get(), true);
    db_->Close();
  }
}

Result<std::unique_ptr<RocksFiles>> RocksFiles::Open(const RocksOptions& options) {
  std::unique_ptr<RocksFiles> files(new RocksFiles(options.directory));
  RETURN_IF_ERROR(files->OpenDb(options));
  RETURN_IF_ERROR(files->CheckFormat());
  return files;
}

Status RocksFiles::OpenDb(const RocksOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(directory_ + "/db", error);
  if (!error) std::filesystem::remove_all(directory_ + "/in", error);
  if (!error) std::filesystem::create_directory(directory_ + "/in", error);
  if (error) return Status::Unavailable(directory_ + ": " + error.message());
  cache_ = rocksdb::NewLRUCache(options.cache_bytes, 2, false, 0.5);
  options_ = MakeOptions(options, cache_);
  RETURN_IF_ERROR(SyncDirectory());  // of the name "db": RocksDB syncs only what is in there
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options_, directory_ + "/db", &db);
  db_.reset(db);
  if (status.ok()) return {};
  if (status.IsNoSpace()) return FromRocks(status);
  if (status.IsIOError() && status.ToString().find("lock") != std::string::npos) {
    return Status::FailedPrecondition(directory_ + " is in use by another process: " + status.ToString());
  }
  return Status::DataLoss(directory_ + " does not open: " + status.ToString());
}

Status RocksFiles::SyncDirectory() {
  std::unique_ptr<rocksdb::Directory> directory;
  RETURN_IF_ERROR(FromRocks(options_.env->NewDirectory(directory_, &directory)));
  return FromRocks(directory->Fsync());
}

Status RocksFiles::CheckFormat() {
  const std::string key = RowKey(RowPrefix(GroupId(), 0), Table::kLocal, kFormatKey);
  std::string format;
  const rocksdb::Status status = db_->Get({}, key, &format);
  if (status.IsNotFound()) return Ingest({File{{{key, Bytes(std::string(1, kFormat))}}, {}}});
  RETURN_IF_ERROR(FromRocks(status));
  if (format.size() == 1 && format[0] == kFormat) return {};
  return Status::FailedPrecondition(
      directory_ + " is of a newer format: start this member with the build that wrote it, or a newer one");
}

Result<std::string> RocksFiles::WriteFile(const File& file) {
  const std::string path = directory_ + "/in/" + std::to_string(++next_file_) + ".sst";
  rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), options_);
  rocksdb::Status status = writer.Open(path);
  for (auto range = file.erased.begin(); status.ok() && range != file.erased.end(); ++range) {
    status = writer.DeleteRange(range->first, range->second);
  }
  for (auto row = file.rows.begin(); status.ok() && row != file.rows.end(); ++row) {
    status = row->value ? writer.Put(row->key, SliceOf(row->value->view())) : writer.Delete(row->key);
  }
  if (status.ok()) status = writer.Finish();
  if (!status.ok()) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    return FromRocks(status);
  }
  return path;
}

Status RocksFiles::Ingest(const std::vector<File>& files) {
  std::vector<std::string> paths;
  Status written;
  for (const File& file : files) {
    if (file.empty()) continue;
    Result<std::string> path = WriteFile(file);
    if (!path.ok()) {
      written = path.status();
      break;
    }
    paths.push_back(*std::move(path));
  }
  if (written.ok() && !paths.empty()) {
    rocksdb::IngestExternalFileOptions options;
    options.move_files = true;
    options.failed_move_fall_back_to_copy = false;
    options.write_global_seqno = false;
    written = FromRocks(db_->IngestExternalFile(paths, options));
  }
  for (const std::string& path : paths) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  return written;
}

Status RocksFiles::Clean(const std::string& begin, const std::string& end) {
  const rocksdb::Slice from(begin), to(end);
  RETURN_IF_ERROR(FromRocks(rocksdb::DeleteFilesInRange(db_.get(), db_->DefaultColumnFamily(), &from, &to, false)));
  rocksdb::ReadOptions read;
  read.iterate_upper_bound = &to;
  read.fill_cache = false;
  std::unique_ptr<rocksdb::Iterator> left(db_->NewIterator(read));
  left->Seek(from);
  RETURN_IF_ERROR(FromRocks(left->status()));
  return left->Valid() ? Ingest({File{{}, {{begin, end}}}}) : Status();
}

EngineStats RocksFiles::Stats() const {
  EngineStats stats;
  std::uint64_t tables = 0;
  std::uint64_t memtables = 0;
  db_->GetIntProperty(rocksdb::DB::Properties::kLiveSstFilesSize, &stats.disk_bytes);
  db_->GetIntProperty(rocksdb::DB::Properties::kEstimateTableReadersMem, &tables);
  db_->GetIntProperty(rocksdb::DB::Properties::kSizeAllMemTables, &memtables);
  stats.memory_bytes = cache_->GetUsage() + tables + memtables;
  return stats;
}

}  // namespace quorate::store
