// The answers of kv commands as etcdctl prints them, and as one line of JSON. Thread rule: writes to standard output.
#pragma once

#include "cli/json.h"
#include "etcd/rpc.pb.h"

namespace quorate::cli {

struct PrintStyle {
  bool json = false;
  bool keys_only = false;
  bool count_only = false;
  bool values_only = false;
};

void Print(const etcdserverpb::RangeResponse& response, const PrintStyle& style);
void Print(const etcdserverpb::PutResponse& response, const PrintStyle& style);
void Print(const etcdserverpb::DeleteRangeResponse& response, const PrintStyle& style);
void Print(const etcdserverpb::TxnResponse& response, const PrintStyle& style);
void Print(const mvccpb::Event& event, const PrintStyle& style);

JsonObject ToJson(const mvccpb::KeyValue& kv);

}  // namespace quorate::cli
