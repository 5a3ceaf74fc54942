// KeyValue and Event: what the multi-version keyspace holds and what its changes look like. Plain values, no thread
// rule.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/ids.h"

namespace quorate::store {

struct KeyValue {
  Bytes key;
  Bytes value;
  Revision create_revision = 0;
  Revision mod_revision = 0;
  std::int64_t version = 0;  // writes since creation; 0 only in a deletion's record
  std::int64_t lease = 0;
  friend bool operator==(const KeyValue&, const KeyValue&) = default;
};

struct Event {
  enum class Type : std::uint8_t { kPut = 0, kDelete = 1 };
  Type type = Type::kPut;
  KeyValue kv;  // of a deletion: key and mod_revision only
};

}  // namespace quorate::store
