"""What lives longer than one answer: watches, leases, locks, elections; and what members say about themselves."""
import re

from console import wait_for


def watch_from(c, revision, *arguments, **options):
    return c.start("watch", "--rev", str(revision), *arguments, **options)


def watch_history(c):
    start = c.revision()
    c("put", "k", "one")
    c("put", "other", "x")
    c("put", "k", "two")
    c("del", "k")
    c("put", "k", "three")
    for name in ("simple", "json", "fields"):
        watch = watch_from(c, start + 1, "k", "-w", name)
        watch.expect("dGhyZWU=" if name == "json" else "three")
        if name == "fields":
            watch.expect('"Lease"')  # the last line of a pair: interrupted before it, etcdctl keeps it to itself
        watch.interrupt()


def watch_prev_kv(c):
    start = c.revision()
    c("put", "k", "one")
    c("put", "k", "two")
    c("del", "k")
    c("del", "k")
    c("put", "k", "end")
    for name in ("simple", "json", "fields"):
        watch = watch_from(c, start + 1, "k", "--prev-kv", "-w", name)
        watch.expect("ZW5k" if name == "json" else "end")
        if name == "fields":
            watch.expect('"Lease"')
        watch.interrupt()


def watch_prefix_and_range(c):
    start = c.revision()
    for key in ("a", "b1", "b2", "c", "d"):
        c("put", key, "first of " + key)
    c("del", "b", "--prefix")
    c("put", "a", "end")
    c("put", "b9", "end")
    c("put", "d", "end")
    for arguments in (("b", "--prefix"), ("b", "d"), ("b", "--prefix", "--prev-kv")):
        watch = watch_from(c, start + 1, *arguments)
        watch.expect("end")
        watch.interrupt()
    watch = watch_from(c, start + 1, "", "--prefix")
    watch.expect("end", count=3)
    watch.interrupt()


def watch_sees_a_txn_as_one(c):
    start = c.revision()
    c("put", "b", "0")
    c("txn", stdin="\nput c 1\nput a 2\ndel b\nput d 3\n\n\n")
    c("put", "z", "end")
    watch = watch_from(c, start + 1, "", "--prefix", "-w", "json")
    watch.expect("ZW5k")
    watch.interrupt()


def watch_as_it_happens(c):
    watch = c.start("watch", "-i")
    watch.say("watch live --prefix --prev-kv").ready()
    c("put", "live/1", "one")
    watch.expect("one")
    c("put", "elsewhere", "not seen")
    c("put", "live/1", "two")
    c("del", "live", "--prefix")
    c("put", "live/2", "end")
    watch.expect("end")
    watch.interrupt()


def watch_several_at_once(c):
    watch = c.start("watch", "-i")
    watch.say("watch a").say("watch b c").say("watch d --prefix").ready()
    for key in ("a", "b1", "c", "d/1", "e"):
        c("put", key, "value of " + key)
        if key not in ("c", "e"):
            watch.expect("value of")
    watch.say("nonsense")
    watch.end()


def watch_interactive_from_a_revision(c):
    start = c.revision()
    c("put", "k", "one")
    c("put", "k", "two")
    watch = c.start("watch", "-i", "-w", "json")
    watch.say(f"watch k --rev={start + 1}")
    watch.expect("dHdv")
    watch.say(f"watch k --rev={start + 2}")
    watch.expect("dHdv")
    watch.interrupt()


def watch_the_future(c):
    start = c.revision()
    watch = watch_from(c, start + 3, "k")
    for value in ("one", "two", "three", "four"):
        c("put", "k", value)
    watch.expect("four")
    watch.interrupt()


def watch_a_compacted_revision(c):
    start = c.revision()
    for value in range(5):
        c("put", "k", str(value))
    c("compaction", str(start + 4))
    watch_from(c, start + 2, "k").end()
    watch_from(c, start + 2, "k", "-w", "json").end()
    watch = watch_from(c, start + 4, "k", "--prev-kv", "-w", "json")
    watch.expect("NA==")  # "4"
    watch.interrupt()


def watch_prev_kv_that_was_compacted(c):
    start = c.revision()
    c("put", "k", "one")
    c("put", "k", "two")
    c("put", "k", "end")
    c("compaction", str(start + 2))
    watch = watch_from(c, start + 2, "k", "--prev-kv")
    watch.expect("end")
    watch.interrupt()


def watch_runs_a_command(c):
    start = c.revision()
    c("put", "k", "one")
    c("put", "k", "end")
    watch = watch_from(c, start + 1, "k", "--", "sh", "-c", 'echo "ran: $ETCD_WATCH_EVENT_TYPE $ETCD_WATCH_KEY $ETCD_WATCH_VALUE"')
    watch.expect("end", count=2)  # the event, and what the command prints
    watch.interrupt()


def watch_a_long_history(c):
    start = c.revision()
    for _ in range(12):
        c("txn", stdin="\n" + "".join(f"put k{i} v\n" for i in range(128)) + "\n\n")
    c("put", "k", "end")
    watch = watch_from(c, start + 1, "k", "--prefix")
    watch.expect("end")
    watch.interrupt()


