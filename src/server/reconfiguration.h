// Reconfiguration: on the leader, takes the consensus group from the members it has to the members that the table
// wants, one safe step at a time, and raises the feature level when every member can follow.
//
// Made by Node, ticked by Housekeeping. Thread rule: the reactor's thread. It keeps nothing that a new leader would
// miss: each step follows from the table and from the group's members as they are, so whoever leads next goes on.
//
// The steps:
//   - Who is not in the table leaves, at once.
//   - Who is new is taught as a learner first, whatever the table says of it. It becomes a voter when it has caught up
//     and the table wants one. So a member that never starts costs no quorum.
//   - A leader that is to leave hands its leadership over first, and leaves by its own hand when nobody takes it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/ids.h"
#include "consensus/core.h"
#include "coord/cluster/types.h"

namespace quorate::server {

// The next membership on the way from `current` to the table, or nothing while there is nothing to do: it is there, or
// waits for a learner. `caught_up`: who could vote now. Never empty of voters. REQUIRES current.outgoing empty.
std::optional<consensus::Membership> NextMembership(const consensus::Membership& current,
                                                    const std::vector<coord::MemberInfo>& table,
                                                    const std::set<ReplicaId>& caught_up);

// What it needs of the consensus group. GroupControl in node.cc is the real one.
class MembershipControl {
 public:
  virtual ~MembershipControl() = default;
  virtual bool leads() const = 0;
  virtual const consensus::Membership& membership() const = 0;
  virtual std::set<ReplicaId> CaughtUp() const = 0;  // of the learners
  virtual void Change(consensus::Membership target, std::function<void()> done) = 0;
  virtual void TransferLeadership(ReplicaId to) = 0;
};

class Reconfiguration {
 public:
  Reconfiguration(ReplicaId self, MembershipControl& control);

  // About every 100 ms; `table` as the state machine has it, at feature level 2 or above.
  void Tick(const std::vector<coord::MemberInfo>& table);

 private:
  bool HandOver(const consensus::Membership& next);

  const ReplicaId self_;
  MembershipControl& control_;
  bool changing_ = false;
  int hand_overs_ = 0;  // tried, since this member leads
  std::shared_ptr<const bool> alive_;
};

}  // namespace quorate::server
