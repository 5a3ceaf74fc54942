#!/usr/bin/env python3
"""kill -9 of real members under load: no acknowledged write lost, no revision reused, equal hashes afterwards.

The checker is `quorate bench availability`: open-loop writes to all members, each to a key of its own, and every acknowledged one read
back linearizably at the end (exit status 1 when one is missing or stale). QUORATE_CRASH_ROUNDS sets how many kills; default 6.
"""
import json
import os
import random
import signal
import subprocess
import time

from cluster import QUORATE, Cluster, run, wait_for

ROUNDS = int(os.environ.get("QUORATE_CRASH_ROUNDS", "6"))
SECONDS_PER_ROUND = 2.5


class Load:
    """The checker running beside the kills."""

    def __init__(self, cluster, seconds, members=None):
        endpoints = ",".join(member.etcd for member in members or cluster.members)
        self.process = subprocess.Popen(
            [QUORATE, "bench", "availability", "--endpoints", endpoints, "--seconds", str(seconds), "--rate", "300", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self):
        out, err = self.process.communicate(timeout=600)
        assert self.process.returncode == 0, f"bench availability exited {self.process.returncode}: {out} {err}"
        report = json.loads(out.strip().splitlines()[-1])
        assert report["lost"] == 0 and report["stale"] == 0, report
        assert report["acked"] > 0, report
        return report


def revisions(cluster):
    return max(revision for revision, _ in cluster.hashes())


def kills(cluster, choose):
    load = Load(cluster, ROUNDS * SECONDS_PER_ROUND + 2)
    dice = random.Random(1)
    for _ in range(ROUNDS):
        victims = choose(dice, cluster.members)
        time.sleep(dice.uniform(0.2, SECONDS_PER_ROUND / 2))
        for victim in victims:
            victim.kill()
        time.sleep(dice.uniform(0.0, SECONDS_PER_ROUND / 2))
        for victim in victims:
            victim.start()
        wait_for("a healthy cluster", lambda: all(member.healthy() for member in cluster.members))
    report = load.finish()
    cluster.wait_equal_hashes()
    print(f"      {report['acked']} writes acknowledged, longest gap {report['longest_gap_ms']:.0f} ms")


def any_member_is_killed_again_and_again():
    with Cluster(3) as cluster:
        kills(cluster, lambda dice, members: [dice.choice(members)])


def all_members_are_killed_at_once():
    with Cluster(3) as cluster:
        kills(cluster, lambda dice, members: members)


def a_lone_server_is_killed():
    with Cluster(1) as cluster:
        kills(cluster, lambda dice, members: members)


def no_revision_is_used_twice():
    with Cluster(3) as cluster:
        seen = {}
        for round_number in range(4):
            for i in range(20):
                answer = json.loads(cluster.etcdctl("put", f"key{i}", f"{round_number}", "-w", "json").stdout)
                revision = answer["header"]["revision"]
                assert revision not in seen, f"revision {revision} was {seen[revision]} and is key{i} in round {round_number}"
                seen[revision] = f"key{i} in round {round_number}"
            for member in cluster.members:
                member.kill()
            for member in cluster.members:
                member.start()
            cluster.wait_healthy()
            assert revisions(cluster) >= max(seen), "the revision fell over a restart"
        cluster.wait_equal_hashes()


def sigterm_stops_cleanly_and_nothing_is_replayed_as_torn():
    with Cluster(3) as cluster:
        cluster.etcdctl("put", "a", "b")
        for member in cluster.members:
            member.kill(signal.SIGTERM)
            assert member.process.returncode == 0, member.process.returncode
        for member in cluster.members:
            member.start()
        cluster.wait_healthy()
        assert cluster.etcdctl("get", "a", "--print-value-only").stdout == "b\n"


if __name__ == "__main__":
    run([any_member_is_killed_again_and_again, all_members_are_killed_at_once, a_lone_server_is_killed, no_revision_is_used_twice,
         sigterm_stops_cleanly_and_nothing_is_replayed_as_torn])
