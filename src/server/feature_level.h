// FeatureLevelRaiser: on the leader, raises the cluster's feature level as soon as every member understands a higher
// one, and enters the first members into an empty member table. What a member's build understands, its handshake says.
//
// Made by Node, ticked by Housekeeping. Thread rule: the reactor's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "coord/backend.h"
#include "server/config.h"

namespace quorate::server {

class FeatureLevelRaiser {
 public:
  // `common`: the highest level that all members of the group understand; 0 while that of one is not known.
  FeatureLevelRaiser(const ServeConfig& config, coord::Backend& backend, std::function<std::uint32_t()> common);
  void Tick();

 private:
  const ReplicaId self_;
  const std::vector<coord::InitialMember> first_;
  coord::Backend& backend_;
  const std::function<std::uint32_t()> common_;
  bool raising_ = false;
  std::shared_ptr<const bool> alive_;
};

}  // namespace quorate::server
