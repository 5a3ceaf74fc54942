#!/usr/bin/env python3
"""Members come and go while clients write: nothing acknowledged is lost, and whatever cannot be done says why and changes nothing.

The checker is `quorate bench availability`, as in kill_test.py.
"""
import json
import signal
import subprocess
import time

from cluster import PATIENCE_SECONDS, QUORATE, Cluster, Member, free_ports, run, wait_for
from kill_test import Load


class Growing(Cluster):
    """A cluster that starts as one member with a peer address, and takes others in."""

    def __init__(self, size=1, flags=()):
        super().__init__(size, start=False, flags=flags)
        self.gone = []

    def __enter__(self):
        if self.size == 1:
            self.members[0].start("--listen-peer", self.members[0].peer, "--advertise-peer", self.members[0].peer)
        else:
            for member in self.members:
                member.start()
        self.wait_healthy()
        self.cli("kv", "put", "a", "something to hash")
        return self

    def __exit__(self, *arguments):
        self.members += self.gone
        super().__exit__(*arguments)

    def cli(self, *arguments, endpoints=None):
        return subprocess.run([QUORATE, *arguments, "--endpoints", endpoints or self.endpoints], capture_output=True, text=True,
                              timeout=PATIENCE_SECONDS)

    def member(self, *arguments, endpoints=None):
        return self.cli("member", *arguments, endpoints=endpoints)

    def must(self, *arguments, endpoints=None):
        """A member command that is tried again while the cluster is not healthy enough for it."""
        def attempt():
            done = self.member(*arguments, endpoints=endpoints)
            if done.returncode == 0:
                return done
            assert "unhealthy cluster" in done.stderr or "not enough started" in done.stderr, done.stderr
            return None
        return wait_for(f"member {' '.join(arguments)}", attempt)

    def new_member(self):
        member = Member(self, 0, free_ports(3))
        member.name = f"n{len(self.members) + len(self.gone) + 1}"
        member.data_dir = self.directory / member.name
        member.log = self.directory / f"{member.name}.log"
        return member

    def start_joiner(self, member):
        command = [QUORATE, "serve", "--join", "--name", member.name, "--data-dir", str(member.data_dir), "--listen-peer", member.peer,
                   "--listen-etcd", member.etcd, "--listen-admin", member.admin, "--protocol", self.protocol, *self.flags,
                   "--initial-cluster", ",".join(f"{m.name}={m.peer}" for m in self.members if m is not member)]
        with open(member.log, "ab") as log:
            member.process = subprocess.Popen(command, stdout=log, stderr=log)

    def restart(self, member):
        """Without a word about the others: the data directory knows."""
        command = [QUORATE, "serve", "--name", member.name, "--data-dir", str(member.data_dir), "--listen-etcd", member.etcd,
                   "--protocol", self.protocol, *self.flags, "--listen-admin", member.admin, "--listen-peer", member.peer]
        with open(member.log, "ab") as log:
            member.process = subprocess.Popen(command, stdout=log, stderr=log)

    def grow(self):
        member = self.new_member()
        self.must("add", member.name, "--peer", member.peer)
        self.start_joiner(member)
        self.members.append(member)
        wait_for(f"{member.name} to vote", lambda: member.healthy() and not self.status(member)["learner"] and member.name in self.listed())
        return member

    def shrink(self, member):
        rest = [m for m in self.members if m is not member]
        self.must("remove", member.name, endpoints=",".join(m.etcd for m in rest))
        member.process.wait(timeout=PATIENCE_SECONDS)  # it notices by itself
        assert "was removed from the cluster" in member.log_text(), member.log_text()
        self.members.remove(member)
        self.gone.append(member)

    def status(self, member):
        return json.loads(self.cli("status", "--json", endpoints=member.etcd).stdout.splitlines()[-1])

    def leader(self):
        return wait_for("a leader", lambda: next((m for m in self.members if self.status(m).get("is_leader")), None))

    def listed(self):
        return sorted(line["name"] for line in map(json.loads, self.member("list", "--json").stdout.splitlines()))


def from_one_to_five_and_back_under_load():
    with Growing() as cluster:
        load = Load(cluster, 60)  # on the first member, which stays
        first = cluster.members[0]
        for _ in range(4):
            cluster.grow()
        assert cluster.listed() == ["n1", "n2", "n3", "n4", "n5"], cluster.listed()
        cluster.wait_equal_hashes()
        for member in [m for m in cluster.members if m is not first]:
            cluster.shrink(member)
        report = load.finish()
        assert cluster.listed() == ["n1"]
        print(f"      {report['acked']} writes acknowledged, longest gap {report['longest_gap_ms']:.0f} ms")


