#!/usr/bin/env python3
"""What etcdctl sees while the leader is killed: watches, writes and leases on the other members go on.

Usage: failover_test.py [case...]; QUORATE_PROTOCOL names the protocol (default raft).
"""
import json
import os
import signal

from etcd_peer import ROOT  # noqa: F401: puts tests/process on the path
from cluster import Cluster, run, wait_for
from console import Console

PROTOCOL = os.environ.get("QUORATE_PROTOCOL", "raft")
KEYS = 60


def leader(cluster):
    """The index of the member that all members take for the leader."""
    def agreed():
        statuses = json.loads(cluster.etcdctl("endpoint", "status", "-w", "json").stdout)
        leaders = {entry["Status"].get("leader", 0) for entry in statuses}
        if len(statuses) < len(cluster.members) or len(leaders) != 1 or 0 in leaders:
            return None
        chosen = leaders.pop()
        for entry in statuses:
            if entry["Status"]["header"]["member_id"] == chosen:
                return cluster.members.index(next(m for m in cluster.members if m.etcd == entry["Endpoint"])), chosen
        return None
    return wait_for("a leader on whom all agree", agreed)[0]


def put_until_done(cluster, key, value, endpoints):
    """A put that may meet the election: repeated until it is acknowledged, so it may have been written more than once."""
    wait_for(f"the put of {key}", lambda: cluster.etcdctl("put", key, value, endpoints=endpoints, check=False).returncode == 0)


def others(cluster, index):
    return [member for i, member in enumerate(cluster.members) if i != index]


def watch_loses_and_doubles_nothing_when_the_leader_is_killed():
    with Cluster(3, PROTOCOL) as cluster:
        console = Console(cluster, False)
        first = leader(cluster)
        survivors = others(cluster, first)
        watch = console.start("watch", "-i", "-w", "json", on=cluster.members.index(survivors[0]))
        watch.say("watch key --prefix").ready()
        writers = ",".join(member.etcd for member in survivors)
        for i in range(KEYS):
            if i == KEYS // 3:
                cluster.members[first].kill()
            if i == 2 * KEYS // 3:
                cluster.members[first].start()
            put_until_done(cluster, f"key{i:03}", "v", writers)
        put_until_done(cluster, "key-end", "end", writers)
        watch.expect("a2V5LWVuZA==")  # key-end
        seen = []
        for line in watch.lines:
            if line.startswith("{"):
                seen += [(e["kv"]["mod_revision"], e["kv"]["key"]) for e in json.loads(line).get("Events") or []]
        watch.interrupt()
        history = json.loads(cluster.etcdctl("get", "key", "--prefix", "-w", "json", endpoints=survivors[1].etcd).stdout)
        revisions = [revision for revision, _ in seen]
        assert revisions == sorted(set(revisions)), f"doubled or out of order: {revisions}"
        # Every key's newest write is among the events, and so is every revision up to the last: nothing else was written.
        assert {(kv["mod_revision"], kv["key"]) for kv in history["kvs"]} <= set(seen)
        assert revisions == list(range(revisions[0], revisions[0] + len(revisions))), revisions
        assert revisions[0] == 2 and revisions[-1] == history["header"]["revision"], (revisions[0], revisions[-1], history["header"])


def watch_goes_on_when_its_own_member_is_killed_and_comes_back():
    with Cluster(3, PROTOCOL) as cluster:
        console = Console(cluster, False)
        member = cluster.members[others(cluster, leader(cluster))[0] is cluster.members[0] and 0 or 1]
        index = cluster.members.index(member)
        watch = console.start("watch", "-i", "-w", "json", on=index)
        watch.say("watch key --prefix").ready()
        writers = ",".join(m.etcd for m in others(cluster, index))
        cluster.etcdctl("put", "key1", "before", endpoints=writers)
        watch.expect("a2V5MQ==")
        member.kill()
        put_until_done(cluster, "key2", "while it is away", writers)
        put_until_done(cluster, "key3", "while it is away", writers)
        member.start()
        watch.expect("a2V5Mw==")  # key3: the client resumes where it was
        lines = "".join(watch.lines)
        assert lines.count("a2V5MQ==") == 1 and lines.count("a2V5Mg==") >= 1 and lines.count("a2V5Mw==") >= 1, lines
        watch.interrupt()