def watch_bad_arguments(c):
    c("watch")
    c("watch", "a", "--rev", "x")
    c("watch", "a", "b", "--prefix")
    watch = c.start("watch", "-i")
    watch.say("what").end()


def leases(c):
    first = c.lease(600)
    c("lease", "timetolive", first)
    c("lease", "timetolive", first, "--keys")
    c("put", "b", "1", "--lease", first)
    c("put", "a", "2", "--lease", first)
    c("lease", "timetolive", first, "--keys")
    for name in ("json", "fields"):
        c("lease", "timetolive", first, "--keys", "-w", name)
    c("get", "", "--prefix", "-w", "json")
    c("lease", "list")
    c("lease", "list", "-w", "json")
    c("lease", "keep-alive", "--once", first)
    c("lease", "keep-alive", "--once", first, "-w", "json")
    c("lease", "revoke", first)
    c("get", "", "--prefix", "-w", "json")
    c("lease", "revoke", first)
    c("lease", "timetolive", first)
    c("lease", "list")
    for name in ("json", "fields"):
        c("lease", "grant", "600", "-w", name)


def lease_bad_arguments(c):
    for ttl in ("0", "-1", "1", "9000000000", "9000000001", "x"):
        c("lease", "grant", ttl)
    c("lease", "grant")
    c("lease", "revoke", "1234567812345678")
    c("lease", "revoke", "x")
    c("lease", "timetolive", "1234567812345678")
    c("lease", "timetolive", "1234567812345678", "-w", "json")
    c("lease", "keep-alive", "--once", "1234567812345678")
    c("lease", "keep-alive", "1234567812345678")
    c("lease", "revoke", "0")


def several_leases(c):
    ids = [c.lease(ttl) for ttl in (1000, 2000, 3000)]
    c("lease", "list")
    for index, lease in enumerate(ids):
        c("put", f"k{index}", "v", "--lease", lease)
    c("put", "k0", "moved", "--lease", ids[2])
    for lease in ids:
        c("lease", "timetolive", lease, "--keys")
    c("put", "k1", "without")
    c("lease", "revoke", ids[2])
    c("lease", "revoke", ids[1])
    c("get", "", "--prefix", "-w", "json")


def a_revoked_lease_deletes_in_key_order(c):
    start = c.revision()
    lease = c.lease(600)
    for key in ("m", "z", "a", "k", "b"):
        c("put", key, "v", "--lease", lease)
    c("lease", "revoke", lease)
    c("put", "end", "end")
    watch = watch_from(c, start + 1, "", "--prefix", "-w", "json")
    watch.expect("ZW5k")
    watch.interrupt()


def an_expired_lease_deletes_in_key_order(c):
    start = c.revision()
    lease = c.lease(2)
    c("txn", stdin="\n" + "".join(f"put {key} v --lease={lease}\n" for key in ("m", "z", "a", "k", "b")) + "\n\n")
    watch = watch_from(c, start + 2, "", "--prefix")
    watch.expect("z")
    c.wait_absent("z")
    c("get", "", "--prefix", "-w", "json")
    c("lease", "timetolive", lease)
    c("lease", "keep-alive", "--once", lease)
    c("put", "x", "y", "--lease", lease)
    watch.interrupt()


def a_lease_is_kept_alive(c):
    lease = c.lease(2)
    c("put", "k", "v", "--lease", lease)
    keep = c.start("lease", "keep-alive", lease)
    keep.expect("keepalived", count=5)  # longer than the lease itself
    c("get", "k")
    c("lease", "revoke", lease)
    c("get", "k")
    keep.expect("expired or revoked")
    # How many renewals there were says nothing.
    keep.lines = sorted(set(keep.lines))
    keep.end()


def lock_runs_a_command(c):
    c("lock", "mutex", "sh", "-c", "echo inside; echo $ETCD_LOCK_KEY | sed 's/[0-9a-f]*$//'")
    c("lock", "mutex", "false")
    c("lock")
    c("get", "mutex", "--prefix")


def lock_is_exclusive(c):
    first = c.start("lock", "mutex")
    held = first.expect("mutex/")
    second = c.start("lock", "mutex")
    c.wait_present("mutex", "--prefix", "--from-key=false", "--limit", "2", "--keys-only")
    first.interrupt()
    assert second.expect("mutex/") != held
    second.interrupt()
    c("get", "mutex", "--prefix")


def elections(c):
    first = c.start("elect", "chair", "one")
    first.expect("one")
    listener = c.start("elect", "-l", "chair")
    listener.expect("one")
    first.interrupt()
    second = c.start("elect", "chair", "two")
    second.expect("two")
    listener.expect("two")
    second.interrupt()
    listener.interrupt()
    c("get", "chair", "--prefix")


def members(c):
    for name in ("simple", "json", "fields", "table"):
        c("member", "list", "-w", name, order=name in ("simple", "table"), report=True)
    c("member", "list", "--hex", "-w", "json", report=True)
    names = sorted(line.split(", ")[2] for line in c.quiet("member", "list").splitlines())
    assert names == [member.name for member in c.target.members], names


