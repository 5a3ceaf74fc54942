#!/usr/bin/env python3
"""What etcdctl cannot say: grpc_api (gRPC C++'s client) against Quorate on 1 and 3 nodes and against the real etcd; equal transcripts.

Usage: grpc_api_test.py --binary build/release/tests/compat/grpc_api [--protocol raft] [--show] [case...]
"""
import argparse
import os
import subprocess
import sys

from targets import ROOT, difference, side_by_side, targets

# Where Quorate answers as a newer etcd than Debian's 3.4, or deliberately else: there 3 nodes are compared with 1, and `says` must be in the answer.
DIFFERENCES = {}  # case: (reason, [says...])


def transcript(binary, target):
    """{case: its part of the output}"""
    target.start()
    done = subprocess.run([binary, target.cluster.endpoints], capture_output=True, text=True, errors="backslashreplace", timeout=600)
    if done.returncode != 0:
        raise AssertionError(f"grpc_api exited with {done.returncode}: {done.stdout[:20000]} {done.stderr[-2000:]}")
    parts = done.stdout.split("== ")[1:]
    return {part.split("\n", 1)[0]: part.split("\n", 1)[1] for part in parts}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=str(ROOT / "build/release/tests/compat/grpc_api"))
    parser.add_argument("--protocol", default=os.environ.get("QUORATE_PROTOCOL", "raft"))
    parser.add_argument("--show", action="store_true", help="print etcd's transcript")
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    every = targets(arguments.protocol)
    etcd, one, three = (every[name] for name in ("etcd", "quorate 1", "quorate 3"))
    try:
        said = side_by_side(lambda target: transcript(arguments.binary, target), [etcd, one, three])
    finally:
        for target in every.values():
            target.stop()
    chosen = [case for case in said[etcd] if not arguments.cases or case in arguments.cases]
    failed = 0
    for case in chosen:
        if arguments.show:
            print(f"== {case}\n{said[etcd][case]}")
        wrong = []
        if case in DIFFERENCES:
            reason, says = DIFFERENCES[case]
            wrong += [f"no longer said: {line}" for line in says if line not in said[one][case]]
            wrong += [f"etcd says it too now: {line}" for line in says if line in said[etcd][case]]
        else:
            wrong.append(difference((etcd.name, said[etcd][case]), (one.name, said[one].get(case, ""))))
        wrong.append(difference((one.name, said[one].get(case, "")), (three.name, said[three].get(case, ""))))
        failed += any(wrong)
        print(f"FAIL  {case}: " + "\n".join(wrong) if any(wrong) else f"ok    {case}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
