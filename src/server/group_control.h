// GroupControl: MembershipControl over a replica::Group.
//
// Made by Node. Thread rule: the reactor's thread.
#pragma once

#include <functional>
#include <set>

#include "replica/group.h"
#include "server/reconfiguration.h"

namespace quorate::server {

class GroupControl final : public MembershipControl {
 public:
  explicit GroupControl(replica::Group& group) : group_(group) {}

  bool leads() const override;
  const consensus::Membership& membership() const override { return group_.membership(); }
  std::set<ReplicaId> CaughtUp() const override;
  void Change(consensus::Membership target, std::function<void()> done) override;
  void TransferLeadership(ReplicaId to) override;

 private:
  replica::Group& group_;
};

}  // namespace quorate::server
