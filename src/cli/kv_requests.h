// The flags of get, put and del, and the requests they make. Shared by `quorate kv` and by the lines of a transaction,
// so that a flag means the same in both. Flags' names and meanings are etcdctl's. Thread rule: plain values.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "etcd/rpc.pb.h"

namespace CLI {
class App;
}

namespace quorate::cli {

struct GetArguments {
  std::string key;
  std::string range_end;
  bool prefix = false;
  bool from_key = false;
  std::int64_t limit = 0;
  std::int64_t revision = 0;
  bool keys_only = false;
  bool count_only = false;
  std::string order;
  std::string sort_by;
  bool serializable = false;
  bool print_value_only = false;
};

struct PutArguments {
  std::string key;
  std::string value;
  std::string lease;  // hexadecimal, as etcdctl prints it
  bool prev_kv = false;
  bool ignore_value = false;
  bool ignore_lease = false;
};

struct DeleteArguments {
  std::string key;
  std::string range_end;
  bool prefix = false;
  bool from_key = false;
  bool prev_kv = false;
};

void AddGetFlags(CLI::App& command, GetArguments* arguments);
void AddPutFlags(CLI::App& command, PutArguments* arguments);
void AddDeleteFlags(CLI::App& command, DeleteArguments* arguments);

// The range that a key, an explicit end, --prefix and --from-key mean. INVALID_ARGUMENT when they contradict.
struct KeyRange {
  std::string key;
  std::string end;
};
Result<KeyRange> MakeRange(const std::string& key, const std::string& range_end, bool prefix, bool from_key);

Result<etcdserverpb::RangeRequest> MakeRequest(const GetArguments& arguments);
Result<etcdserverpb::PutRequest> MakeRequest(const PutArguments& arguments);
Result<etcdserverpb::DeleteRangeRequest> MakeRequest(const DeleteArguments& arguments);

}  // namespace quorate::cli
