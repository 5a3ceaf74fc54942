#!/usr/bin/env python3
"""Members that are too far behind for the log are fed by a snapshot while the cluster serves; a cut link costs the rest of it, not all."""
import re

from cluster import Cluster, run, wait_for
from kill_test import Load
from membership_test import Growing

# Little memory, so that what was written goes down and the log above it may go; little of the log kept.
FLAGS = ["--memory", "64MiB", "--log-keep", "1MiB"]
RATE_BYTES = 6 << 20


def leave_behind(cluster, victim, mib):
    """Stops `victim` and writes until the log no longer reaches back to where it was."""
    applied = victim.metric("quorate_applied_index")
    victim.kill()
    rest = [member for member in cluster.members if member is not victim]
    cluster.fill(mib, endpoints=",".join(member.etcd for member in rest))
    for member in rest:
        wait_for(f"{member.name} to release its log", lambda member=member: member.metric("quorate_log_first_index") > applied + 1)


def a_follower(cluster):
    leader = cluster.leader()
    return leader, next(member for member in reversed(cluster.members) if member is not leader)


def a_member_far_behind_is_fed_by_a_snapshot_while_the_others_serve():
    with Cluster(3, flags=FLAGS) as cluster:
        _, victim = a_follower(cluster)
        leave_behind(cluster, victim, 12)
        load = Load(cluster, 6, [member for member in cluster.members if member is not victim])
        victim.start()
        wait_for("the snapshot to be installed", lambda: victim.metric("quorate_snapshots_installed_total") >= 1)
        wait_for("the member to serve", victim.healthy)
        report = load.finish()
        cluster.wait_equal_hashes()
        print(f"      {report['acked']} writes acknowledged meanwhile, longest gap {report['longest_gap_ms']:.0f} ms")


def a_new_member_is_fed_by_a_snapshot_while_the_others_serve():
    with Growing(1, flags=FLAGS) as cluster:
        cluster.fill(12)
        first = cluster.members[0]
        wait_for("the log to be released", lambda: first.metric("quorate_log_first_index") > 2)
        load = Load(cluster, 6)
        member = cluster.grow()
        assert member.metric("quorate_snapshots_installed_total") >= 1, "it was taught by the log alone"
        load.finish()
        cluster.wait_equal_hashes()


def sizes(member):
    """Of the snapshots that it has received whole."""
    return [int(size) for size in re.findall(r"received a snapshot of (\d+) bytes", member.log_text())]


def a_cut_link_costs_only_what_had_not_arrived():
    with Cluster(3, flags=[*FLAGS, "--snapshot-rate", str(RATE_BYTES)], proxies=True) as cluster:
        for _ in range(3):
            leader, victim = a_follower(cluster)
            leave_behind(cluster, victim, 12)
            ballot, before = leader.metric("quorate_ballot"), leader.metric("quorate_snapshot_sent_bytes_total")
            size = leader.metric("quorate_keyspace_bytes")
            victim.start()
            wait_for("half of the snapshot", lambda: leader.metric("quorate_snapshot_sent_bytes_total") - before >= size / 2)
            for member in cluster.members:
                member.proxy.cut()
            first = leader.metric("quorate_snapshot_sent_bytes_total") - before
            cluster.wait_healthy()
            second = leader.metric("quorate_snapshot_sent_bytes_total") - before - first
            if leader.metric("quorate_is_leader") and leader.metric("quorate_ballot") == ballot:
                break  # another leader starts over, as it should
        whole = sizes(victim)[-1]
        print(f"      of {whole >> 20} MiB, {100 * first / whole:.0f} % were sent before the cut and {100 * second / whole:.0f} % after it")
        assert first < whole, "the link was cut after the end"
        assert second <= 0.6 * whole, (first, second, whole)
        assert victim.log_text().count("receiving a snapshot") == len(sizes(victim)), "it began anew"
        cluster.wait_equal_hashes()


if __name__ == "__main__":
    run([a_member_far_behind_is_fed_by_a_snapshot_while_the_others_serve, a_new_member_is_fed_by_a_snapshot_while_the_others_serve,
         a_cut_link_costs_only_what_had_not_arrived])
