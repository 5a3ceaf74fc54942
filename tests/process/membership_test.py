#!/usr/bin/env python3
"""Members of real clusters come and go under load; a full disk refuses and recovers.

The checker is `quorate bench availability`: every acknowledged write is read back at the end.
"""
import json
import os
import pathlib
import signal
import subprocess
import tempfile

from cluster import QUORATE, Cluster, free_ports, run, wait_for


class GrowingCluster(Cluster):
    """Ports and directories for `size` members, of which only the first begins; the others join."""

    def __init__(self, size):
        super().__init__(size, start=False)
        self.size = 1  # a member's start adds no list of members by itself
        self.running = []

    def begin(self):
        first = self.members[0]
        self.running.append(first.start("--listen-peer", first.peer, "--initial-cluster", f"{first.name}={first.peer}"))
        wait_for("the first member to be healthy", first.healthy)
        # Members are entered in the table when the feature level rises, right after the first leader.
        wait_for("the first member to be in the table", lambda: "feature level 2" in first.log_text())

    def join(self, member):
        known = ",".join(f"{m.name}={m.peer}" for m in self.running)
        self.running.append(member.start("--join", "--listen-peer", member.peer, "--initial-cluster", known))
        wait_for(f"{member.name} to be healthy", member.healthy)

    def add(self, member):
        self.quorate("member", "add", member.name, "--peer", member.peer)
        self.join(member)
        self.wait_voter(member)

    def remove(self, member):
        self.running.remove(member)
        self.quorate("member", "remove", member.name)
        if member.process.poll() is None:
            member.kill()

    def quorate(self, *arguments, check=True):
        done = subprocess.run([QUORATE, *arguments, "--endpoints", ",".join(m.etcd for m in self.running)], text=True,
                              capture_output=True, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"quorate {' '.join(arguments)}: {done.stderr.strip()}")
        return done

    def listed(self):
        out = self.quorate("member", "list", "--json").stdout
        return [json.loads(line) for line in out.splitlines()]

    def wait_voter(self, member):
        """Its vote counts: leadership can be handed to it, which only a voter can take."""
        wait_for(f"{member.name} to be listed as started",
                 lambda: any(member.name in json.dumps(line) and member.etcd in json.dumps(line) for line in self.listed()))

    def wait_same(self):
        endpoints = ",".join(m.etcd for m in self.running)

        def same():
            out = json.loads(self.etcdctl("endpoint", "hashkv", "-w", "json", endpoints=endpoints).stdout)
            seen = {(e["HashKV"]["header"]["revision"], e["HashKV"]["hash"]) for e in out}
            return len(out) == len(self.running) and len(seen) == 1
        wait_for("all members to have the same hash", same)

    def load(self, seconds):
        return subprocess.Popen([QUORATE, "bench", "availability", "--endpoints", self.running[0].etcd, "--seconds", str(seconds),
                                 "--rate", "200", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(load):
    out, err = load.communicate(timeout=300)
    assert load.returncode == 0, f"bench availability exited {load.returncode}: {out} {err}"
    report = json.loads(out.strip().splitlines()[-1])
    assert report["lost"] == 0 and report["stale"] == 0 and report["acked"] > 0, report
    return report


def one_grows_to_five_and_back_to_one_under_load():
    with GrowingCluster(5) as cluster:
        cluster.begin()
        load = cluster.load(15)
        for member in cluster.members[1:]:
            cluster.add(member)
        assert len(cluster.listed()) == 5
        cluster.wait_same()
        for member in reversed(cluster.members[1:]):
            cluster.remove(member)
        report = finish(load)
        assert len(cluster.listed()) == 1
        print(f"      {report['acked']} writes acknowledged, longest gap {report['longest_gap_ms']:.0f} ms")


def a_dead_member_is_replaced_in_one_command():
    with GrowingCluster(4) as cluster:
        cluster.begin()
        cluster.add(cluster.members[1])
        cluster.add(cluster.members[2])
        dead, fresh = cluster.members[2], cluster.members[3]
        cluster.etcdctl("put", "before", "the loss", endpoints=cluster.running[0].etcd)
        dead.kill()
        cluster.running.remove(dead)
        cluster.quorate("member", "replace", dead.name, fresh.name, "--peer", fresh.peer)
        cluster.join(fresh)
        cluster.wait_same()
        assert cluster.etcdctl("get", "before", "--print-value-only", endpoints=fresh.etcd).stdout.strip() == "the loss"


def what_would_break_a_cluster_is_refused():
    with GrowingCluster(3) as cluster:
        cluster.begin()
        first, second, third = cluster.members
        cluster.add(second)
        again = cluster.quorate("member", "add", "n9", "--peer", second.peer, check=False)
        assert again.returncode != 0 and "Peer URLs already exists" in again.stderr, again.stderr
        stranger = third.start("--join", "--listen-peer", third.peer, "--initial-cluster", f"{first.name}={first.peer}")
        wait_for("the stranger to be refused", lambda: stranger.process.poll() is not None)
        assert stranger.process.returncode != 0 and "member add" in third.log_text(), third.log_text()


def leadership_is_handed_over_on_sigterm():
    with Cluster(3) as cluster:
        def leader():
            out = json.loads(cluster.etcdctl("endpoint", "status", "-w", "json").stdout)
            return next((e["Endpoint"] for e in out if e["Status"]["leader"] == e["Status"]["header"]["member_id"]), None)
        old = next(m for m in cluster.members if m.etcd == wait_for("a leader", leader))
        old.kill(signal.SIGTERM)
        assert old.process.returncode == 0 and "handing leadership over" in old.log_text(), old.log_text()
        rest = ",".join(m.etcd for m in cluster.members if m is not old)
        cluster.etcdctl("put", "after", "the handover", endpoints=rest)


def a_full_disk_refuses_writes_loses_nothing_and_recovers():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="quorate-full-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", str(directory)], capture_output=True)
    if mounted.returncode != 0:
        print("      cannot mount a small file system here: not run")
        os.rmdir(directory)
        return
    etcd = f"127.0.0.1:{free_ports(1)[0]}"
    process = None
    try:
        with open(directory / "log", "wb") as log:
            process = subprocess.Popen([QUORATE, "serve", "--data-dir", str(directory / "data"), "--listen-etcd", etcd],
                                       stdout=log, stderr=log)

        def put(key, value):
            return subprocess.run([QUORATE, "kv", "put", key, value, "--endpoints", etcd], text=True, capture_output=True, timeout=120)
        wait_for("a first write", lambda: put("before", "kept").returncode == 0)
        subprocess.run(["dd", "if=/dev/zero", f"of={directory / 'filler'}", "bs=1M"], capture_output=True)
        written = []

        def full():
            done = put(f"k{len(written)}", "x" * 60000)
            if done.returncode == 0:
                written.append(f"k{len(written)}")
                return False
            assert "the disk is full" in done.stderr, done.stderr
            return True
        wait_for("a write to be refused", full)
        os.remove(directory / "filler")
        wait_for("writes again", lambda: put("after", "kept").returncode == 0)
        process.kill()
        process.wait()
        with open(directory / "log", "ab") as log:
            process = subprocess.Popen([QUORATE, "serve", "--data-dir", str(directory / "data"), "--listen-etcd", etcd],
                                       stdout=log, stderr=log)

        def get(key):
            done = subprocess.run([QUORATE, "kv", "get", key, "--json", "--endpoints", etcd], text=True, capture_output=True, timeout=120)
            return done.returncode == 0 and key in done.stdout
        for key in ["before", "after", *written]:
            wait_for(f"{key} to be there", lambda key=key: get(key))
    finally:
        if process and process.poll() is None:
            process.kill()
            process.wait()
        subprocess.run(["umount", str(directory)], check=False)
        os.rmdir(directory)


if __name__ == "__main__":
    run([one_grows_to_five_and_back_to_one_under_load, a_dead_member_is_replaced_in_one_command, what_would_break_a_cluster_is_refused,
         leadership_is_handed_over_on_sigterm, a_full_disk_refuses_writes_loses_nothing_and_recovers])
