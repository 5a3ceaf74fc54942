#ifdef QUORATE_BUGS
#include <utility>

#include "sim/bugs.h"

namespace quorate::sim {
namespace {

std::vector<SeededBug> ElectionAndLogBugs() {
  return {
      {"raft_forgets_vote_on_restart",
       "a restarted member does not remember whom it voted for",
       "Raft paper, figure 2: votedFor is persistent; NodeDB-Lab/nodedb issue 161: the hard state was never persisted",
       {"promise", "one-leader", "log-agreement", "invariant"}},
      {"raft_double_vote_in_term",
       "a member grants its vote twice in one term",
       "Raft paper 5.2; etcd pull request 2461: the vote was reset while the term stayed",
       {"promise", "one-leader", "log-agreement", "invariant"}},
      {"raft_vote_before_durable",
       "the vote leaves before it is durable",
       "Raft paper, figure 2: updated on stable storage before responding; nodedb issue 161",
       {"promise", "one-leader", "log-agreement", "invariant"}},
      {"raft_vote_ignores_log_freshness",
       "a candidate whose log is behind gets the vote",
       "Raft paper 5.4.1, the election restriction",
       {"log-agreement", "linearizability", "durability", "invariant"}},
      {"raft_ack_before_durable",
       "a follower acknowledges entries that a crash can still take",
       "etcd issue 12589: entries counted as stored while they were not",
       {"promise", "log-agreement", "durability", "liveness", "invariant"}},
      {"raft_leader_counts_unsynced_self",
       "a leader counts its own entry before its own log is synced",
       "etcd issue 14370: a write was acknowledged before the log was saved",
       {"promise", "log-agreement", "durability", "invariant"}},
      {"raft_append_always_truncates",
       "an append cuts the log behind it although nothing conflicts",
       "Raft paper, figure 2, AppendEntries step 3: only if an existing entry conflicts",
       {"log-agreement", "durability", "invariant"}},
      {"raft_append_skips_prev_term_check",
       "an append is taken without the same entry before it",
       "Raft paper 5.3, the consistency check",
       {"log-agreement", "invariant"}},
      {"raft_commits_old_term_by_counting",
       "an entry of an earlier term is committed by counting copies",
       "Raft paper 5.4.2, figure 8",
       {"log-agreement", "durability", "invariant"}},
      {"raft_follower_commits_unverified_suffix",
       "a follower commits entries that the append did not verify",
       "Raft paper, figure 2, AppendEntries step 5: at most the index of the last new entry",
       {"log-agreement", "invariant"}},
      {"raft_heartbeat_commit_unbounded",
       "a heartbeat carries a commit index that its receiver may not have",
       "Raft thesis 3.5: a follower commits what is known to match its leader's log",
       {"log-agreement", "invariant"}},
      {"raft_read_without_quorum",
       "a read is served without asking whether this is still the leader",
       "Raft thesis 6.4; Jepsen: etcd and Consul, 2014: stale reads from a deposed leader",
       {"linearizability", "revision"}},
      {"raft_read_before_own_term_commit",
       "a new leader serves reads before it committed an entry of its own term",
       "Raft thesis 6.4, step 1; etcd issue 7331",
       {"linearizability", "revision"}},
      {"raft_read_round_reused",
       "an old round's confirmations count for a new round of reads",
       "etcd issue 20418: stale reads after a reused request id",
       {"linearizability", "revision", "liveness"}},
  };
}

std::vector<SeededBug> MembershipBugs() {
  return {
      {"raft_single_step_change_before_own_commit",
       "a leader changes the voters in one step, before an entry of its own term is committed",
       "Ongaro, raft-dev, \"bug in single-server membership changes\", July 2015",
       {"membership", "one-leader", "log-agreement", "durability", "invariant"}},
      {"raft_joint_needs_one_majority",
       "in a joint configuration the majority of the new voters is enough",
       "Raft paper, section 6: agreement requires separate majorities from both configurations",
       {"membership", "one-leader", "log-agreement", "durability", "invariant"}},
      {"raft_counts_removed_member",
       "votes and acknowledgements of removed members count",
       "raft-rs issue 221: the vote of a removed node still counted; Raft thesis 4.2.2",
       {"membership", "one-leader", "log-agreement", "durability", "liveness", "invariant"}},
      {"raft_new_voter_before_caught_up",
       "a new member votes before it has caught up",
       "Raft thesis 4.2.1; etcd issue 10537: learners, because an empty member counted in the quorum at once",
       {"membership", "liveness", "invariant"}},
      {"raft_install_without_hard_state",
       "a snapshot's installation is written without the hard state that goes with it",
       "etcd issue 10219: a crash between saving a snapshot and its index; ZOOKEEPER-4643: the epoch apart from the "
       "history",
       {"promise", "recovery", "membership", "log-agreement", "invariant"}},
      {"raft_install_keeps_stale_log",
       "a snapshot that conflicts with the log leaves what the log has above it",
       "Raft paper, figure 13, step 7: discard the entire log",
       {"log-agreement", "state-hash", "revision", "model", "invariant"}},
  };
}

}  // namespace

std::vector<SeededBug> RaftBugs() {
  std::vector<SeededBug> bugs = ElectionAndLogBugs();
  for (SeededBug& bug : MembershipBugs()) bugs.push_back(std::move(bug));
  return bugs;
}

}  // namespace quorate::sim
#endif
