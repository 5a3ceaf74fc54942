// Reading ranges and evaluating compares: the parts of the kv model that change nothing.
//
// Used by the kv executor (within transactions) and by Machine's reads. Stateless; thread rule: Mvcc's. With a ReadSet
// that has something missing afterwards, what they gave means nothing (store/mvcc.h).
#pragma once

#include "base/result.h"
#include "coord/kv/types.h"
#include "store/mvcc.h"

namespace quorate::coord {

// Whether `revision` can be read: etcd's errors for a future and for a compacted one. 0 is the newest.
Status CheckRevision(const store::Mvcc& mvcc, Revision revision);

// REQUIRES a readable revision (<= 0 = the newest, an open transaction's writes included). Means nothing once `budget`
// is exceeded.
RangeResponse ExecuteRange(const store::Mvcc& mvcc, const RangeRequest& request, store::ReadSet* reads,
                           store::ReadBudget* budget = nullptr);

// How many keys of the range ExecuteRange reads at most; 0 = all.
std::int64_t LimitOfReading(const RangeRequest& request);

// Whether every compare holds. A missing key has version, revisions and lease 0; its value equals nothing.
bool ComparesHold(const store::Mvcc& mvcc, const std::vector<Compare>& compares, store::ReadSet* reads);

}  // namespace quorate::coord
