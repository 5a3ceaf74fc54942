#!/usr/bin/env python3
"""Garbage on every port of a real member: an error or a closed connection, bounded memory, and nobody else is disturbed.

On the peer port besides: callers who are not who they should be, and a member that sends what no member sends."""
import json
import random
import socket
import struct

from cluster import OTHER_PROTOCOLS, Cluster, run, wait_for
from damage_test import crc32c

GROWTH_BYTES_MAX = 64 << 20
IDLE_BYTES_MAX = 20 << 10
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def connect(address):
    host, port = address.split(":")
    s = socket.create_connection((host, int(port)), timeout=10)
    return s


def throw(address, payload):
    """Sends and reads until the other end closes, says something, or goes quiet."""
    try:
        with connect(address) as s:
            s.sendall(payload)
            s.settimeout(0.2)
            try:
                s.recv(4096)
            except TimeoutError:
                pass
    except (ConnectionError, BrokenPipeError):
        pass


def payloads(dice):
    yield bytes(dice.randrange(256) for _ in range(2000))
    yield b"\0" * 100_000
    yield b"\xff" * 100_000
    yield PREFACE + bytes(dice.randrange(256) for _ in range(2000))
    yield PREFACE + struct.pack(">I", 0xFFFFFF)[1:] + b"\x00\x00\x00\x00\x00\x01" + b"x" * 50_000  # a 16 MiB DATA frame
    yield PREFACE + (b"\x00\x00\x04\x08\x00\x00\x00\x00\x00" + struct.pack(">I", 0)) * 100  # WINDOW_UPDATE of nothing
    yield PREFACE + (b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"pingpong") * 1000
    yield b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000
    yield b"POST /health HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"
    yield b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"
    for size in (1, 7, 9, 24, 64, 500):
        yield bytes(dice.randrange(256) for _ in range(size))


def garbage_on_any_port_disturbs_nobody():
    with Cluster(3) as cluster:
        member = cluster.members[0]
        cluster.etcdctl("put", "before", "garbage")
        before = member.resident_bytes()
        dice = random.Random(7)
        for _ in range(3):
            for payload in payloads(dice):
                for address in (member.etcd, member.peer, member.admin):
                    throw(address, payload)
        grown = member.resident_bytes() - before
        assert grown < GROWTH_BYTES_MAX, f"{grown >> 20} MiB grown"
        assert member.process.poll() is None, "the member died"
        assert member.healthy()
        cluster.etcdctl("put", "after", "garbage", endpoints=member.etcd)
        cluster.wait_equal_hashes()


def an_idle_connection_costs_little():
    with Cluster(1) as cluster:
        member = cluster.members[0]
        settings = PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
        warm = [connect(member.etcd) for _ in range(200)]
        for s in warm:
            s.sendall(settings)
            s.recv(4096)
        before, count = member.resident_bytes(), 2000
        idle = [connect(member.etcd) for _ in range(count)]
        for s in idle:
            s.sendall(settings)
        for s in idle:
            s.recv(4096)
        each = (member.resident_bytes() - before) / count
        for s in warm + idle:
            s.close()
        print(f"      {each / 1024:.1f} KiB per idle HTTP/2 connection")
        assert each < IDLE_BYTES_MAX, each


def clients_leave_the_server_the_files_it_needs():
    with Cluster(1, start=False) as cluster:
        member = cluster.members[0]
        member.open_files_max = 400
        member.start()
        cluster.wait_healthy()
        cluster.etcdctl("put", "before", "the crowd")
        crowd = []
        for _ in range(600):
            try:
                crowd.append(connect(member.etcd))
                crowd[-1].sendall(PREFACE)
            except OSError:
                pass
        wait_for("the crowd", lambda: member.metric("quorate_etcd_connections") >= 50)
        for s in crowd[:10]:
            s.close()  # room for those who write
        cluster.fill(40)  # segments, tables
        assert member.process.poll() is None, "it stopped for want of a descriptor"
        for s in crowd:
            s.close()
        member.kill()
        member.start()
        cluster.wait_healthy()
        assert cluster.etcdctl("get", "before", "--print-value-only").stdout == "the crowd\n"


