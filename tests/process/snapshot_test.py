#!/usr/bin/env python3
"""Snapshots of real processes: saved under load, looked at, restored into a new cluster, replayed to a revision and to a moment."""
import datetime
import json
import shutil
import signal
import subprocess
import threading
import time

from cluster import PATIENCE_SECONDS, QUORATE, Cluster, run, wait_for
from damage_test import crc32c

BUMP = 1_000_000_000


def quorate(*arguments, status=0):
    done = subprocess.run([QUORATE, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == status, f"quorate {' '.join(map(str, arguments))} exited {done.returncode}: {done.stdout} {done.stderr}"
    return done


def save(cluster, file):
    return json.loads(quorate("snapshot", "save", file, "--endpoints", cluster.members[0].etcd, "--json").stdout)


def initial_cluster(cluster):
    return ",".join(f"{member.name}={member.peer}" for member in cluster.members)


def restore(cluster, *arguments):
    """Into every member of a cluster that is not started."""
    for member in cluster.members:
        more = ["--initial-cluster", initial_cluster(cluster)] if cluster.size > 1 else []
        quorate("snapshot", "restore", *arguments, "--name", member.name, "--data-dir", member.data_dir, "--protocol", cluster.protocol, *more)
        member.start()
    cluster.wait_healthy()


def revision(cluster):
    return json.loads(cluster.etcdctl("get", "x", "-w", "json").stdout)["header"]["revision"]


def keys(cluster):
    return cluster.etcdctl("get", "", "--from-key", "--keys-only").stdout.split()


def a_snapshot_saved_under_load_restores_into_a_new_cluster():
    with Cluster(3) as old, Cluster(3, start=False) as new:
        lease = old.etcdctl("lease", "grant", "600").stdout.split()[1]
        old.etcdctl("put", "leased", "1", "--lease", lease)
        for i in range(60):
            old.etcdctl("put", f"before{i:03}", "v" * 2000)
        stop = threading.Event()

        def load():
            number = 0
            while not stop.is_set():
                old.etcdctl("put", f"during{number}", "w")
                number += 1

        writer = threading.Thread(target=load)
        writer.start()
        file = old.directory / "saved.snap"
        saved = save(old, file)
        time.sleep(0.3)
        stop.set()
        writer.join()
        assert saved["bytes"] == file.stat().st_size and not file.with_suffix(".snap.part").exists()
        status = json.loads(quorate("snapshot", "status", file, "--json").stdout)
        assert status["sha256"] == saved["sha256"] and status["revision"] == saved["revision"], (status, saved)
        assert status["keys"] >= 61 and status["applied_index"] > 60, status

        restore(new, file)
        found = keys(new)
        assert [key for key in found if key.startswith("before")] == [f"before{i:03}" for i in range(60)], found
        assert len(found) == status["keys"], (len(found), status)
        assert revision(new) >= status["revision"] + BUMP, revision(new)
        compacted = new.etcdctl("get", "leased", "--rev", str(status["revision"]), check=False)
        assert "compacted" in compacted.stderr, compacted.stderr
        ttl = json.loads(new.etcdctl("lease", "timetolive", lease, "--keys", "-w", "json").stdout)
        assert 0 < ttl["ttl"] <= 600 and ttl["granted-ttl"] == 600, ttl
        new.etcdctl("put", "after", "restore")
        new.wait_equal_hashes()
        new.members[1].kill()
        new.members[1].start()
        new.wait_healthy()
        new.wait_equal_hashes()


def etcdctl_saves_a_file_that_quorate_reads():
    with Cluster(1) as cluster:
        cluster.etcdctl("put", "a", "b")
        file = cluster.directory / "etcdctl.snap"
        cluster.etcdctl("snapshot", "save", str(file))
        status = json.loads(quorate("snapshot", "status", file, "--json").stdout)
        assert status["keys"] == 1 and status["revision"] == 2, status


def what_is_no_whole_snapshot_is_refused_and_nothing_is_left():
    with Cluster(1) as cluster:
        for i in range(20):
            cluster.etcdctl("put", f"key{i}", "x" * 500)
        good = cluster.directory / "good.snap"
        save(cluster, good)
        content = good.read_bytes()
        flipped = bytearray(content)
        flipped[len(flipped) // 2] ^= 8
        length = int.from_bytes(content[8:12], "little")
        header = content[:4] + b"\x09" + content[5:length - 4]
        newer = header + crc32c(header) + content[length:]
        checksum = content[:-1] + bytes([content[-1] ^ 1])
        cases = {"cut": (content[: len(content) // 2], "cut off at offset"), "empty": (b"", "empty"),
                 "flipped": (bytes(flipped), "damaged at offset"), "newer": (newer, "use the build that wrote it, or a newer one"),
                 "checksum": (checksum, "the SHA-256 there is not that of what stands before it"),
                 "text": (b"hello, this is a text", "not a snapshot"), "longer": (content + b"x", "behind the end")}
        for name, (bytes_, words) in cases.items():
            file = cluster.directory / f"{name}.snap"
            file.write_bytes(bytes_)
            target = cluster.directory / f"{name}.data"
            done = quorate("snapshot", "restore", file, "--data-dir", target, status=2)
            assert words in done.stderr and str(file) in done.stderr, (name, done.stderr)
            assert words in quorate("snapshot", "status", file, status=1).stderr, name
            assert not target.exists() and not target.with_suffix(".data.part").exists(), name
        occupied = cluster.members[0].data_dir
        assert "exists already" in quorate("snapshot", "restore", good, "--data-dir", occupied, status=2).stderr
        missing = cluster.directory / "no such file"
        assert "cannot be opened" in quorate("snapshot", "restore", missing, "--data-dir", cluster.directory / "d", status=2).stderr


def a_kept_log_is_replayed_to_a_revision_and_to_a_moment():
    with Cluster(1) as old, Cluster(1, start=False) as other, Cluster(1, start=False) as by_revision, Cluster(1, start=False) as by_time, \
            Cluster(1, start=False) as from_nothing:
        member = old.members[0]
        member.kill(signal.SIGTERM)
        member.start("--log-retention", "24h")
        old.wait_healthy()
        for i in range(10):
            old.etcdctl("put", f"early{i}", "1")
        file = old.directory / "base.snap"
        base = save(old, file)["revision"]
        for i in range(10):
            old.etcdctl("put", f"middle{i}", "2")
        at_revision = revision(old)
        time.sleep(1.1)
        moment = datetime.datetime.now(datetime.timezone.utc)
        time.sleep(1.1)
        old.etcdctl("del", "early", "--prefix")
        old.etcdctl("put", "late", "3")
        end = revision(old)
        other.members[0].start("--cluster-token", "another")
        other.wait_healthy()
        other.etcdctl("put", "other", "cluster")
        foreign = other.directory / "foreign.snap"
        save(other, foreign)
        goal = ["--from-data-dir", member.data_dir]
        in_use = quorate("snapshot", "restore", file, *goal, "--show-range", status=2)
        assert "uses this directory" in in_use.stderr, in_use.stderr
        member.kill(signal.SIGTERM)

        shown = json.loads(quorate("snapshot", "restore", file, *goal, "--show-range", "--json").stdout)
        assert shown["from_revision"] == base and shown["to_revision"] == end, (shown, base, end)
        too_far = quorate("snapshot", "restore", file, *goal, "--to-revision", end + 5, "--data-dir", old.directory / "x", status=2)
        assert f"{base} to {end}" in too_far.stderr, too_far.stderr
        too_late = quorate("snapshot", "restore", file, *goal, "--to-time", "2090-01-01T00:00:00Z", "--data-dir", old.directory / "x", status=2)
        assert "ends before" in too_late.stderr and "can be restored" in too_late.stderr, too_late.stderr
        assert moment.strftime("%Y-%m-%d") in too_late.stderr, too_late.stderr
        long_ago = quorate("snapshot", "restore", file, *goal, "--to-time", "2020-01-01T00:00:00Z", "--data-dir", old.directory / "x", status=2)
        assert "begin with an older one" in long_ago.stderr and moment.strftime("%Y-%m-%d") in long_ago.stderr, long_ago.stderr
        mixed = quorate("snapshot", "restore", foreign, *goal, "--to-revision", end, "--data-dir", old.directory / "x", status=2)
        assert "different clusters" in mixed.stderr, mixed.stderr
        assert not (old.directory / "x").exists()

        wanted = sorted([f"early{i}" for i in range(10)] + [f"middle{i}" for i in range(10)])
        restore(by_revision, file, *goal, "--to-revision", at_revision)
        assert keys(by_revision) == wanted, keys(by_revision)
        restore(by_time, file, *goal, "--to-time", moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        assert keys(by_time) == wanted, keys(by_time)
        restore(from_nothing, *goal, "--to-revision", base)
        assert keys(from_nothing) == wanted[:10], keys(from_nothing)
        assert revision(from_nothing) >= base + BUMP


def what_lies_in_released_segments_is_replayed_from_the_archive():
    flags = ["--log-retention", "24h", "--memory", "64MiB", "--log-keep", "1MiB"]
    with Cluster(1, flags=flags) as old, Cluster(1, start=False) as by_revision, Cluster(1, start=False) as by_time:
        member = old.members[0]
        archive = member.data_dir / "wal/archive"
        old.etcdctl("put", "a", "first")
        file = old.directory / "base.snap"
        base = save(old, file)["revision"]
        for i in range(10):
            old.etcdctl("put", f"wanted{i}", "1")
        at_revision = revision(old)
        time.sleep(1.1)
        moment = datetime.datetime.now(datetime.timezone.utc)
        time.sleep(1.1)
        old.etcdctl("del", "wanted", "--prefix")
        for _ in range(2):  # segments have 16 MiB: the first two go
            old.fill(18)
        end = revision(old)
        kept = wait_for("released segments in the archive", lambda: sorted(archive.glob("*.segment")) if archive.exists() else None)
        member.kill(signal.SIGTERM)
        wanted = ["a", *(f"wanted{i}" for i in range(10))]
        goal = ["--from-data-dir", member.data_dir]

        shown = json.loads(quorate("snapshot", "restore", file, *goal, "--show-range", "--json").stdout)
        assert shown["from_revision"] == base and shown["to_revision"] == end, (shown, base, end)
        restore(by_revision, file, *goal, "--to-revision", at_revision)
        assert keys(by_revision) == wanted, keys(by_revision)
        restore(by_time, file, *goal, "--to-time", moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        assert keys(by_time) == wanted, keys(by_time)

        too_early = quorate("snapshot", "restore", file, *goal, "--to-revision", base - 1, "--data-dir", old.directory / "x", status=2)
        assert f"{base} to {end}" in too_early.stderr, too_early.stderr
        kept[0].unlink()  # it was in there
        lost = quorate("snapshot", "restore", file, *goal, "--to-revision", at_revision, "--data-dir", old.directory / "x", status=2)
        print(f"      without the archive's first segment: {lost.stderr.strip()}")
        assert "snapshot" in lost.stderr and not (old.directory / "x").exists(), lost.stderr


def a_member_whose_keyspace_is_gone_is_filled_by_a_snapshot_while_the_others_serve():
    with Cluster(3) as cluster:
        big = "x" * 1_000_000
        for i in range(48):  # enough that the log no longer reaches back to its beginning
            cluster.etcdctl("put", f"big{i:02}", stdin=big)
        member = cluster.members[2]
        member.kill(signal.SIGTERM)
        shutil.rmtree(member.data_dir / "keyspace")
        member.start()
        others = ",".join(other.etcd for other in cluster.members[:2])
        cluster.etcdctl("put", "meanwhile", "served", endpoints=others)
        cluster.wait_healthy()
        assert "received a snapshot" in member.log_text(), "it was not a snapshot that filled it"
        found = cluster.etcdctl("get", "", "--from-key", "--keys-only", endpoints=member.etcd).stdout.split()
        assert len(found) == 49, len(found)
        cluster.wait_equal_hashes()
        member.kill()
        member.start()
        cluster.wait_healthy()
        cluster.wait_equal_hashes()


if __name__ == "__main__":
    run([a_snapshot_saved_under_load_restores_into_a_new_cluster,
         etcdctl_saves_a_file_that_quorate_reads,
         what_is_no_whole_snapshot_is_refused_and_nothing_is_left,
         a_kept_log_is_replayed_to_a_revision_and_to_a_moment,
         what_lies_in_released_segments_is_replayed_from_the_archive,
         a_member_whose_keyspace_is_gone_is_filled_by_a_snapshot_while_the_others_serve])
