#!/usr/bin/env python3
"""Three measurements of the storage below load, each with a verdict. Standard library only; docs/PERFORMANCE.md has the figures.

    bench/storage.py compaction [--revisions 1000000] [--rounds 5]     p99 of writes before and while revisions are compacted
    bench/storage.py opening    [--keys 1000000] [--rounds 2]          time and bytes read to open history, beside etcd on the same data
    bench/storage.py memory     [--keys 1000000] [--mib 2500]          resident memory under --memory 256MiB: load, compaction, restart

Data lies below build/ and is removed at the end; `opening` needs about twice keys x rounds KB. Run as root, the page cache is emptied
before each start; otherwise it says that it was not. Exit status: 0 the promise is kept, 1 it is not, 2 could not run.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUORATE = os.environ.get("QUORATE_BINARY", str(ROOT / "build/release/quorate"))
PEERS = ROOT / "build/peers/usr/bin"
PATIENCE_SECONDS = 600
VALUE_BYTES = 1000
COMPACTION_SECONDS = 20  # a million revisions take about twelve
MIB = 1 << 20


def say(text):
    print(text, flush=True)


def give_up(why):
    print(f"storage.py: {why}", file=sys.stderr)
    sys.exit(2)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def quorate(*arguments):
    done = subprocess.run([QUORATE, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        give_up(f"quorate {' '.join(map(str, arguments))} exited with {done.returncode}")
    return done.stdout


class Server:
    def __init__(self, name, command, client):
        self.name, self.command, self.client, self.process = name, command, client, None

    def start(self):
        """Seconds until it is healthy."""
        begun = time.monotonic()
        with open(f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.client}/health", timeout=5) as answer:
                    if str(json.load(answer).get("health")) == "true":
                        return time.monotonic() - begun
            except (OSError, ValueError):
                pass
            if self.process.poll() is not None or time.monotonic() > begun + PATIENCE_SECONDS:
                give_up(f"{self.name} did not come up: {pathlib.Path(self.name + '.log').read_text()[-1500:]}")
            time.sleep(0.01)

    def stop(self, how=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(timeout=PATIENCE_SECONDS)

    def status(self, name):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
        raise ValueError(name)

    def read_bytes(self):
        """From the device, and through system calls (from the page cache or the device)."""
        io = dict(line.split(": ") for line in pathlib.Path(f"/proc/{self.process.pid}/io").read_text().splitlines())
        return int(io["read_bytes"]), int(io["rchar"])


class Quorate(Server):
    def __init__(self, *flags):
        client, admin = (f"127.0.0.1:{port}" for port in free_ports(2))
        super().__init__("quorate", [QUORATE, "serve", "--data-dir", "quorate.data", "--listen-etcd", client, "--listen-admin", admin,
                                     "--quota-backend-bytes", "-1", *flags], client)
        self.admin = admin

    def metric(self, name):
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.split()[1])
        raise ValueError(name)

    def compact(self, revision):
        subprocess.run([str(PEERS / "etcdctl"), "--endpoints", self.client, "--command-timeout", "60s", "compaction", str(int(revision))],
                       env={**os.environ, "ETCDCTL_API": "3"}, check=True, stdout=subprocess.DEVNULL)

    def wait_compacted(self):
        while self.metric("quorate_compaction_backlog_revisions") > 0:
            time.sleep(0.05)


class Etcd(Server):
    def __init__(self):
        client, peer = (f"127.0.0.1:{port}" for port in free_ports(2))
        # etcd snapshots after as many entries; a transaction of many puts is one, so it is told to do so more often.
        super().__init__("etcd", [str(PEERS / "etcd"), "--data-dir", "etcd.data", "--log-level", "error", "--quota-backend-bytes", str(16 << 30),
                                  "--snapshot-count", "1000", "--listen-client-urls", f"http://{client}", "--advertise-client-urls",
                                  f"http://{client}", "--listen-peer-urls", f"http://{peer}"], client)


def drop_caches():
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
        return True
    except OSError:
        return False


def busy_share(seconds=1.0):
    """Of all cores, by whatever runs now: a measurement on a busy machine says little."""
    def read():
        fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        return sum(fields), fields[3] + fields[4]
    total, idle = read()
    time.sleep(seconds)
    total_after, idle_after = read()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def compaction(arguments):
    server = Quorate()
    server.start()
    try:
        load = ["--endpoints", server.client, "--conns", "64", "--value-bytes", "128"]
        capacity = json.loads(quorate("bench", "put", *load, "--seconds", arguments.seconds, "--json"))["ops_per_s"]
        rate = int(capacity / 2)
        say(f"capacity {capacity:,.0f} writes a second; open loop at {rate:,}")
        before_all, during_all = [], []
        for number in range(arguments.rounds):
            goal = server.metric("quorate_compact_revision") + arguments.revisions
            while server.metric("quorate_revision") < goal:
                quorate("bench", "put", "--endpoints", server.client, "--conns", "32", "--inflight", "8", "--seconds", "2", "--warmup", "0", "--json")
            time.sleep(arguments.seconds * 2)  # what that burst left to be written must not count as "before"
            history = pathlib.Path("history")
            process = subprocess.Popen([QUORATE, "bench", "availability", *load, "--rate", str(rate), "--seconds", str(arguments.seconds + COMPACTION_SECONDS),
                                        "--timeout", "10", "--history", str(history), "--json"], stdout=subprocess.DEVNULL)
            time.sleep(arguments.seconds)
            begun = time.monotonic_ns()
            revision = server.metric("quorate_revision")
            compacted = revision - server.metric("quorate_compact_revision")
            server.compact(revision)
            server.wait_compacted()
            ended = time.monotonic_ns()
            if process.wait(timeout=PATIENCE_SECONDS) != 0:
                give_up("the load did not end well")
            before, during = [], []
            with open(history) as lines:
                for write in map(json.loads, lines):
                    if write["op"] != "put":
                        break
                    latency = (write["complete_ns"] - write["due_ns"]) / 1e6 if write["result"] == "ok" else 10_000
                    if begun - (arguments.seconds - 1) * 1e9 <= write["due_ns"] < begun - 1e8:
                        before.append(latency)
                    elif begun <= write["due_ns"] < ended:
                        during.append(latency)
            if not before or not during:
                give_up("no writes before or during the compaction")
            before_all.append(percentile(before, 0.99))
            during_all.append(percentile(during, 0.99))
            say(f"round {number + 1}: {compacted:,.0f} revisions in {(ended - begun) / 1e9:.1f} s; p99 {before_all[-1]:.1f} ms before "
                f"({len(before):,} writes), {during_all[-1]:.1f} ms during ({len(during):,})")
    finally:
        server.stop()
    before, during = statistics.median(before_all), statistics.median(during_all)
    good = during <= 2 * before
    return good, f"median p99 {during:.1f} ms during, {before:.1f} ms before: {during / before:.2f}x (at most 2x)"


def opening(arguments):
    servers = [Quorate(), Etcd()]
    fill = ["--keys", arguments.keys, "--rounds", arguments.rounds, "--value-bytes", VALUE_BYTES, "--json"]
    for server in servers:
        server.start()
        try:
            done = json.loads(quorate("bench", "fill", "--endpoints", server.client, *fill))
        finally:
            server.stop()
        say(f"{server.name}: {done['puts']:,} puts of {VALUE_BYTES} bytes in {done['seconds']:.0f} s")
    size = arguments.keys * arguments.rounds * VALUE_BYTES
    times, read = {server: [] for server in servers}, {}
    for _ in range(arguments.starts):
        for server in servers:
            cold = drop_caches()
            times[server].append(server.start())
            read[server] = server.read_bytes()
            server.stop()
            say(f"{server.name}: {times[server][-1]:.2f} s to healthy, {read[server][0] / MIB:.0f} MiB read from the device, "
                f"{read[server][1] / MIB:.0f} MiB by system calls{'' if cold else ' (page cache not emptied)'}")
    ours, theirs = (statistics.median(times[server]) for server in servers)
    # Everything of ours goes through system calls; a page that another one had brought in counts all the same.
    share = max(read[servers[0]]) / size
    good = ours <= theirs and share <= 0.1
    return good, (f"{ours:.2f} s against etcd's {theirs:.2f} s (at most as long); {100 * share:.1f} % of {size / 2**30:.2f} GiB read "
                  "(at most 10 %)")


def memory(arguments):
    server = Quorate("--memory", "256MiB")
    good, worst = True, 0

    def look(step):
        nonlocal good, worst
        peak, index = server.status("VmHWM"), server.metric("quorate_memory_index_bytes")
        bound = 256 * MIB + index + 64 * MIB
        worst = max(worst, peak / bound)
        good = good and peak <= bound
        say(f"{step}: {peak / MIB:.0f} MiB at most, index {index / MIB:.0f} MiB, bound {bound / MIB:.0f} MiB"
            f"{'' if peak <= bound else ': OVER'}")
    value_bytes = int(arguments.mib * MIB / arguments.keys)
    server.start()
    try:
        fill = ["bench", "fill", "--endpoints", server.client, "--value-bytes", value_bytes, "--json", "--keys"]
        done = json.loads(quorate(*fill, arguments.keys))
        say(f"{done['puts']:,} puts of {value_bytes} bytes in {done['seconds']:.0f} s")
        look("load")
        quorate(*fill, arguments.keys // 5)
        server.compact(server.metric("quorate_revision"))
        server.wait_compacted()
        look("a fifth overwritten and compacted")
        server.stop()
        drop_caches()
        seconds = server.start()
        look(f"restart ({seconds:.1f} s)")
        quorate("bench", "get", "--endpoints", server.client, "--conns", "16", "--keys", "1000", "--seconds", "3", "--value-bytes", "100", "--json")
        look("reads")
    finally:
        server.stop()
    return good, f"at worst {100 * worst:.0f} % of 256 MiB + index + 64 MiB"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("compaction")
    one.add_argument("--revisions", type=int, default=1_000_000)
    one.add_argument("--rounds", type=int, default=5)
    one.add_argument("--seconds", type=float, default=5, help="before the compaction; the load runs for three times as long")
    one.set_defaults(run=compaction)
    two = commands.add_parser("opening")
    two.add_argument("--keys", type=int, default=1_000_000)
    two.add_argument("--rounds", type=int, default=2)
    two.add_argument("--starts", type=int, default=3, help="of each; the median counts")
    two.set_defaults(run=opening)
    three = commands.add_parser("memory")
    three.add_argument("--keys", type=int, default=1_000_000)
    three.add_argument("--mib", type=int, default=2_500)
    three.set_defaults(run=memory)
    arguments = parser.parse_args()
    for binary in (QUORATE, PEERS / "etcd", PEERS / "etcdctl"):
        if not os.access(binary, os.X_OK):
            give_up(f"{binary} is not there: make build, and make bench once, which unpacks etcd")
    busy = busy_share()
    say(f"{os.cpu_count()} cores, {100 * busy:.0f} % busy before the start")
    begun = time.monotonic()
    directory = tempfile.mkdtemp(prefix="storage-", dir=ROOT / "build")
    os.chdir(directory)
    try:
        good, verdict = arguments.run(arguments)
    finally:
        os.chdir(ROOT)
        shutil.rmtree(directory, ignore_errors=True)
    say(f"{'KEPT' if good else 'NOT KEPT'}: {arguments.command}: {verdict} ({time.monotonic() - begun:.0f} s"
        f"{', on a busy machine' if busy > 0.3 else ''})")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
