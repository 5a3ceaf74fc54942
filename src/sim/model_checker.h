// ModelChecker: compares every outcome, read and watch event with sim/model, and the ends of leases with true time.
//
// Owned by Monitor. The model executes each entry when the first member does; the others must then give the same.
// Violations are reported as `model` (a wrong outcome or read), `watch` (a wrong, missing or repeated event) and
// `lease` (a lease that ended early, or not at all). Thread rule: one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "consensus/core.h"
#include "coord/command.h"
#include "coord/watch.h"
#include "sim/checkers.h"
#include "sim/model.h"

namespace quorate::sim {

class ModelChecker {
 public:
  // A leader put its time into the command at the true time `now_ns`.
  void OnStamp(const std::string& command, std::uint64_t now_ns) { stamped_at_.try_emplace(command, now_ns); }
  Verdict OnExecuted(ReplicaId member, const consensus::Entry& entry, const coord::CommandOutcome& outcome,
                     std::uint64_t now_ns);
  // What a member answered to a read of its present state. `revision` and `compacted` are that member's.
  Verdict OnRead(ReplicaId member, const coord::RangeRequest& request, const Result<coord::RangeResponse>& response,
                 Revision revision, Revision compacted) const;
  // What a watch of everything was given: must be all events of [next, revision], whole.
  Verdict OnEvents(ReplicaId member, Revision next, Revision revision,
                   const std::vector<coord::WatchEvent>& events) const;
  // At the end, when no lease was granted or renewed for longer than the longest lives.
  Verdict CheckLeasesEnded() const;

  const Model& model() const { return model_; }

 private:
  Verdict CheckLeases(const coord::Command& command, const std::map<std::int64_t, Model::Lease>& before,
                      std::uint64_t stamped_at_ns);

  Model model_;
  std::vector<std::string> expected_;                    // by index - 1
  std::map<std::string, std::uint64_t> stamped_at_;      // by encoded command
  std::map<std::int64_t, std::uint64_t> lease_renewed_;  // when a leader received the grant or the last renewal
};

}  // namespace quorate::sim
