// KvExecutor: executes the kv model's commands on Mvcc.
//
// Owned by Machine. Thread rule: the owner's thread. Each Execute is in two steps: everything that can be refused is
// refused before the first write, then it runs and cannot fail. On success a transaction is open on Mvcc, and the
// caller commits it; on failure none is.
//
// Within a transaction (etcd's rules): all compares, nested ones too, look at the state before it; operations see what
// earlier ones of the same transaction wrote; a range's revision is checked against the state before it.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "coord/kv/types.h"
#include "coord/session/sessions.h"
#include "store/mvcc.h"

namespace quorate::coord {

class KvExecutor {
 public:
  KvExecutor(store::Mvcc& mvcc, Sessions& sessions) : mvcc_(mvcc), sessions_(sessions) {}

  Result<PutResponse> Execute(const PutRequest& request);
  Result<DeleteRangeResponse> Execute(const DeleteRangeRequest& request);
  Result<TxnResponse> Execute(const TxnRequest& request);

  // Notes in `reads` what Execute would have to read from the engine. Nothing noted: it is all in memory. What it notes
  // may depend on what is already there: ask again once it is loaded.
  void Need(const PutRequest& request, store::ReadSet* reads) const;
  void Need(const DeleteRangeRequest& request, store::ReadSet* reads) const;
  void Need(const TxnRequest& request, store::ReadSet* reads) const;

 private:
  // The branches that the compares chose, of a transaction and of those nested in the chosen branches, in the order in
  // which a walk meets them.
  using Path = std::vector<bool>;

  void Choose(const TxnRequest& request, Path* path, store::ReadSet* reads) const;
  void Need(const TxnRequest& request, const Path& path, std::size_t* at, store::ReadSet* reads) const;
  Status Validate(const PutRequest& request) const;
  Status Validate(const TxnRequest& request, const Path& path, std::size_t* at) const;

  PutResponse Run(const PutRequest& request);
  DeleteRangeResponse Run(const DeleteRangeRequest& request);
  TxnResponse Run(const TxnRequest& request, const Path& path, std::size_t* at);

  bool Delete(std::string_view key);
  void RunFirstOp(const std::vector<RequestOp>& ops);  // of a seeded bug

  store::Mvcc& mvcc_;
  Sessions& sessions_;
};

// A transaction of plain ranges, on local state, outside the log.
Result<TxnResponse> ExecuteReadTxn(const store::Mvcc& mvcc, const TxnRequest& request, store::ReadSet* reads,
                                   store::ReadBudget* budget = nullptr);

// A command brings no more than this of the keyspace into memory: values that it compares, ranges that it reads,
// previous values that it answers with. Sizes are in the index of every member, so all refuse the same commands.
inline constexpr std::uint64_t kReadBytesMax = 64 << 20;
Status CheckReadBytes(const store::Mvcc& mvcc, const PutRequest& request);
Status CheckReadBytes(const store::Mvcc& mvcc, const DeleteRangeRequest& request);
Status CheckReadBytes(const store::Mvcc& mvcc, const TxnRequest& request);
// What that is judged by.
std::uint64_t ReadBytes(const store::Mvcc& mvcc, const PutRequest& request);
std::uint64_t ReadBytes(const store::Mvcc& mvcc, const DeleteRangeRequest& request);
std::uint64_t ReadBytes(const store::Mvcc& mvcc, const RangeRequest& request);
std::uint64_t ReadBytes(const store::Mvcc& mvcc, const TxnRequest& request);

}  // namespace quorate::coord
