#include "coord/kv/range.h"

#include <algorithm>
#include <compare>
#include <limits>
#include <utility>

#include "base/bug.h"
#include "coord/errors.h"

namespace quorate::coord {
namespace {

using store::KeyValue;
using Order = RangeRequest::SortOrder;
using Target = RangeRequest::SortTarget;

bool HasRevisionBounds(const RangeRequest& request) {
  return request.min_mod != 0 || request.max_mod != 0 || request.min_create != 0 || request.max_create != 0;
}

bool WithinBounds(const RangeRequest& request, const KeyValue& kv) {
  return (request.max_mod == 0 || kv.mod_revision <= request.max_mod) &&
         (request.min_mod == 0 || kv.mod_revision >= request.min_mod) &&
         (request.max_create == 0 || kv.create_revision <= request.max_create) &&
         (request.min_create == 0 || kv.create_revision >= request.min_create);
}

std::strong_ordering CompareBy(Target target, const KeyValue& a, const KeyValue& b) {
  switch (target) {
    case Target::kKey:
      return a.key <=> b.key;
    case Target::kVersion:
      return a.version <=> b.version;
    case Target::kCreate:
      return a.create_revision <=> b.create_revision;
    case Target::kMod:
      return a.mod_revision <=> b.mod_revision;
    case Target::kValue:
      return a.value <=> b.value;
  }
  return std::strong_ordering::equal;
}

// Equal ones stay in key order, in both directions.
void Sort(Target target, Order order, std::vector<KeyValue>* kvs) {
  std::stable_sort(kvs->begin(), kvs->end(), [&](const KeyValue& a, const KeyValue& b) {
    const std::strong_ordering ordering = CompareBy(target, a, b);
    return order == Order::kDescend ? ordering > 0 : ordering < 0;
  });
}

std::strong_ordering CompareTarget(const Compare& compare, const KeyValue& kv) {
  switch (compare.target) {
    case Compare::Target::kVersion:
      return kv.version <=> compare.number;
    case Compare::Target::kCreate:
      return kv.create_revision <=> compare.number;
    case Compare::Target::kMod:
      return kv.mod_revision <=> compare.number;
    case Compare::Target::kLease:
      return kv.lease <=> compare.number;
    case Compare::Target::kValue:
      return kv.value.view() <=> std::string_view(compare.value);
  }
  return std::strong_ordering::equal;  // as etcd answers a target that it does not know
}

bool Holds(const Compare& compare, const KeyValue& kv) {
  const std::strong_ordering ordering = CompareTarget(compare, kv);
  switch (compare.result) {
    case Compare::Result::kEqual:
      return ordering == 0;
    case Compare::Result::kNotEqual:
      return ordering != 0;
    case Compare::Result::kGreater:
      return ordering > 0;
    case Compare::Result::kLess:
      return ordering < 0;
  }
  return true;  // as etcd answers an operator that it does not know
}

bool MissingHolds(const Compare& compare) {
  return compare.target != Compare::Target::kValue && Holds(compare, KeyValue{});
}

bool Holds(const store::Mvcc& mvcc, const Compare& compare, store::ReadSet* reads) {
  Revision at = 0;
  if (QUORATE_BUG(coord_compare_at_previous_revision) && mvcc.revision() > mvcc.compact_revision() + 1) {
    at = mvcc.revision() - 1;
  }
  if (compare.end.empty()) {
    const bool meta = compare.target != Compare::Target::kValue && at == 0;
    const std::optional<KeyValue> kv = meta ? mvcc.GetMeta(compare.key) : mvcc.Get(compare.key, at, reads);
    return kv ? Holds(compare, *kv) : MissingHolds(compare);
  }
  const store::RangeResult range = mvcc.Range(
      compare.key, compare.end, {.revision = at, .keys_only = compare.target != Compare::Target::kValue}, reads);
  if (range.kvs.empty()) return MissingHolds(compare);
  return std::all_of(range.kvs.begin(), range.kvs.end(), [&](const KeyValue& kv) { return Holds(compare, kv); });
}

}  // namespace

Status CheckRevision(const store::Mvcc& mvcc, Revision revision) {
  if (revision == 0) return {};
  if (revision > mvcc.revision()) return errors::FutureRevision();
  // etcd's store that was never compacted says it was at -1, so that -1 is not refused.
  const Revision compacted = mvcc.compact_revision() > 0 ? mvcc.compact_revision() : -1;
  if (revision < compacted) return errors::Compacted();
  return {};
}

// One more tells whether there are more. Without an order the limit counts in key order, whatever the target: etcd cuts
// there, and then sorts what is left.
std::int64_t LimitOfReading(const RangeRequest& request) {
  const bool limited = request.limit > 0 && request.limit < std::numeric_limits<std::int64_t>::max();
  const bool in_key_order = request.order == Order::kAscend && request.target == Target::kKey;
  const bool cut_first = request.order == Order::kNone || in_key_order;
  return limited && cut_first && !HasRevisionBounds(request) ? request.limit + 1 : 0;
}

RangeResponse ExecuteRange(const store::Mvcc& mvcc, const RangeRequest& request, store::ReadSet* reads,
                           store::ReadBudget* budget) {
  const Order order = request.order == Order::kNone && request.target != Target::kKey ? Order::kAscend : request.order;
  const bool sorted = order != Order::kNone && !(request.target == Target::kKey && order == Order::kAscend);
  const bool bounded = HasRevisionBounds(request);
  const bool limited = request.limit > 0 && request.limit < std::numeric_limits<std::int64_t>::max();

  store::RangeOptions options;
  options.revision = std::max<Revision>(request.revision, 0);
  options.limit = LimitOfReading(request);
  options.keys_only = request.keys_only && request.target != Target::kValue;
  options.count_only = request.count_only;
  options.budget = budget;
  store::RangeResult range = mvcc.Range(request.key, request.end, options, reads);

  RangeResponse response;
  response.count = range.count;
  response.kvs = std::move(range.kvs);
  if (bounded) std::erase_if(response.kvs, [&](const KeyValue& kv) { return !WithinBounds(request, kv); });
  if (sorted) Sort(request.target, order, &response.kvs);
  if (limited && response.kvs.size() > static_cast<std::size_t>(request.limit)) {
    response.kvs.resize(static_cast<std::size_t>(request.limit));
    response.more = true;
  }
  if (request.keys_only && !options.keys_only) {
    for (KeyValue& kv : response.kvs) kv.value = Bytes();
  }
  return response;
}

bool ComparesHold(const store::Mvcc& mvcc, const std::vector<Compare>& compares, store::ReadSet* reads) {
  return std::all_of(compares.begin(), compares.end(),
                     [&](const Compare& compare) { return Holds(mvcc, compare, reads); });
}

}  // namespace quorate::coord
