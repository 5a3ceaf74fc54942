#include "server/peer_table.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "server/join.h"

namespace quorate::server {

PeerTable::PeerTable(const ServeConfig& config, const replica::Group& group, const coord::Machine& machine,
                     env::Executor& executor, Sinks sinks)
    : self_(config.self),
      name_(config.name),
      first_(config.members),
      group_(group),
      machine_(machine),
      executor_(executor),
      sinks_(std::move(sinks)),
      alive_(std::make_shared<const bool>(true)) {
  for (const Member& member : first_) known_[member.id] = member;
}

void PeerTable::OnApplied() {
  if (posted_ || (followed_ == machine_.member_changes() && followed_membership_ == group_.membership())) return;
  posted_ = true;
  executor_.Post([this, alive = std::weak_ptr<const bool>(alive_)] {
    if (alive.expired()) return;
    posted_ = false;
    Follow();
  });
}

std::vector<Member> PeerTable::Table() const {
  if (machine_.feature_level() < 2) return first_;
  std::vector<Member> table = AddressesOf(machine_.members());
  return table.empty() ? first_ : table;
}

void PeerTable::Follow() {
  followed_ = machine_.member_changes();
  followed_membership_ = group_.membership();
  std::vector<Member> table = Table();
  std::map<ReplicaId, Member> peers;
  for (Member& member : table) {
    if (member.id == self_) member.name = name_;
    known_[member.id] = member;
    peers[member.id] = member;
  }
  for (const auto* part :
       {&followed_membership_.voters, &followed_membership_.outgoing, &followed_membership_.learners}) {
    for (const ReplicaId id : *part) {
      const auto known = known_.find(id);
      if (known != known_.end()) peers.insert(*known);
    }
  }
  std::vector<Member> dialled;
  for (const auto& [id, member] : peers) dialled.push_back(member);
  const std::vector<ReplicaId> removed = machine_.removed_members();
  const Status followed = sinks_.transport(dialled, {removed.begin(), removed.end()});
  if (!followed.ok()) LogError("cannot follow the member table: " + followed.message());
  // A member that is leaving keeps its own last word of who it was.
  if (std::none_of(table.begin(), table.end(), [this](const Member& member) { return member.id == self_; })) return;
  const Status written = sinks_.file(table);
  if (!written.ok()) LogError("cannot write the members into the data directory: " + written.message());
}

}  // namespace quorate::server
