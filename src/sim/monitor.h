// Monitor: what watches a run as it goes. Collects violations; the run stops at the first.
//
// Called by sim/member (each decided entry, each leadership), sim/workload (answers) and sim/run. Thread rule: one
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "consensus/core.h"
#include "coord/machine.h"
#include "sim/checkers.h"
#include "sim/membership_checker.h"
#include "sim/model_checker.h"
#include "sim/protocols.h"
#include "sim/raft_promises.h"
#include "sim/trace_hash.h"
#include "store/engine_memory/memory_engine.h"

namespace quorate::sim {

class Monitor {
 public:
  Monitor(TraceHash& trace, consensus::Protocol protocol, consensus::Membership initial)
      : trace_(trace),
        protocol_(protocol),
        log_agreement_(RulesOf(protocol).entries_keep_ballot),
        membership_(RulesOf(protocol).voter_change, std::move(initial)) {}

  void Report(Verdict verdict);
  void Report(std::string checker, std::string message);
  bool violated() const { return !violations_.empty(); }
  const std::vector<Violation>& violations() const { return violations_; }

  // The state of `member` is what its disk held, or a snapshot: `image` is what is durable of it now.
  void OnState(ReplicaId member, const coord::Machine& machine, const store::MemoryStorage::Image& image);
  // The same start, once the core stands, and what its member says to others.
  void OnRecovered(ReplicaId member, const consensus::Core& core);
  void OnSent(ReplicaId from, ReplicaId to, const Bytes& frame);
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
  // The same, with the members in force on it.
  void OnLeadership(ReplicaId member, const consensus::Leadership& leadership, const consensus::Membership& members);
  void CompareState(ReplicaId member, const coord::Machine& machine);

  std::uint64_t elections() const { return one_leader_.elections(); }
  std::uint64_t entries() const { return log_agreement_.longest().value; }
  const consensus::Membership& members() const { return membership_.members(); }  // decided
  std::uint64_t snapshots_loaded() const { return snapshots_loaded_; }
  void CountSnapshotLoaded() { ++snapshots_loaded_; }

 private:
  TraceHash& trace_;
  const consensus::Protocol protocol_;
  std::vector<Violation> violations_;
  LogAgreementChecker log_agreement_;
  OneLeaderChecker one_leader_;
  StateHashChecker state_hash_;
  AppliedRevisionChecker applied_revision_;
  ModelChecker model_;
  RaftPromises promises_;  // of Raft only
  MembershipChecker membership_;
  consensus::Ballot elected_;  // the newest ballot whose leader was looked at
  std::uint64_t snapshots_loaded_ = 0;
};

}  // namespace quorate::sim
