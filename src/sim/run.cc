#include "sim/run.h"

#include <algorithm>
#include <set>
#include <sstream>
#include <utility>

#include "base/bug.h"
#include "sim/background.h"
#include "sim/churn.h"
#include "sim/cluster.h"
#include "sim/nemesis.h"
#include "sim/protocols.h"
#include "sim/session_clients.h"
#include "sim/workload.h"

namespace quorate::sim {
namespace {

constexpr std::uint64_t kChaosMinNs = 60 * kSecond;
constexpr std::uint64_t kChaosMaxNs = 75 * kSecond;
constexpr std::uint64_t kRecoveryNs = 5 * kSecond;  // healed, and still under load
constexpr std::uint64_t kRecoveryTurnsMax = 6;
constexpr std::uint64_t kServesWithinNs = 20 * kSecond;  // after healing, every member
constexpr std::uint64_t kSettleNs =
    12 * kSecond;  // after that: everything open is answered, everybody applies, no lease is left
constexpr std::uint64_t kLivenessRetryNs = 200 * kMillisecond;
constexpr std::uint64_t kTickNs = 10 * kMillisecond;  // GroupOptions' default
constexpr std::uint64_t kLinkLostPerFrameLost = 10;   // per million, for each per thousand
constexpr std::uint64_t kOperationsMin = 500;
constexpr std::uint64_t kFaultsMin = 5;

// Small limits, so that their branches run: cold entries are read back from the log, windows fill up.
consensus::Options DrawCore(SeededRandom& random) {
  consensus::Options core;
  core.log_cache_bytes = std::uint64_t{256} << random.Below(6);
  core.inflight_messages_max = std::uint64_t{1} << random.Between(4, 8);  // fewer cannot carry the bursts
  core.inflight_bytes_max = std::uint64_t{1} << random.Between(10, 20);
  core.message_bytes_max = std::uint64_t{1} << random.Between(4, 14);
  core.heartbeat_ticks = random.Between(1, 5);
  core.election_ticks = core.heartbeat_ticks * random.Between(2, 8);
  return core;
}

// Small, so that a run sees many flushes, cold reads, released segments and snapshots; some seeds keep everything.
StorageOptions DrawStorage(SeededRandom& random) {
  StorageOptions storage;
  storage.segment_bytes = std::uint64_t{4 << 10} << random.Below(9);
  storage.log_keep_bytes = random.Chance(250) ? 256 << 20 : random.Below(std::uint64_t{4 << 10} << random.Below(7));
  storage.log_keep_always_bytes = random.Chance(500) ? 0 : random.Below(16 << 10);
  storage.log_release_step_bytes = random.Between(64, std::uint64_t{256} << random.Below(8));
  storage.liveness_ns = random.Between(kSecond / 2, 20 * kSecond);
  storage.flush_max_ns = random.Between(kMillisecond, 200 * kMillisecond);
  storage.sender.frame_bytes = std::uint64_t{256} << random.Below(9);
  storage.sender.window_bytes = storage.sender.frame_bytes * random.Between(1, 16);
  if (random.Chance(400)) storage.sender.rate_bytes = std::uint64_t{32 << 10} << random.Below(6);
  storage.sender.keep_ns = random.Between(kSecond, 30 * kSecond);
  storage.sender.share_ns = random.Below(10 * kSecond);
  storage.sender.stall_ns = random.Between(3 * kSecond, 10 * kSecond);
  storage.receiver.sync_bytes = std::uint64_t{1 << 10} << random.Below(10);
  storage.receiver.keep_ns = random.Between(5 * kSecond, 60 * kSecond);
  storage.machine.memory_bytes = std::uint64_t{32 << 10} << random.Below(4);
  storage.machine.buffer.batch_bytes = std::uint64_t{512} << random.Below(6);
  storage.machine.buffer.batch_records = random.Between(3, 60);
  return storage;
}

ClusterOptions DrawCluster(const RunOptions& options, SeededRandom& random) {
  ClusterOptions cluster;
  cluster.seed = options.seed;
  cluster.protocol = options.protocol;
  cluster.members = random.Chance(500) ? 3 : 5;
  cluster.core = DrawCore(random);
  const bool unordered = random.Chance(400);
  const bool fifo = TraitsOf(options.protocol).needs_fifo_links;
  cluster.network.unordered = unordered && !fifo;
  // Up to a quarter of an election timeout: elections are contested, and yet end.
  const std::uint64_t delay_max = cluster.core.election_ticks * kTickNs / 4;
  cluster.network.delay_max_ns = std::min(delay_max, random.Between(1, 25) * kMillisecond);
  cluster.network.lost_permille = random.Below(30);
  cluster.network.doubled_permille = random.Below(50);
  cluster.network.stray_permille = random.Below(150);
  if (random.Chance(400)) cluster.network.far_permille = random.Between(100, 500);
  cluster.network.far_max_ns = 2 * delay_max;
  cluster.network.slow_permille = random.Below(30);
  cluster.network.reset_per_million = random.Below(60);
  // What a link that keeps its order loses, it loses with all that follows.
  if (unordered && fifo) cluster.network.reset_per_million += kLinkLostPerFrameLost * cluster.network.lost_permille;
  cluster.storage = DrawStorage(random);
  cluster.skew_permille_max = random.Below(50);
  cluster.storage.sync_max_ns =
      std::min(delay_max, random.Pick(std::vector{kMillisecond, 10 * kMillisecond, 100 * kMillisecond}));
  return cluster;
}

WorkloadOptions DrawWorkload(std::uint64_t seed, SeededRandom& random) {
  WorkloadOptions workload;
  workload.seed = seed;
  workload.clients = random.Between(6, 12);
  workload.keys = random.Between(1, 5);
  workload.think_max_ns = random.Between(60 * kMillisecond, 250 * kMillisecond);
  workload.get_permille = random.Between(200, 500);
  workload.swap_permille = random.Between(100, 350);
  workload.delete_permille = random.Between(20, 120);
  return workload;
}

NemesisOptions DrawNemesis(std::uint64_t seed, SeededRandom& random) {
  NemesisOptions nemesis;
  nemesis.seed = seed;
  nemesis.gap_max_ns = random.Between(2 * kSecond, 5 * kSecond);
  if (random.Chance(500)) nemesis.storm_permille = random.Between(100, 400);
  return nemesis;
}

class Simulation {
 public:
  explicit Simulation(const RunOptions& options)
      : options_(options),
        random_(SeededRandom::ForPurpose(options.seed, "run")),
        cluster_options_(DrawCluster(options, random_)),
        cluster_(cluster_options_),
        workload_(DrawWorkload(options.seed, random_), cluster_),
        background_(options.seed, cluster_),
        sessions_(options.seed, cluster_),
        churn_(options.seed, cluster_),
        nemesis_(DrawNemesis(options.seed, random_), cluster_, churn_) {}

