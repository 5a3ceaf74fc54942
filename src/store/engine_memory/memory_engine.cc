#include "store/engine_memory/memory_engine.h"

#include <limits>
#include <utility>

#include "base/check.h"

namespace quorate::store {

void MemoryEngine::Write(EngineBatch batch) {
  CHECK(applied_.index <= batch.applied) << "a batch for index " << batch.applied.value << " after one for "
                                         << applied_.index.value;
  for (TableWrite& write : batch.writes) {
    if (write.table == Table::kKv) {
      WriteRecord(std::move(write));
    } else {
      WriteOther(std::move(write));
    }
  }
  applied_.index = batch.applied;
}

void MemoryEngine::WriteRecord(TableWrite write) {
  const RecordKey key = DecodeRecordKey(write.key);
  if (write.value) {
    applied_.records.Put(key, *std::move(write.value));
  } else {
    applied_.records.Erase(key);
  }
}

void MemoryEngine::WriteOther(TableWrite write) {
  auto& table = applied_.tables[write.table];
  if (write.value) {
    table.insert_or_assign(std::move(write.key), *std::move(write.value));
  } else {
    table.erase(write.key);
  }
}

std::optional<Bytes> MemoryEngine::Get(Table table, std::string_view key) const {
  if (table == Table::kKv) {
    const Bytes* record = applied_.records.Find(DecodeRecordKey(key));
    return record == nullptr ? std::nullopt : std::optional<Bytes>(*record);
  }
  const auto found = applied_.tables.find(table);
  if (found == applied_.tables.end()) return std::nullopt;
  const auto pair = found->second.find(key);
  if (pair == found->second.end()) return std::nullopt;
  return pair->second;
}

void MemoryEngine::Scan(Table table, std::string_view begin, std::string_view end,
                        const std::function<bool(std::string_view key, const Bytes& value)>& visit) const {
  if (table == Table::kKv) return ScanRecords(begin, end, visit);
  const auto found = applied_.tables.find(table);
  if (found == applied_.tables.end()) return;
  for (auto it = found->second.lower_bound(begin); it != found->second.end(); ++it) {
    if (!end.empty() && it->first >= end) return;
    if (!visit(it->first, it->second)) return;
  }
}

void MemoryEngine::ScanRecords(std::string_view begin, std::string_view end,
                               const std::function<bool(std::string_view key, const Bytes& value)>& visit) const {
  const RecordKey from = begin.empty() ? RecordKey{} : DecodeRecordKey(begin);
  const RecordKey to = end.empty() ? RecordKey{std::numeric_limits<Revision>::max(), 0} : DecodeRecordKey(end);
  applied_.records.ScanFrom(from, [&](RecordKey key, const Bytes& value) {
    if (key >= to) return false;
    return visit(EncodeRecordKey(key), value);
  });
}

void MemoryEngine::BeginFlush() {
  CHECK(!flushing_) << "one flush at a time";
  flushing_ = applied_;
}

void MemoryEngine::FinishFlush(bool good) {
  CHECK(flushing_.has_value());
  if (good) flushed_ = *std::move(flushing_);
  flushing_.reset();
}

void MemoryEngine::Flush() {
  BeginFlush();
  FinishFlush(true);
}

void MemoryEngine::Crash() {
  flushing_.reset();
  applied_ = flushed_;
}

}  // namespace quorate::store
