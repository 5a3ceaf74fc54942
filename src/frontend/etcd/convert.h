// Between etcd's messages and coord's requests and responses. Strings are moved out of a request's message, so it is
// spent afterwards.
//
// Thread rule: plain functions. What a message can say and coord's types cannot is handed on so that coord's checks
// refuse it in their order: an unknown sort option becomes an enumerator out of range, an operation that holds nothing
// a null transaction.
#pragma once

#include <string_view>

#include "coord/backend.h"
#include "coord/kv/types.h"
#include "etcd/rpc.pb.h"
#include "store/key_value.h"

namespace quorate::frontend::etcd {

coord::RangeRequest FromWire(etcdserverpb::RangeRequest* wire);
coord::PutRequest FromWire(etcdserverpb::PutRequest* wire);
coord::DeleteRangeRequest FromWire(etcdserverpb::DeleteRangeRequest* wire);
coord::TxnRequest FromWire(etcdserverpb::TxnRequest* wire);
// Whether a read-only transaction may be answered from this member's state: every read in it says so.
bool IsSerializable(const etcdserverpb::TxnRequest& wire);

void ToWire(const store::KeyValue& kv, mvccpb::KeyValue* wire);
void ToWire(const coord::RangeResponse& response, etcdserverpb::RangeResponse* wire);
void ToWire(const coord::PutResponse& response, etcdserverpb::PutResponse* wire);
void ToWire(const coord::DeleteRangeResponse& response, etcdserverpb::DeleteRangeResponse* wire);
// `revision` is the store's after the transaction; each operation's header says the store's at that operation.
void ToWire(const coord::TxnResponse& response, Revision revision, etcdserverpb::TxnResponse* wire);

std::string_view AlarmName(coord::AlarmType type);  // etcd's
// Cluster, member and term of this member now; `revision` 0 leaves it out.
void FillHeader(const coord::Backend& backend, Revision revision, etcdserverpb::ResponseHeader* header);

}  // namespace quorate::frontend::etcd
