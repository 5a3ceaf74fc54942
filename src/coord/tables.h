// Tables: the way from coord/ to the replicated tables. Writes go to the write buffer, which keeps the hash over all
// tables and takes them to the engine together with their applied index.
//
// Owned by Machine; used by everything in coord/ that has replicated state. Thread rule: the owner's thread.
//
// Invariant: writers say what they replace; they know, because structures in memory are views of the tables.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "store/write_buffer.h"

namespace quorate::coord {

class Tables {
 public:
  explicit Tables(store::WriteBuffer& buffer) : buffer_(buffer), view_(buffer.engine().Pin()) {}

  // For opening, before anything is written; both block. What fails is in status(), and then nothing was found.
  std::optional<Bytes> Get(store::Table table, std::string_view key);
  void Scan(store::Table table, const std::function<void(std::string_view key, std::string_view value)>& visit);
  // Every view is loaded.
  Status Opened();

  // REQUIRES no record under `key`.
  void Insert(store::Table table, std::string key, Bytes value) {
    buffer_.Insert(table, std::move(key), std::move(value));
  }
  // REQUIRES `old_value` to be what is there.
  void Replace(store::Table table, std::string key, std::string_view old_value, Bytes value) {
    buffer_.Replace(table, std::move(key), old_value, std::move(value));
  }
  void Erase(store::Table table, std::string key, std::string_view old_value) {
    buffer_.Erase(table, std::move(key), old_value);
  }

 private:
  store::WriteBuffer& buffer_;
  std::shared_ptr<const store::EngineView> view_;
  Status status_;
};

}  // namespace quorate::coord
