// Background: clients whose answers are judged by the model instead of by their intervals: transactions over several
// keys, bursts of puts, leases, compactions, reads of the past.
//
// Their keys are not those of Workload, but they share its revisions, log and faults. Used by sim/run. Thread rule: one
// thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "coord/command.h"
#include "sim/cluster.h"
#include "sim/random.h"
#include "sim/scenario.h"

namespace quorate::sim {

class Background {
 public:
  Background(std::uint64_t seed, const Scenario& scenario, Cluster& cluster);
  void Start();
  void Stop() { stopped_ = true; }

 private:
  // As often as the scenario says, otherwise with gaps of up to `gap_max_ns`.
  void Begin(const std::string& kind, std::uint64_t gap_max_ns, void (Background::*turn)());
  void Every(std::uint64_t gap_max_ns, void (Background::*turn)());
  void Transact();
  void Burst();
  void Compact();
  void Read();
  void TendLeases();

  // Proposes at a member that runs, if there is one.
  void Propose(coord::CommandBody body);
  void ProposeAt(Member& at, coord::CommandBody body);
  Member* Anybody();
  std::string Key();
  coord::Compare DrawCompare();
  coord::RequestOp DrawOp(const std::string& key, int depth);
  coord::TxnRequest DrawTxn(int depth);
  coord::RangeRequest DrawRange();

  const std::map<std::string, std::uint64_t> turns_;  // in 1,000 s, of the scenario
  Cluster& cluster_;
  SeededRandom random_;
  bool stopped_ = false;
  std::uint64_t last_value_ = 0;
  std::int64_t last_lease_ = 0;
};

}  // namespace quorate::sim