  Report Run() {
    cluster_.StartAll();
    workload_.Start();
    background_.Start();
    sessions_.Start();
    churn_.Start();
    nemesis_.Start();
    const bool calm = cluster_.RunUntil(random_.Between(kChaosMinNs, kChaosMaxNs)) && Heal() && Settle();
    if (calm) Judge();
    return MakeReport();
  }

 private:
  bool Heal() {
    nemesis_.Stop();
    // A seed that was hard on its clients goes on longer: it has to show enough that went well.
    // An operator's change of the members comes to its end.
    for (std::uint64_t turn = 0; turn == 0 || (turn < kRecoveryTurnsMax && (!EnoughEffort() || churn_.busy()));
         ++turn) {
      if (!cluster_.RunUntil(cluster_.scheduler().now() + kRecoveryNs)) return false;
    }
    workload_.Stop();
    background_.Stop();
    sessions_.Stop();
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
  bool EnoughEffort() const {
    const std::uint64_t all = workload_.history().size();
    return 5 * GoodOperations() >= 2 * all && all >= kOperationsMin && nemesis_.faults() >= kFaultsMin;
  }

  // A run that hardly did anything proves nothing.
  void CheckEffort() {
    if (EnoughEffort()) return;
    cluster_.monitor().Report("effort", std::to_string(GoodOperations()) + " of " +
                                            std::to_string(workload_.history().size()) + " operations good, " +
                                            std::to_string(nemesis_.faults()) + " faults");
  }

  Report MakeReport() {
    Report report;
    report.seed = options_.seed;
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
  SessionClients sessions_;
  Churn churn_;
  Nemesis nemesis_;
  std::set<std::pair<ReplicaId, OperationKind>> unserved_;  // of the liveness phase
};

}  // namespace

Report RunSeed(const RunOptions& options) {
#ifdef QUORATE_BUGS
  SelectBug(options.bug);
#endif
  return Simulation(options).Run();
}

std::string Summary(const Report& report) {
  std::ostringstream out;
  out << "seed " << report.seed << ": " << (report.ok() ? "good" : "VIOLATED") << ", " << report.members << " members"
      << (report.unordered ? " (unordered network)" : "") << ", operations " << report.good << " good " << report.failed
      << " failed " << report.unknown << " unknown, " << report.elections << " elections, " << report.crashes
      << " crashes, " << report.changes << " member changes, " << report.snapshots << " snapshots, " << report.faults
      << " faults (";
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
