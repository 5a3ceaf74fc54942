// Monitor: what watches a run as it goes. Collects violations; the run stops at the first.
//
// Called by sim/member (each decided entry, each leadership), sim/workload (answers) and sim/run. Thread rule: one
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "consensus/core.h"
#include "coord/machine.h"
#include "sim/checkers.h"
#include "sim/model_checker.h"
#include "sim/raft_promises.h"
#include "sim/trace_hash.h"

namespace quorate::sim {

class Monitor {
 public:
  explicit Monitor(TraceHash& trace) : trace_(trace) {}

  void Report(Verdict verdict);
  void Report(std::string checker, std::string message);
  bool violated() const { return !violations_.empty(); }
  const std::vector<Violation>& violations() const { return violations_; }

  void OnStart(ReplicaId member, LogIndex applied) { log_agreement_.OnStart(member, applied); }
  // The same start, once the core stands, and what its member says to others.
  void OnRecovered(ReplicaId member, const consensus::Core& core) { Report(promises_.OnStart(member, core)); }
  void OnSent(ReplicaId from, ReplicaId to, const Bytes& frame) { Report(promises_.OnSent(from, to, frame)); }
  void OnDecided(ReplicaId member, const consensus::Entry& entry);
  // `machine` has just executed the entry and given `outcome`.
  void OnExecuted(ReplicaId member, const consensus::Entry& entry, const coord::Machine& machine,
                  const replica::Outcome* outcome, std::uint64_t now_ns);
  void OnStamp(const std::string& command, std::uint64_t now_ns) { model_.OnStamp(command, now_ns); }
  void OnRead(ReplicaId member, const coord::RangeRequest& request, const Result<coord::RangeResponse>& response,
              Revision revision, Revision compacted) {
    Report(model_.OnRead(member, request, response, revision, compacted));
  }
  void OnEvents(ReplicaId member, Revision next, Revision revision, const std::vector<coord::WatchEvent>& events) {
    Report(model_.OnEvents(member, next, revision, events));
  }
  void CheckLeasesEnded() { Report(model_.CheckLeasesEnded()); }
  void OnLeadership(ReplicaId member, const consensus::Leadership& leadership);
  void CompareState(ReplicaId member, const coord::Machine& machine);

  std::uint64_t elections() const { return one_leader_.elections(); }
  std::uint64_t entries() const { return log_agreement_.longest().value; }

 private:
  TraceHash& trace_;
  std::vector<Violation> violations_;
  LogAgreementChecker log_agreement_;
  OneLeaderChecker one_leader_;
  StateHashChecker state_hash_;
  AppliedRevisionChecker applied_revision_;
  ModelChecker model_;
  RaftPromises promises_;
};

}  // namespace quorate::sim
