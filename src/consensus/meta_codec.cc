#include "consensus/meta_codec.h"

namespace quorate::consensus {

void PutReplicas(const std::vector<ReplicaId>& replicas, Writer* out) {
  out->PutVarint(replicas.size());
  for (const ReplicaId replica : replicas) out->PutId(replica);
}

std::vector<ReplicaId> GetReplicas(Reader* in) {
  std::vector<ReplicaId> replicas(in->GetCount());
  for (ReplicaId& replica : replicas) replica = in->GetId<ReplicaId>();
  return replicas;
}

void PutSnapshotMeta(const SnapshotMeta& meta, Writer* out) {
  out->PutVarint(meta.id);
  out->PutId(meta.last);
  out->PutVarint(meta.ballot.number);
  out->PutId(meta.ballot.owner);
  PutReplicas(meta.members.voters, out);
  PutReplicas(meta.members.outgoing, out);
  PutReplicas(meta.members.learners, out);
}

SnapshotMeta GetSnapshotMeta(Reader* in) {
  SnapshotMeta meta;
  meta.id = in->GetVarint();
  meta.last = in->GetId<LogIndex>();
  meta.ballot.number = in->GetVarint();
  meta.ballot.owner = in->GetId<ReplicaId>();
  meta.members.voters = GetReplicas(in);
  meta.members.outgoing = GetReplicas(in);
  meta.members.learners = GetReplicas(in);
  return meta;
}

}  // namespace quorate::consensus
