#include "cli/kv_print.h"

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace quorate::cli {
namespace {

using etcdserverpb::DeleteRangeResponse;
using etcdserverpb::PutResponse;
using etcdserverpb::RangeResponse;
using etcdserverpb::ResponseOp;
using etcdserverpb::TxnResponse;

void PrintLine(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
}

void PrintPair(const mvccpb::KeyValue& kv, const PrintStyle& style) {
  if (!style.values_only) PrintLine(kv.key());
  if (!style.keys_only) PrintLine(kv.value());
}

std::vector<JsonObject> ToJson(const google::protobuf::RepeatedPtrField<mvccpb::KeyValue>& kvs) {
  std::vector<JsonObject> list;
  for (const mvccpb::KeyValue& kv : kvs) list.push_back(cli::ToJson(kv));
  return list;
}

JsonObject ToJson(const RangeResponse& response) {
  JsonObject out;
  out.Add("revision", std::int64_t{response.header().revision()});
  out.Add("count", std::int64_t{response.count()}).Add("more", response.more());
  return out.Add("kvs", ToJson(response.kvs()));
}

JsonObject ToJson(const PutResponse& response) {
  JsonObject out;
  out.Add("revision", std::int64_t{response.header().revision()});
  if (response.has_prev_kv()) out.Add("prev_kv", cli::ToJson(response.prev_kv()));
  return out;
}

JsonObject ToJson(const DeleteRangeResponse& response) {
  JsonObject out;
  out.Add("revision", std::int64_t{response.header().revision()});
  out.Add("deleted", std::int64_t{response.deleted()});
  if (response.prev_kvs_size() > 0) out.Add("prev_kvs", ToJson(response.prev_kvs()));
  return out;
}

JsonObject ToJson(const TxnResponse& response) {
  std::vector<JsonObject> responses;
  for (const ResponseOp& op : response.responses()) {
    JsonObject one;
    switch (op.response_case()) {
      case ResponseOp::kResponseRange:
        one.Add("get", ToJson(op.response_range()));
        break;
      case ResponseOp::kResponsePut:
        one.Add("put", ToJson(op.response_put()));
        break;
      case ResponseOp::kResponseDeleteRange:
        one.Add("del", ToJson(op.response_delete_range()));
        break;
      case ResponseOp::kResponseTxn:
        one.Add("txn", ToJson(op.response_txn()));
        break;
      case ResponseOp::RESPONSE_NOT_SET:
        break;
    }
    responses.push_back(one);
  }
  JsonObject out;
  out.Add("revision", std::int64_t{response.header().revision()}).Add("succeeded", response.succeeded());
  return out.Add("responses", responses);
}

}  // namespace

JsonObject ToJson(const mvccpb::KeyValue& kv) {
  JsonObject out;
  out.AddBytes("key", kv.key()).AddBytes("value", kv.value());
  out.Add("create_revision", std::int64_t{kv.create_revision()}).Add("mod_revision", std::int64_t{kv.mod_revision()});
  out.Add("version", std::int64_t{kv.version()});
  if (kv.lease() != 0) out.AddHex("lease", static_cast<std::uint64_t>(kv.lease()));
  return out;
}

void Print(const RangeResponse& response, const PrintStyle& style) {
  if (style.json) return PrintLine(ToJson(response).Line());
  if (style.count_only) return PrintLine(std::to_string(response.count()));
  for (const mvccpb::KeyValue& kv : response.kvs()) PrintPair(kv, style);
}

void Print(const PutResponse& response, const PrintStyle& style) {
  if (style.json) return PrintLine(ToJson(response).Line());
  PrintLine("OK");
  if (response.has_prev_kv()) PrintPair(response.prev_kv(), style);
}

void Print(const DeleteRangeResponse& response, const PrintStyle& style) {
  if (style.json) return PrintLine(ToJson(response).Line());
  PrintLine(std::to_string(response.deleted()));
  for (const mvccpb::KeyValue& kv : response.prev_kvs()) PrintPair(kv, style);
}

void Print(const TxnResponse& response, const PrintStyle& style) {
  if (style.json) return PrintLine(ToJson(response).Line());
  PrintLine(response.succeeded() ? "SUCCESS" : "FAILURE");
  for (const ResponseOp& op : response.responses()) {
    PrintLine("");
    switch (op.response_case()) {
      case ResponseOp::kResponseRange:
        Print(op.response_range(), style);
        break;
      case ResponseOp::kResponsePut:
        Print(op.response_put(), style);
        break;
      case ResponseOp::kResponseDeleteRange:
        Print(op.response_delete_range(), style);
        break;
      case ResponseOp::kResponseTxn:
        Print(op.response_txn(), style);
        break;
      case ResponseOp::RESPONSE_NOT_SET:
        break;
    }
  }
}

void Print(const mvccpb::Event& event, const PrintStyle& style) {
  const char* const type = event.type() == mvccpb::Event::PUT ? "PUT" : "DELETE";
  if (style.json) {
    JsonObject out;
    out.Add("type", type).Add("kv", ToJson(event.kv()));
    if (event.has_prev_kv()) out.Add("prev_kv", ToJson(event.prev_kv()));
    return PrintLine(out.Line());
  }
  PrintLine(type);
  if (event.has_prev_kv()) PrintPair(event.prev_kv(), style);
  PrintPair(event.kv(), style);
}

}  // namespace quorate::cli
