"""Real `quorate serve` processes for the tests in this folder: start, kill, restart, wait for a condition. Standard library only."""
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
QUORATE = os.environ.get("QUORATE_BINARY", str(ROOT / "build/release/quorate"))
ETCDCTL = os.environ.get("QUORATE_ETCDCTL", str(ROOT / "build/peers/usr/bin/etcdctl"))
PROTOCOL = os.environ.get("QUORATE_PROTOCOL", "raft")
OTHER_PROTOCOLS = [protocol for protocol in ("raft", "paxos", "zab") if protocol != PROTOCOL]
PATIENCE_SECONDS = 120  # for a condition that must come true; generous because the machine may be busy


def free_ports(count):
    """Ports that nobody had a moment ago, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def wait_for(what, condition):
    """Waits until condition() is true; fails with `what` when it does not become true."""
    end = time.monotonic() + PATIENCE_SECONDS
    last = None
    while time.monotonic() < end:
        try:
            result = condition()
            if result:
                return result
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"gave up waiting for {what}" + (f": {last}" if last else ""))


class Proxy:
    """Passes the connections to one peer address on, until they are cut; it goes on to accept new ones."""

    def __init__(self, target):
        self.target = target
        self.lock, self.open, self.closed = threading.Lock(), set(), False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.closed:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                host, port = self.target.split(":")
                far = socket.create_connection((host, int(port)), timeout=5)
                far.settimeout(None)
                for s in (near, far):
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(source, sink), daemon=True).start()

    def carry(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        self.end([source, sink])

    def end(self, sockets):
        with self.lock:
            self.open -= set(sockets)
        for s in sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def cut(self):
        with self.lock:
            sockets = list(self.open)
        self.end(sockets)

    def close(self):
        self.closed = True
        self.listener.close()
        self.cut()


class Member:
    def __init__(self, cluster, index, ports):
        self.cluster, self.name = cluster, f"n{index + 1}"
        self.etcd, self.peer, self.admin = (f"127.0.0.1:{port}" for port in ports)
        self.data_dir = cluster.directory / self.name
        self.log = cluster.directory / f"{self.name}.log"
        self.process = None
        self.proxy = None
        self.binary = QUORATE
        self.open_files_max = None  # None: as many as the test itself

    @property
    def advertised(self):
        return self.proxy.address if self.proxy else self.peer

    def start(self, *extra):
        command = [self.binary, "serve", "--name", self.name, "--data-dir", str(self.data_dir), "--protocol", self.cluster.protocol,
                   "--listen-etcd", self.etcd, "--listen-admin", self.admin, *self.cluster.flags, *extra]
        if self.cluster.size > 1:
            command += ["--initial-cluster", ",".join(f"{m.name}={m.advertised}" for m in self.cluster.members)]
        if self.proxy:
            command += ["--listen-peer", self.peer]
        with open(self.log, "ab") as log:
            limit = self.open_files_max
            self.process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=limit and (
                lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))))
        return self

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(timeout=PATIENCE_SECONDS)

    def healthy(self):
        with urllib.request.urlopen(f"http://{self.etcd}/health", timeout=10) as answer:
            return json.load(answer).get("health") == "true"

    def metric(self, name):
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name + " "):
                    return float(line.split()[1])
        raise ValueError(f"no metric {name}")

    def log_text(self):
        return self.log.read_text(errors="replace")

    def resident_bytes(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ValueError("no VmRSS")


class Cluster:
    """`with Cluster(3) as cluster:` starts it and waits until it is healthy; everything is killed and removed at the end."""

    def __init__(self, size, protocol=PROTOCOL, start=True, flags=(), proxies=False):
        self.size, self.protocol, self.start_all, self.flags = size, protocol, start, flags
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="quorate-test-"))
        ports = free_ports(3 * size)
        self.members = []
        for index in range(size):
            self.members.append(Member(self, index, ports[3 * index: 3 * index + 3]))
            if proxies:
                self.members[index].proxy = Proxy(self.members[index].peer)

    def __enter__(self):
        if self.start_all:
            for member in self.members:
                member.start()
            self.wait_healthy()
        return self

    def __exit__(self, kind, *_):
        ended = {member.name: member.process.poll() for member in self.members if member.process}
        for member in self.members:
            if member.process and member.process.poll() is None:
                member.process.kill()
                member.process.wait()
            if member.proxy:
                member.proxy.close()
        if kind:
            print(f"---- exit statuses: {ended}", file=sys.stderr)
            for member in self.members:
                if member.log.exists():
                    print(f"---- the end of {member.name}'s log", *member.log_text().splitlines()[-15:], sep="\n", file=sys.stderr)
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def endpoints(self):
        return ",".join(member.etcd for member in self.members)

    def wait_healthy(self):
        for member in self.members:
            wait_for(f"{member.name} to be healthy", member.healthy)

    def etcdctl(self, *arguments, endpoints=None, check=True, stdin=None):
        done = subprocess.run([ETCDCTL, "--endpoints", endpoints or self.endpoints, *arguments], input=stdin, text=True,
                              capture_output=True, timeout=PATIENCE_SECONDS, env={**os.environ, "ETCDCTL_API": "3"})
        if check and done.returncode != 0:
            raise AssertionError(f"etcdctl {' '.join(arguments)}: {done.stderr.strip()}")
        return done

    def leader(self):
        return wait_for("a leader", lambda: next((m for m in self.members if m.process.poll() is None and m.metric("quorate_is_leader")), None))

    def fill(self, mib, endpoints=None):
        """Writes that much, into keys bench/..."""
        member = next(m for m in self.members if m.process and m.process.poll() is None)
        done = subprocess.run([QUORATE, "bench", "fill", "--endpoints", endpoints or member.etcd, "--keys", str((mib << 20) // 16_000),
                               "--value-bytes", "16000", "--batch", "20", "--conns", "4"], capture_output=True, text=True,
                              timeout=PATIENCE_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr

    def hashes(self):
        """[(revision, hash)] of every member, at the newest revision each has."""
        out = json.loads(self.etcdctl("endpoint", "hashkv", "-w", "json").stdout)
        return [(entry["HashKV"]["header"]["revision"], entry["HashKV"]["hash"]) for entry in out]

    def wait_equal_hashes(self):
        return wait_for("all members to have the same revision and hash", lambda: len(set(self.hashes())) == 1)


def run(tests):
    """Runs the test functions given on the command line by name, or all; prints the closing line that CI counts."""
    wanted = [test for test in tests if len(sys.argv) < 2 or test.__name__ in sys.argv[1:]]
    failed = 0
    for test in wanted:
        begun = time.monotonic()
        try:
            test()
            print(f"ok    {test.__name__} ({time.monotonic() - begun:.1f} s)", flush=True)
        except Exception as error:  # noqa: BLE001: a test may fail in any way
            failed += 1
            print(f"FAIL  {test.__name__}: {type(error).__name__}: {error}", flush=True)
    print(f"{len(wanted) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
