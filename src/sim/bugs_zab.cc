#ifdef QUORATE_BUGS
#include <utility>

#include "sim/bugs.h"

namespace quorate::sim {
namespace {

std::vector<SeededBug> ElectionAndDiscoveryBugs() {
  return {
      {"zab_ignores_current_epoch",
       "votes, and the promises of discovery, compare histories by their last zxid alone",
       "Zab paper 4.1, step l.1.3: the highest f.a first, then the highest zxid; ZOOKEEPER-335: there was no "
       "currentEpoch",
       {"log-agreement", "durability", "linearizability", "revision", "liveness", "invariant"}},
      {"zab_forgets_promise_on_restart",
       "a restarted member does not remember the epoch that it has promised",
       "Zab paper, the persistent variables of a follower: f.p; ZOOKEEPER-335: there was no acceptedEpoch",
       {"one-leader", "log-agreement", "durability", "linearizability", "revision", "invariant"}},
      {"zab_promise_before_durable",
       "ACK-E leaves before the promise is durable",
       "Zab paper 4.1, step f.1.2; ZOOKEEPER-1291: an epoch was proposed before it was written",
       {"one-leader", "log-agreement", "durability", "linearizability", "revision", "recovery", "liveness",
        "invariant"}},
      {"zab_equal_epoch_promised_twice",
       "a follower promises one epoch to two prospective leaders",
       "Zab paper 4.1, step f.1.2: only if f.p is older; ZooKeeper's Learner: an equal epoch is answered, but does not "
       "count",
       {"one-leader", "log-agreement", "durability", "linearizability", "revision", "invariant"}},
  };
}

std::vector<SeededBug> SynchronizationBugs() {
  return {
      {"zab_newleader_acked_before_durable",
       "ACK-LD leaves before epoch and history are durable",
       "ZOOKEEPER-4646 and ZOOKEEPER-3911: committed transactions lost by a crash after the ACK of NEWLEADER",
       {"log-agreement", "durability", "linearizability", "revision", "recovery", "liveness", "invariant"}},
      {"zab_epoch_before_history",
       "currentEpoch is written in a batch of its own, before the history that goes with it",
       "ZOOKEEPER-4643: committed transactions truncated by a crash between the two",
       {"log-agreement", "durability", "linearizability", "revision", "recovery", "liveness", "invariant"}},
      {"zab_uncommitted_tail_kept",
       "a member that looks for a leader takes the uncommitted end of its log for committed",
       "ZOOKEEPER-2845: the database in memory was kept across an election, with what was never committed",
       {"log-agreement", "state-hash", "durability", "linearizability", "revision", "model", "recovery", "invariant"}},
      {"zab_trunc_across_epochs",
       "TRUNC goes by the counter alone, whatever epochs the two logs have there",
       "ZOOKEEPER-1154: who had the highest zxid came late and kept what was to be cut off",
       {"log-agreement", "state-hash", "durability", "linearizability", "revision", "model", "recovery", "liveness",
        "invariant"}},
      {"zab_propose_skips_syncing",
       "what is proposed while a follower synchronizes is not sent to it",
       "ZOOKEEPER-4785, and the notes to ZooKeeper's TLA+ specification: PROPOSE goes to all that have sent ACK-E",
       {"log-agreement", "state-hash", "durability", "linearizability", "revision", "model", "recovery", "liveness",
        "invariant"}},
      {"zab_hole_propagated",
       "an entry is missing between a snapshot and what follows it, and nobody notices",
       "ZOOKEEPER-4925: a hole in the committed log, handed on by the next leader",
       {"log-agreement", "state-hash", "durability", "linearizability", "revision", "model", "recovery", "liveness",
        "invariant"}},
      {"zab_serves_before_newleader_committed",
       "a leader broadcasts, commits and answers reads before a quorum has acknowledged NEWLEADER",
       "ZOOKEEPER-3104: NEWLEADER sent, and counted, too early; Zab paper 4.2, step l.2.2",
       {"one-leader", "log-agreement", "durability", "linearizability", "revision", "recovery", "invariant"}},
  };
}

std::vector<SeededBug> BroadcastBugs() {
  return {
      {"zab_ack_before_durable",
       "a follower acknowledges a proposal that a crash can still take",
       "Zab paper 4.3, step f.3.1: accepted, then acknowledged; ZOOKEEPER-4882: memory ahead of the log",
       {"log-agreement", "durability", "linearizability", "revision", "recovery", "liveness", "invariant"}},
      {"zab_leader_counts_unsynced_self",
       "a leader counts its own log before that is synced",
       "ZOOKEEPER-4882; etcd issue 14370: a write was acknowledged before the log was saved",
       {"log-agreement", "durability", "linearizability", "revision", "recovery", "liveness", "invariant"}},
      {"zab_stale_session_ack",
       "an acknowledgement of a former session or epoch counts in this one",
       "ZOOKEEPER-4712: the sync processor of a former life went on and acknowledged",
       {"log-agreement", "durability", "linearizability", "revision", "recovery", "liveness", "invariant"}},
      {"zab_commit_by_new_quorum_only",
       "while voters change, the acknowledgements of the new ones are enough",
       "Shraer et al., USENIX ATC 2012, section 3: a quorum of the old and one of the new configuration",
       {"log-agreement", "durability", "linearizability", "revision", "membership", "recovery", "invariant"}},
      {"zab_read_without_quorum",
       "a read is served without asking whether this is still the leader",
       "ZOOKEEPER-1675: sync is answered by a deposed leader",
       {"linearizability", "revision"}},
  };
}

}  // namespace

std::vector<SeededBug> ZabBugs() {
  std::vector<SeededBug> bugs = ElectionAndDiscoveryBugs();
  for (SeededBug& bug : SynchronizationBugs()) bugs.push_back(std::move(bug));
  for (SeededBug& bug : BroadcastBugs()) bugs.push_back(std::move(bug));
  return bugs;
}

}  // namespace quorate::sim
#endif
