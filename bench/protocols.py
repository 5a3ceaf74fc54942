#!/usr/bin/env python3
"""Raft, Multi-Paxos and Zab side by side in one run; writes their table of docs/PERFORMANCE.md. Standard library only.

    bench/protocols.py [--seconds S] [--rounds N] [--conns 1,64,256] [--protocols raft,paxos,zab] [--no-write]

Three nodes each, all three clusters up at once, rounds alternate; the median round of each counts. Messages and syncs are the members'
own counters over a round, divided by the calls in it. Exit status: 0 good, 1 a wrong answer, 2 could not run.
"""
import argparse
import datetime
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOADER = importlib.machinery.SourceFileLoader("run_bench", str(ROOT / "tools/run-bench"))
run_bench = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_bench", LOADER))
sys.dont_write_bytecode = True
LOADER.exec_module(run_bench)

PAGE = ROOT / "docs/PERFORMANCE.md"
BEGIN, END = "<!-- protocols: written by bench/protocols.py -->", "<!-- end of protocols -->"
NODES = 3
KEYS = 100
RESTARTS = 3
FAILOVERS = 3
COUNTERS = {"messages": "quorate_peer_messages_sent_total", "syncs": "quorate_log_syncs_total", "calls": "quorate_etcd_calls_total"}


