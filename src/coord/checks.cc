// The checks that need no state: etcd's, in etcd's order, with etcd's texts.
#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string_view>

#include "coord/errors.h"
#include "coord/machine.h"

namespace quorate::coord {
namespace {

// The keys that one branch puts, and those that it deletes. Deleted ranges are kept merged, so that a check is one
// look-up however many a hostile request carries.
//
// etcd compares the bounds as plain strings here: a range whose end is not above its start (the open end "\0" is such a
// one) overlaps nothing.
class Touched {
 public:
  bool Deletes(std::string_view key) const {
    if (points_.contains(key)) return true;
    auto after = ranges_.upper_bound(key);
    return after != ranges_.begin() && key < std::prev(after)->second;
  }
  void AddDelete(std::string_view key, std::string_view end) {
    if (end.empty()) {
      points_.insert(key);
    } else if (key < end) {
      AddRange(key, end);
    }
  }
  void AddDeletesOf(const Touched& other) {
    points_.insert(other.points_.begin(), other.points_.end());
    for (const auto& [begin, end] : other.ranges_) AddRange(begin, end);
  }
  bool Puts(std::string_view key) const { return puts_.contains(key); }
  const std::set<std::string_view>& puts() const { return puts_; }

  Status AddPut(std::string_view key) {
    if (Deletes(key) || !puts_.insert(key).second) return errors::DuplicateKey();
    return {};
  }
  // The puts of a nested transaction's two branches, of which one runs: they may overlap each other.
  Status AddPutsOf(const Touched& then, const Touched& otherwise) {
    for (const std::string_view key : then.puts_) RETURN_IF_ERROR(AddPut(key));
    for (const std::string_view key : otherwise.puts_) {
      if (!then.Puts(key)) RETURN_IF_ERROR(AddPut(key));
    }
    return {};
  }

 private:
  void AddRange(std::string_view begin, std::string_view end) {
    auto next = ranges_.upper_bound(begin);
    if (next != ranges_.begin() && std::prev(next)->second >= begin) {
      --next;
      begin = next->first;
    }
    while (next != ranges_.end() && next->first <= end) {
      end = std::max(end, next->second);
      next = ranges_.erase(next);
    }
    ranges_.emplace(begin, end);
  }

