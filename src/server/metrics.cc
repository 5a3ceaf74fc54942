#include "server/metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <string_view>
#include <utility>
#include <vector>

namespace quorate::server {
namespace {

// Prometheus's text exposition format 0.0.4. By hand: docs/design/000-decisions.md says why.
class Exposition {
 public:
  void Gauge(std::string_view name, std::string_view help, double value) { Add(name, help, "gauge", value); }
  void Counter(std::string_view name, std::string_view help, double value) { Add(name, help, "counter", value); }
  void Counters(std::string_view name, std::string_view help, std::string_view label,
                const std::vector<std::pair<std::string_view, double>>& values) {
    Head(name, help, "counter");
    for (const auto& [which, value] : values) {
      text_.append(name).append("{").append(label).append("=\"").append(which).append("\"}");
      Value(value);
    }
  }
  std::string Take() { return std::move(text_); }

 private:
  void Add(std::string_view name, std::string_view help, std::string_view type, double value) {
    Head(name, help, type);
    text_.append(name);
    Value(value);
  }
  void Head(std::string_view name, std::string_view help, std::string_view type) {
    text_.append("# HELP ").append(name).append(" ").append(help);
    text_.append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
  }
  void Value(double value) {
    char number[32];
    const auto [end, error] = std::to_chars(number, number + sizeof number, value);
    static_cast<void>(error);
    text_.append(" ").append(number, static_cast<std::size_t>(end - number)).append("\n");
  }
  std::string text_;
};

void AddGroup(const replica::GroupStatus& status, Exposition* out) {
  const bool leads = status.leadership.role == consensus::Role::kLeader;
  out->Gauge("quorate_is_leader", "1 on the member that leads", leads ? 1 : 0);
  out->Gauge("quorate_has_leader", "1 when this member knows a leader", status.leadership.leader ? 1 : 0);
  out->Gauge("quorate_ballot", "the leadership generation: Raft's term",
             static_cast<double>(status.leadership.ballot.number));
  out->Gauge("quorate_commit_index", "decided up to this position", static_cast<double>(status.commit.value));
  out->Gauge("quorate_applied_index", "executed up to this position", static_cast<double>(status.applied.value));
  out->Gauge("quorate_proposals_pending", "proposals of this member's clients without an answer yet",
             static_cast<double>(status.proposals_pending));
  out->Counter("quorate_proposals_failed_total", "proposals answered with an error or an unknown outcome",
               static_cast<double>(status.proposals_failed));
  out->Gauge("quorate_apply_queue_bytes", "decided and not yet executed",
             static_cast<double>(status.apply_queue_bytes));
  out->Gauge("quorate_log_first_index", "the oldest entry that can still be sent to a member that is behind",
             static_cast<double>(status.log_first.value));
  out->Counter("quorate_snapshot_sent_bytes_total", "of snapshots sent to other members",
               static_cast<double>(status.snapshot_bytes_sent));
  out->Counter("quorate_snapshot_sending_seconds_total",
               "of transfers of snapshots to other members, each since the member began to take it",
               static_cast<double>(status.snapshot_sending_ns) / 1e9);
  out->Counter("quorate_snapshot_received_bytes_total", "of snapshots that other members sent",
               static_cast<double>(status.snapshot_bytes_received));
  out->Counter("quorate_snapshots_installed_total", "snapshots that took the place of the state",
               static_cast<double>(status.snapshots_installed));
}

void AddPeers(const env::TcpTransportCounters& counters, std::uint64_t dropped, Exposition* out) {
  const auto counter = [out](const char* name, const char* help, std::uint64_t value) {
    out->Counter(name, help, static_cast<double>(value));
  };
  out->Gauge("quorate_peer_links", "members that are linked now", static_cast<double>(counters.links_open));
  counter("quorate_peer_messages_sent_total", "messages to other members", counters.frames_sent);
  counter("quorate_peer_messages_received_total", "messages from other members", counters.frames_received);
  counter("quorate_peer_sent_bytes_total", "bytes to other members", counters.bytes_sent);
  counter("quorate_peer_received_bytes_total", "bytes from other members", counters.bytes_received);
  counter("quorate_peer_links_lost_total", "links to members that were up and ended", counters.links_lost);
  counter("quorate_peer_bad_messages_total", "connections closed for what came after the handshake",
          counters.bad_frames);
  counter("quorate_peer_messages_dropped_total",
          "messages of linked members that are malformed, or of another version, group or configuration", dropped);
  counter("quorate_peer_refused_by_peers_total", "connections that another member refused", counters.rejected_by_peers);
  std::vector<std::pair<std::string_view, double>> refused;
  for (std::size_t reason = 1; reason < counters.rejected.size(); ++reason) {
    refused.emplace_back(env::PeerRejectionName(static_cast<env::PeerRejection>(reason)),
                         static_cast<double>(counters.rejected[reason]));
  }
  out->Counters("quorate_peer_refused_connections_total", "connections to the peer port that were refused", "reason",
                refused);
}

void AddLog(const wal::LogStats& stats, Exposition* out) {
  out->Counter("quorate_log_batches_total", "batches made durable", static_cast<double>(stats.batches));
  out->Counter("quorate_log_syncs_total", "syncs they took", static_cast<double>(stats.syncs));
  out->Counter("quorate_log_written_bytes_total", "bytes written to the log", static_cast<double>(stats.bytes));
  out->Gauge("quorate_log_segments", "log files on disk", static_cast<double>(stats.segments));
}

void AddMachine(const coord::Machine& machine, Exposition* out) {
  out->Gauge("quorate_revision", "the keyspace's revision", static_cast<double>(machine.revision()));
  out->Gauge("quorate_compact_revision", "revisions below are gone", static_cast<double>(machine.compact_revision()));
  out->Gauge("quorate_keyspace_bytes", "keys and values with their retained history",
             static_cast<double>(machine.size_bytes()));
  out->Gauge("quorate_keyspace_in_use_bytes", "live keys and values", static_cast<double>(machine.size_in_use_bytes()));
  out->Gauge("quorate_leases", "leases alive", static_cast<double>(machine.Leases().size()));
}

void AddKeyspace(const coord::MachineStats& stats, Exposition* out) {
  const auto gauge = [out](const char* name, const char* help, std::uint64_t value) {
    out->Gauge(name, help, static_cast<double>(value));
  };
  const auto counter = [out](const char* name, const char* help, std::uint64_t value) {
    out->Counter(name, help, static_cast<double>(value));
  };
  gauge("quorate_keys", "keys in the index, deleted ones with retained history included", stats.keyspace.keys);
  gauge("quorate_memory_index_bytes", "of the key index", stats.keyspace.index_bytes);
  gauge("quorate_memory_cache_bytes", "of the value cache", stats.keyspace.cache_bytes);
  gauge("quorate_memory_cache_capacity_bytes", "what the value cache may take", stats.cache_capacity);
  gauge("quorate_memory_buffered_bytes", "of writes that are not yet durable, and of the recent past", stats.buffered);
  gauge("quorate_memory_engine_bytes", "of the engine: blocks, tables", stats.engine.memory_bytes);
  gauge("quorate_keyspace_backlog_bytes", "applied and not yet durable in the keyspace", stats.backlog);
  gauge("quorate_keyspace_disk_bytes", "of the keyspace's files", stats.engine.disk_bytes);
  gauge("quorate_compaction_backlog_revisions", "compacted, and not yet removed", stats.keyspace.compaction_backlog);
  counter("quorate_cold_loads_total", "reads that had to go to the disk", stats.keyspace.cold_loads);
  counter("quorate_blocking_reads_total", "records that were read while everything waited",
          stats.keyspace.blocking_reads);
  counter("quorate_keyspace_read_bytes_total", "read from the keyspace's files", stats.engine.read_bytes);
  counter("quorate_keyspace_written_bytes_total", "written to the keyspace's files by batches",
          stats.engine.written_bytes);
  counter("quorate_keyspace_flushes_total", "batches made durable", stats.engine.writes);
  counter("quorate_keyspace_failures_total", "reads and writes of the keyspace that failed", stats.engine.failures);
}

void AddListener(const net::ServerMetrics& metrics, Exposition* out) {
  out->Gauge("quorate_etcd_connections", "client connections open", static_cast<double>(metrics.connections_open));
  out->Gauge("quorate_etcd_calls", "calls open, streams included", static_cast<double>(metrics.calls_open));
  out->Counter("quorate_etcd_calls_total", "calls begun", static_cast<double>(metrics.calls_opened));
  out->Gauge("quorate_etcd_output_bytes", "of answers that wait for their clients to take them, or are being made",
             static_cast<double>(metrics.output_bytes));
  out->Counter("quorate_etcd_protocol_errors_total", "connections or calls ended for breaking the protocol",
               static_cast<double>(metrics.protocol_errors));
}

void AddProcess(Exposition* out) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  out->Counter("process_cpu_seconds_total", "user and system CPU time",
               seconds(usage.ru_utime) + seconds(usage.ru_stime));
  long total_pages = 0;
  long resident_pages = 0;
  std::ifstream("/proc/self/statm") >> total_pages >> resident_pages;
  out->Gauge("process_resident_memory_bytes", "resident memory",
             static_cast<double>(resident_pages) * static_cast<double>(::sysconf(_SC_PAGESIZE)));
}

}  // namespace

std::string RenderMetrics(const MetricsSources& sources) {
  Exposition exposition;
  AddGroup(sources.group.status(), &exposition);
  AddPeers(sources.transport.counters(), sources.group.messages_dropped(), &exposition);
  AddLog(sources.log.stats(), &exposition);
  AddMachine(sources.machine, &exposition);
  AddKeyspace(sources.machine.stats(), &exposition);
  if (sources.etcd != nullptr) AddListener(sources.etcd->metrics(), &exposition);
  AddProcess(&exposition);
  return exposition.Take();
}

}  // namespace quorate::server
