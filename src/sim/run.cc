#include "sim/run.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <utility>

#include "base/bug.h"
#include "base/check.h"
#include "base/check_hook.h"
#include "base/probe.h"
#include "sim/background.h"
#include "sim/churn.h"
#include "sim/cluster.h"
#include "sim/collections.h"
#include "sim/draw.h"
#include "sim/nemesis.h"
#include "sim/session_clients.h"
#include "sim/trace/recorder.h"
#include "sim/workload.h"

namespace quorate::sim {
namespace {

constexpr std::uint64_t kRecoveryNs = 5 * kSecond;  // healed, and still under load
constexpr std::uint64_t kRecoveryTurnsMax = 12;
constexpr std::uint64_t kServesWithinNs = 20 * kSecond;  // after healing, every member
constexpr std::uint64_t kSettleNs =
    12 * kSecond;  // after that: everything open is answered, everybody applies, no lease is left
constexpr std::uint64_t kLivenessRetryNs = 200 * kMillisecond;
constexpr std::uint64_t kOperationsMin = 500;
constexpr std::uint64_t kGoodMin = 300;  // of a run whose clients were refused most of the time
constexpr std::uint64_t kFaultsMin = 5;

class Simulation {
 public:
  explicit Simulation(const RunOptions& options)
      : options_(options),
        random_(SeededRandom::ForPurpose(options.seed, "run")),
        cluster_options_(DrawCluster(options, random_)),
        cluster_(cluster_options_),
        workload_(DrawWorkload(options, random_), cluster_),
        background_(options.seed, options.scenario, cluster_),
        collections_(options.seed, options.scenario, cluster_),
        sessions_(options.seed, options.scenario, cluster_),
        churn_(options.seed, cluster_),
        nemesis_(DrawNemesis(options, random_), cluster_, churn_) {}

  Report Run() {
    if (!options_.trace.empty()) BeginTrace();
    cluster_.StartAll();
    workload_.Start();
    background_.Start();
    sessions_.Start();
    collections_.Start();
    churn_.Start();
    nemesis_.Start();
    const bool calm = cluster_.RunUntil(DrawChaosNs(options_, random_)) && Heal() && Settle();
    if (calm) Judge();
    if (recorder_ != nullptr) EndTrace(cluster_.monitor().violations());
    return MakeReport();
  }

 private:
  // A CHECK ends the process, and the page is wanted then most of all.
  void BeginTrace() {
    recorder_ = std::make_unique<Recorder>(options_.protocol);
    cluster_.scheduler().set_recorder(recorder_.get());
    traced = this;
    SetCheckFailureHook([](const std::string& words) { traced->EndTrace({{"invariant", words}}); });
  }

  void EndTrace(const std::vector<Violation>& violations) {
    SetCheckFailureHook(nullptr);
    cluster_.scheduler().set_recorder(nullptr);
    const std::uint64_t now = cluster_.scheduler().now();
    for (const Violation& violation : violations) recorder_->OnViolation(now, violation);
    const std::string title = std::string(ProtocolName(options_.protocol)) + ", seed " + std::to_string(options_.seed) +
                              (options_.bug.empty() ? "" : ", with the bug " + options_.bug);
    std::ofstream file(options_.trace, std::ios::binary);
    file << recorder_->Page(title, now);
    if (!file.flush()) std::fprintf(stderr, "quorate sim: cannot write %s\n", options_.trace.c_str());
  }

  bool Heal() {
    nemesis_.Stop();
    // A seed that was hard on its clients goes on longer: it has to show enough that went well.
    // An operator's change of the members comes to its end.
    for (std::uint64_t turn = 0; turn == 0 || (turn < kRecoveryTurnsMax && (!EnoughEffort() || churn_.busy()));
         ++turn) {
      if (!cluster_.RunUntil(cluster_.scheduler().now() + kRecoveryNs)) return false;
    }
    workload_.Stop();
    good_asked_ = {GoodOperations(), workload_.history().size()};
    background_.Stop();
    sessions_.Stop();
    collections_.Stop();
    if (churn_.busy()) {
      cluster_.monitor().Report("liveness", "a change of the members does not end:" + DescribeMembers());
      return false;
    }
    churn_.Stop();
    for (Member* member : cluster_.WithStanding(Standing::kRemoved)) cluster_.Retire(*member);
    for (const Member* member : Members()) {
      for (const OperationKind kind : {OperationKind::kPut, OperationKind::kGet}) {
        unserved_.insert({member->id(), kind});
        AskUntilGood(member->id(), kind);
      }
    }
    const std::uint64_t until = cluster_.scheduler().now() + kServesWithinNs;
    while (!unserved_.empty() && cluster_.scheduler().now() < until) {
      if (!cluster_.RunUntil(cluster_.scheduler().now() + kLivenessRetryNs)) return false;
    }
    if (unserved_.empty()) return true;
    std::ostringstream out;
    out << "not served " << kServesWithinNs / kSecond << " s after everything healed:";
    for (const auto& [member, kind] : unserved_)
      out << " " << OperationName(kind) << " on member " << member.value << ";";
    out << DescribeMembers();
    cluster_.monitor().Report("liveness", out.str());
    return false;
  }

