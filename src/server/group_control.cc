#include "server/group_control.h"

#include <utility>

namespace quorate::server {
namespace {

// A learner that is this close votes: what is still missing is sent within moments, and no commit waits long for it.
constexpr std::uint64_t kBehindMax = 1000;  // entries

}  // namespace

bool GroupControl::leads() const {
  const consensus::Leadership leadership = group_.status().leadership;
  return leadership.role == consensus::Role::kLeader && leadership.established;
}

std::set<ReplicaId> GroupControl::CaughtUp() const {
  std::set<ReplicaId> caught_up;
  const LogIndex commit = group_.status().commit;
  for (const auto& [id, peer] : group_.progress()) {
    if (peer.live && !peer.snapshot && peer.match && peer.match.value + kBehindMax >= commit.value)
      caught_up.insert(id);
  }
  return caught_up;
}

void GroupControl::Change(consensus::Membership target, std::function<void()> done) {
  group_.ChangeMembers(std::move(target), 0, [done = std::move(done)](replica::Fate) { done(); });
}

void GroupControl::TransferLeadership(ReplicaId to) {
  group_.TransferLeadership(to, 0, [](replica::Fate) {});
}

}  // namespace quorate::server
