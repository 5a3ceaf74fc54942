// Harness: an Mvcc over a memory engine, with the writes carried to the engine as the state machine does. For tests of
// store/ only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/engine_memory/memory_engine.h"
#include "store/mvcc.h"
#include "store/record.h"

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
  Harness() : mvcc_(Mvcc::Open(engine_)) {}

  Mvcc* operator->() { return mvcc_.get(); }
  MemoryEngine& engine() { return engine_; }
  void Reopen() { mvcc_ = Mvcc::Open(engine_); }

  std::vector<Event> Commit() {
    EngineBatch batch;
    std::vector<Event> events = mvcc_->Commit(&batch.writes);
    Write(std::move(batch));
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
    EngineBatch batch;
    mvcc_->Compact(at, &batch.writes);
    Write(std::move(batch));
  }

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
  std::vector<std::string> Events(Revision from, Revision to, std::size_t max_events = 1'000'000) {
    std::vector<std::string> events;
    mvcc_->History(from, to, max_events, [&](const Event& event) {
      const std::string key = event.kv.key.ToString();
      std::string at = "@";
      at += std::to_string(event.kv.mod_revision);
      std::string text = event.type == Event::Type::kDelete ? "delete " : "put ";
      text += event.type == Event::Type::kDelete ? key : key + "=" + event.kv.value.ToString();
      events.push_back(text + at);
    });
    return events;
  }
  std::vector<std::string> Records() {
    std::vector<std::string> records;
    engine_.Scan(Table::kKv, {}, {}, [&](std::string_view table_key, const Bytes& encoded) {
      const RecordKey at = DecodeRecordKey(table_key);
      const Record record = *DecodeRecord(encoded);
      const std::string key = record.kv.key.ToString();
      records.push_back(std::to_string(at.revision) + "." + std::to_string(at.sub) + " " +
                        (record.tombstone ? key + " deleted" : key + "=" + record.kv.value.ToString()));
      return true;
    });
    return records;
  }

 private:
  void Write(EngineBatch batch) {
    batch.applied = engine_.applied().Next();
    engine_.Write(std::move(batch));
  }

  MemoryEngine engine_;
  std::unique_ptr<Mvcc> mvcc_;
};

}  // namespace quorate::store
