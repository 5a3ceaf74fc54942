#include "store/engine_rocksdb/rocks_engine.h"

#include <rocksdb/iostats_context.h>
#include <rocksdb/perf_level.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/codec.h"
#include "store/engine_rocksdb/rocks_files.h"
#include "store/engine_rocksdb/work_pool.h"

namespace quorate::store {
namespace {

constexpr std::string_view kAppliedKey = "applied";  // in kLocal
constexpr std::string_view kPointerKey = "group";    // of group 0; followed by the group's id
constexpr std::size_t kReadaheadBytes = 2 << 20;     // of scans
constexpr std::size_t kInstallFileBytes = 16 << 20;

using File = RocksFiles::File;

std::string Encode64(std::uint64_t v) {
  Writer w;
  w.PutOrdered64(v);
  return std::move(w).Take();
}

Result<std::uint64_t> Decode64(std::string_view encoded) {
  Reader r(encoded);
  const std::uint64_t v = r.GetOrdered64();
  if (!r.Done()) return Status::DataLoss("keyspace: a number of " + std::to_string(encoded.size()) + " bytes");
  return v;
}

std::string PointerKey(GroupId group) {
  return RowKey(RowPrefix(GroupId(), 0), Table::kLocal, std::string(kPointerKey) + Encode64(group.value));
}

// What the threads share.
struct Shared {
  std::unique_ptr<RocksFiles> files;
  std::atomic<int> views{0};
  std::atomic<std::uint64_t> read_bytes{0};
  std::atomic<std::uint64_t> written_bytes{0};
  std::atomic<std::uint64_t> reads{0};
  std::atomic<std::uint64_t> writes{0};
  std::atomic<std::uint64_t> failures{0};
  std::mutex mutex;
  EngineStats stats;  // of the files; guarded by mutex
};

class RocksView final : public EngineView {
 public:
  RocksView(std::shared_ptr<Shared> shared, std::string prefix)
      : shared_(std::move(shared)), prefix_(std::move(prefix)), snapshot_(db().GetSnapshot()) {
    ++shared_->views;
  }
  ~RocksView() override {
    db().ReleaseSnapshot(snapshot_);
    --shared_->views;
  }
  RocksView(const RocksView&) = delete;
  RocksView& operator=(const RocksView&) = delete;

  Result<std::optional<Bytes>> Get(Table table, std::string_view key) const override {
    std::string value;
    const rocksdb::Status status = db().Get(Options(), RowKey(prefix_, table, key), &value);
    if (status.IsNotFound()) return std::optional<Bytes>();
    if (!status.ok()) return FromRocks(status);
    return std::optional<Bytes>(Bytes(std::move(value)));
  }

  Result<std::vector<std::optional<Bytes>>> MultiGet(Table table, const std::vector<std::string>& keys) const override {
    std::vector<std::string> rows;
    rows.reserve(keys.size());
    for (const std::string& key : keys) rows.push_back(RowKey(prefix_, table, key));
    std::vector<rocksdb::Slice> slices(rows.begin(), rows.end());
    std::vector<std::string> found;
    const std::vector<rocksdb::Status> statuses = db().MultiGet(Options(), slices, &found);
    std::vector<std::optional<Bytes>> values(keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (statuses[i].ok()) {
        values[i] = Bytes(std::move(found[i]));
      } else if (!statuses[i].IsNotFound()) {
        return FromRocks(statuses[i]);
      }
    }
    return values;
  }

  Status Scan(Table table, std::string_view begin, std::string_view end,
              const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    const std::string upper =
        end.empty() ? prefix_ + static_cast<char>(static_cast<int>(table) + 1) : RowKey(prefix_, table, end);
    const rocksdb::Slice upper_slice(upper);
    rocksdb::ReadOptions options = Options();
    options.iterate_upper_bound = &upper_slice;
    options.fill_cache = false;
    options.readahead_size = kReadaheadBytes;
    const std::unique_ptr<rocksdb::Iterator> at(db().NewIterator(options));
    for (at->Seek(RowKey(prefix_, table, begin)); at->Valid(); at->Next()) {
      const std::string_view key(at->key().data() + prefix_.size() + 1, at->key().size() - prefix_.size() - 1);
      if (!visit(key, {at->value().data(), at->value().size()})) break;
    }
    return FromRocks(at->status());
  }

