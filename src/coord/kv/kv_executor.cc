#include "coord/kv/kv_executor.h"

#include <limits>
#include <memory>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "coord/errors.h"
#include "coord/kv/range.h"
#include "coord/machine.h"

namespace quorate::coord {
namespace {

using NestedTxn = std::shared_ptr<const TxnRequest>;

// The server's limit on operations is a setting of each member, judged before the log. What is in the log must be
// executed alike everywhere, so here only the limits that are the same everywhere count.
constexpr std::size_t kNoOpsLimit = std::numeric_limits<std::size_t>::max();

const std::vector<RequestOp>& Branch(const TxnRequest& request, bool succeeded) {
  return succeeded ? request.success : request.failure;
}

}  // namespace

Result<PutResponse> KvExecutor::Execute(const PutRequest& request) {
  RETURN_IF_ERROR(CheckPut(request));
  RETURN_IF_ERROR(CheckReadBytes(mvcc_, request));
  RETURN_IF_ERROR(Validate(request));
  mvcc_.Begin();
  return Run(request);
}

Result<DeleteRangeResponse> KvExecutor::Execute(const DeleteRangeRequest& request) {
  RETURN_IF_ERROR(CheckDeleteRange(request));
  RETURN_IF_ERROR(CheckReadBytes(mvcc_, request));
  mvcc_.Begin();
  return Run(request);
}

Result<TxnResponse> KvExecutor::Execute(const TxnRequest& request) {
  RETURN_IF_ERROR(CheckTxn(request, kNoOpsLimit));
  RETURN_IF_ERROR(CheckReadBytes(mvcc_, request));
  Path path;
  Choose(request, &path, nullptr);
  std::size_t at = 0;
  if (Status valid = Validate(request, path, &at); !valid.ok()) {
    if (QUORATE_BUG(coord_txn_partial_apply)) RunFirstOp(Branch(request, path.front()));
    return valid;
  }
  at = 0;
  mvcc_.Begin();
  TxnResponse response = Run(request, path, &at);
  if (QUORATE_BUG(coord_cas_compares_after_write)) response.succeeded = ComparesHold(mvcc_, request.compares, nullptr);
  return response;
}

void KvExecutor::Choose(const TxnRequest& request, Path* path, store::ReadSet* reads) const {
  const bool succeeded = ComparesHold(mvcc_, request.compares, reads);
  path->push_back(succeeded);
  for (const RequestOp& op : Branch(request, succeeded)) {
    if (const auto* nested = std::get_if<NestedTxn>(&op)) Choose(**nested, path, reads);
  }
}

Status KvExecutor::Validate(const PutRequest& request) const {
  if (request.lease != 0 && !sessions_.Exists(request.lease)) return errors::LeaseNotFound();
  if ((request.ignore_value || request.ignore_lease) && !mvcc_.Exists(request.key)) return errors::KeyNotFound();
  return {};
}

Status KvExecutor::Validate(const TxnRequest& request, const Path& path, std::size_t* at) const {
  for (const RequestOp& op : Branch(request, path[(*at)++])) {
    if (const auto* range = std::get_if<RangeRequest>(&op)) {
      RETURN_IF_ERROR(CheckRevision(mvcc_, range->revision));
    } else if (const auto* put = std::get_if<PutRequest>(&op)) {
      RETURN_IF_ERROR(Validate(*put));
    } else if (const auto* nested = std::get_if<NestedTxn>(&op)) {
      RETURN_IF_ERROR(Validate(**nested, path, at));
    }
  }
  return {};
}

PutResponse KvExecutor::Run(const PutRequest& request) {
  Bytes value = request.value;
  std::int64_t lease = request.lease;
  PutResponse response;
  if (request.prev_kv || request.ignore_value || request.ignore_lease) {
    const bool whole = request.prev_kv || request.ignore_value;
    std::optional<store::KeyValue> previous = whole ? mvcc_.Get(request.key) : mvcc_.GetMeta(request.key);
    // Missing after validation only if an earlier operation of the same transaction deleted it by an open range, which
    // the overlap check does not see; etcd fails there, here nothing is kept.
    if (previous) {
      if (request.ignore_value) value = previous->value;
      if (request.ignore_lease) lease = previous->lease;
    }
    if (request.prev_kv) response.prev_kv = std::move(previous);
  }
  mvcc_.Put(request.key, std::move(value), lease);
  sessions_.Attach(request.key, lease);
  return response;
}

bool KvExecutor::Delete(std::string_view key) {
  const bool existed = mvcc_.Delete(key);
  if (existed) sessions_.Detach(key);
  return existed;
}

DeleteRangeResponse KvExecutor::Run(const DeleteRangeRequest& request) {
  DeleteRangeResponse response;
  if (request.end.empty() && !request.prev_kv) {
    response.deleted = Delete(request.key) ? 1 : 0;
    return response;
  }
  store::RangeResult range = mvcc_.Range(request.key, request.end, {.keys_only = !request.prev_kv});
  for (const store::KeyValue& kv : range.kvs) CHECK(Delete(kv.key.view())) << "the range named a key that is not there";
  response.deleted = range.count;
  if (request.prev_kv) response.prev_kvs = std::move(range.kvs);
  return response;
}

void KvExecutor::RunFirstOp(const std::vector<RequestOp>& ops) {
  const auto* put = std::get_if<PutRequest>(&ops.front());
  if (put == nullptr || !Validate(*put).ok()) return;
  mvcc_.Begin();
  Run(*put);
}

TxnResponse KvExecutor::Run(const TxnRequest& request, const Path& path, std::size_t* at) {
  TxnResponse response;
  response.succeeded = path[(*at)++];
  const std::vector<RequestOp>& ops = Branch(request, response.succeeded);
  response.responses.reserve(ops.size());
  for (const RequestOp& op : ops) {
    if (const auto* range = std::get_if<RangeRequest>(&op)) {
      response.responses.emplace_back(ExecuteRange(mvcc_, *range, nullptr));
    } else if (const auto* put = std::get_if<PutRequest>(&op)) {
      response.responses.emplace_back(Run(*put));
    } else if (const auto* erase = std::get_if<DeleteRangeRequest>(&op)) {
      response.responses.emplace_back(Run(*erase));
    } else {
      const TxnRequest& nested = *std::get<NestedTxn>(op);
      response.responses.emplace_back(std::make_shared<const TxnResponse>(Run(nested, path, at)));
    }
  }
  return response;
}

void KvExecutor::Need(const PutRequest& request, store::ReadSet* reads) const {
  if (request.prev_kv || request.ignore_value) mvcc_.Get(request.key, 0, reads);
}

void KvExecutor::Need(const DeleteRangeRequest& request, store::ReadSet* reads) const {
  if (request.prev_kv && CheckReadBytes(mvcc_, request).ok()) mvcc_.Range(request.key, request.end, {}, reads);
}

void KvExecutor::Need(const TxnRequest& request, store::ReadSet* reads) const {
  if (!CheckTxn(request, kNoOpsLimit).ok() || !CheckReadBytes(mvcc_, request).ok()) return;
  Path path;
  Choose(request, &path, reads);
  if (!reads->missing.empty()) return;  // which branches are taken is not known yet
  std::size_t at = 0;
  Need(request, path, &at, reads);
}

// Against the state before the transaction: what its own operations write is in memory anyway.
void KvExecutor::Need(const TxnRequest& request, const Path& path, std::size_t* at, store::ReadSet* reads) const {
  for (const RequestOp& op : Branch(request, path[(*at)++])) {
    if (const auto* range = std::get_if<RangeRequest>(&op)) {
      if (CheckRevision(mvcc_, range->revision).ok()) ExecuteRange(mvcc_, *range, reads);
    } else if (const auto* put = std::get_if<PutRequest>(&op)) {
      Need(*put, reads);
    } else if (const auto* erase = std::get_if<DeleteRangeRequest>(&op)) {
      Need(*erase, reads);
    } else {
      Need(*std::get<NestedTxn>(op), path, at, reads);
    }
  }
}

std::uint64_t ReadBytes(const store::Mvcc& mvcc, const PutRequest& request) {
  return request.prev_kv || request.ignore_value ? mvcc.SizeOf(request.key, {}) : 0;
}
std::uint64_t ReadBytes(const store::Mvcc& mvcc, const DeleteRangeRequest& request) {
  return request.prev_kv ? mvcc.SizeOf(request.key, request.end) : 0;
}
std::uint64_t ReadBytes(const store::Mvcc& mvcc, const RangeRequest& request) {
  if (request.count_only || request.keys_only || !CheckRevision(mvcc, request.revision).ok()) return 0;
  return mvcc.SizeOf(request.key, request.end, request.revision > 0 ? request.revision : 0, LimitOfReading(request));
}

namespace {

std::uint64_t ReadBytes(const store::Mvcc& mvcc, const NestedTxn& request) {
  return request == nullptr ? 0 : coord::ReadBytes(mvcc, *request);
}

}  // namespace

// Both branches count: which one is taken may be known only after the values were read.
std::uint64_t ReadBytes(const store::Mvcc& mvcc, const TxnRequest& request) {
  std::uint64_t bytes = 0;
  for (const Compare& compare : request.compares) {
    if (compare.target == Compare::Target::kValue) bytes += mvcc.SizeOf(compare.key, compare.end);
  }
  for (const auto* branch : {&request.success, &request.failure}) {
    for (const RequestOp& op : *branch) {
      bytes += std::visit([&](const auto& inner) { return ReadBytes(mvcc, inner); }, op);
    }
  }
  return bytes;
}

namespace {

template <class Request>
Status CheckBytes(const store::Mvcc& mvcc, const Request& request) {
  return ReadBytes(mvcc, request) > kReadBytesMax ? errors::ReadsTooMuch() : Status();
}

}  // namespace

Status CheckReadBytes(const store::Mvcc& mvcc, const PutRequest& request) {
  return CheckBytes(mvcc, request);
}
Status CheckReadBytes(const store::Mvcc& mvcc, const DeleteRangeRequest& request) {
  return CheckBytes(mvcc, request);
}
Status CheckReadBytes(const store::Mvcc& mvcc, const TxnRequest& request) {
  return CheckBytes(mvcc, request);
}

Result<TxnResponse> ExecuteReadTxn(const store::Mvcc& mvcc, const TxnRequest& request, store::ReadSet* reads,
                                   store::ReadBudget* budget) {
  TxnResponse response;
  response.succeeded = ComparesHold(mvcc, request.compares, reads);
  const std::vector<RequestOp>& ops = Branch(request, response.succeeded);
  for (const RequestOp& op : ops) RETURN_IF_ERROR(CheckRevision(mvcc, std::get<RangeRequest>(op).revision));
  response.responses.reserve(ops.size());
  for (const RequestOp& op : ops) {
    response.responses.emplace_back(ExecuteRange(mvcc, std::get<RangeRequest>(op), reads, budget));
  }
  return response;
}

}  // namespace quorate::coord
