#include "sim/draw.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "sim/protocols.h"

namespace quorate::sim {
namespace {

constexpr std::uint64_t kTickNs = 10 * kMillisecond;  // GroupOptions' default
constexpr std::uint64_t kLinkLostPerFrameLost = 10;   // per million, for each per thousand

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

template <class T>
void Set(T& field, const std::optional<std::uint64_t>& value, std::uint64_t scale = 1) {
  if (value) field = *value * scale;
}

// What the scenario fixes. It draws from a stream of its own: what it leaves open is as without it.
void Override(const RunOptions& options, ClusterOptions& cluster) {
  const Scenario& scenario = options.scenario;
  SeededRandom random = SeededRandom::ForPurpose(options.seed, "scenario");
  if (!scenario.members.empty()) cluster.members = random.Pick(scenario.members);
  cluster.core.phase1_quorum = scenario.phase1_quorum;
  cluster.core.phase2_quorum = scenario.phase2_quorum;
  Set(cluster.core.alpha, scenario.alpha);
  Set(cluster.skew_permille_max, scenario.skew_permille);
  NetworkOptions& network = cluster.network;
  const bool fifo = TraitsOf(options.protocol).needs_fifo_links;
  const bool asked = scenario.lost_permille || scenario.doubled_permille || scenario.stray_permille;
  if (asked) {
    network.unordered = !fifo;
    network.lost_permille = scenario.lost_permille.value_or(0);
    network.doubled_permille = scenario.doubled_permille.value_or(0);
    network.stray_permille = scenario.stray_permille.value_or(0);
  }
  Set(network.reset_per_million, scenario.reset_per_million);
  if (asked && fifo) network.reset_per_million += kLinkLostPerFrameLost * network.lost_permille;
  Set(network.far_permille, scenario.far_permille);
  Set(network.delay_max_ns, scenario.delay_max_us, kMicrosecond);
  network.delay_max_ns = std::max(network.delay_max_ns, network.delay_min_ns);
  Set(cluster.storage.sync_max_ns, scenario.sync_max_us, kMicrosecond);
  cluster.storage.sync_max_ns = std::max(cluster.storage.sync_max_ns, cluster.storage.sync_min_ns);
  Set(cluster.storage.flush_max_ns, scenario.flush_max_us, kMicrosecond);
}

}  // namespace

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
  Override(options, cluster);
  return cluster;
}

WorkloadOptions DrawWorkload(const RunOptions& options, SeededRandom& random) {
  WorkloadOptions workload;
  workload.seed = options.seed;
  workload.clients = random.Between(6, 12);
  workload.keys = random.Between(1, 5);
  workload.think_max_ns = random.Between(60 * kMillisecond, 250 * kMillisecond);
  workload.get_permille = random.Between(200, 500);
  workload.swap_permille = random.Between(100, 350);
  workload.delete_permille = random.Between(20, 120);
  const Scenario& scenario = options.scenario;
  SeededRandom own = SeededRandom::ForPurpose(options.seed, "scenario", 1);
  if (scenario.clients) workload.clients = own.Between(scenario.clients->low, scenario.clients->high);
  if (scenario.keys) workload.keys = own.Between(scenario.keys->low, scenario.keys->high);
  Set(workload.think_max_ns, scenario.think_max_ms, kMillisecond);
  if (scenario.operations.empty()) return workload;
  std::uint64_t sum = 0;
  for (const auto& [kind, weight] : scenario.operations) sum += weight;
  const auto share = [&](const char* kind) {
    const auto found = scenario.operations.find(kind);
    return found == scenario.operations.end() ? 0 : found->second * 1000 / sum;
  };
  workload.get_permille = share("get");
  workload.swap_permille = share("swap");
  workload.delete_permille = share("delete");
  // The rest are puts: what rounding leaves must not become some that nobody asked for.
  if (share("put") == 0) workload.get_permille = 1000 - workload.swap_permille - workload.delete_permille;
  return workload;
}

NemesisOptions DrawNemesis(const RunOptions& options, SeededRandom& random) {
  NemesisOptions nemesis;
  nemesis.seed = options.seed;
  nemesis.gap_max_ns = random.Between(2 * kSecond, 5 * kSecond);
  if (random.Chance(500)) nemesis.storm_permille = random.Between(100, 400);
  const Scenario& scenario = options.scenario;
  SeededRandom own = SeededRandom::ForPurpose(options.seed, "scenario", 2);
  if (scenario.gap_ms) nemesis.gap_max_ns = own.Between(scenario.gap_ms->low, scenario.gap_ms->high) * kMillisecond;
  Set(nemesis.storm_permille, scenario.storm_permille);
  nemesis.weights = scenario.faults;
  nemesis.plan = options.plan;
  nemesis.skipped = options.skipped;
  nemesis.on_strike = options.on_strike;
  return nemesis;
}

std::uint64_t DrawChaosNs(const RunOptions& options, SeededRandom& random) {
  const std::uint64_t drawn = random.Between(60 * kSecond, 75 * kSecond);
  if (!options.scenario.chaos_ms) return drawn;
  SeededRandom own = SeededRandom::ForPurpose(options.seed, "scenario", 3);
  return own.Between(options.scenario.chaos_ms->low, options.scenario.chaos_ms->high) * kMillisecond;
}

}  // namespace quorate::sim