  std::set<std::string_view> puts_;
  std::set<std::string_view> points_;
  std::map<std::string_view, std::string_view> ranges_;  // disjoint
};

// Nested transactions' deletes count after all nested puts of the level were seen in turn, as in etcd: an earlier
// nested delete meets a later nested put, the reverse order does not.
Status CheckOverlap(const std::vector<RequestOp>& ops, Touched* touched) {
  for (const RequestOp& op : ops) {
    const auto* erase = std::get_if<DeleteRangeRequest>(&op);
    if (erase != nullptr) touched->AddDelete(erase->key, erase->end);
  }
  for (const RequestOp& op : ops) {
    const auto* nested = std::get_if<std::shared_ptr<const TxnRequest>>(&op);
    if (nested == nullptr) continue;
    Touched then, otherwise;
    RETURN_IF_ERROR(CheckOverlap((*nested)->success, &then));
    RETURN_IF_ERROR(CheckOverlap((*nested)->failure, &otherwise));
    RETURN_IF_ERROR(touched->AddPutsOf(then, otherwise));
    touched->AddDeletesOf(then);
    touched->AddDeletesOf(otherwise);
  }
  for (const RequestOp& op : ops) {
    const auto* put = std::get_if<PutRequest>(&op);
    if (put != nullptr) RETURN_IF_ERROR(touched->AddPut(put->key));
  }
  return {};
}

Status CheckOverlap(const std::vector<RequestOp>& ops) {
  if (ops.empty()) return {};
  if (ops.size() == 1 && !std::holds_alternative<std::shared_ptr<const TxnRequest>>(ops.front())) return {};
  Touched touched;
  return CheckOverlap(ops, &touched);
}

Status CheckLevel(const TxnRequest& request, std::size_t budget, std::size_t depth);

Status CheckOps(const std::vector<RequestOp>& ops, std::size_t budget, std::size_t depth) {
  for (const RequestOp& op : ops) {
    if (const auto* range = std::get_if<RangeRequest>(&op)) {
      RETURN_IF_ERROR(CheckRange(*range));
    } else if (const auto* put = std::get_if<PutRequest>(&op)) {
      RETURN_IF_ERROR(CheckPut(*put));
    } else if (const auto* erase = std::get_if<DeleteRangeRequest>(&op)) {
      RETURN_IF_ERROR(CheckDeleteRange(*erase));
    } else {
      const auto& nested = std::get<std::shared_ptr<const TxnRequest>>(op);
      if (nested == nullptr) return errors::KeyNotFound();
      RETURN_IF_ERROR(CheckLevel(*nested, budget, depth + 1));
    }
  }
  return {};
}

// A nested transaction gets the operations that its parent left over.
Status CheckLevel(const TxnRequest& request, std::size_t budget, std::size_t depth) {
  const std::size_t used = std::max({request.compares.size(), request.success.size(), request.failure.size()});
  if (used > budget || depth > kTxnDepthMax) return errors::TooManyOps();
  for (const Compare& compare : request.compares) {
    if (compare.key.empty()) return errors::EmptyKey();
  }
  RETURN_IF_ERROR(CheckOps(request.success, budget - used, depth));
  return CheckOps(request.failure, budget - used, depth);
}

// etcd's estimates of what its storage adds to a record.
constexpr std::uint64_t kRecordOverheadBytes = 256;
constexpr std::uint64_t kLeaseOverheadBytes = 64;

std::uint64_t CostOf(const PutRequest& put) {
  return kRecordOverheadBytes + put.key.size() + put.value.size();
}
std::uint64_t CostOf(const TxnRequest& txn);
std::uint64_t CostOf(const std::vector<RequestOp>& ops) {
  std::uint64_t cost = 0;
  for (const RequestOp& op : ops) {
    if (const auto* put = std::get_if<PutRequest>(&op)) cost += CostOf(*put);
    const auto* nested = std::get_if<std::shared_ptr<const TxnRequest>>(&op);
    if (nested != nullptr && *nested != nullptr) cost += CostOf(**nested);
  }
  return cost;
}
std::uint64_t CostOf(const TxnRequest& txn) {
  return std::max(CostOf(txn.success), CostOf(txn.failure));
}

bool OnlyRanges(const std::vector<RequestOp>& ops) {
  return std::all_of(ops.begin(), ops.end(),
                     [](const RequestOp& op) { return std::holds_alternative<RangeRequest>(op); });
}

}  // namespace

bool IsReadOnly(const TxnRequest& request) {
  return OnlyRanges(request.success) && OnlyRanges(request.failure);
}

bool NeedsSpace(const CommandBody& body) {
  return SpaceCost(body) > 0;
}

std::uint64_t SpaceCost(const CommandBody& body) {
  if (const auto* put = std::get_if<PutRequest>(&body)) return CostOf(*put);
  if (const auto* txn = std::get_if<TxnRequest>(&body)) return CostOf(*txn);
  return std::holds_alternative<LeaseGrantRequest>(body) ? kLeaseOverheadBytes : 0;
}

Status CheckRange(const RangeRequest& request) {
  if (request.key.empty()) return errors::EmptyKey();
  if (request.order > RangeRequest::SortOrder::kDescend || request.target > RangeRequest::SortTarget::kValue) {
    return errors::InvalidSortOption();
  }
  return {};
}

Status CheckPut(const PutRequest& request) {
  if (request.key.empty()) return errors::EmptyKey();
  if (request.ignore_value && !request.value.empty()) return errors::ValueProvided();
  if (request.ignore_lease && request.lease != 0) return errors::LeaseProvided();
  return {};
}

Status CheckDeleteRange(const DeleteRangeRequest& request) {
  if (request.key.empty()) return errors::EmptyKey();
  return {};
}

Status CheckTxn(const TxnRequest& request, std::size_t max_ops) {
  RETURN_IF_ERROR(CheckLevel(request, max_ops, 1));
  RETURN_IF_ERROR(CheckOverlap(request.success));
  return CheckOverlap(request.failure);
}

}  // namespace quorate::coord