  std::vector<Member*> Members() const { return cluster_.WithStanding(Standing::kMember); }

  std::string DescribeMembers() {
    std::ostringstream out;
    for (const auto& member : cluster_.members()) {
      out << "\n    member " << member->id().value;
      if (!member->running()) {
        out << (member->standing() == Standing::kGone ? " is gone" : " is down");
        continue;
      }
      const replica::GroupStatus status = member->group().status();
      out << " role " << static_cast<int>(status.leadership.role) << " term " << status.leadership.ballot.number
          << " leader " << status.leadership.leader.value_or(ReplicaId()).value << " decided " << status.commit.value
          << " applied " << status.applied.value << " pending " << status.proposals_pending << " log from "
          << status.log_first.value << (status.installing ? " installing" : "");
      if (member->leads()) out << DescribePeers(*member);
    }
    out << "\n    links" << cluster_.network().DescribeLinks();
    return out.str();
  }

  static std::string DescribePeers(Member& leader) {
    std::ostringstream out;
    const consensus::Membership& members = leader.group().membership();
    out << "; voters";
    for (const ReplicaId id : members.voters) out << " " << id.value;
    out << " outgoing";
    for (const ReplicaId id : members.outgoing) out << " " << id.value;
    out << " learners";
    for (const ReplicaId id : members.learners) out << " " << id.value;
    for (const auto& [id, peer] : leader.group().progress()) {
      out << "; " << id.value << " match " << peer.match.value << (peer.live ? " live" : "")
          << (peer.snapshot ? " snapshot" : "") << (peer.caught_up ? " caught up" : "");
    }
    return out.str();
  }

  void AskUntilGood(ReplicaId member, OperationKind kind) {
    workload_.Ask(member, kind, Numbered("alive", member.value), [this, member, kind](const Operation& asked) {
      if (asked.fate == OperationFate::kGood) {
        unserved_.erase({member, kind});
        return;
      }
      cluster_.scheduler().After(kLivenessRetryNs, kSimulator, [this, member, kind] { AskUntilGood(member, kind); });
    });
  }

  // Reads every key on every member, and waits until all have applied the same, watches too.
  bool Settle() {
    for (Member* member : Members()) member->probe().BeReady();
    collections_.ReadAll();
    for (const Member* member : Members()) {
      for (const std::string& key : workload_.keys()) {
        workload_.Ask(member->id(), OperationKind::kGet, key, [](const Operation&) {});
      }
    }
    return cluster_.RunUntil(cluster_.scheduler().now() + kSettleNs);
  }

  void Judge() {
    Monitor& monitor = cluster_.monitor();
    History history = workload_.history();
    if (options_.canary) Falsify(history);
    for (Member* member : Members()) {
      coord::Machine& machine = member->machine();
      if (machine.applied().value < monitor.entries()) {
        monitor.Report("liveness", "member " + std::to_string(member->id().value) + " has applied " +
                                       std::to_string(machine.applied().value) + " of " +
                                       std::to_string(monitor.entries()) + " entries in a healed cluster at rest");
      }
      if (member->probe().next() != machine.revision() + 1) {
        monitor.Report("watch", "member " + std::to_string(member->id().value) + "'s watch stands at " +
                                    std::to_string(member->probe().next()) + ", its store at " +
                                    std::to_string(machine.revision()));
      }
      monitor.CompareState(member->id(), machine);
      monitor.Report(
          CheckDurability(history, member->id(), machine.compact_revision(),
                          [&](const std::string& key, Revision at) { return ReadAtRevision(machine, key, at); }));
    }
    collections_.Judge();
    monitor.CheckLeasesEnded();
    monitor.Report(CheckRevisions(history));
    monitor.Report(CheckLinearizability(history));
    CheckEffort();
  }

  static std::optional<SeenValue> ReadAtRevision(const coord::Machine& machine, const std::string& key, Revision at) {
    coord::RangeRequest range;
    range.key = key;
    range.revision = at;
    const Result<coord::RangeResponse> found = machine.Range(range);
    if (!found.ok() || found->kvs.empty()) return std::nullopt;
    return SeenValue{found->kvs[0].value.ToString(), found->kvs[0].mod_revision};
  }

