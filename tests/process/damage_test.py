#!/usr/bin/env python3
"""Damaged and foreign data directories, on real files: each ends with a message that names the file and what to do, or is repaired."""
import shutil
import signal
import subprocess

from cluster import OTHER_PROTOCOLS, PATIENCE_SECONDS, QUORATE, Cluster, run, wait_for


def segments(member):
    return sorted(path for path in (member.data_dir / "wal").iterdir() if "identity" not in path.name and path.stat().st_size > 0)


def flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 0x10
    path.write_bytes(content)


def last_written_byte(path):
    content = path.read_bytes().rstrip(b"\0")
    return len(content) - 1


def refused(member, *words, extra=(), patience=PATIENCE_SECONDS):
    """Starts the member; it must exit by itself, with every word in its message and a status that is not 0."""
    before = len(member.log_text()) if member.log.exists() else 0
    member.start(*extra)
    member.process.wait(timeout=patience)
    text = member.log_text()[before:]
    assert member.process.returncode not in (0, None), f"it exited with {member.process.returncode}"
    assert member.process.returncode > 0, f"it died by signal {-member.process.returncode}: {text}"
    for word in words:
        assert word in text, f"\"{word}\" is not in: {text}"
    return text


def written(cluster, count=200):
    for i in range(count):
        cluster.etcdctl("put", f"key{i:04}", "x" * 100)


def a_torn_tail_is_cut_and_nothing_acknowledged_is_lost():
    with Cluster(1) as cluster:
        written(cluster, 20)
        member = cluster.members[0]
        member.kill()
        path = segments(member)[-1]
        with open(path, "r+b") as file:  # the beginning of a record that never got its end
            file.seek(last_written_byte(path) + 1)
            file.write(b"\x51\x52\x53\x54\x99\x00\x00\x00half a rec")
        member.start()
        cluster.wait_healthy()
        count = cluster.etcdctl("get", "key", "--prefix", "--keys-only").stdout.split()
        assert len(count) == 20, len(count)


