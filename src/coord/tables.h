// Tables: the way from coord/ into the engine. Collects the table writes of one entry into one batch with its applied
// index, and keeps the hash over all tables.
//
// Owned by Machine; used by everything in coord/ that has replicated state. Thread rule: the owner's thread.
//
// Invariants:
//  1. Nothing reaches the engine between two Commits.
//  2. hash() is the sum over all records of all tables of RecordHash, modulo 2^64: independent of order and history, so
//     it is kept up to date with the writes. FullHash walks the tables and gives the same.
//  3. Writers of every table but kKv and kMeta say what they replace; they know, because RAM structures are views of
//     the tables.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "store/engine.h"

namespace quorate::coord {

class Tables {
 public:
  explicit Tables(store::Engine& engine);

  // REQUIRES no record under `key`.
  void Insert(store::Table table, std::string key, Bytes value);
  // REQUIRES `old_value` to be what is there.
  void Replace(store::Table table, std::string key, std::string_view old_value, Bytes value);
  void Erase(store::Table table, std::string key, std::string_view old_value);
  // Where Mvcc appends its writes (kKv, kMeta).
  std::vector<store::TableWrite>* mvcc_writes() { return &mvcc_writes_; }
  void Commit(LogIndex applied);

  const store::Engine& engine() const { return engine_; }
  std::uint64_t hash() const { return hash_; }
  std::uint64_t FullHash() const;

 private:
  void CountMvccWrite(const store::TableWrite& write);

  store::Engine& engine_;
  std::vector<store::TableWrite> writes_;
  std::vector<store::TableWrite> mvcc_writes_;
  std::uint64_t hash_ = 0;
};

}  // namespace quorate::coord
