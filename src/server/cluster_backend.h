// ClusterBackend: coord::Backend over a replica::Group. Where the group's fates become etcd's error texts.
//
// Made by Node. Thread rule: the reactor's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "coord/backend.h"
#include "replica/group.h"
#include "replica/member_snapshots.h"
#include "server/config.h"

namespace quorate::server {

class ClusterBackend final : public coord::Backend {
 public:
  ClusterBackend(const ServeConfig& config, ReplicaId self, replica::Group& group, coord::Machine& machine);

  void Propose(const coord::RequestContext& context, coord::Command command,
               std::function<void(Result<coord::CommandOutcome>)> done) override;
  void ReadBarrier(const coord::RequestContext& context, std::function<void(Status)> done) override;
  coord::Machine& machine() override { return machine_; }
  coord::ClusterView cluster() const override;
  std::vector<coord::MemberInfo> members() const override;
  void MoveLeader(const coord::RequestContext& context, ReplicaId to, std::function<void(Status)> done) override;
  Result<std::unique_ptr<coord::SnapshotDownload>> OpenSnapshot() override;

  // Before it, there are none to download.
  void OfferSnapshots(replica::SnapshotMaker maker, env::Executor& executor, const env::Clock& clock);

 private:
  struct Downloads {
    replica::SnapshotMaker maker;
    env::Executor* executor = nullptr;
    const env::Clock* clock = nullptr;
    std::uint64_t made = 0;
  };

  const std::vector<Member> members_;
  const ClusterId cluster_;
  const ReplicaId self_;
  replica::Group& group_;
  coord::Machine& machine_;
  Downloads downloads_;
};

}  // namespace quorate::server
