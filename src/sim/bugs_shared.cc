#ifdef QUORATE_BUGS
#include <utility>

#include "sim/bugs.h"

namespace quorate::sim {
namespace {

std::vector<SeededBug> HostBugs() {
  return {
      {"replica_sends_before_durable",
       "messages do not wait for the batch that they name",
       "Raft paper, figure 2: updated on stable storage before responding; etcd issue 14143",
       {"promise", "one-leader", "log-agreement", "durability", "liveness", "invariant"}},
      {"replica_read_before_applied",
       "a confirmed read is served before the entries up to it were applied",
       "Raft thesis 6.4, step 4; etcd issue 13464",
       {"linearizability", "revision"}},
      {"replica_retries_unknown",
       "a proposal whose outcome is unknown is sent again",
       "Jepsen: jetcd 0.8.2, 2024: a client that retried what may have happened",
       {"linearizability", "revision", "lease", "model"}},
      {"wal_sync_skipped",
       "a batch counts as durable without a sync",
       "Jepsen: NATS 2.12.1, 2025: a lazy sync",
       {"promise", "log-agreement", "one-leader", "durability", "recovery", "liveness", "invariant"}},
      {"wal_done_before_sync",
       "a batch counts as durable when its sync begins",
       "etcd issue 14370: acknowledged before saved",
       {"promise", "log-agreement", "one-leader", "durability", "recovery", "liveness", "invariant"}},
      {"wal_torn_tail_accepted",
       "recovery does not look at a record's checksum",
       "Alagappan et al., Protocol-aware recovery, FAST 2018",
       {"promise", "recovery", "log-agreement", "invariant"}},
      {"wal_truncate_forgotten",
       "recovery ignores truncations",
       "Raft paper 5.3: conflicting entries are deleted",
       {"promise", "recovery", "log-agreement", "invariant"}},
      {"wal_hard_state_lost_at_rotation",
       "a new segment begins without the hard state of the groups",
       "Raft paper, figure 2: term and vote are persistent",
       {"promise", "recovery", "one-leader", "log-agreement", "invariant"}},
      {"wal_install_not_atomic",
       "the hard state of a batch that installs a snapshot is left behind",
       "etcd issue 10219: a crash between saving a snapshot and its index; ZOOKEEPER-4643: the epoch apart from the "
       "history",
       {"promise", "recovery", "membership", "log-agreement", "invariant"}},
      {"wal_release_forgets_hard_state",
       "a segment begun after a release holds no hard state",
       "Raft paper, figure 2: term and vote are persistent, whatever becomes of the log",
       {"promise", "recovery", "one-leader", "log-agreement", "invariant"}},
      {"wal_released_above_flushed",
       "a release lets more of the log go than it was told",
       "etcd pull request 12691: the log replayed from the index of a snapshot that was never saved",
       {"recovery", "log-agreement", "invariant"}},
      {"wal_rewrite_forward_drops_entry",
       "rewriting an old segment's last entries forward leaves one behind",
       "LFS cleaning (Rosenblum and Ousterhout, 1992): live data is copied before its segment is reused",
       {"recovery", "promise", "log-agreement", "liveness", "invariant"}},
      {"replica_release_above_flushed",
       "the log is released up to what was executed, not up to what was flushed",
       "ZOOKEEPER-3642: a member that had its state in memory only lost it silently at a restart",
       {"recovery", "log-agreement", "invariant"}},
      {"replica_applies_while_installing",
       "entries are executed on the state that a snapshot is replacing",
       "Raft paper, figure 13, step 8: reset the state machine using the snapshot",
       {"log-agreement", "state-hash", "model", "revision", "recovery", "invariant"}},
      {"replica_skips_prepare_wait",
       "an entry is executed before what it reads is in memory",
       "Design: cold data suspends the apply queue",
       {"model", "state-hash", "invariant", "watch"}},
  };
}

std::vector<SeededBug> KeyspaceBugs() {
  return {
      {"store_applied_index_apart",
       "the applied index becomes durable apart from the data that it speaks of",
       "etcd 3.5.0 to 3.5.2, post-mortem of data inconsistency; issue 13766",
       {"state-hash", "recovery", "model", "revision", "invariant"}},
      {"store_flush_reports_early",
       "what was executed is reported as flushed",
       "RocksDB without its write-ahead log: what is in the memtable is lost; ZOOKEEPER-3642",
       {"recovery", "log-agreement", "invariant"}},
      {"store_install_flips_before_rows",
       "a snapshot takes the place of the old state before all of its rows are there",
       "etcd issue 10219: a crash in the middle of taking over a snapshot",
       {"state-hash", "recovery", "model", "invariant"}},
      {"store_snapshot_without_leases",
       "a snapshot lacks the tables of leases",
       "etcd issues 7192 and 12651: leases missing on a member that was restored, or restarted",
       {"state-hash", "lease", "model", "invariant"}},
      {"store_cache_serves_stale",
       "a written key's former value stays in the cache",
       "MVCC: the newest version is what the last write made; a cache beside the store that a write does not reach",
       {"model", "linearizability", "revision", "watch", "invariant"}},
      {"mvcc_background_compaction_drops_live",
       "compaction in the background removes a record that is still needed",
       "etcd issue 14211: a revision that the index names is not there",
       {"model", "watch", "durability", "state-hash", "invariant"}},
  };
}

std::vector<SeededBug> StoreBugs() {
  return {
      {"mvcc_compaction_drops_tombstone_at_revision",
       "compaction at a deletion's revision forgets the deletion",
       "etcd issue 18089: a watch missed the deletion",
       {"watch", "model"}},
      {"mvcc_compaction_removes_live_revision",
       "compaction removes the newest version when it is at its revision",
       "etcd issue 14211: a revision that the index names is not there",
       {"model", "watch", "durability", "invariant"}},
      {"mvcc_revision_bumped_by_empty_transaction",
       "a transaction that writes nothing takes a revision",
       "etcd API guide: a revision is taken by a change of the key space",
       {"model", "revision"}},
      {"mvcc_version_survives_deletion",
       "a key that was deleted and made again goes on with its old version",
       "etcd API guide: a deletion resets the version",
       {"model", "watch"}},
      {"coord_cas_compares_after_write",
       "a transaction reports its compares as they are after its writes",
       "etcd API guide: compares are evaluated before the operations",
       {"model", "linearizability"}},
      {"coord_compare_at_previous_revision",
       "a compare reads the state before the last revision",
       "etcd API guide: transactions are serial",
       {"model", "linearizability"}},
      {"coord_txn_partial_apply",
       "a refused transaction leaves its first write behind",
       "etcd issue 18667: a transaction refused on one member was executed on others",
       {"model", "state-hash"}},
      {"coord_lease_expiry_not_rechecked",
       "an expiry ends a lease that was renewed meanwhile",
       "etcd issues 12528 and 15247: a deposed leader's revocations",
       {"lease", "model"}},
      {"coord_late_stamp_counts",
       "a former leader's clock, chosen behind a later leader's commands, sets the time forward and ends what was "
       "renewed",
       "primary order, which Multi-Paxos does not keep: Junqueira, Reed, Serafini, DSN 2011, section 1",
       {"lease"}},
      {"coord_session_gap_ignored",
       "a session's command is executed though the one before it never was",
       "ZooKeeper's FIFO client order on a log with no-ops: Junqueira, Reed, Serafini, DSN 2011, section 1",
       {"model", "state-hash"}},
      {"coord_session_command_twice",
       "a session's command that was decided twice is executed twice",
       "Raft thesis 6.3: a session tracks the serial number that it executed last",
       {"model", "state-hash"}},
      {"coord_apply_uses_local_clock",
       "apply mixes the member's own clock into the state",
       "etcd issue 12535: members whose leases differed, and then their keys",
       {"state-hash", "lease", "model"}},
      {"coord_watch_skips_event_at_catch_up",
       "a watch that catches up skips the revision at the seam",
       "etcd issue 18089 and its robustness tests: watches must not miss events",
       {"watch"}},
  };
}

}  // namespace

std::vector<SeededBug> SharedBugs() {
  std::vector<SeededBug> bugs = HostBugs();
  for (auto* list : {&KeyspaceBugs, &StoreBugs}) {
    for (SeededBug& bug : list()) bugs.push_back(std::move(bug));
  }
  return bugs;
}

}  // namespace quorate::sim
#endif