 private:
  rocksdb::DB& db() const { return shared_->files->db(); }
  rocksdb::ReadOptions Options() const {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_;
    return options;
  }

  std::shared_ptr<Shared> shared_;
  const std::string prefix_;
  const rocksdb::Snapshot* snapshot_;
};

// A batch's rows as files that are narrow in the key space: see rocks_engine.h. Of a big table the deletions come
// first, apart from what is added, unless they lie in between.
class FilesOfBatch {
 public:
  explicit FilesOfBatch(std::string prefix) : prefix_(std::move(prefix)) {}

  void Add(TableWrite write) {
    std::string key = RowKey(prefix_, write.table, write.key);
    File& adds = FileOf(write.table, true);
    const bool in_between = write.table >= Table::kKv && !write.value && !adds.rows.empty();
    if (in_between) Merge(write.table);
    const bool removal = write.table >= Table::kKv && !write.value && FileOf(write.table, true).rows.empty();
    (removal ? FileOf(write.table, false) : FileOf(write.table, true))
        .rows.push_back({std::move(key), std::move(write.value)});
  }
  void Erase(const TableRange& range) {
    FileOf(range.table, false)
        .erased.emplace_back(RowKey(prefix_, range.table, range.begin), RowKey(prefix_, range.table, range.end));
  }
  std::vector<File> Take() { return {std::make_move_iterator(files_.begin()), std::make_move_iterator(files_.end())}; }

 private:
  File& FileOf(Table table, bool adds) {
    if (table < Table::kKv) return files_[0];
    const std::size_t first = table == Table::kKv ? 1 : 3;
    return files_[first + (adds ? 1 : 0)];
  }
  // The removals so far lie below the additions so far.
  void Merge(Table table) {
    File& removals = FileOf(table, false);
    File& adds = FileOf(table, true);
    adds.rows.insert(adds.rows.begin(), std::make_move_iterator(removals.rows.begin()),
                     std::make_move_iterator(removals.rows.end()));
    removals.rows.clear();
  }

  const std::string prefix_;
  std::array<File, 5> files_;
};

void CheckOrder(const EngineBatch& batch) {
  for (std::size_t i = 1; i < batch.writes.size(); ++i) {
    const TableWrite& a = batch.writes[i - 1];
    const TableWrite& b = batch.writes[i];
    CHECK(std::pair(a.table, std::string_view(a.key)) < std::pair(b.table, std::string_view(b.key)))
        << "writes of a batch out of order";
  }
}

class RocksEngineImpl final : public RocksEngine {
 public:
  RocksEngineImpl(RocksOptions options, env::Executor& executor, std::shared_ptr<Shared> shared)
      : options_(std::move(options)),
        executor_(executor),
        shared_(std::move(shared)),
        readers_(std::make_unique<WorkPool>(options_.read_threads)),
        writer_(std::make_unique<WorkPool>(1)) {}
  ~RocksEngineImpl() override {
    writer_.reset();
    readers_.reset();
  }

  // Learns where it stands. Blocks.
  Status Load() {
    std::string encoded;
    const rocksdb::Status status = shared_->files->db().Get({}, PointerKey(options_.group), &encoded);
    if (!status.IsNotFound()) {
      RETURN_IF_ERROR(FromRocks(status));
      const Result<std::uint64_t> incarnation = Decode64(encoded);
      if (!incarnation.ok()) return incarnation.status();
      incarnation_ = *incarnation;
    }
    prefix_ = RowPrefix(options_.group, incarnation_);
    const Result<std::optional<Bytes>> applied = Pin()->Get(Table::kLocal, kAppliedKey);
    if (!applied.ok()) return applied.status();
    if (applied->has_value()) {
      const Result<std::uint64_t> index = Decode64((*applied)->view());
      if (!index.ok()) return index.status();
      flushed_ = LogIndex(*index);
    }
    shared_->stats = shared_->files->Stats();
    // Rows of an install that was not finished, or that took the place of others.
    RETURN_IF_ERROR(shared_->files->Clean(RowPrefix(options_.group, 0), prefix_));
    return shared_->files->Clean(RowPrefix(options_.group, incarnation_ + 1), RowPrefix(options_.group.Next(), 0));
  }

  env::Executor& executor() override { return executor_; }
  LogIndex flushed() const override { return flushed_; }
  std::shared_ptr<const EngineView> Pin() override { return std::make_shared<RocksView>(shared_, prefix_); }

