#include "server/feature_level.h"

#include <utility>

#include "base/log.h"

namespace quorate::server {
namespace {

std::vector<coord::InitialMember> FirstMembers(const ServeConfig& config) {
  std::vector<coord::InitialMember> first;
  for (const Member& member : config.members) {
    first.push_back({member.id, member.name, {"http://" + member.peer.ToString()}});
  }
  return first;
}

}  // namespace

FeatureLevelRaiser::FeatureLevelRaiser(const ServeConfig& config, coord::Backend& backend,
                                       std::function<std::uint32_t()> common)
    : self_(config.self),
      first_(FirstMembers(config)),
      backend_(backend),
      common_(std::move(common)),
      alive_(std::make_shared<const bool>(true)) {}

void FeatureLevelRaiser::Tick() {
  if (raising_ || backend_.cluster().leader != self_) return;
  const coord::Machine& machine = backend_.machine();
  const std::uint32_t now = machine.feature_level();
  const bool unknown_members = now >= 2 && machine.members().empty();
  if (now >= coord::kFeatureLevelMax && !unknown_members) return;
  const std::uint32_t common = common_();
  if (common <= now && !unknown_members) return;
  raising_ = true;
  LogInfo("every member knows feature level " + std::to_string(common) + ": raising the cluster to it");
  backend_.Propose({}, coord::Command{{}, coord::RaiseFeatureLevel{common, first_}},
                   [this, alive = std::weak_ptr<const bool>(alive_)](const Result<coord::CommandOutcome>&) {
                     if (!alive.expired()) raising_ = false;
                   });
}

}  // namespace quorate::server