  // One read in the middle answers with what an earlier one saw.
  static void Falsify(History& history) {
    for (std::size_t i = history.size() / 2; i < history.size(); ++i) {
      Operation& operation = history[i];
      if (operation.kind != OperationKind::kGet || operation.fate != OperationFate::kGood || !operation.seen) continue;
      operation.seen->value = "never written";
      return;
    }
  }

  std::uint64_t GoodOperations() const {
    std::uint64_t good = 0;
    for (const Operation& operation : workload_.history()) good += operation.fate == OperationFate::kGood ? 1 : 0;
    return good;
  }
  bool EnoughEffort() const { return IsEnough(GoodOperations(), workload_.history().size()); }
  bool IsEnough(std::uint64_t good, std::uint64_t asked) const {
    return 5 * good >= 2 * asked && asked >= kOperationsMin &&
           (nemesis_.faults() >= kFaultsMin || !options_.skipped.empty());
  }

  // A run that hardly did anything proves nothing. One that was refused most of the time, as small memories and slow
  // flushes do for good, but got enough done all the same, does.
  void CheckEffort() {
    const auto& [good, asked] = good_asked_;
    if (IsEnough(good, asked) || (good >= kGoodMin && IsEnough(asked, asked))) return;
    cluster_.monitor().Report("effort", std::to_string(good) + " of " + std::to_string(asked) + " operations good, " +
                                            std::to_string(nemesis_.faults()) + " faults");
  }

  Report MakeReport() {
    Report report;
    report.seed = options_.seed;
    report.scenario = options_.scenario.name;
    report.members = cluster_options_.members;
    report.unordered = cluster_options_.network.unordered;
    for (const Operation& operation : workload_.history()) {
      report.good += operation.fate == OperationFate::kGood ? 1 : 0;
      report.failed += operation.fate == OperationFate::kFailed ? 1 : 0;
      report.unknown += operation.fate == OperationFate::kUnknown ? 1 : 0;
    }
    report.elections = cluster_.monitor().elections();
    report.crashes = cluster_.crashes();
    report.changes = churn_.changes();
    report.snapshots = cluster_.monitor().snapshots_loaded();
    report.faults = nemesis_.faults();
    report.faults_by_kind = nemesis_.faults_by_kind();
    report.probes = ProbesReached();
    report.entries = cluster_.monitor().entries();
    report.frames = cluster_.network().frames_delivered();
    report.tasks = cluster_.scheduler().tasks_run();
    report.simulated_ms = cluster_.scheduler().now() / kMillisecond;
    report.hash = cluster_.trace().value();
    report.violations = cluster_.monitor().violations();
    return report;
  }

  const RunOptions options_;
  SeededRandom random_;
  const ClusterOptions cluster_options_;
  Cluster cluster_;
  Workload workload_;
  Background background_;
  Collections collections_;
  SessionClients sessions_;
  Churn churn_;
  Nemesis nemesis_;
  std::pair<std::uint64_t, std::uint64_t> good_asked_;      // operations of the clients, until they stopped
  std::set<std::pair<ReplicaId, OperationKind>> unserved_;  // of the liveness phase
  std::unique_ptr<Recorder> recorder_;                      // null: nobody asked for a page
  static inline Simulation* traced = nullptr;               // whose page a CHECK has to write
};

}  // namespace

Report RunSeed(const RunOptions& options) {
#ifdef QUORATE_BUGS
  SelectBug(options.bug);
#endif
  CHECK(options.skipped.empty() || !options.plan.empty()) << "strikes to skip, and no plan: see WithPlan";
  return Simulation(options).Run();
}

std::string Summary(const Report& report) {
  std::ostringstream out;
  out << "seed " << report.seed << " (" << report.scenario << "): " << (report.ok() ? "good" : "VIOLATED") << ", "
      << report.members << " members" << (report.unordered ? " (unordered network)" : "") << ", operations "
      << report.good << " good " << report.failed << " failed " << report.unknown << " unknown, " << report.elections
      << " elections, " << report.crashes << " crashes, " << report.changes << " member changes, " << report.snapshots
      << " snapshots, " << report.faults << " faults (";
  bool first = true;
  for (const auto& [kind, count] : report.faults_by_kind) {
    out << (first ? "" : " ") << kind << " " << count;
    first = false;
  }
  out << "), " << report.entries << " entries, " << report.frames << " frames, " << report.simulated_ms / 1000
      << " simulated seconds, hash " << std::hex << report.hash;
  return out.str();
}

}  // namespace quorate::sim
