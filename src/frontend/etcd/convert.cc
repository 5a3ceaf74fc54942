#include "frontend/etcd/convert.h"

#include <memory>
#include <string>
#include <utility>
#include <variant>

namespace quorate::frontend::etcd {
namespace {

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

coord::RangeRequest::SortOrder SortOrderFromWire(int order) {
  constexpr auto kUnknown = static_cast<coord::RangeRequest::SortOrder>(255);
  if (!etcdserverpb::RangeRequest::SortOrder_IsValid(order)) return kUnknown;
  return static_cast<coord::RangeRequest::SortOrder>(order);
}

coord::RangeRequest::SortTarget SortTargetFromWire(int target) {
  constexpr auto kUnknown = static_cast<coord::RangeRequest::SortTarget>(255);
  if (!etcdserverpb::RangeRequest::SortTarget_IsValid(target)) return kUnknown;
  return static_cast<coord::RangeRequest::SortTarget>(target);
}

// A comparison that every key, present or not, satisfies, or that none does.
void MakeConstant(bool satisfied, coord::Compare* compare) {
  compare->target = coord::Compare::Target::kVersion;
  compare->result = satisfied ? coord::Compare::Result::kGreater : coord::Compare::Result::kLess;
  compare->number = satisfied ? -1 : 0;
}

coord::Compare CompareFromWire(etcdserverpb::Compare* wire) {
  coord::Compare compare;
  compare.key = std::move(*wire->mutable_key());
  compare.end = std::move(*wire->mutable_range_end());
  // etcd's rules for enumerators that it does not know: such a result holds, such a target equals whatever was given.
  if (!etcdserverpb::Compare::CompareResult_IsValid(wire->result())) {
    MakeConstant(true, &compare);
    return compare;
  }
  if (!etcdserverpb::Compare::CompareTarget_IsValid(wire->target())) {
    MakeConstant(wire->result() == etcdserverpb::Compare::EQUAL, &compare);
    return compare;
  }
  compare.result = static_cast<coord::Compare::Result>(wire->result());
  compare.target = static_cast<coord::Compare::Target>(wire->target());
  // A value that is not the target's is as none: the getters then give zero.
  switch (compare.target) {
    case coord::Compare::Target::kVersion:
      compare.number = wire->version();
      break;
    case coord::Compare::Target::kCreate:
      compare.number = wire->create_revision();
      break;
    case coord::Compare::Target::kMod:
      compare.number = wire->mod_revision();
      break;
    case coord::Compare::Target::kLease:
      compare.number = wire->lease();
      break;
    case coord::Compare::Target::kValue:
      if (wire->has_value()) compare.value = std::move(*wire->mutable_value());
      break;
  }
  return compare;
}

std::vector<coord::RequestOp> OperationsFromWire(google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>* wire) {
  std::vector<coord::RequestOp> operations;
  operations.reserve(static_cast<std::size_t>(wire->size()));
  for (etcdserverpb::RequestOp& operation : *wire) {
    switch (operation.request_case()) {
      case etcdserverpb::RequestOp::kRequestRange:
        operations.emplace_back(etcd::FromWire(operation.mutable_request_range()));
        break;
      case etcdserverpb::RequestOp::kRequestPut:
        operations.emplace_back(etcd::FromWire(operation.mutable_request_put()));
        break;
      case etcdserverpb::RequestOp::kRequestDeleteRange:
        operations.emplace_back(etcd::FromWire(operation.mutable_request_delete_range()));
        break;
      case etcdserverpb::RequestOp::kRequestTxn:
        operations.emplace_back(
            std::make_shared<const coord::TxnRequest>(etcd::FromWire(operation.mutable_request_txn())));
        break;
      case etcdserverpb::RequestOp::REQUEST_NOT_SET:
        operations.emplace_back(std::shared_ptr<const coord::TxnRequest>());
        break;
    }
  }
  return operations;
}

bool AreSerializable(const google::protobuf::RepeatedPtrField<etcdserverpb::RequestOp>& operations) {
  for (const etcdserverpb::RequestOp& operation : operations) {
    if (!operation.request_range().serializable()) return false;
  }
  return true;
}

// Whether the transaction made a record, and so took a revision.
bool Changed(const coord::TxnResponse& response) {
  for (const coord::ResponseOp& operation : response.responses) {
    const bool changed = std::visit(
        Overloaded{[](const coord::RangeResponse&) { return false; }, [](const coord::PutResponse&) { return true; },
                   [](const coord::DeleteRangeResponse& deletion) { return deletion.deleted > 0; },
                   [](const std::shared_ptr<const coord::TxnResponse>& nested) { return Changed(*nested); }},
        operation);
    if (changed) return true;
  }
  return false;
}

// Walks the operations in their order: before the first change the store is still at the revision it began with.
class TxnResponseWriter {
 public:
  TxnResponseWriter(Revision before, Revision after) : revision_(before), after_(after) {}

  void Write(const coord::TxnResponse& response, etcdserverpb::TxnResponse* wire) {
    wire->mutable_header();  // of a nested one: present and empty
    wire->set_succeeded(response.succeeded);
    wire->mutable_responses()->Reserve(static_cast<int>(response.responses.size()));
    for (const coord::ResponseOp& operation : response.responses) Write(operation, wire->add_responses());
  }

