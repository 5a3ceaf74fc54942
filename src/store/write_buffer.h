// WriteBuffer: what was applied and has not reached the engine yet, and the recent past. Entries are gathered into
// large batches that go down in the background, each with the applied index that it brings the tables to.
//
// Made by the state machine; used by coord/'s tables and by Mvcc. Thread rule: the owner's thread; a sealed batch is
// immutable and may be read from any.
//
// Invariants:
//  1. A batch ends between two entries. Batches reach the engine in order, one at a time; one that failed is tried
//  again.
//  2. Every record that was added and is not in the engine yet is found here; so is every one whose revision is at or
//  above oldest_revision().
//  3. local().hash is the state hash (store/state_hash.h) of the applied state.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "base/bytes.h"
#include "store/engine.h"
#include "store/record.h"

namespace quorate::store {

struct WriteBufferOptions {
  std::uint64_t batch_bytes = 8 << 20;     // sealed and written once it has as much,
  std::size_t batch_records = 20'000;      // or as many
  std::uint64_t recent_bytes = 32 << 20;   // kept after they were written, for reading the recent past
  std::uint64_t backlog_bytes = 64 << 20;  // not yet durable: over it, proposals are to be slowed
  std::uint64_t retry_ns = 500'000'000;    // after a failed write
};

// This member's own bookkeeping; a row of kLocal, written with every batch.
struct LocalState {
  std::uint64_t hash = 0;          // of the state at the batch's applied index
  std::uint64_t dropped_hash = 0;  // sum over the records that compaction removed
  std::uint64_t records = 0;       // rows of kKv
  Revision compacted = 0;          // the compactions up to this one are done physically

  static constexpr std::string_view kKey = "state";
  std::string Encode() const;
  static std::optional<LocalState> Decode(std::string_view encoded);
};

struct BufferedRecord {
  RecordKey key;
  Bytes record;
};

struct SealedBatch {
  LogIndex applied;
  std::vector<BufferedRecord> records;                                         // ascending
  absl::btree_map<std::pair<Table, std::string>, std::optional<Bytes>> small;  // of every table but kKv and kValue
  struct Dropped {
    RecordKey key;
    bool apart = false;
  };
  std::vector<Dropped> dropped;                               // compaction's
  std::vector<std::pair<RecordKey, RecordKey>> dropped_runs;  // [first, last], nothing between is kept
  std::uint64_t bytes = 0;
  std::uint64_t sequence = 0;

  EngineBatch Build() const;
};

// All tables at one moment: what the engine held then, and what lies above it.
struct Image {
  std::shared_ptr<const EngineView> view;
  std::vector<std::shared_ptr<const SealedBatch>> above;
  LocalState local;
  LogIndex applied;
};

class WriteBuffer {
 public:
  explicit WriteBuffer(Engine& engine, WriteBufferOptions options = {});
  ~WriteBuffer();

  Engine& engine() const { return engine_; }
  // What the last batch said; zero when there is none. Blocks: for opening.
  Status Load();

  // REQUIRES no record under `key`.
  void Insert(Table table, std::string key, Bytes value);
  // REQUIRES `old_value` to be what is there.
  void Replace(Table table, std::string key, std::string_view old_value, Bytes value);
  void Erase(Table table, std::string key, std::string_view old_value);
  void AddRecord(RecordKey key, Bytes record);
  // Compaction's: of records that are durable. `hash` is the sum of what their rows add.
  void Drop(const std::vector<SealedBatch::Dropped>& dropped, const std::vector<std::pair<RecordKey, RecordKey>>& runs,
            std::uint64_t records, std::uint64_t hash);
  // An entry's end.
  void Commit(LogIndex applied);

  const Bytes* FindRecord(RecordKey key) const;
  // Every record of a revision at or above this one is in here.
  Revision oldest_revision() const { return oldest_revision_; }
  void set_oldest_revision(Revision revision) { oldest_revision_ = revision; }
  // Calls visit(record) from `from` on, ascending, until it returns false.
  void ForEachRecord(RecordKey from, const std::function<bool(const BufferedRecord&)>& visit) const;

  // Writes everything that is in here. `done` with the first failure, if there is one, though it is tried again.
  void Flush(std::function<void(Status)> done);
  // Calls `ready` once the backlog is below `bytes`; REQUIRES that it is not now.
  void WhenBelow(std::uint64_t bytes, std::function<void()> ready) {
    waiting_room_.push_back({bytes, std::move(ready)});
  }
  Image Pin();
  // Nothing is written from now on; `done` once nothing is under way. For a state that is about to be replaced.
  void Stop(std::function<void()> done);
  void Resume();
  bool stopped() const { return writing_ == Writing::kStopping || writing_ == Writing::kStopped; }

  LocalState& local() { return local_; }
  const LocalState& local() const { return local_; }
  LogIndex applied() const { return applied_; }
  LogIndex flushed() const;
  std::uint64_t backlog_bytes() const { return backlog_bytes_; }
  std::uint64_t bytes() const { return total_bytes_; }
  const WriteBufferOptions& options() const { return options_; }

 private:
  SealedBatch& open();
  void Count(std::uint64_t bytes);
  void Seal();
  void WriteNext();
  void OnWritten(const Status& status);
  void ForgetOldest();
  void Stopped();
  void Tell(const Status& status);

  static constexpr std::uint64_t kStopSequence = ~std::uint64_t{0};
  struct Waiter {
    std::uint64_t sequence = 0;
    std::function<void(Status)> done;
  };

  Engine& engine_;
  const WriteBufferOptions options_;
  LocalState local_;
  LogIndex applied_;
  std::deque<std::shared_ptr<SealedBatch>> batches_;  // written ones, sealed ones, the open one if any
  std::size_t written_ = 0;                           // how many at the front are in the engine
  bool open_ = false;                                 // whether the last one still takes writes
  enum class Writing : std::uint8_t { kNo, kYes, kStopping, kStopped };
  Writing writing_ = Writing::kNo;
  std::uint64_t sequence_ = 0;  // of the batch begun last
  std::uint64_t total_bytes_ = 0;
  std::uint64_t backlog_bytes_ = 0;
  Revision oldest_revision_ = 0;
  std::vector<Waiter> waiters_;  // the one for Stop has sequence kStopSequence
  std::vector<std::pair<std::uint64_t, std::function<void()>>> waiting_room_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace quorate::store