  void Write(std::function<EngineBatch()> build, std::function<void(Status)> done) override {
    auto applied = std::make_shared<LogIndex>();
    WriteFiles(
        [this, build = std::move(build), applied, prefix = prefix_, flushed = flushed_] {
          EngineBatch batch = build();
          CHECK(batch.applied >= flushed) << "batch for index " << batch.applied.value << " after " << flushed.value;
          CheckOrder(batch);
          *applied = batch.applied;
          FilesOfBatch files(prefix);
          files.Add({Table::kLocal, std::string(kAppliedKey), Bytes(Encode64(batch.applied.value))});
          for (const TableRange& range : batch.erased) files.Erase(range);
          for (TableWrite& write : batch.writes) files.Add(std::move(write));
          return files.Take();
        },
        [this, applied, done = std::move(done)](const Status& status) {
          if (status.ok()) flushed_ = *applied;
          done(status);
        });
  }

  void Read(std::shared_ptr<const EngineView> view, Work work, std::function<void(Status)> done) override {
    readers_->Post([this, shared = shared_, prefix = prefix_, view = std::move(view), work = std::move(work),
                    done = std::move(done), alive = std::weak_ptr<const bool>(alive_)]() mutable {
      const std::uint64_t before = rocksdb::get_iostats_context()->bytes_read;
      Status status;
      if (view != nullptr) {
        status = work(*view);
      } else {
        status = work(RocksView(shared, prefix));
      }
      shared->read_bytes += rocksdb::get_iostats_context()->bytes_read - before;
      ++shared->reads;
      work = nullptr;  // what it holds goes here, not on the executor
      view.reset();
      Complete(alive, std::move(status), std::move(done));
    });
  }

  void Apart(std::function<Status()> work, std::function<void(Status)> done) override {
    readers_->Post([this, work = std::move(work), done = std::move(done), alive = std::weak_ptr(alive_)]() mutable {
      Status status = work();
      work = nullptr;
      Complete(alive, std::move(status), std::move(done));
    });
  }

  std::unique_ptr<EngineInstall> BeginInstall(LogIndex last) override;

  EngineStats stats() const override {
    const std::lock_guard<std::mutex> lock(shared_->mutex);
    EngineStats stats = shared_->stats;
    stats.read_bytes = shared_->read_bytes;
    stats.written_bytes = shared_->written_bytes;
    stats.reads = shared_->reads;
    stats.writes = shared_->writes;
    stats.failures = shared_->failures;
    return stats;
  }

 private:
  class Install;

  // From a thread of the pools.
  void Complete(const std::weak_ptr<const bool>& alive, Status status, std::function<void(Status)> done) {
    if (!status.ok()) ++shared_->failures;
    executor_.Post([this, alive, status = std::move(status), done = std::move(done)] {
      if (alive.expired()) return;
      if (status.code() == StatusCode::kDataLoss && !damaged_) {
        damaged_ = true;
        if (options_.on_damage) options_.on_damage(status);
      }
      done(status);
    });
  }

  void WriteFiles(std::function<std::vector<File>()> make, std::function<void(Status)> done) {
    writer_->Post(
        [this, make = std::move(make), done = std::move(done), alive = std::weak_ptr<const bool>(alive_)]() mutable {
          const std::uint64_t before = rocksdb::get_iostats_context()->bytes_written;
          Status status = std::exchange(write_failed_, false) ? shared_->files->Resume() : Status();
          if (status.ok()) status = shared_->files->Ingest(make());
          make = nullptr;
          shared_->written_bytes += rocksdb::get_iostats_context()->bytes_written - before;
          write_failed_ = !status.ok();
          if (status.ok()) ++shared_->writes;
          EngineStats stats = shared_->files->Stats();
          {
            const std::lock_guard<std::mutex> lock(shared_->mutex);
            shared_->stats = stats;
          }
          Complete(alive, std::move(status), std::move(done));
        });
  }