 private:
  void Write(const coord::ResponseOp& operation, etcdserverpb::ResponseOp* wire) {
    std::visit(Overloaded{[&](const coord::RangeResponse& range) {
                            ToWire(range, wire->mutable_response_range());
                            wire->mutable_response_range()->mutable_header()->set_revision(revision_);
                          },
                          [&](const coord::PutResponse& put) {
                            revision_ = after_;
                            ToWire(put, wire->mutable_response_put());
                            wire->mutable_response_put()->mutable_header()->set_revision(revision_);
                          },
                          [&](const coord::DeleteRangeResponse& deletion) {
                            if (deletion.deleted > 0) revision_ = after_;
                            ToWire(deletion, wire->mutable_response_delete_range());
                            wire->mutable_response_delete_range()->mutable_header()->set_revision(revision_);
                          },
                          [&](const std::shared_ptr<const coord::TxnResponse>& nested) {
                            Write(*nested, wire->mutable_response_txn());
                          }},
               operation);
  }

  Revision revision_;
  Revision after_;
};

}  // namespace

coord::RangeRequest FromWire(etcdserverpb::RangeRequest* wire) {
  coord::RangeRequest request;
  request.key = std::move(*wire->mutable_key());
  request.end = std::move(*wire->mutable_range_end());
  request.limit = wire->limit();
  request.revision = wire->revision();
  request.order = SortOrderFromWire(wire->sort_order());
  request.target = SortTargetFromWire(wire->sort_target());
  request.keys_only = wire->keys_only();
  request.count_only = wire->count_only();
  request.min_mod = wire->min_mod_revision();
  request.max_mod = wire->max_mod_revision();
  request.min_create = wire->min_create_revision();
  request.max_create = wire->max_create_revision();
  return request;
}

coord::PutRequest FromWire(etcdserverpb::PutRequest* wire) {
  coord::PutRequest request;
  request.key = std::move(*wire->mutable_key());
  request.value = Bytes(std::move(*wire->mutable_value()));
  request.lease = wire->lease();
  request.prev_kv = wire->prev_kv();
  request.ignore_value = wire->ignore_value();
  request.ignore_lease = wire->ignore_lease();
  return request;
}

coord::DeleteRangeRequest FromWire(etcdserverpb::DeleteRangeRequest* wire) {
  coord::DeleteRangeRequest request;
  request.key = std::move(*wire->mutable_key());
  request.end = std::move(*wire->mutable_range_end());
  request.prev_kv = wire->prev_kv();
  return request;
}

coord::TxnRequest FromWire(etcdserverpb::TxnRequest* wire) {
  coord::TxnRequest request;
  request.compares.reserve(static_cast<std::size_t>(wire->compare_size()));
  for (etcdserverpb::Compare& compare : *wire->mutable_compare()) {
    request.compares.push_back(CompareFromWire(&compare));
  }
  request.success = OperationsFromWire(wire->mutable_success());
  request.failure = OperationsFromWire(wire->mutable_failure());
  return request;
}

bool IsSerializable(const etcdserverpb::TxnRequest& wire) {
  return AreSerializable(wire.success()) && AreSerializable(wire.failure());
}

void ToWire(const store::KeyValue& kv, mvccpb::KeyValue* wire) {
  wire->set_key(kv.key.data(), kv.key.size());
  wire->set_create_revision(kv.create_revision);
  wire->set_mod_revision(kv.mod_revision);
  wire->set_version(kv.version);
  wire->set_value(kv.value.data(), kv.value.size());
  wire->set_lease(kv.lease);
}

void ToWire(const coord::RangeResponse& response, etcdserverpb::RangeResponse* wire) {
  wire->mutable_kvs()->Reserve(static_cast<int>(response.kvs.size()));
  for (const store::KeyValue& kv : response.kvs) ToWire(kv, wire->add_kvs());
  wire->set_more(response.more);
  wire->set_count(response.count);
}

void ToWire(const coord::PutResponse& response, etcdserverpb::PutResponse* wire) {
  if (response.prev_kv.has_value()) ToWire(*response.prev_kv, wire->mutable_prev_kv());
}

void ToWire(const coord::DeleteRangeResponse& response, etcdserverpb::DeleteRangeResponse* wire) {
  wire->set_deleted(response.deleted);
  for (const store::KeyValue& kv : response.prev_kvs) ToWire(kv, wire->add_prev_kvs());
}

void ToWire(const coord::TxnResponse& response, Revision revision, etcdserverpb::TxnResponse* wire) {
  TxnResponseWriter(Changed(response) ? revision - 1 : revision, revision).Write(response, wire);
}

std::string_view AlarmName(coord::AlarmType type) {
  switch (type) {
    case coord::AlarmType::kNone:
      return "NONE";
    case coord::AlarmType::kNoSpace:
      return "NOSPACE";
    case coord::AlarmType::kCorrupt:
      return "CORRUPT";
  }
  return "UNKNOWN";
}

void FillHeader(const coord::Backend& backend, Revision revision, etcdserverpb::ResponseHeader* header) {
  const coord::ClusterView view = backend.cluster();
  header->set_cluster_id(view.cluster.value);
  header->set_member_id(view.self.value);
  header->set_revision(revision);
  header->set_raft_term(view.term);
}

}  // namespace quorate::frontend::etcd