def a_flipped_bit_in_the_middle_of_the_log_is_refused_with_file_and_offset():
    with Cluster(3) as cluster:
        written(cluster, 60)
        member = cluster.members[0]
        member.kill()
        path = segments(member)[0]
        flip(path, last_written_byte(path) // 2)
        text = refused(member, path.name, "offset", "with a new id")
        assert any(character.isdigit() for character in text.split("offset", 1)[1][:12]), text
        cluster.etcdctl("put", "after", "damage", endpoints=",".join(m.etcd for m in cluster.members[1:]))


def another_members_directory_is_refused():
    with Cluster(3) as cluster:
        first, second = cluster.members[0], cluster.members[1]
        for member in (first, second):
            member.kill(signal.SIGTERM)
        shutil.rmtree(first.data_dir)
        shutil.copytree(second.data_dir, first.data_dir)
        refused(first, "belongs to member n2, not to n1", "--data-dir")


def another_clusters_directory_is_refused():
    with Cluster(1) as one, Cluster(3) as three:
        lone, member = one.members[0], three.members[0]
        lone.kill(signal.SIGTERM)
        member.kill(signal.SIGTERM)
        shutil.rmtree(member.data_dir / "wal")
        shutil.copytree(lone.data_dir / "wal", member.data_dir / "wal")
        refused(member, "cluster", "use another data directory")


def a_whole_directory_of_another_cluster_is_refused_by_the_members_it_calls():
    with Cluster(3) as cluster, Cluster(3, start=False) as other:
        other.flags = ["--cluster-token", "other"]
        for member in other.members:
            member.peer = next(same.peer for same in cluster.members if same.name == member.name)
        stranger, member = other.members[2], cluster.members[2]
        cluster.etcdctl("put", "a", "b")
        member.kill(signal.SIGTERM)
        stranger.start()  # with the addresses of the first cluster, and another token
        wait_for("its directory to be made", (stranger.data_dir / "wal/identity").exists)
        stranger.kill(signal.SIGTERM)
        shutil.rmtree(member.data_dir)
        shutil.copytree(stranger.data_dir, member.data_dir)
        member.start()
        wait_for("it to be told", lambda: "refuses this node (wrong_cluster)" in member.log_text() or "belongs to cluster" in member.log_text())
        wait_for("the others to say why", lambda: any("--cluster-token" in one.log_text() for one in cluster.members))
        cluster.etcdctl("put", "c", "d", endpoints=",".join(m.etcd for m in cluster.members[:2]))
        assert not is_healthy(member), "it took part"


def another_protocols_directory_is_refused():
    with Cluster(1) as cluster:
        cluster.etcdctl("put", "a", "b")
        cluster.members[0].kill(signal.SIGTERM)
        right = cluster.protocol
        for cluster.protocol in OTHER_PROTOCOLS:
            refused(cluster.members[0], f"written by protocol {right}", f"started with {cluster.protocol}", f"--protocol {right}")
        cluster.protocol = right
        cluster.members[0].start()
        cluster.wait_healthy()
        assert cluster.etcdctl("get", "a", "--print-value-only").stdout == "b\n"


def a_member_of_another_protocol_is_refused_by_its_peers():
    with Cluster(3, start=False) as cluster:
        right, stranger = cluster.protocol, cluster.members[2]
        for member in cluster.members[:2]:
            member.start()
        cluster.protocol = OTHER_PROTOCOLS[0]
        stranger.start()
        cluster.protocol = right
        words = "start all members with the same --protocol"
        wait_for("both sides to say what is wrong", lambda: words in stranger.log_text() or words in cluster.members[0].log_text())
        for member in cluster.members[:2]:
            wait_for(f"{member.name} to serve without it", member.healthy)
        assert stranger.process.poll() is not None or not is_healthy(stranger), "it took part"


def is_healthy(member):
    try:
        return member.healthy()
    except OSError:
        return False


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return (crc ^ 0xFFFFFFFF).to_bytes(4, "little")


def a_newer_format_is_named_and_not_called_damage():
    with Cluster(1) as cluster:
        member = cluster.members[0]
        member.kill(signal.SIGTERM)
        for name, at, newer in (("cluster", 7, b"9"), ("wal/identity", 8, b"\x63")):
            path = member.data_dir / name
            keep = path.read_bytes()
            content = keep[:at] + newer + keep[at + 1:-4]
            path.write_bytes(content + crc32c(content))
            text = refused(member, name, "newer")
            assert "damaged" not in text, text
            path.write_bytes(keep)
        path = segments(member)[0]
        keep = path.read_bytes()
        header = keep[:8] + b"\x63" + keep[9:60]
        path.write_bytes(header + crc32c(header) + keep[64:])
        text = refused(member, path.name, "start it with the newer build")
        assert "damaged" not in text, text
        path.write_bytes(keep)
        member.start()
        cluster.wait_healthy()


def a_missing_segment_identity_or_member_list_is_refused():
    with Cluster(1) as cluster:
        written(cluster, 10)
        member = cluster.members[0]
        member.kill(signal.SIGTERM)
        keep = cluster.directory / "keep"
        shutil.copytree(member.data_dir, keep)
        for missing in ("wal/identity", "cluster"):
            (member.data_dir / missing).unlink()
            refused(member, missing.split("/")[-1])
            shutil.rmtree(member.data_dir)
            shutil.copytree(keep, member.data_dir)
        member.start()
        cluster.wait_healthy()


def a_member_that_comes_back_empty_under_its_old_id_is_refused():
    with Cluster(3) as cluster:
        cluster.etcdctl("put", "a", "b")
        member = cluster.members[0]
        member.kill()
        shutil.rmtree(member.data_dir)
        refused(member, "another data directory", "new name")
        cluster.etcdctl("put", "c", "d", endpoints=",".join(m.etcd for m in cluster.members[1:]))


def a_log_that_has_gone_is_not_started_anew():
    with Cluster(1) as cluster:
        member = cluster.members[0]
        member.kill(signal.SIGTERM)
        shutil.rmtree(member.data_dir / "wal")
        refused(member, "is missing", "new id")


def a_second_server_on_the_same_directory_or_port_says_so():
    with Cluster(1) as cluster:
        member = cluster.members[0]
        other = subprocess.run([QUORATE, "serve", "--name", "n1", "--data-dir", str(member.data_dir), "--listen-etcd", "127.0.0.1:1"],
                               capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert other.returncode == 2 and "lock" in other.stderr, other.stderr
        elsewhere = subprocess.run([QUORATE, "serve", "--name", "n1", "--data-dir", str(cluster.directory / "other"), "--listen-etcd",
                                    member.etcd], capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert elsewhere.returncode == 2 and "--listen-etcd" in elsewhere.stderr, elsewhere.stderr
        assert member.etcd.split(":")[1] in elsewhere.stderr, elsewhere.stderr


def bad_flags_are_named():
    cases = {
        ("--protocol", "viewstamped"): "--protocol",
        ("--log-keep", "1000"): "--log-keep",
        ("--listen-zookeeper", "127.0.0.1:2181"): "--listen-zookeeper",
        ("--listen-etcd", "0.0.0.0:2379"): "--advertise-etcd",
        ("--listen-etcd", "nonsense"): "--listen-etcd",
        ("--initial-cluster", "n1=127.0.0.1:1,n1=127.0.0.1:2"): "--initial-cluster",
        ("--initial-cluster", "n2=127.0.0.1:1"): "--name",
        ("--join",): "--join",
    }
    with Cluster(1, start=False) as cluster:
        for arguments, word in cases.items():
            done = subprocess.run([QUORATE, "serve", "--data-dir", str(cluster.directory / "d"), *arguments], capture_output=True, text=True,
                                  timeout=PATIENCE_SECONDS)
            assert done.returncode == 2, (arguments, done.returncode, done.stderr)
            assert word in done.stderr, (arguments, done.stderr)


if __name__ == "__main__":
    run([a_torn_tail_is_cut_and_nothing_acknowledged_is_lost,
         a_flipped_bit_in_the_middle_of_the_log_is_refused_with_file_and_offset,
         another_members_directory_is_refused,
         another_clusters_directory_is_refused,
         a_whole_directory_of_another_cluster_is_refused_by_the_members_it_calls,
         another_protocols_directory_is_refused,
         a_member_of_another_protocol_is_refused_by_its_peers,
         a_newer_format_is_named_and_not_called_damage,
         a_missing_segment_identity_or_member_list_is_refused,
         a_member_that_comes_back_empty_under_its_old_id_is_refused,
         a_log_that_has_gone_is_not_started_anew,
         a_second_server_on_the_same_directory_or_port_says_so,
         bad_flags_are_named])
