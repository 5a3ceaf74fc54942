#include "server/reconfiguration.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace quorate::server {
namespace {

constexpr int kHandOversMax = 20;  // ticks: two seconds

bool Contains(const std::vector<ReplicaId>& sorted, ReplicaId id) {
  return std::binary_search(sorted.begin(), sorted.end(), id);
}

std::string Describe(const consensus::Membership& membership) {
  return std::to_string(membership.voters.size()) + " voters and " + std::to_string(membership.learners.size()) +
         " learners";
}

}  // namespace

std::optional<consensus::Membership> NextMembership(const consensus::Membership& current,
                                                    const std::vector<coord::MemberInfo>& table,
                                                    const std::set<ReplicaId>& caught_up) {
  consensus::Membership next;
  for (const coord::MemberInfo& member : table) {  // ascending by id, as the vectors must be
    const bool votes = Contains(current.voters, member.id);
    // A voter stays one: the table never asks for less.
    const bool may_vote = votes || (Contains(current.learners, member.id) && caught_up.contains(member.id));
    ((votes || !member.learner) && may_vote ? next.voters : next.learners).push_back(member.id);
  }
  if (next.voters.empty() || next == current) return std::nullopt;
  return next;
}

Reconfiguration::Reconfiguration(ReplicaId self, MembershipControl& control)
    : self_(self), control_(control), alive_(std::make_shared<const bool>(true)) {}

void Reconfiguration::Tick(const std::vector<coord::MemberInfo>& table) {
  if (!control_.leads()) {
    hand_overs_ = 0;
    return;
  }
  if (changing_ || table.empty() || !control_.membership().outgoing.empty()) return;
  std::optional<consensus::Membership> next = NextMembership(control_.membership(), table, control_.CaughtUp());
  if (!next || HandOver(*next)) return;
  LogInfo("the members change to " + Describe(*next));
  changing_ = true;
  control_.Change(*std::move(next), [this, alive = std::weak_ptr<const bool>(alive_)] {
    if (!alive.expired()) changing_ = false;
  });
}

// Whether somebody else is being asked to lead first.
bool Reconfiguration::HandOver(const consensus::Membership& next) {
  if (Contains(next.voters, self_) || hand_overs_ >= kHandOversMax) return false;
  for (const ReplicaId voter : next.voters) {
    if (!Contains(control_.membership().voters, voter)) continue;
    if (hand_overs_++ == 0) LogInfo("this leader leaves the cluster: handing its leadership over");
    // Another one each time: the first may be down.
    const auto& voters = next.voters;
    control_.TransferLeadership(voters[static_cast<std::size_t>(hand_overs_ / 5) % voters.size()]);
    return true;
  }
  return false;
}

}  // namespace quorate::server
