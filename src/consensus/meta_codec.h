// How the values of core.h that say who takes part and where a snapshot ends are written: one encoding for log records,
// snapshot files and messages, whose formats carry the version.
//
// Called by the protocols, wal/ and replica/. Plain functions, no thread rule. Reading garbage fails the Reader and
// never reads past its input.
#pragma once

#include <vector>

#include "base/codec.h"
#include "base/ids.h"
#include "consensus/core.h"

namespace quorate::consensus {

void PutReplicas(const std::vector<ReplicaId>& replicas, Writer* out);
std::vector<ReplicaId> GetReplicas(Reader* in);

void PutSnapshotMeta(const SnapshotMeta& meta, Writer* out);
SnapshotMeta GetSnapshotMeta(Reader* in);

}  // namespace quorate::consensus
