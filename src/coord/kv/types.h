// Requests and responses of the kv model (etcd's), free of any wire format. Made by frontend/etcd and by the simulator,
// executed by coord::Machine. Field meanings are etcd's v3 API's; plain values, no thread rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "store/key_value.h"

namespace quorate::coord {

// [key, end): end empty = the single key; "\0" = every key >= key.
struct RangeRequest {
  enum class SortOrder : std::uint8_t { kNone, kAscend, kDescend };
  enum class SortTarget : std::uint8_t { kKey, kVersion, kCreate, kMod, kValue };
  std::string key;
  std::string end;
  std::int64_t limit = 0;  // 0 = none
  Revision revision = 0;   // <= 0 = latest (inside a transaction: negative is refused as compacted)
  SortOrder order = SortOrder::kNone;
  SortTarget target = SortTarget::kKey;
  bool keys_only = false;
  bool count_only = false;
  Revision min_mod = 0, max_mod = 0, min_create = 0, max_create = 0;  // 0 = no bound
};
struct RangeResponse {
  std::vector<store::KeyValue> kvs;
  bool more = false;
  std::int64_t count = 0;
};

struct PutRequest {
  std::string key;
  Bytes value;
  std::int64_t lease = 0;
  bool prev_kv = false;
  bool ignore_value = false;
  bool ignore_lease = false;
};
struct PutResponse {
  std::optional<store::KeyValue> prev_kv;
};

struct DeleteRangeRequest {
  std::string key;
  std::string end;
  bool prev_kv = false;
};
struct DeleteRangeResponse {
  std::int64_t deleted = 0;
  std::vector<store::KeyValue> prev_kvs;
};

struct Compare {
  enum class Result : std::uint8_t { kEqual, kGreater, kLess, kNotEqual };
  enum class Target : std::uint8_t { kVersion, kCreate, kMod, kValue, kLease };
  Result result = Result::kEqual;
  Target target = Target::kVersion;
  std::string key;
  std::string end;          // all keys of [key, end) must satisfy it
  std::int64_t number = 0;  // version, create, mod or lease
  std::string value;
};

// How deep transactions may nest, the outermost included; CheckTxn and the encoding both hold to it. etcd's budget of
// 128 operations, of which each level takes at least one, allows 129.
inline constexpr std::size_t kTxnDepthMax = 130;

struct TxnRequest;
// A null transaction is an operation that the client left empty; CheckTxn refuses it.
using RequestOp = std::variant<RangeRequest, PutRequest, DeleteRangeRequest, std::shared_ptr<const TxnRequest>>;
struct TxnRequest {
  std::vector<Compare> compares;
  std::vector<RequestOp> success;
  std::vector<RequestOp> failure;
};
struct TxnResponse;
using ResponseOp = std::variant<RangeResponse, PutResponse, DeleteRangeResponse, std::shared_ptr<const TxnResponse>>;
struct TxnResponse {
  bool succeeded = false;
  std::vector<ResponseOp> responses;
};

struct CompactRequest {
  Revision revision = 0;
};
struct CompactResponse {};

}  // namespace quorate::coord