def endpoint_reports(c):
    c("put", "k", "v", on=0)
    c("get", "k", on=1)
    c("get", "k", on=2)  # now every member has it
    for name in ("simple", "json", "fields", "table"):
        c("endpoint", "status", "-w", name, report=True, on=0)
        c("endpoint", "health", "-w", name, report=True, on=0)
        c("endpoint", "hashkv", "-w", name, report=True, on=0)
    c("endpoint", "health", everywhere=True, report=True, order=True)
    c("endpoint", "status", "--cluster", report=True, order=True)
    c("endpoint", "hashkv", "--cluster", report=True, order=True)
    c("endpoint", "hashkv", "--rev", "99999999", report=True, on=0)


def hashes_agree(c):
    """What the masks hide: within one cluster the hashes are the same, and change with the data."""
    seen = []
    for value in ("1", "2"):
        c("put", "k", value)
        revision = c.revision()
        out = c.quiet("endpoint", "hashkv", "--cluster", "--rev", str(revision))
        hashes = set(re.findall(r", (\d+)$", out, flags=re.MULTILINE))
        assert len(hashes) == 1, out
        seen.append(hashes.pop())
    assert seen[0] != seen[1], seen
    c.note("equal, and changed by a put")


def hashkv_at_a_compacted_revision(c):
    start = c.revision()
    for value in range(4):
        c("put", "k", str(value))
    c("compaction", str(start + 3))
    c("endpoint", "hashkv", "--rev", str(start + 2), report=True)
    c("endpoint", "hashkv", "--rev", str(start + 4), report=True)
    c.differs("etcd 3.4 refuses the compacted revision itself too; newer ones hash it, and so does Quorate", '"hash":',
              "endpoint", "hashkv", "--rev", str(start + 3), "-w", "json")


def alarms(c):
    c("alarm", "list")
    c("alarm", "disarm")
    newer = "etcd 3.4 leaves the header out (its own client crashes on that with `-w fields`); newer ones fill it in, and so does Quorate"
    c.differs(newer, '"revision":', "alarm", "list", "-w", "json")
    c.differs(newer, '"Revision" : ', "alarm", "list", "-w", "fields")


def a_wrong_endpoint(c):
    c("version", report=True)
    c("nonsense")


def differences(c):
    """Everything that Quorate refuses and etcd does not, each with the reason; docs/compat/etcd.md shows this list."""
    users = "users, roles and authentication do not exist yet"
    c.differs(users, users, "user", "list")
    c.differs(users, users, "role", "list")
    c.differs(users, users, "user", "add", "someone:secret")
    c.differs(users, users, "role", "add", "someone")
    c.differs(users, users, "auth", "enable")


def defragmenting(c):
    c("put", "k", "1")
    c("defrag", on=0)
    c("get", "k")


def note_members(c):
    """By state, because ids say which comes first."""
    lines = [line.split(", ") for line in c.quiet("member", "list").splitlines()]
    c.note("; ".join(sorted(f"{line[1]}, learner {line[-1]}" for line in lines)))


def member_changes(c):
    """What is refused, and members that never start: harmless to a cluster of three. Afterwards all is as before."""
    c("member", "remove", "1234")
    c("member", "update", "1234", "--peer-urls", "http://127.0.0.1:1")
    c("member", "promote", "1234")
    c("member", "add", "n9", "--peer-urls", "nonsense")
    c("member", "add", "n9")
    c("move-leader", "1234", everywhere=True)
    add = ("member", "add", "n9", "--peer-urls", "http://127.0.0.1:1", "--learner")
    # etcd takes nobody in before its members have been connected for five seconds.
    added = wait_for("a member to be added", lambda: re.search(rb"Member +([0-9a-f]+) added", c.execute(add, endpoints=c.member(0).etcd).stdout))
    learner = added[1].decode()
    note_members(c)
    c("member", "add", "n8", "--peer-urls", "http://127.0.0.1:1,http://127.0.0.1:4")  # one is taken; the ids differ
    c("member", "add", "n8", "--peer-urls", "http://127.0.0.1:2", "--learner")
    c("member", "promote", learner)
    c("member", "update", learner, "--peer-urls", "http://127.0.0.1:3")
    c("member", "remove", learner)
    c("member", "remove", learner)
    note_members(c)


CASES = [watch_history, watch_prev_kv, watch_prefix_and_range, watch_sees_a_txn_as_one, watch_as_it_happens, watch_several_at_once,
         watch_interactive_from_a_revision, watch_the_future, watch_a_compacted_revision, watch_prev_kv_that_was_compacted,
         watch_runs_a_command, watch_a_long_history, watch_bad_arguments, leases, lease_bad_arguments, several_leases,
         a_revoked_lease_deletes_in_key_order, an_expired_lease_deletes_in_key_order, a_lease_is_kept_alive, lock_runs_a_command,
         lock_is_exclusive, elections, hashes_agree, hashkv_at_a_compacted_revision, alarms, defragmenting, a_wrong_endpoint, differences]
CLUSTER_CASES = [members, endpoint_reports, member_changes]  # compared with an etcd of as many members
