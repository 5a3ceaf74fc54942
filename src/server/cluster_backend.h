// ClusterBackend: coord::Backend over a replica::Group. Where the group's fates become etcd's error texts, and where
// the member that was asked judges what only it can: whether its quota has room, and whether enough of the others can
// be reached for a change of members.
//
// Made by Node. Thread rule: the reactor's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coord/backend.h"
#include "env/executor.h"
#include "replica/group.h"
#include "replica/member_snapshots.h"
#include "server/config.h"

namespace quorate::server {

class ClusterBackend final : public coord::Backend {
 public:
  struct Surroundings {
    std::function<std::set<ReplicaId>()> linked;     // the peers that can be reached now
    std::function<std::set<ReplicaId>()> caught_up;  // the learners that could vote; looked at on the leader only
    std::function<Status()> prepare_to_grow;         // before the first other member is added
  };
  ClusterBackend(const ServeConfig& config, replica::Group& group, coord::Machine& machine, env::Executor& executor,
                 Surroundings surroundings);

  void Propose(const coord::RequestContext& context, coord::Command command,
               std::function<void(Result<coord::CommandOutcome>)> done) override;
  void ReadBarrier(const coord::RequestContext& context, std::function<void(Status)> done) override;
  coord::Machine& machine() override { return machine_; }
  coord::ClusterView cluster() const override;
  std::vector<coord::MemberInfo> members() const override;
  void MoveLeader(const coord::RequestContext& context, ReplicaId to, std::function<void(Status)> done) override;
  Result<std::unique_ptr<coord::SnapshotDownload>> OpenSnapshot() override;

  // Before it, there are none to download.
  void OfferSnapshots(replica::SnapshotMaker maker, const env::Clock& clock);

 private:
  struct Downloads {
    replica::SnapshotMaker maker;
    const env::Clock* clock = nullptr;
    std::uint64_t made = 0;
    std::shared_ptr<const bool> open;  // its holders besides this one are those that are being read
  };

  using Done = std::function<void(Result<coord::CommandOutcome>)>;

  void ProposeNow(const coord::RequestContext& context, coord::Command command, Done done);
  void WhenCapable(const coord::RequestContext& context, coord::Command command, int turns, Done done);
  void Submit(const coord::RequestContext& context, coord::Command command, Done done);
  // etcd's guards of the quorum before a change of members is proposed; apply has the rest.
  Status CheckMemberChange(const coord::CommandBody& body) const;
  Status CheckCanGrow(const std::vector<coord::MemberInfo>& members, ReplicaId leaving) const;
  Status CheckCanRemove(const std::vector<coord::MemberInfo>& members, ReplicaId leaving) const;
  Status CheckCanPromote(const std::vector<coord::MemberInfo>& members, ReplicaId learner) const;
  void WhenGone(ReplicaId member, int turns, std::function<void()> done);
  bool Leads() const;
  bool OverQuota(std::uint64_t cost) const;
  void RaiseNoSpace(std::function<void()> done);

  const std::vector<Member> first_members_;
  const ClusterId cluster_;
  const ReplicaId self_;
  const std::int64_t quota_bytes_;  // 0 = none
  replica::Group& group_;
  coord::Machine& machine_;
  Downloads downloads_;
  env::Executor& executor_;
  const Surroundings surroundings_;
  bool raising_ = false;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace quorate::server
