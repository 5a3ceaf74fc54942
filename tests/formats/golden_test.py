#!/usr/bin/env python3
"""Data directories and snapshot files that earlier builds wrote (made by tools/make_golden, kept here for good), opened by this build."""
import hashlib
import json
import lzma
import pathlib
import shutil
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "process"))
from cluster import QUORATE, Cluster, run  # noqa: E402


def check(cluster, expected):
    cluster.wait_healthy()
    assert cluster.hashes() == [(expected["revision"], expected["hashkv"])], (cluster.hashes(), expected)
    for key, value in expected["get"].items():
        assert cluster.etcdctl("get", key, "--print-value-only").stdout == value + "\n", key
    answer = json.loads(cluster.etcdctl("get", "", "--prefix", "-w", "json").stdout)
    assert answer["count"] == expected["keys"], answer["count"]
    content = hashlib.sha256(json.dumps(answer["kvs"], sort_keys=True).encode()).hexdigest()  # every field of every key
    assert content == expected["content"], "the keys are not what they were"
    leased = cluster.etcdctl("lease", "timetolive", expected["lease"], "--keys").stdout
    assert "leased" in leased and "already expired" not in leased, leased
    return answer["header"]


def opened(name):
    expected = json.loads((HERE / f"{name}.json").read_text())
    with Cluster(1, start=False) as cluster:
        member = cluster.members[0]
        subprocess.run(["tar", "-C", str(cluster.directory), "-xJf", str(HERE / f"{name}.tar.xz")], check=True)
        for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):  # what this build then leaves, it opens as well
            member.start()
            header = check(cluster, expected)
            assert header["cluster_id"] == expected["cluster_id"] and header["member_id"] == expected["member_id"], header
            member.kill(how)
        member.start()
        cluster.wait_healthy()
        cluster.etcdctl("put", "written", "by a later build")
        assert cluster.hashes()[0][0] == expected["revision"] + 1


def a_log_written_before_there_was_a_keyspace_on_disk_is_opened():
    """By commit e828e5c. HashKV is of today: rows of large values are written otherwise since, so that old build's differs."""
    opened("log-e828e5c")


def a_directory_with_a_released_log_and_a_keyspace_is_opened():
    opened("keyspace-1")


def a_snapshot_file_is_restored():
    expected = json.loads((HERE / "keyspace-1.json").read_text())
    with Cluster(1, start=False) as cluster:
        member = cluster.members[0]
        shutil.rmtree(member.data_dir, ignore_errors=True)
        snapshot = cluster.directory / "keyspace-1.snap"
        snapshot.write_bytes(lzma.decompress((HERE / "keyspace-1.snap.xz").read_bytes()))
        done = subprocess.run([QUORATE, "snapshot", "restore", str(snapshot), "--name", "n1", "--data-dir",
                               str(member.data_dir)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        member.start()
        cluster.wait_healthy()
        for key, value in expected["get"].items():
            assert cluster.etcdctl("get", key, "--print-value-only").stdout == value + "\n", key
        answer = json.loads(cluster.etcdctl("get", "", "--prefix", "--keys-only", "-w", "json").stdout)
        assert answer["count"] == expected["keys"], answer["count"]


if __name__ == "__main__":
    run([a_log_written_before_there_was_a_keyspace_on_disk_is_opened, a_directory_with_a_released_log_and_a_keyspace_is_opened,
         a_snapshot_file_is_restored])