def literal(name, value):
    """A header field, as HPACK has it without tables; both under 127 bytes."""
    return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def call(stream, path, message):
    """A gRPC call as HTTP/2 frames."""
    head = b"".join(literal(name, value) for name, value in (
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "t"), ("te", "trailers"), ("content-type", "application/grpc")))
    body = struct.pack(">BI", 0, len(message)) + message
    return b"".join(struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
                    for kind, flags, payload in ((1, 4, head), (0, 1, body)))


def answers_that_nobody_takes_are_bounded():
    """Two hundred linearizable reads of 8 MiB, asked for at once by a client that reads nothing: 1.6 GiB if all were answered."""
    with Cluster(1) as cluster:
        member = cluster.members[0]
        for index in range(8):
            cluster.etcdctl("put", f"large{index}", stdin="x" * 1_000_000)
        before = member.resident_bytes()
        whole = b"\x0a\x05large" + b"\x12\x05largf"  # key and range_end
        with connect(member.etcd) as s:
            s.sendall(PREFACE + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            s.sendall(b"".join(call(2 * i + 1, "/etcdserverpb.KV/Range", whole) for i in range(200)))
            wait_for("the first answers", lambda: member.metric("quorate_etcd_output_bytes") > 8 << 20)
            cluster.etcdctl("put", "meanwhile", "served")
            assert cluster.etcdctl("get", "large", "--prefix", "--print-value-only").stdout.count("x") == 8_000_000
            held, grown = member.metric("quorate_etcd_output_bytes"), member.resident_bytes() - before
        print(f"      {int(held) >> 20} MiB held for it, {grown >> 20} MiB grown")
        assert held <= 32 << 20 and grown <= 160 << 20, (held, grown)
        wait_for("what it held to be let go", lambda: member.metric("quorate_etcd_output_bytes") == 0)


def varint(number):
    out = b""
    while number >= 128:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def prefixed(content):
    return varint(len(content)) + content


HELLO, WELCOME, CONFIRM, REJECT, MESSAGE = 1, 2, 3, 4, 5


def frame(kind, payload, version=1, checksum=None):
    head = b"QRPF" + bytes([version, kind, 0, 0]) + struct.pack("<I", len(payload))
    return head + (checksum or crc32c(head + payload)) + payload


def directory_of(member):
    """The random id of its data directory (docs/disk-format.md, the file `cluster`)."""
    data = (member.data_dir / "cluster").read_bytes()[8:]

    def number():
        nonlocal data
        value = shift = 0
        while True:
            byte, data = data[0], data[1:]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def skip():
        nonlocal data
        length = number()
        data = data[length:]
    skip()  # the token
    for _ in range(number()):
        number(), skip(), skip(), number()
    return struct.unpack("<Q", data[:8])[0]


class Caller:
    """Calls a member's peer port in the name of another."""

    def __init__(self, cluster, target, sender):
        out = json.loads(cluster.etcdctl("member", "list", "-w", "json", endpoints=target.etcd).stdout)
        self.ids = {one["name"]: one["ID"] for one in out["members"]}
        self.cluster_id, self.protocol, self.target, self.sender = out["header"]["cluster_id"], cluster.protocol, target, sender
        self.directory = directory_of(sender)

    def hello(self, **other):
        said = {"versions": (1, 1), "cluster": self.cluster_id, "sender": self.ids[self.sender.name], "receiver": self.ids[self.target.name],
                "incarnation": 1, "attempt": 1, "protocol": self.protocol, "directory": self.directory, **other}
        return (bytes(said["versions"]) + struct.pack("<Q", said["cluster"]) + varint(said["sender"]) + varint(said["receiver"]) +
                varint(said["incarnation"]) + varint(said["attempt"]) + prefixed(said["protocol"].encode()) + struct.pack("<Q", said["directory"]) +
                varint(2))

    def refused(self, reason):
        return self.target.metric(f'quorate_peer_refused_connections_total{{reason="{reason}"}}')

    def answer(self, payload):
        """What comes back to the first bytes until the member closes: the kinds of frames."""
        kinds = []
        with connect(self.target.peer) as s:
            s.sendall(payload)
            data = b""
            while part := s.recv(65536):
                data += part
                if len(data) >= 16 and data[5] == WELCOME:
                    break
            while len(data) >= 16:
                kinds.append(data[5])
                data = data[16 + struct.unpack("<I", data[8:12])[0]:]
        return kinds

    def link(self):
        s = connect(self.target.peer)
        s.sendall(frame(HELLO, self.hello()))
        assert s.recv(65536)[5] == WELCOME
        s.sendall(frame(CONFIRM, b""))
        return s


def a_caller_who_is_not_who_belongs_here_is_refused_with_the_reason():
    with Cluster(3) as cluster:
        cluster.etcdctl("put", "before", "callers")
        target, sender = cluster.members[0], cluster.members[2]
        sender.kill()
        caller = Caller(cluster, target, sender)
        other_cluster = caller.cluster_id ^ 2
        cases = {
            "malformed": frame(HELLO, b"?"),
            "wrong_cluster": frame(HELLO, caller.hello(cluster=other_cluster)),
            "no_common_version": frame(HELLO, caller.hello(versions=(9, 9))),
            "wrong_receiver": frame(HELLO, caller.hello(receiver=caller.ids["n2"])),
            "unknown_sender": frame(HELLO, caller.hello(sender=77)),
            "other_protocol": frame(HELLO, caller.hello(protocol=OTHER_PROTOCOLS[0])),
            "other_directory": frame(HELLO, caller.hello(directory=caller.directory ^ 1)),
            "stale_incarnation": frame(HELLO, caller.hello(incarnation=0)),
        }
        for reason, payload in cases.items():
            before = caller.refused(reason)
            assert caller.answer(payload) == [REJECT], reason
            assert caller.refused(reason) == before + 1, reason
        before = caller.refused("malformed")
        for payload in (b"\0" * 64, b"GET / HTTP/1.1\r\n\r\n", frame(MESSAGE, b"before any handshake"), frame(HELLO, caller.hello(), version=7),
                        frame(HELLO, caller.hello(), checksum=b"oops"), frame(CONFIRM, b""), frame(99, b"")):
            assert caller.answer(payload) == [], payload
        assert caller.refused("malformed") == before + 7
        sender.start()
        cluster.wait_healthy()
        cluster.wait_equal_hashes()


def a_member_that_sends_what_no_member_sends_harms_nobody():
    with Cluster(3) as cluster:
        cluster.etcdctl("put", "before", "garbage")
        target = cluster.leader()
        sender = next(member for member in cluster.members if member is not target)
        rest = ",".join(member.etcd for member in cluster.members if member is not sender)
        sender.kill()
        caller = Caller(cluster, target, sender)
        dice = random.Random(11)
        group, other_group = b"\1\1", b"\1\2"
        noise = bytes(dice.randrange(256) for _ in range(300))
        messages = [b"", noise, b"\2\1\1" + noise, other_group + b"\1" + noise, group + b"\1" + noise, group + b"\1", group + b"\x63" + noise,
                    group + b"\2\x80", group + b"\2" + varint(caller.ids[target.name]) + b"\1\1" + noise, group + b"\5" + noise,
                    group + b"\3\1\1\x09", group + b"\4" + noise]
        dropped = target.metric("quorate_peer_messages_dropped_total")
        with caller.link() as s:
            wait_for("the link", lambda: target.metric("quorate_peer_links") == 2)
            for message in messages:
                s.sendall(frame(MESSAGE, message))
            wait_for("all of them to be dropped and counted",
                     lambda: target.metric("quorate_peer_messages_dropped_total") == dropped + len(messages))
            assert target.metric("quorate_peer_links") == 2, "the link was closed for what may be a newer member's word"
            cluster.etcdctl("put", "during", "garbage", endpoints=rest)
            bad = target.metric("quorate_peer_bad_messages_total")
            s.sendall(frame(MESSAGE, noise, checksum=b"oops"))
            wait_for("the connection to be closed for a frame that is none", lambda: target.metric("quorate_peer_bad_messages_total") == bad + 1)
            assert target.metric("quorate_peer_links") == 1
        cluster.etcdctl("put", "after", "garbage", endpoints=rest)
        sender.start()
        cluster.wait_healthy()
        cluster.wait_equal_hashes()
        assert all(member.process.poll() is None for member in cluster.members)


if __name__ == "__main__":
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    run([garbage_on_any_port_disturbs_nobody, an_idle_connection_costs_little, clients_leave_the_server_the_files_it_needs,
         answers_that_nobody_takes_are_bounded,
         a_caller_who_is_not_who_belongs_here_is_refused_with_the_reason, a_member_that_sends_what_no_member_sends_harms_nobody])
