// Members: the member table, kMembership. Who should belong to the cluster, and what each member published about
// itself. Consensus follows it (server/reconfiguration.h); clients are told it.
//
// Owned by Machine. Thread rule: the owner's thread.
//
// Invariants:
//  1. An id that was removed stays in the table as a tombstone: it is never a member again.
//  2. No two members share a peer URL (etcd's rule).
//  3. Up to feature level 1 the table holds what members published, nothing else: only the first members exist.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "coord/cluster/types.h"
#include "coord/tables.h"

namespace quorate::coord {

class Members {
 public:
  explicit Members(Tables& tables);  // reads kMembership

  // Name and client URLs of a member. Up to level 1, of anybody: the table follows the members then.
  Result<PublishMemberResponse> Publish(const PublishMember& member, std::uint32_t level);
  // Those that are not in the table yet.
  void Enter(const std::vector<InitialMember>& members);

  // etcd's checks, in etcd's order, with etcd's errors. `level` 1 has none of these.
  Result<MembersResponse> Execute(const AddMember& add);
  Result<MembersResponse> Execute(const RemoveMember& remove);
  Result<MembersResponse> Execute(const UpdateMember& update);
  Result<MembersResponse> Execute(const PromoteMember& promote);
  Result<MembersResponse> Execute(const ReplaceMember& replace);

  std::vector<MemberInfo> All() const;                // ascending by id
  std::vector<ReplicaId> Removed() const;             // ascending
  bool empty() const { return live_ == 0; }           // nobody but tombstones
  std::uint64_t changes() const { return changes_; }  // rises with every change in this life of the process

 private:
  struct Row {
    std::uint8_t format = 0;
    bool removed = false;
    MemberInfo info;  // of a tombstone: the id alone
  };
  using Rows = std::map<ReplicaId, Row>;

  static std::string Encode(const Row& row);
  const Row* Find(ReplicaId id) const;  // of a member
  void Store(ReplicaId id, Row row);
  void Remove(ReplicaId id);
  MembersResponse Response() const { return {All()}; }
  // Whether `member` may come in: its id is new, its URLs are nobody's but `leaving`'s.
  Status CheckNew(ReplicaId id, const std::vector<std::string>& peer_urls, ReplicaId leaving) const;
  Status CheckUrls(const std::vector<std::string>& peer_urls, ReplicaId but) const;

  Tables& tables_;
  Rows rows_;
  std::size_t live_ = 0;
  std::uint64_t changes_ = 0;
};

}  // namespace quorate::coord
