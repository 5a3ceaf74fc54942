#include "sim/churn.h"

#include <algorithm>
#include <utility>

namespace quorate::sim {
namespace {

constexpr std::uint64_t kMembersMax = 6;
constexpr std::uint64_t kPumpMaxNs = 150 * kMillisecond;
constexpr std::uint64_t kAnswerWithinNs = 3 * kSecond;
constexpr std::uint64_t kLingersMaxNs = 15 * kSecond;  // a removed member that nobody has told

void Insert(std::vector<ReplicaId>* ids, ReplicaId id) {
  if (!Contains(*ids, id)) ids->insert(std::lower_bound(ids->begin(), ids->end(), id), id);
}
void Erase(std::vector<ReplicaId>* ids, ReplicaId id) {
  std::erase(*ids, id);
}

}  // namespace

Churn::Churn(std::uint64_t seed, Cluster& cluster)
    : cluster_(cluster), random_(SeededRandom::ForPurpose(seed, "churn")), members_min_(cluster.members().size()) {}

void Churn::Start() {
  cluster_.scheduler().After(random_.Below(kPumpMaxNs), kSimulator, [this] {
    if (stopped_) return;
    Pump();
    Start();
  });
}

// Gone, and still in the decided membership.
std::vector<Member*> Churn::Lost() const {
  std::vector<Member*> lost = cluster_.WithStanding(Standing::kGone);
  std::erase_if(lost, [this](const Member* member) { return !IsIn(cluster_.monitor().members(), member->id()); });
  return lost;
}

bool Churn::busy() const {
  return goal_ || !cluster_.monitor().members().outgoing.empty() || !Lost().empty();
}

bool Churn::Grow() {
  if (busy() || cluster_.WithStanding(Standing::kMember).size() >= kMembersMax) return false;
  Begin(1, {});
  return true;
}

bool Churn::Shrink() {
  const std::vector<Member*> members = cluster_.WithStanding(Standing::kMember);
  if (busy() || members.size() <= members_min_) return false;
  const Member* leader = cluster_.leader();
  const bool the_leader = leader != nullptr && leader->standing() == Standing::kMember && random_.Chance(400);
  Begin(0, {the_leader ? leader->id() : random_.Pick(members)->id()});
  return true;
}

bool Churn::Replace() {
  std::vector<Member*> members = cluster_.WithStanding(Standing::kMember);
  if (busy() || members.empty()) return false;
  std::vector<ReplicaId> remove;
  for (std::uint64_t i = random_.Chance(300) ? 2 : 1; i > 0 && !members.empty(); --i) {
    Member* one = random_.Pick(members);
    remove.push_back(one->id());
    std::erase(members, one);
  }
  const std::uint64_t add = remove.size();
  Begin(add, std::move(remove));
  return true;
}

void Churn::Begin(std::uint64_t add, std::vector<ReplicaId> remove) {
  goal_.emplace();
  goal_->remove = std::move(remove);
  goal_->at_once = random_.Chance(600);
  goal_->hasty = random_.Chance(300);
  for (; add > 0; --add) {
    Member& member = cluster_.AddMember();
    goal_->add.push_back(member.id());
    cluster_.scheduler().After(random_.Below(2 * kSecond), kSimulator, [this, &member] { cluster_.Restart(member); });
  }
}

void Churn::Pump() {
  NoteStandings();
  if (goal_) return FollowGoal();
  std::vector<ReplicaId> lost;
  for (const Member* member : Lost()) lost.push_back(member->id());
  if (!lost.empty() && random_.Chance(100)) Begin(lost.size(), lost);
}

void Churn::NoteStandings() {
  const consensus::Membership& decided = cluster_.monitor().members();
  for (Member* member : cluster_.WithStanding(Standing::kNew)) {
    if (IsIn(decided, member->id())) member->set_standing(Standing::kMember);
  }
  for (Member* member : cluster_.WithStanding(Standing::kMember)) {
    if (IsIn(decided, member->id())) continue;
    member->set_standing(Standing::kRemoved);
    cluster_.scheduler().After(random_.Below(kLingersMaxNs), kSimulator, [this, member] { cluster_.Retire(*member); });
  }
}

void Churn::FollowGoal() {
  const consensus::Membership& decided = cluster_.monitor().members();
  const bool added =
      std::all_of(goal_->add.begin(), goal_->add.end(), [&](ReplicaId id) { return Contains(decided.voters, id); });
  const bool removed =
      std::none_of(goal_->remove.begin(), goal_->remove.end(), [&](ReplicaId id) { return IsIn(decided, id); });
  if (added && removed && decided.outgoing.empty()) {
    goal_.reset();
    ++changes_;
    return;
  }
  Member* leader = cluster_.leader();
  if (leader == nullptr || cluster_.scheduler().now() < asking_until_ns_) return;
  if (!leader->group().membership().outgoing.empty()) return;
  if (const auto target = NextStep(leader->group().membership())) Ask(*target, *leader);
}

std::optional<consensus::Membership> Churn::NextStep(const consensus::Membership& now) {
  consensus::Membership target = now;
  for (const ReplicaId id : goal_->add) {
    if (Contains(now.voters, id) || Contains(now.learners, id)) continue;
    Insert(goal_->hasty ? &target.voters : &target.learners, id);
  }
  goal_->hasty = false;
  if (target != now) return target;
  for (const ReplicaId id : goal_->add) {
    Erase(&target.learners, id);
    Insert(&target.voters, id);
  }
  if (target != now && !goal_->at_once) return target;
  for (const ReplicaId id : goal_->remove) {
    Erase(&target.learners, id);
    Erase(&target.voters, id);
  }
  return target == now || target.voters.empty() ? std::nullopt : std::optional(target);
}

// Mostly at the leader; at times at another member, which forwards it.
void Churn::Ask(const consensus::Membership& target, Member& leader) {
  Member* at = &leader;
  const std::vector<Member*> members = cluster_.WithStanding(Standing::kMember);
  if (!members.empty() && random_.Chance(250)) at = random_.Pick(members);
  if (!at->running()) return;
  asking_until_ns_ = cluster_.scheduler().now() + kAnswerWithinNs;
  cluster_.scheduler().After(0, at->process(), [this, at, target, number = ++asked_] {
    const std::uint64_t deadline = at->clock().MonotonicNs() + kAnswerWithinNs;
    at->group().ChangeMembers(target, deadline, [this, number](replica::Fate) {
      if (number == asked_) asking_until_ns_ = 0;
    });
  });
}

}  // namespace quorate::sim