  const RocksOptions options_;
  env::Executor& executor_;
  std::shared_ptr<Shared> shared_;
  std::uint64_t incarnation_ = 1;
  std::string prefix_;
  LogIndex flushed_;
  bool damaged_ = false;
  bool write_failed_ = false;  // the writer thread's
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  std::unique_ptr<WorkPool> readers_;
  std::unique_ptr<WorkPool> writer_;
};

// Rows go down under the next incarnation, in files of a bounded size; the last step names it as the one in use.
class RocksEngineImpl::Install final : public EngineInstall {
 public:
  Install(RocksEngineImpl& engine, LogIndex last)
      : engine_(engine), last_(last), prefix_(RowPrefix(engine.options_.group, engine.incarnation_ + 1)) {}
  ~Install() override {
    if (finished_) return;
    engine_.writer_->Post(
        [shared = engine_.shared_, begin = prefix_, end = RowPrefix(engine_.options_.group.Next(), 0)] {
          // What stays is removed when the engine is opened next.
          if (!shared->files->Clean(begin, end).ok()) ++shared->failures;
        });
  }

  void Add(std::vector<TableWrite> rows, std::function<void(Status)> done) override {
    for (TableWrite& row : rows) {
      bytes_ += row.key.size() + (row.value ? row.value->size() : 0);
      rows_.push_back(std::move(row));
    }
    if (bytes_ < kInstallFileBytes) {
      engine_.executor_.Post([done = std::move(done)] { done({}); });
      return;
    }
    WriteRows({}, std::move(done));
  }

  void Finish(std::vector<TableWrite> rows, std::function<void(Status)> done) override {
    WriteRows({}, [this, rows = std::move(rows), done = std::move(done)](const Status& status) mutable {
      if (!status.ok()) return done(status);
      Flip(std::move(rows), std::move(done));
    });
  }

 private:
  void WriteRows(std::vector<TableWrite> more, std::function<void(Status)> done) {
    auto rows = std::make_shared<std::vector<TableWrite>>(std::exchange(rows_, std::move(more)));
    bytes_ = 0;
    engine_.WriteFiles(
        [rows, prefix = prefix_] {
          FilesOfBatch files(prefix);
          for (TableWrite& row : *rows) files.Add(std::move(row));
          return files.Take();
        },
        std::move(done));
  }

  void Flip(std::vector<TableWrite> rows, std::function<void(Status)> done) {
    const std::uint64_t next = engine_.incarnation_ + 1;
    auto shared_rows = std::make_shared<std::vector<TableWrite>>(std::move(rows));
    engine_.WriteFiles(
        [shared_rows, prefix = prefix_, last = last_, next, group = engine_.options_.group] {
          FilesOfBatch files(prefix);
          files.Add({Table::kLocal, std::string(kAppliedKey), Bytes(Encode64(last.value))});
          for (TableWrite& row : *shared_rows) files.Add(std::move(row));
          std::vector<File> all = files.Take();
          all.push_back({{{PointerKey(group), Bytes(Encode64(next))}}, {}});
          return all;
        },
        [this, next, done = std::move(done)](const Status& status) {
          if (status.ok()) Flipped(next);
          done(status);
        });
  }

  void Flipped(std::uint64_t next) {
    finished_ = true;
    const std::string old_prefix = engine_.prefix_;
    engine_.incarnation_ = next;
    engine_.prefix_ = prefix_;
    engine_.flushed_ = last_;
    // Files are dropped whole only when no view can still want them; otherwise the next start does it.
    engine_.writer_->Post([shared = engine_.shared_, old_prefix, now = prefix_] {
      if (shared->views == 0 && !shared->files->Clean(old_prefix, now).ok()) ++shared->failures;
    });
  }

  RocksEngineImpl& engine_;
  const LogIndex last_;
  const std::string prefix_;
  std::vector<TableWrite> rows_;
  std::uint64_t bytes_ = 0;
  bool finished_ = false;
};

std::unique_ptr<EngineInstall> RocksEngineImpl::BeginInstall(LogIndex last) {
  return std::make_unique<Install>(*this, last);
}

}  // namespace

Result<std::unique_ptr<RocksEngine>> RocksEngine::Open(RocksOptions options, env::Executor& executor) {
  Result<std::unique_ptr<RocksFiles>> files = RocksFiles::Open(options);
  if (!files.ok()) return files.status();
  auto shared = std::make_shared<Shared>();
  shared->files = *std::move(files);
  auto engine = std::make_unique<RocksEngineImpl>(std::move(options), executor, std::move(shared));
  RETURN_IF_ERROR(engine->Load());
  return std::unique_ptr<RocksEngine>(std::move(engine));
}

}  // namespace quorate::store
