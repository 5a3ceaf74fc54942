#include "coord/tables.h"

#include <iterator>
#include <optional>
#include <utility>

#include "base/crc32c.h"

namespace quorate::coord {
namespace {

using store::Table;

// What snapshot and state hash walk, in the registry's order.
constexpr Table kRegistry[] = {Table::kMeta,    Table::kKv,         Table::kZnode, Table::kConsul,
                               Table::kSession, Table::kSessionKey, Table::kLock,  Table::kIntent,
                               Table::kDedup,   Table::kMembership, Table::kTime,  Table::kAlarm};

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): spreads the two checksums over all bits before they are
// summed.
std::uint64_t Mix(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

std::uint64_t RecordHash(Table table, std::string_view key, std::string_view value) {
  const std::uint64_t checksums = (static_cast<std::uint64_t>(Crc32c(key)) << 32) | Crc32c(value);
  return Mix(checksums + static_cast<std::uint64_t>(table) * 0x9e3779b97f4a7c15);
}

}  // namespace

Tables::Tables(store::Engine& engine) : engine_(engine), hash_(FullHash()) {}

void Tables::Insert(Table table, std::string key, Bytes value) {
  hash_ += RecordHash(table, key, value.view());
  writes_.push_back({table, std::move(key), std::move(value)});
}

void Tables::Replace(Table table, std::string key, std::string_view old_value, Bytes value) {
  hash_ -= RecordHash(table, key, old_value);
  Insert(table, std::move(key), std::move(value));
}

void Tables::Erase(Table table, std::string key, std::string_view old_value) {
  hash_ -= RecordHash(table, key, old_value);
  writes_.push_back({table, std::move(key), std::nullopt});
}

// Records of kKv are never replaced, each has a revision of its own; so only what a compaction drops is looked up.
void Tables::CountMvccWrite(const store::TableWrite& write) {
  if (write.table != Table::kKv || !write.value) {
    const std::optional<Bytes> old_value = engine_.Get(write.table, write.key);
    if (old_value) hash_ -= RecordHash(write.table, write.key, old_value->view());
  }
  if (write.value) hash_ += RecordHash(write.table, write.key, write.value->view());
}

void Tables::Commit(LogIndex applied) {
  for (const store::TableWrite& write : mvcc_writes_) CountMvccWrite(write);
  writes_.insert(writes_.end(), std::make_move_iterator(mvcc_writes_.begin()),
                 std::make_move_iterator(mvcc_writes_.end()));
  mvcc_writes_.clear();
  engine_.Write({applied, std::exchange(writes_, {})});
}

std::uint64_t Tables::FullHash() const {
  std::uint64_t hash = 0;
  for (const Table table : kRegistry) {
    engine_.Scan(table, {}, {}, [&](std::string_view key, const Bytes& value) {
      hash += RecordHash(table, key, value.view());
      return true;
    });
  }
  return hash;
}

}  // namespace quorate::coord
