"""The servers that are compared: Quorate and the real etcd, on 1 and on 3 nodes; shared by the tests of this folder."""
import difflib
import threading

from etcd_peer import ROOT, EtcdCluster  # noqa: F401: ROOT for those who import this
from cluster import Cluster

DIFFERENCE_LINES_MAX = 120
LINE_CHARACTERS_MAX = 1500


class Target:
    def __init__(self, name, make, is_etcd):
        self.name, self.make, self.is_etcd = name, make, is_etcd
        self.cluster = None

    def start(self):
        self.stop()
        self.cluster = self.make()
        self.cluster.__enter__()

    def stop(self):
        if self.cluster:
            self.cluster.__exit__(None, None, None)
            self.cluster = None

    def alive(self):
        return self.cluster and all(member.process.poll() is None for member in self.cluster.members)


def targets(protocol):
    return {"etcd": Target("etcd", lambda: EtcdCluster(1), True),
            "quorate 1": Target("quorate 1", lambda: Cluster(1, protocol), False),
            "quorate 3": Target("quorate 3", lambda: Cluster(3, protocol), False),
            "etcd 3": Target("etcd 3", lambda: EtcdCluster(3), True)}


def side_by_side(work, items):
    """Runs work(item) for all at once; returns the results, or raises the failures."""
    results, failures = {}, {}

    def one(item):
        try:
            results[item] = work(item)
        except Exception as error:  # noqa: BLE001: handed on below
            failures[item] = error

    threads = [threading.Thread(target=one, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise AssertionError("\n".join(f"on {item.name}: {type(error).__name__}: {error}" for item, error in failures.items()))
    return results


def difference(reference, tested):
    """Of two (name, text): the lines that differ, shortened; empty when there are none."""
    lines = list(difflib.unified_diff(reference[1].splitlines(), tested[1].splitlines(), reference[0], tested[0], lineterm="", n=4))
    shown = [line[:LINE_CHARACTERS_MAX] for line in lines[:DIFFERENCE_LINES_MAX]]
    return "\n".join(shown + (["..."] if len(lines) > len(shown) else []))
