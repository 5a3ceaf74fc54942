// Nemesis: what goes wrong in a run, and when, drawn from the seed.
//
// Every seed weighs the kinds of fault anew, some with nothing at all, so that seeds differ in more than their dice
// (Groce et al., Swarm testing, 2012); a scenario may fix the weights. Faults overlap. Stop heals everything. Used by
// sim/run. Thread rule: one thread.
//
// What a disk loses for good is bounded as the design bounds it: a member is damaged only while every other one has all
// of its own, and never two at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sim/churn.h"
#include "sim/cluster.h"
#include "sim/random.h"
#include "sim/strike.h"

namespace quorate::sim {

struct NemesisOptions {
  std::uint64_t seed = 0;
  std::uint64_t gap_max_ns = 4 * kSecond;        // between the beginnings of two faults
  std::map<std::string, std::uint64_t> weights;  // by kind; empty = drawn
  std::vector<Strike> plan;                      // of a run before: strikes again, but for `skipped`; empty = drawn
  std::set<std::uint64_t> skipped;               // by number
  std::function<void(const Strike&)> on_strike;
  std::uint64_t storm_permille = 0;  // of faults that begin a storm: many more, one right after the other
};

class Nemesis {
 public:
  Nemesis(NemesisOptions options, Cluster& cluster, Churn& churn);

  static const std::vector<std::string>& Kinds();

  void Start();
  void Stop();  // no more faults; links, disks and members come back

  std::uint64_t faults() const;
  const std::map<std::string, std::uint64_t>& faults_by_kind() const { return counts_; }

 private:
  struct Fault {
    std::string kind;
    std::uint64_t weight;
    void (Nemesis::*strike)();
  };

  static const std::vector<Fault>& AllFaults();
  void Next();
  void Begin();
  std::uint64_t DrawGap();
  std::uint64_t DrawDuration(std::uint64_t min_ns, std::uint64_t max_ns);  // of a fault: short in a storm
  void CrashOne();
  void CrashMany();
  void TroubleElection();
  void LosePowerSoon();
  void Partition();
  void CutOneWay();
  void Bridge();
  void Flap();
  void ResetLinks();
  void SlowDisk();
  void SlowNetwork();
  void PauseOne();
  void Transfer();
  void SlowFlush();
  void FailFlush();
  void FillDisk();
  void DamageKeyspace();
  void DamageLog();
  void DamageSnapshot();
  void JumpClock();
  void Grow() { Count(churn_.Grow()); }
  void Shrink() { Count(churn_.Shrink()); }
  void Replace() { Count(churn_.Replace()); }

  // A strike that found nothing to strike does not count.
  void Count(bool struck) { refused_ = !struck; }
  // Nobody's disk has lost anything that was not made up for, and everybody is there.
  bool Whole();
  void WhenWhole(std::uint64_t until_ns, std::function<void(Member&)> damage);
  void OnCrash(ReplicaId id);
  void TroubleWhenVacant(std::uint64_t until_ns);
  void CrashWhenElected(std::uint64_t until_ns);
  void CutFor(const std::vector<std::pair<ReplicaId, ReplicaId>>& directions, std::uint64_t duration_ns);
  // The leader half of the time, otherwise anybody who runs; null if nobody does.
  Member* Victim();
  Member& Anybody();
  std::vector<Member*> Present();  // who is not gone for good
  env::Survival DrawSurvival();
  void After(std::uint64_t delay_ns, std::function<void()> task);

  NemesisOptions options_;
  Cluster& cluster_;
  Churn& churn_;
  SeededRandom random_;
  std::vector<Fault> faults_;
  std::uint64_t struck_ = 0;
  std::map<std::string, std::uint64_t> counts_;
  std::uint64_t storm_left_ = 0;  // faults
  std::uint64_t storm_gap_max_ns_ = 0;
  bool refused_ = false;
  bool stopped_ = false;
};

}  // namespace quorate::sim
