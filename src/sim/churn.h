// Churn: the operator who adds, replaces and removes members while everything goes wrong.
//
// One change at a time, step by step through Group::ChangeMembers: a new member starts with an empty disk and is a
// learner until it has caught up; some changes of voters are of one member, some of several at once. A member whose log
// was damaged is replaced. Owned by sim/run, told what to do by sim/nemesis. Thread rule: one thread.
//
// Invariants: ids are never used twice. Before a member is removed its replacement votes, so there are never fewer
// voters than the run began with.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "consensus/core.h"
#include "sim/cluster.h"
#include "sim/random.h"

namespace quorate::sim {

class Churn {
 public:
  Churn(std::uint64_t seed, Cluster& cluster);

  void Start();
  void Stop() { stopped_ = true; }
  // A change is under way, or has to be made because a member is gone.
  bool busy() const;

  // False: not now.
  bool Grow();
  bool Shrink();
  bool Replace();  // of one member, or of two at once
  std::uint64_t changes() const { return changes_; }

 private:
  struct Goal {
    std::vector<ReplicaId> add;
    std::vector<ReplicaId> remove;
    bool at_once = false;  // promotes and removes in one step
    bool hasty = false;    // first tries to add a voter that was no learner: must be refused
  };

  void Begin(std::uint64_t add, std::vector<ReplicaId> remove);
  void Pump();
  void NoteStandings();
  void FollowGoal();
  std::optional<consensus::Membership> NextStep(const consensus::Membership& now);
  void Ask(const consensus::Membership& target, Member& leader);
  std::vector<Member*> Lost() const;

  Cluster& cluster_;
  SeededRandom random_;
  const std::uint64_t members_min_;
  std::optional<Goal> goal_;
  std::uint64_t asking_until_ns_ = 0;  // an answer is awaited
  std::uint64_t asked_ = 0;            // counts them
  std::uint64_t changes_ = 0;
  bool stopped_ = false;
};

}  // namespace quorate::sim
