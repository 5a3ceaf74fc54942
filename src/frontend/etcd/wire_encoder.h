// Key-value pairs and events straight from coord's structs to bytes, for replies that may carry thousands of them: one
// copy of each key and value, no message object in between. The bytes are those that protobuf would write for the same
// message.
//
// Thread rule: plain functions.
#pragma once

#include <string>

#include "coord/kv/types.h"
#include "coord/watch.h"
#include "etcd/rpc.pb.h"
#include "store/key_value.h"

namespace quorate::frontend::etcd {

// An etcdserverpb.RangeResponse.
std::string EncodeRangeResponse(const etcdserverpb::ResponseHeader& header, const coord::RangeResponse& response);
// Appends one more of etcdserverpb.WatchResponse's events to an encoded one.
void AppendWatchEvent(const coord::WatchEvent& event, std::string* encoded);

}  // namespace quorate::frontend::etcd
