// Record: what one operation of one transaction made of one key. In memory it is one piece; in the tables a large value
// lies apart from the rest of it, so that opening reads no values.
//
// Written by Mvcc, read back by Mvcc and by whoever walks the tables. Plain functions, any thread. The table key in kKv
// and in kValue is (revision, sub-revision), both big-endian, so records lie in the order in which they were made.
// Format 1 of a record, and of a row of kKv:
//
//   u8 format, u8 kind (0 put, 1 tombstone, 2 put whose value is apart), varint revision, bytes key,
//   and for a put: varint revision - create revision, varint version, signed lease, then
//     kind 0: the value up to the end;
//     kind 2: u32 CRC-32C of the value, varint its size. Its bytes are the row of kValue under the same key.
//
// Invariants: a row is a function of the record's content, and names its value's checksum, so a hash over the rows of
// kKv covers the values. A value is apart exactly when it has more than kInlineValueMax bytes.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
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

inline constexpr std::size_t kInlineValueMax = 128;  // bytes

// A row of kKv. Views into what it was decoded from.
struct RecordRow {
  bool tombstone = false;
  bool apart = false;  // the value is in kValue
  std::string_view key;
  Revision revision = 0;
  Revision create = 0;
  std::int64_t version = 0;
  std::int64_t lease = 0;
  std::string_view value;         // when it is not apart
  std::uint32_t value_crc = 0;    // when it is
  std::uint64_t value_size = 0;   // when it is
  std::uint64_t record_size = 0;  // of the record in one piece
};
std::string EncodeRow(const Bytes& record);
Bytes ApartValue(const Bytes& record);                               // of the row of kValue; empty when there is none
std::optional<RecordRow> DecodeRow(std::string_view row);            // nothing: damaged, or of an unknown format
Result<Bytes> JoinRecord(std::string_view row, const Bytes& value);  // `value` empty when it is not apart

}  // namespace quorate::store