def a_member_is_added_right_after_the_first_start():
    with Growing() as cluster:
        done = cluster.member("add", "n2", "--peer", f"127.0.0.1:{free_ports(1)[0]}")
        assert done.returncode == 0, done.stderr


def a_dead_member_is_replaced_in_one_command_under_load():
    with Growing(3) as cluster:
        victim = next(m for m in cluster.members if m is not cluster.leader())
        alive = [m for m in cluster.members if m is not victim]
        endpoints = ",".join(m.etcd for m in alive)
        victim.kill()
        cluster.members.remove(victim)
        cluster.gone.append(victim)
        load = Load(cluster, 15)
        new = cluster.new_member()
        new.name, new.peer = victim.name, victim.peer  # on the same machine, with an empty disk
        answer = json.loads(cluster.must("replace", victim.name, "--peer", new.peer, "--json", endpoints=endpoints).stdout)
        assert answer["serve"].startswith(f"quorate serve --join --name {new.name} "), answer
        cluster.start_joiner(new)
        cluster.members.append(new)
        wait_for("the new member to vote", lambda: new.healthy() and not cluster.status(new)["learner"])
        load.finish()
        cluster.wait_equal_hashes()
        # The old one comes back: it is told that it is none any more, and disturbs nobody.
        victim.peer = f"127.0.0.1:{free_ports(1)[0]}"
        cluster.restart(victim)
        victim.process.wait(timeout=PATIENCE_SECONDS)
        assert "was removed from the cluster" in victim.log_text(), victim.log_text()
        # The new one is a full member: with another one down there is still a quorum.
        alive[0].kill()
        wait_for("a write", lambda: cluster.cli("kv", "put", "a", "b", endpoints=alive[1].etcd).returncode == 0)


def the_leader_is_removed():
    with Growing(3) as cluster:
        leader = cluster.leader()
        cluster.shrink(leader)
        cluster.wait_healthy()
        assert len(cluster.listed()) == 2
        cluster.wait_equal_hashes()


def members_survive_a_restart_and_their_addresses_may_change():
    with Growing() as cluster:
        cluster.grow()
        cluster.grow()
        moved = cluster.members[2]
        moved.kill()
        moved.peer = f"127.0.0.1:{free_ports(1)[0]}"
        done = cluster.member("update", moved.name, "--peer", moved.peer)
        assert done.returncode == 0, done.stderr
        for member in cluster.members[:2]:
            member.kill()
        for member in cluster.members:
            cluster.restart(member)
        cluster.wait_healthy()
        assert cluster.listed() == ["n1", "n2", "n3"]
        cluster.wait_equal_hashes()


def what_cannot_be_done_says_why():
    with Growing(3) as cluster:
        stranger = cluster.new_member()
        cluster.start_joiner(stranger)
        stranger.process.wait(timeout=PATIENCE_SECONDS)
        assert f"run quorate member add {stranger.name} --peer {stranger.peer} first" in stranger.log_text(), stranger.log_text()
        before = cluster.listed()

        def refused(text, *arguments, advice=""):
            done = cluster.member(*arguments)
            assert done.returncode == 1 and text in done.stderr and advice in done.stderr, (arguments, done.stderr)

        refused("Peer URLs already exists", "add", "n9", "--peer", cluster.members[0].peer, advice="quorate member replace")
        refused("a member is called n2 already", "add", "n2", "--peer", "127.0.0.1:9", advice="quorate member replace n2")
        refused("member not found", "remove", "1234", advice="quorate member list")
        refused("no member is called nobody", "remove", "nobody")
        refused("can only promote a learner member", "promote", "n1")
        refused("given member URLs are invalid", "add", "n9", "--peer", "nowhere")
        assert cluster.listed() == before
        joiner = cluster.new_member()
        assert cluster.member("add", joiner.name, "--peer", joiner.peer, "--learner").returncode == 0
        refused("Peer URLs already exists", "add", joiner.name, "--peer", joiner.peer)
        refused("too many learner members", "add", "n9", "--peer", "127.0.0.1:9", "--learner", advice="Promote or remove")
        learner = next(json.loads(line) for line in cluster.member("list", "--json").stdout.splitlines() if json.loads(line)["learner"])
        refused("in sync with leader", "promote", learner["id"], advice="still being taught")
        assert cluster.member("remove", learner["id"]).returncode == 0
        refused("member not found", "remove", learner["id"], advice="quorate member list")
        joiner = cluster.new_member()
        assert cluster.member("add", joiner.name, "--peer", joiner.peer, "--learner").returncode == 0
        cluster.start_joiner(joiner)
        cluster.members.append(joiner)
        wait_for("the learner to have started", lambda: joiner.name in cluster.listed())
        assert cluster.status(joiner)["learner"]
        assert "rpc not supported for learner" in cluster.cli("kv", "get", "a", endpoints=joiner.etcd).stderr
        wait_for("the learner to be promoted", lambda: cluster.member("promote", joiner.name).returncode == 0)
        wait_for("the learner to vote", lambda: not cluster.status(joiner)["learner"])


