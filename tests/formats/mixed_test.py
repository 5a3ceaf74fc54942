#!/usr/bin/env python3
"""A cluster of two versions: the commit that PREVIOUS names beside today's build, under load, and then upgraded member by member.

Builds that commit below build/previous, unless QUORATE_PREVIOUS_BINARY names a binary of it. Part of `make test-full` only.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "process"))
from cluster import QUORATE, Cluster, run, wait_for  # noqa: E402

LOAD_SECONDS = 6


def previous_binary():
    if "QUORATE_PREVIOUS_BINARY" in os.environ:
        return os.environ["QUORATE_PREVIOUS_BINARY"]
    commit = (HERE / "PREVIOUS").read_text().strip()
    tree = ROOT / "build/previous" / commit[:12]
    binary = tree / "build/release/quorate"
    if not binary.exists():
        (tree / "build").mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "-C", str(ROOT), "archive", commit], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-C", str(tree), "-x"], input=archive, check=True)
        if not (tree / "build/deps").exists():
            (tree / "build/deps").symlink_to(ROOT / "build/deps")
        subprocess.run(["cmake", "-S", str(tree), "-B", str(tree / "build/release"), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"],
                       check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", str(tree / "build/release"), "quorate"], check=True, stdout=subprocess.DEVNULL)
    return str(binary)


def load(cluster, meanwhile=lambda: None):
    process = subprocess.Popen([QUORATE, "bench", "availability", "--endpoints", cluster.endpoints, "--seconds", str(LOAD_SECONDS), "--rate",
                                "200", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    meanwhile()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    report = json.loads(out.strip().splitlines()[-1])
    assert report["lost"] == 0 and report["stale"] == 0 and report["acked"] > 0, report
    print(f"      {report['acked']} writes acknowledged")


def content(cluster, member):
    answer = json.loads(cluster.etcdctl("get", "", "--prefix", "-w", "json", "--consistency", "s", endpoints=member.etcd).stdout)
    return answer["header"]["revision"], json.dumps(answer["kvs"], sort_keys=True)


def wait_equal(cluster):
    """By all keys with all their fields: HashKV is of the same records, but the two versions write them down differently."""
    wait_for("the same keys on all members", lambda: len({content(cluster, member) for member in cluster.members}) == 1)


def one_old_and_two_new_members_serve_together_and_the_old_one_is_upgraded():
    previous = previous_binary()
    with Cluster(3, start=False) as cluster:
        old = cluster.members[0]
        old.binary = previous
        for member in cluster.members:
            member.start()
        cluster.wait_healthy()
        load(cluster)
        wait_equal(cluster)

        def restart(member, how):
            member.kill(how)
            member.start()
            wait_for("a healthy cluster", lambda: all(each.healthy() for each in cluster.members))

        load(cluster, lambda: restart(cluster.members[1], signal.SIGKILL))
        load(cluster, lambda: restart(old, signal.SIGTERM))
        wait_equal(cluster)
        old.binary = QUORATE
        load(cluster, lambda: restart(old, signal.SIGTERM))
        wait_equal(cluster)
        cluster.wait_equal_hashes()


def a_cluster_is_upgraded_member_by_member():
    previous = previous_binary()
    with Cluster(3, start=False) as cluster:
        for member in cluster.members:
            member.binary = previous
            member.start()
        cluster.wait_healthy()
        load(cluster)
        for member in cluster.members:
            member.binary = QUORATE
            member.kill(signal.SIGTERM)
            member.start()
            cluster.wait_healthy()
            load(cluster)
            wait_equal(cluster)
        cluster.wait_equal_hashes()


if __name__ == "__main__":
    run([one_old_and_two_new_members_serve_together_and_the_old_one_is_upgraded, a_cluster_is_upgraded_member_by_member])
