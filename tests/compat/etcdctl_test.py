#!/usr/bin/env python3
"""The real etcdctl against Quorate (1 and 3 nodes) and against the real etcd: every case must print the same on all.

Each case (kv_cases.py, live_cases.py) runs on the targets side by side; the test is the difference of their masked transcripts
(masks.py says what is masked, and why). So there is no expected output to maintain, and revisions must agree to the last one.
Usage: etcdctl_test.py [--protocol raft] [--show] [case...]; QUORATE_PROTOCOL names the protocol too.
"""
import argparse
import os
import sys
import time

import kv_cases
import live_cases
from console import Console
from targets import difference, side_by_side, targets


def play(case, target):
    console = Console(target.cluster, target.is_etcd)
    try:
        case(console)
    finally:
        console.close()
    return console.transcript, console.clean()


def compare(case, pairs, show):
    """pairs: [(reference, tested)]. Plays the case on all of them; a difference is a failure."""
    played = side_by_side(lambda target: play(case, target), list(dict.fromkeys(target for pair in pairs for target in pair)))
    if show:
        print("".join(played[pairs[0][0]][0]))
    differences = []
    for reference, tested in pairs:
        differences.append(difference(*((each.name, "".join(played[each][0])) for each in (reference, tested))))
        if not differences[-1] and played[reference][1] != played[tested][1]:
            differences.append(f"{reference.name} ends at revision {played[reference][1]}, {tested.name} at {played[tested][1]}")
    if any(differences):
        raise AssertionError("\n".join(differences))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--protocol", default=os.environ.get("QUORATE_PROTOCOL", "raft"))
    parser.add_argument("--show", action="store_true", help="print etcd's transcript of each case")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    chosen = [case for case in kv_cases.CASES + live_cases.CASES + live_cases.CLUSTER_CASES
              if not arguments.cases or case.__name__ in arguments.cases]
    target = targets(arguments.protocol)
    failed = 0
    try:
        for case in chosen:
            begun = time.monotonic()
            pairs = [(target["etcd"], target["quorate 1"]), (target["etcd"], target["quorate 3"])]
            try:
                if case in live_cases.CLUSTER_CASES:
                    pairs[1] = (target["etcd 3"], target["quorate 3"])
                    if not target["etcd 3"].alive():  # it must not be behind the others
                        for each in target.values():
                            each.stop()
                side_by_side(lambda t: t.start(), [t for t in dict.fromkeys(sum(pairs, ())) if not t.alive()])
                compare(case, pairs, arguments.show)
                print(f"ok    {case.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
            except Exception as error:  # noqa: BLE001: a case may fail in any way
                failed += 1
                print(f"FAIL  {case.__name__}: {error}", flush=True)
                for each in target.values():  # the next case begins at equal revisions again
                    each.stop()
    finally:
        for each in target.values():
            each.stop()
    print(f"{len(chosen) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
