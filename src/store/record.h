// Record: one entry of the kKv table: what one operation of one transaction made of one key.
//
// Written by Mvcc, read back by Mvcc and by whoever walks the tables. Plain functions, any thread. The table key is
// (revision, sub-revision), both big-endian, so records lie in the order in which they were made. Format 1 of the
// value:
//
//   u8 format, u8 kind (0 put, 1 tombstone), varint revision, bytes key,
//   and for a put: varint revision - create revision, varint version, signed lease, then the value up to the end.
//
// Invariant: the encoding of a record is a function of its content (hashes are taken over the encoded bytes).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "store/key_value.h"

namespace quorate::store {

inline constexpr std::size_t kRecordKeySize = 16;

// Where a record lies. `sub` counts the operations of one transaction; it never leaves the store.
struct RecordKey {
  Revision revision = 0;
  std::uint32_t sub = 0;
  friend auto operator<=>(const RecordKey&, const RecordKey&) = default;
};

std::string EncodeRecordKey(RecordKey key);
RecordKey DecodeRecordKey(std::string_view encoded);  // REQUIRES its size to be kRecordKeySize

Bytes EncodePut(std::string_view key, std::string_view value, Revision create, Revision revision, std::int64_t version,
                std::int64_t lease);
Bytes EncodeTombstone(std::string_view key, Revision revision);

struct Record {
  bool tombstone = false;
  KeyValue kv;  // shares the encoded record's memory; of a tombstone: key and mod_revision only
};
std::optional<Record> DecodeRecord(const Bytes& encoded);  // nothing: damaged, or of an unknown format
KeyValue MustDecodePut(const Bytes& encoded);              // CHECKs that it is a put

}  // namespace quorate::store
