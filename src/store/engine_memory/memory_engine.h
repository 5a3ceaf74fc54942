// MemoryEngine: an Engine that models RocksDB without its own log: an applied image, a flushed image, and nothing else.
//
// Made by server/ (at this stage, where the log is replayed at every start and nothing is ever flushed), by the
// simulator, which flushes and crashes it, and by tests. Thread rule: the owner's thread. A visitor of Scan must not
// write.
//
// Invariants: flushed() <= applied(), but right after a crash, where they are equal. A flush saves the image as it was
// when the flush began, as a whole, with its applied index; a failed flush changes nothing.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/btree_map.h"
#include "store/engine.h"
#include "store/engine_memory/record_table.h"

namespace quorate::store {

class MemoryEngine final : public Engine {
 public:
  void Write(EngineBatch batch) override;
  std::optional<Bytes> Get(Table table, std::string_view key) const override;
  void Scan(Table table, std::string_view begin, std::string_view end,
            const std::function<bool(std::string_view key, const Bytes& value)>& visit) const override;
  LogIndex applied() const override { return applied_.index; }
  LogIndex flushed() const override { return flushed_.index; }

  void BeginFlush();            // REQUIRES no flush to be under way
  void FinishFlush(bool good);  // REQUIRES one
  void Flush();                 // both at once
  void Crash();                 // the applied image becomes the flushed one again; a flush under way is lost

 private:
  // Copying one shares every value.
  struct Image {
    RecordTable records;                                                       // kKv
    std::map<Table, absl::btree_map<std::string, Bytes, std::less<>>> tables;  // all but kKv
    LogIndex index;
  };

  void WriteRecord(TableWrite write);
  void WriteOther(TableWrite write);
  void ScanRecords(std::string_view begin, std::string_view end,
                   const std::function<bool(std::string_view key, const Bytes& value)>& visit) const;

  Image applied_;
  Image flushed_;
  std::optional<Image> flushing_;
};

}  // namespace quorate::store
