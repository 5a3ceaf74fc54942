#!/usr/bin/env python3
"""`--snapshot-rate` is kept within a fifth, by the sender's own bytes and time. It needs a clock, so it is not in `make test`; the unit test
on virtual time is SnapshotTransferTest.TheRateIsKept."""
from catch_up_test import FLAGS, RATE_BYTES, a_follower, leave_behind
from cluster import Cluster, run, wait_for


def the_rate_of_snapshots_is_kept():
    with Cluster(3, flags=[*FLAGS, "--snapshot-rate", str(RATE_BYTES)]) as cluster:
        leader, victim = a_follower(cluster)
        leave_behind(cluster, victim, 24)

        def sent():
            return leader.metric("quorate_snapshot_sent_bytes_total"), leader.metric("quorate_snapshot_sending_seconds_total")
        before = sent()
        victim.start()
        wait_for("the snapshot to be installed", lambda: victim.metric("quorate_snapshots_installed_total") >= 1)
        cluster.wait_healthy()
        size, seconds = (after - earlier for after, earlier in zip(sent(), before))
        ratio = size / seconds / RATE_BYTES
        print(f"      {size / 2**20:.1f} MiB in {seconds:.1f} s: {100 * ratio:.0f} % of the rate")
        assert size > 12 << 20 and 0.8 <= ratio <= 1.2, (size, ratio)
        cluster.wait_equal_hashes()


if __name__ == "__main__":
    run([the_rate_of_snapshots_is_kept])
