#!/usr/bin/env python3
"""Each kind of file in a data directory, damaged in each way, and what exactly becomes of it: refused with the file and what to do, moved
aside and rebuilt, or ignored. docs/disk-format.md says why. Every case starts from a copy of the same directory."""
import pathlib
import shutil
import signal
import subprocess

from cluster import Cluster, run, wait_for
from damage_test import flip, last_written_byte, refused, segments

KEYS = 60


def copied(source, target):
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(["cp", "-a", "--sparse=always", str(source), str(target)], check=True)


def only(paths):
    paths = sorted(paths)
    assert paths, "there is no such file"
    return paths[-1]


def missing(path, _):
    path.unlink()


def truncated(path, _):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def emptied(path, _):
    with open(path, "r+b") as file:
        file.truncate(0)


def flipped(path, _):
    flip(path, path.stat().st_size // 2)


def flipped_at_the_start(path, _):
    flip(path, 9)


def flipped_in_the_middle(path, _):
    flip(path, last_written_byte(path) // 2)


def flipped_at_the_end(path, _):
    flip(path, last_written_byte(path))


def foreign(path, other):
    shutil.copyfile(other, path)


class Ground:
    """A lone server's directory with KEYS keys, another cluster's, and the rules for judging a start from a damaged copy."""

    def __init__(self, cluster, other):
        self.cluster, self.member, self.other = cluster, cluster.members[0], other.members[0]
        self.template = cluster.directory / "template"
        for index in range(KEYS):
            cluster.etcdctl("put", f"key{index:04}", "x" * 2000)
        for index in range(KEYS // 2):
            other.etcdctl("put", f"other{index:04}", "y" * 1000)
        for member in (self.member, self.other):
            member.kill(signal.SIGTERM)
        copied(self.member.data_dir, self.template)

    def damaged(self, find, damage):
        copied(self.template, self.member.data_dir)
        damage(find(self.member.data_dir), find(self.other.data_dir))
        self.before = len(self.member.log_text())

    def all_there(self):
        self.cluster.wait_healthy()
        keys = self.cluster.etcdctl("get", "key", "--prefix", "--keys-only").stdout.split()
        assert len(keys) == KEYS, f"{len(keys)} keys of {KEYS}"
        values = self.cluster.etcdctl("get", "key", "--prefix", "--print-value-only").stdout.split()
        assert values == ["x" * 2000] * KEYS, "a value is wrong"
        foreign_keys = self.cluster.etcdctl("get", "other", "--prefix", "--keys-only").stdout.split()
        assert not foreign_keys, "keys of another cluster"

    def aside(self):
        return sorted(path.name for path in self.member.data_dir.glob("keyspace.damaged-*"))

    def is_refused(self, *words):
        refused(self.member, *words, patience=30)
        assert not self.aside(), self.aside()

    def is_ignored(self, *_):
        self.member.start()
        self.all_there()
        assert not self.aside(), self.aside()
        self.member.kill()

    def is_whole(self, *_):
        """Not seen as damage, and no harm: half a manifest is an older one, whose state the log brings up again."""
        self.member.start()
        self.all_there()
        self.member.kill()

    def is_rebuilt(self, *_):
        """At this start; or, where the damage is in a value, at the one after it was read."""
        self.member.start()
        try:
            self.all_there()
        except AssertionError:
            self.member.process.wait(timeout=60)
            assert self.member.process.returncode > 0, self.member.process.returncode
            assert "start this member again" in self.member.log_text()[self.before:], self.member.log_text()[self.before:]
            self.member.start()
            self.all_there()
        assert self.aside() == ["keyspace.damaged-1"], self.aside()
        assert "keyspace was damaged and is now keyspace.damaged-1" in self.member.log_text()[self.before:]
        self.member.kill()


def judged(cases):
    with Cluster(1) as cluster, Cluster(1, start=False) as other:
        other.members[0].start("--cluster-token", "other")
        other.wait_healthy()
        ground = Ground(cluster, other)
        wrong = []
        for find, damage, outcome, words in cases:
            ground.damaged(find, damage)
            try:
                outcome(ground, *words)
            except Exception as error:  # noqa: BLE001: the other cases are judged all the same
                wrong.append(f"{find.__name__} {damage.__name__}, expected {outcome.__name__}: {error}")
                if ground.member.process.poll() is None:
                    ground.member.kill()
        assert not wrong, "\n      ".join(wrong)
        print(f"      {len(cases)} cases")


def identity(directory):
    return directory / "wal/identity"


def segment(directory):
    class Holder:
        data_dir = directory
    written = [path for path in segments(Holder) if path.suffix == ".segment" and path.read_bytes()[4096:].strip(b"\0")]
    return written[-1]


def member_list(directory):
    return directory / "cluster"


def current(directory):
    return directory / "keyspace/db/CURRENT"


def manifest(directory):
    return only((directory / "keyspace/db").glob("MANIFEST-*"))


def largest_table(directory):
    return max((directory / "keyspace/db").glob("*.sst"), key=lambda path: path.stat().st_size)


def smallest_table(directory):
    return min((directory / "keyspace/db").glob("*.sst"), key=lambda path: path.stat().st_size)


def reserve(directory):
    return directory / "wal/reserve"


def files_of_the_log():
    judged([
        (identity, missing, Ground.is_refused, ("identity",)),
        (identity, truncated, Ground.is_refused, ("identity", "offset")),
        (identity, emptied, Ground.is_refused, ("identity", "offset")),
        (identity, flipped, Ground.is_refused, ("identity", "offset")),
        (identity, foreign, Ground.is_refused, ("cluster",)),
        (segment, missing, Ground.is_refused, (".segment",)),
        (segment, emptied, Ground.is_refused, (".segment",)),
        (segment, flipped_at_the_start, Ground.is_refused, (".segment", "offset")),
        (segment, flipped_in_the_middle, Ground.is_refused, (".segment", "offset")),
        (segment, flipped_at_the_end, Ground.is_ignored, ()),
        (segment, foreign, Ground.is_refused, (".segment",)),
        (reserve, missing, Ground.is_ignored, ()),
        (reserve, truncated, Ground.is_ignored, ()),
        (reserve, flipped, Ground.is_ignored, ()),
    ])


def files_of_the_member():
    judged([
        (member_list, missing, Ground.is_refused, ("cluster", "backup")),
        (member_list, truncated, Ground.is_refused, ("cluster", "backup")),
        (member_list, emptied, Ground.is_refused, ("cluster", "backup")),
        (member_list, flipped, Ground.is_refused, ("cluster", "backup")),
        (member_list, foreign, Ground.is_refused, ("cluster",)),
    ])


def files_of_the_keyspace():
    cases = [(find, damage, Ground.is_rebuilt, ())
             for find in (current, manifest, largest_table, smallest_table)
             for damage in (missing, truncated, emptied, flipped) if (find, damage) != (manifest, truncated)]
    judged(cases + [(manifest, truncated, Ground.is_whole, ()), (manifest, foreign, Ground.is_rebuilt, ()),
                    (largest_table, foreign, Ground.is_rebuilt, ())])


def what_lies_in_snapshots_is_not_believed():
    with Cluster(1) as cluster, Cluster(1) as other:
        ground = Ground(cluster, other)
        copied(ground.template, ground.member.data_dir)
        folder = ground.member.data_dir / "snapshots"
        for name, content in ((f"{1234:016x}.snap", b"no snapshot"), (f"{99:016x}.snap", b""),
                              (f"{77:016x}.part", b"half of one"), ("junk", b"?")):
            (folder / name).write_bytes(content)
        ground.member.start()
        ground.all_there()
        assert not list(folder.glob("*.part")), "a half received snapshot stays"
        ground.member.kill()


def peers_file_of_a_member():
    with Cluster(3) as cluster:
        cluster.etcdctl("put", "a", "b")
        member = cluster.members[0]
        path = member.data_dir / "peers"
        wait_for("the peers to be known", path.exists)
        member.kill()
        keep = path.read_bytes()
        for damage in (truncated, emptied, flipped):
            damage(path, None)
            refused(member, "peers", "backup")
            path.write_bytes(keep)
        path.unlink()
        member.start()
        cluster.wait_healthy()
        wait_for("the peers to be known again", path.exists)


def a_members_keyspace_and_log_are_filled_from_the_leader():
    """The keyspace of one of three, lost in each way, comes back by itself."""
    with Cluster(3) as cluster:
        for index in range(20):
            cluster.etcdctl("put", f"key{index:04}", "x" * 1000)
        member = cluster.members[1]
        for number, damage in enumerate((missing, emptied, flipped), start=1):
            member.kill(signal.SIGTERM)
            damage(manifest(member.data_dir), None)
            member.start()
            cluster.wait_healthy()
            cluster.wait_equal_hashes()
            assert (member.data_dir / f"keyspace.damaged-{number}").is_dir()


def a_lone_servers_lost_keyspace_over_a_released_log_names_the_way_back():
    with Cluster(1, start=False) as cluster:
        member = cluster.members[0]
        member.start("--log-retention", "24h")
        cluster.wait_healthy()
        value = cluster.directory / "value"
        value.write_text("v" * 1_000_000)
        for index in range(48):
            cluster.etcdctl("put", f"large{index % 4}", stdin=value.read_text())
        archive = member.data_dir / "wal/archive"
        wait_for("a released segment", lambda: archive.is_dir() and list(archive.iterdir()))
        member.kill(signal.SIGTERM)
        for path in archive.iterdir():  # what is released is nobody's to read at a start
            flip(path, 100)
        member.start("--log-retention", "24h")
        cluster.wait_healthy()
        member.kill(signal.SIGTERM)
        shutil.rmtree(member.data_dir / "keyspace")
        text = refused(member, "quorate snapshot restore")
        assert "Traceback" not in text and pathlib.Path(member.data_dir / "wal").is_dir()


if __name__ == "__main__":
    run([files_of_the_log, files_of_the_member, files_of_the_keyspace, what_lies_in_snapshots_is_not_believed, peers_file_of_a_member,
         a_members_keyspace_and_log_are_filled_from_the_leader,
         a_lone_servers_lost_keyspace_over_a_released_log_names_the_way_back])