def without_a_quorum_nothing_is_removed():
    with Growing(3) as cluster:
        leader = cluster.leader()
        others = [m for m in cluster.members if m is not leader]
        others[0].kill()
        # Two are left of three: a working one may not go.
        words = wait_for("the loss to be noticed", lambda: next(
            (said for said in [cluster.member("remove", others[1].name, endpoints=leader.etcd).stderr] if "unhealthy cluster" in said), None))
        assert "Start what is down first" in words, words
        others[1].kill()
        done = cluster.member("remove", others[0].name, "--timeout", "20", endpoints=leader.etcd)
        assert done.returncode != 0, "removed without a quorum"
        assert "Without a quorum the members cannot change" in done.stderr, done.stderr
        for member in others:
            member.start()
        cluster.wait_healthy()
        cluster.wait_equal_hashes()


def leadership_is_moved_and_handed_over_on_sigterm():
    with Growing(3) as cluster:
        target = next(m for m in cluster.members if m is not cluster.leader())
        done = cluster.cli("move-leader", target.name)
        assert done.returncode == 0, done.stderr
        assert cluster.status(target)["is_leader"]
        gaps = []
        for how in (signal.SIGTERM, signal.SIGKILL):
            leader = cluster.leader()
            load = Load(cluster, 8)
            time.sleep(3)
            leader.kill(how)
            gaps.append(load.finish()["longest_gap_ms"])
            leader.start()
            cluster.wait_healthy()
        print(f"      longest gap {gaps[0]:.0f} ms after SIGTERM, {gaps[1]:.0f} ms after SIGKILL")


def a_full_keyspace_refuses_writes_until_it_is_disarmed():
    with Cluster(1, start=False) as cluster:
        member = cluster.members[0].start("--quota-backend-bytes", "100000")
        cluster.wait_healthy()
        def put(key):
            return cluster.etcdctl("put", key, "v" * 1000, check=False)

        refusal = wait_for("the quota to be met", lambda: next((done for i in range(200) if (done := put(f"k{i}")).returncode), None))
        assert "etcdserver: mvcc: database space exceeded" in refusal.stderr, refusal.stderr
        assert "alarm:NOSPACE" in cluster.etcdctl("alarm", "list").stdout
        revision = json.loads(cluster.etcdctl("get", "k0", "-w", "json").stdout)["header"]["revision"]
        member.kill()
        member.start("--quota-backend-bytes", "100000")
        wait_for("the member", lambda: cluster.etcdctl("get", "k0", check=False).returncode == 0)
        assert "alarm:NOSPACE" in cluster.etcdctl("alarm", "list").stdout, "the alarm was forgotten"
        assert put("k0").returncode != 0
        assert cluster.etcdctl("del", "k", "--prefix").stdout.strip() != "0"
        cluster.etcdctl("compaction", str(revision + 1))
        cluster.etcdctl("alarm", "disarm")
        wait_for("a write", lambda: put("k0").returncode == 0)


if __name__ == "__main__":
    run([from_one_to_five_and_back_under_load, a_member_is_added_right_after_the_first_start, a_dead_member_is_replaced_in_one_command_under_load, the_leader_is_removed,
         members_survive_a_restart_and_their_addresses_may_change, what_cannot_be_done_says_why, without_a_quorum_nothing_is_removed,
         leadership_is_moved_and_handed_over_on_sigterm, a_full_keyspace_refuses_writes_until_it_is_disarmed])