class ProtocolCluster(run_bench.Cluster):
    def __init__(self, protocol, directory):
        super().__init__(protocol, NODES, directory / protocol, lambda cluster, i: [*run_bench.quorate_command(cluster, i), "--protocol", protocol])

    def start(self, i):
        with open(self.directory / f"n{i + 1}.log", "ab") as log:
            self.processes[i] = subprocess.Popen(self.commands[i], stdout=log, stderr=log, cwd=self.directory)

    def metric(self, i, name):
        with urllib.request.urlopen(f"http://{self.admins[i]}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.split()[1])
        raise ValueError(name)

    def counters(self):
        return {key: sum(self.metric(i, name) for i in range(NODES)) for key, name in COUNTERS.items()}

    def leader(self):
        while True:
            for i in range(NODES):
                try:
                    if self.metric(i, "quorate_is_leader"):
                        return i
                except OSError:
                    pass
            time.sleep(0.02)

    def wait_healthy(self):
        while not all(self.healthy(client) for client in self.clients):
            time.sleep(0.01)


def bench(cluster, *arguments):
    # The leader first: a single connection asks it in every protocol, so that what is compared is the protocols and not who leads.
    leader = cluster.leader()
    endpoints = [cluster.clients[leader], *(client for i, client in enumerate(cluster.clients) if i != leader)]
    done = subprocess.run([str(run_bench.QUORATE), "bench", *map(str, arguments), "--endpoints", ",".join(endpoints), "--json"],
                          stdout=subprocess.PIPE, text=True)
    if done.returncode not in (0, 1) or not done.stdout.strip():
        sys.exit(2)
    return json.loads(done.stdout.splitlines()[-1]), done.returncode == 0


def one_round(cluster, op, conns, seconds):
    before = cluster.counters()
    report, good = bench(cluster, op, "--conns", conns, "--seconds", seconds, "--warmup", 0.5, "--keys", KEYS)
    after = cluster.counters()
    calls = max(1, after["calls"] - before["calls"])
    report["messages_per_op"] = (after["messages"] - before["messages"]) / calls
    report["syncs_per_op"] = (after["syncs"] - before["syncs"]) / calls
    report["good"] = good
    return report


def failover_gap(cluster):
    """Milliseconds without an acknowledgement after the leader was killed."""
    leader = cluster.leader()
    report, good = bench(cluster, "availability", "--seconds", 7, "--rate", 500, "--fault-at", 4, "--fault-command",
                         f"kill -9 {cluster.processes[leader].pid}")
    cluster.processes[leader].wait()
    cluster.start(leader)
    cluster.wait_healthy()
    return report["longest_gap_ms"], good


def restart(cluster):
    """Milliseconds from the start of all members, which were killed, until all are healthy: an election and the log above the keyspace."""
    for process in cluster.processes:
        process.kill()
        process.wait()
    begun = time.monotonic()
    for i in range(NODES):
        cluster.start(i)
    cluster.wait_healthy()
    return 1000 * (time.monotonic() - begun)


def measure(clusters, arguments):
    rows, wrong = [], False
    names = [cluster.name for cluster in clusters]

    def row(title, values, digits=0, smaller_is_better=False):
        best = (min if smaller_is_better else max)(values)
        cells = []
        for value in values:
            ratio = (best / value if smaller_is_better else value / best) if value and best else 0
            cells.append(f"{value:,.{digits}f} ({ratio:.2f})")
        rows.append(f"| {title} | {' | '.join(cells)} |")
        print(rows[-1], file=sys.stderr)

    def counted(title, values, digits=2):
        rows.append(f"| {title} | {' | '.join(f'{value:,.{digits}f}' for value in values)} |")
        print(rows[-1], file=sys.stderr)

    for op, conns in [("put", conns) for conns in arguments.conns] + [("get", conns) for conns in arguments.conns]:
        rounds = {name: [] for name in names}
        for _ in range(arguments.rounds):
            for cluster in clusters:
                rounds[cluster.name].append(one_round(cluster, op, conns, arguments.seconds))
        medians = [sorted(rounds[name], key=lambda report: report["ops_per_s"])[len(rounds[name]) // 2] for name in names]
        wrong = wrong or not all(report["good"] for name in names for report in rounds[name])
        title = f"{op}, {conns} connection{'s' if conns > 1 else ''}"
        row(f"{title}: ops/s", [report["ops_per_s"] for report in medians])
        row(f"{title}: p99 ms", [report["p99_ms"] for report in medians], 2, True)
        counted(f"{title}: messages per operation", [report["messages_per_op"] for report in medians])
        counted(f"{title}: syncs per operation", [report["syncs_per_op"] for report in medians], 3)
    gaps = [[failover_gap(cluster) for _ in range(FAILOVERS)] for cluster in clusters]
    wrong = wrong or not all(good for of_one in gaps for _, good in of_one)
    row("failover: ms without an acknowledgement, leader killed", [statistics.median(gap for gap, _ in of_one) for of_one in gaps], 0, True)
    row("restart of all members: ms until healthy", [statistics.median(restart(cluster) for _ in range(RESTARTS)) for cluster in clusters], 0, True)
    return rows, wrong


def table(names, rows, arguments, probe):
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return "\n".join([
        BEGIN, "",
        f"Measured {datetime.date.today()} at commit {commit} with `bench/protocols.py{''.join(' ' + a for a in sys.argv[1:])}`: {NODES} nodes, "
        f"{arguments.rounds} rounds of {arguments.seconds:g} s, alternating; the median round. {run_bench.machine()}. A 200-byte append with "
        f"fdatasync takes {probe:.0f} us here (median). In parentheses: against the best of the three, 1.00 is best. Messages and syncs are "
        "of all members together, by their own counters.", "",
        f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names), *rows, "", END])


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--conns", type=lambda text: [int(part) for part in text.split(",")], default=[1, 64, 256])
    parser.add_argument("--protocols", default="raft,paxos,zab")
    parser.add_argument("--no-write", action="store_true", help="print the table, leave docs/PERFORMANCE.md alone")
    arguments = parser.parse_args()
    if not os.access(run_bench.QUORATE, os.X_OK):
        print(f"protocols.py: {run_bench.QUORATE} is not there: make build", file=sys.stderr)
        sys.exit(2)
    return arguments


def main():
    arguments = parse_arguments()
    names = arguments.protocols.split(",")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "build"))
    clusters = []
    try:
        probe = run_bench.sync_microseconds(directory)
        for name in names:
            clusters.append(ProtocolCluster(name, directory).__enter__())
        rows, wrong = measure(clusters, arguments)
    finally:
        for cluster in clusters:
            cluster.__exit__()
        shutil.rmtree(directory, ignore_errors=True)
    text = table(names, rows, arguments, probe)
    if arguments.no_write:
        print(text)
    else:
        before, rest = PAGE.read_text().split(BEGIN, 1)
        PAGE.write_text(before + text + rest.split(END, 1)[1])
        print(f"protocols.py: wrote its table of {PAGE.relative_to(ROOT)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
