#!/usr/bin/env python3
"""Garbage on every port of a real member: an error or a closed connection, bounded memory, and nobody else is disturbed."""
import random
import socket
import struct

from cluster import Cluster, run

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


if __name__ == "__main__":
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    run([garbage_on_any_port_disturbs_nobody, an_idle_connection_costs_little])
