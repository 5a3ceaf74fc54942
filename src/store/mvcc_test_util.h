// Harness: an Mvcc over a memory engine, with entries ended as the state machine does. Every change goes on until the
// background has nothing left to do. For tests of store/ only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "env/disk_testing.h"
#include "store/engine_memory/memory_engine.h"
#include "store/image_reader.h"
#include "store/mvcc.h"
#include "store/record.h"
#include "store/write_buffer.h"

namespace quorate::store {

inline Bytes Value(std::string text) {
  return Bytes(std::move(text));
}

inline std::string Text(const KeyValue& kv) {
  return kv.key.ToString() + "=" + kv.value.ToString() + " create " + std::to_string(kv.create_revision) + " mod " +
         std::to_string(kv.mod_revision) + " version " + std::to_string(kv.version) + " lease " +
         std::to_string(kv.lease);
}

class Harness {
 public:
  explicit Harness(WriteBufferOptions buffer = {}, MvccOptions options = {}, MemoryEngineHooks hooks = {})
      : buffer_options_(buffer), options_(std::move(options)), hooks_(std::move(hooks)) {
    Reopen();
  }

  Mvcc* operator->() { return mvcc_.get(); }
  MemoryEngine& engine() { return *engine_; }
  WriteBuffer& buffer() { return *buffer_; }
  env::ManualExecutor& executor() { return executor_; }
  // A new life over what a crash leaves.
  void Crash() {
    mvcc_.reset();
    buffer_.reset();
    engine_ = std::make_unique<MemoryEngine>(storage_, executor_, hooks_);
    buffer_ = std::make_unique<WriteBuffer>(*engine_, buffer_options_);
    CHECK(buffer_->Load().ok());
    Result<std::unique_ptr<Mvcc>> mvcc = Mvcc::Open(*buffer_, options_);
    CHECK(mvcc.ok()) << mvcc.status().message();
    mvcc_ = *std::move(mvcc);
    mvcc_->Start();
    executor_.RunFor(kLong);
  }
  void Flush() {
    bool flushed = false;
    buffer_->Flush([&](const Status& status) { flushed = status.ok(); });
    executor_.RunFor(kLong);
    CHECK(flushed);
  }
  void Reopen() {
    if (mvcc_ != nullptr) Flush();
    Crash();
  }

  std::vector<Event> Commit() {
    std::vector<Event> events = mvcc_->Commit();
    End();
    return events;
  }
  Revision Put(std::string_view key, std::string value, std::int64_t lease = 0) {
    mvcc_->Begin();
    mvcc_->Put(key, Bytes(std::move(value)), lease);
    Commit();
    return mvcc_->revision();
  }
  bool Delete(std::string_view key) {
    mvcc_->Begin();
    const bool deleted = mvcc_->Delete(key);
    Commit();
    return deleted;
  }
  void Compact(Revision at) {
    mvcc_->Compact(at);
    End();
  }
  // Without what the background does.
  void End() {
    buffer_->Commit(buffer_->applied().Next());
    if (settle_) executor_.RunFor(kLong);
  }
  void set_settle(bool settle) { settle_ = settle; }

  std::vector<std::string> Keys(std::string_view key, std::string_view end) {
    std::vector<std::string> keys;
    for (const KeyValue& kv : mvcc_->Range(key, end, {}).kvs) keys.push_back(kv.key.ToString());
    return keys;
  }
  std::vector<std::string> All(Revision at) {
    std::vector<std::string> all;
    const std::string_view everything("\0", 1);
    for (const KeyValue& kv : mvcc_->Range(everything, everything, {.revision = at}).kvs) all.push_back(Text(kv));
    return all;
  }
  static std::string Text(const Event& event) {
    const std::string key = event.kv.key.ToString();
    std::string at = "@";
    at += std::to_string(event.kv.mod_revision);
    std::string text = event.type == Event::Type::kDelete ? "delete " : "put ";
    text += event.type == Event::Type::kDelete ? key : key + "=" + event.kv.value.ToString();
    return text + at;
  }
  static std::string Text(const KeyValue& kv) { return store::Text(kv); }
  std::vector<std::string> Events(Revision from, Revision to, std::size_t max_events = 1'000'000) {
    std::vector<std::string> events;
    mvcc_->History(from, to, max_events, [&](const Event& event) { events.push_back(Text(event)); });
    return events;
  }
  // The records that are in the tables.
  std::vector<std::string> Records() {
    std::vector<std::string> records;
    ImageReader reader(buffer_->Pin());
    const Status status = reader.Scan(Table::kKv, {}, {}, [&](std::string_view table_key, std::string_view encoded) {
      const RecordKey at = DecodeRecordKey(table_key);
      const RecordRow row = *DecodeRow(encoded);
      const std::string key(row.key);
      records.push_back(std::to_string(at.revision) + "." + std::to_string(at.sub) + " " +
                        (row.tombstone ? key + " deleted" : key + "=" + std::string(row.value)));
      return true;
    });
    CHECK(status.ok()) << status.message();
    return records;
  }

 private:
  static constexpr std::uint64_t kLong = 60'000'000'000;

  const WriteBufferOptions buffer_options_;
  const MvccOptions options_;
  const MemoryEngineHooks hooks_;
  env::ManualExecutor executor_;
  MemoryStorage storage_;
  std::unique_ptr<MemoryEngine> engine_;
  std::unique_ptr<WriteBuffer> buffer_;
  std::unique_ptr<Mvcc> mvcc_;
  bool settle_ = true;
};

}  // namespace quorate::store