def a_kept_alive_lease_survives_the_leader():
    with Cluster(3, PROTOCOL) as cluster:
        console = Console(cluster, False)
        first = leader(cluster)
        survivors = others(cluster, first)
        endpoints = ",".join(member.etcd for member in survivors)
        lease = cluster.etcdctl("lease", "grant", "6").stdout.split()[1]
        cluster.etcdctl("put", "k", "v", "--lease", lease)
        keep = console.start("lease", "keep-alive", lease, on=cluster.members.index(survivors[0]))
        keep.expect("keepalived")
        cluster.members[first].kill()
        keep.expect("keepalived", count=5)  # one every two seconds: longer than the lease
        assert cluster.etcdctl("get", "k", endpoints=endpoints).stdout == "k\nv\n"
        keep.interrupt()
        wait_for("the lease's end", lambda: cluster.etcdctl("get", "k", endpoints=endpoints).stdout == "")


def a_lock_is_still_held_after_the_leader_is_killed():
    with Cluster(3, PROTOCOL) as cluster:
        console = Console(cluster, False)
        first = leader(cluster)
        survivors = others(cluster, first)
        holder = console.start("lock", "mutex", on=cluster.members.index(survivors[0]))
        held = holder.expect("mutex/").strip()
        cluster.members[first].kill()
        waiter = console.start("lock", "mutex", on=cluster.members.index(survivors[1]))
        wait_for("the second in the queue", lambda: len(cluster.etcdctl(
            "get", "mutex/", "--prefix", "--keys-only", endpoints=survivors[1].etcd).stdout.split()) == 2)
        assert waiter.arrived.empty() and holder.process.poll() is None
        assert held in cluster.etcdctl("get", "mutex/", "--prefix", "--keys-only", endpoints=survivors[1].etcd).stdout
        holder.interrupt()
        waiter.expect("mutex/")
        waiter.interrupt()


def without_a_majority_writes_and_reads_are_refused_and_local_reads_are_not():
    with Cluster(3, PROTOCOL) as cluster:
        cluster.etcdctl("put", "k", "v")
        survivor = cluster.members[0]
        wait_for("the put on the survivor", lambda: cluster.etcdctl("get", "k", "--consistency", "s", endpoints=survivor.etcd).stdout)
        for member in cluster.members[1:]:
            member.kill()
        for arguments in (("put", "k", "w"), ("get", "k"), ("lease", "grant", "10")):
            done = cluster.etcdctl("--command-timeout", "2s", *arguments, endpoints=survivor.etcd, check=False)
            assert done.returncode != 0 and ("deadline exceeded" in done.stderr or "etcdserver: " in done.stderr), (arguments, done.stderr)
        assert cluster.etcdctl("get", "k", "--consistency", "s", endpoints=survivor.etcd).stdout == "k\nv\n"
        health = cluster.etcdctl("endpoint", "health", endpoints=survivor.etcd, check=False)
        assert health.returncode != 0 and "is unhealthy" in health.stdout + health.stderr, health
        for member in cluster.members[1:]:
            member.start()
        cluster.wait_healthy()
        put_until_done(cluster, "k", "again", survivor.etcd)
        cluster.wait_equal_hashes()


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    run([watch_loses_and_doubles_nothing_when_the_leader_is_killed,
         watch_goes_on_when_its_own_member_is_killed_and_comes_back,
         a_kept_alive_lease_survives_the_leader,
         a_lock_is_still_held_after_the_leader_is_killed,
         without_a_majority_writes_and_reads_are_refused_and_local_reads_are_not])
