#!/usr/bin/env python3
"""A full disk: writes are refused, nothing acknowledged is lost, and the server goes on when there is room again."""
import os
import pathlib
import subprocess
import tempfile

from cluster import PROTOCOL, QUORATE, free_ports, run, wait_for


def a_full_disk_refuses_writes_loses_nothing_and_recovers():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="quorate-full-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "tmpfs", str(directory)], capture_output=True)
    if mounted.returncode != 0:
        print("      cannot mount a small file system here: not run")
        os.rmdir(directory)
        return
    etcd = f"127.0.0.1:{free_ports(1)[0]}"
    process = None
    try:
        with open(directory / "log", "wb") as log:
            process = subprocess.Popen([QUORATE, "serve", "--protocol", PROTOCOL, "--data-dir", str(directory / "data"), "--listen-etcd", etcd],
                                       stdout=log, stderr=log)

        def put(key, value):
            return subprocess.run([QUORATE, "kv", "put", key, value, "--endpoints", etcd], text=True, capture_output=True, timeout=120)
        wait_for("a first write", lambda: put("before", "kept").returncode == 0)
        subprocess.run(["dd", "if=/dev/zero", f"of={directory / 'filler'}", "bs=1M"], capture_output=True)
        written = []

        def full():
            done = put(f"k{len(written)}", "x" * 60000)
            if done.returncode == 0:
                written.append(f"k{len(written)}")
                return False
            assert "the disk is full" in done.stderr, done.stderr
            return True
        wait_for("a write to be refused", full)
        os.remove(directory / "filler")
        wait_for("writes again", lambda: put("after", "kept").returncode == 0)
        process.kill()
        process.wait()
        with open(directory / "log", "ab") as log:
            process = subprocess.Popen([QUORATE, "serve", "--protocol", PROTOCOL, "--data-dir", str(directory / "data"), "--listen-etcd", etcd],
                                       stdout=log, stderr=log)

        def get(key):
            done = subprocess.run([QUORATE, "kv", "get", key, "--json", "--endpoints", etcd], text=True, capture_output=True, timeout=120)
            return done.returncode == 0 and key in done.stdout
        for key in ["before", "after", *written]:
            wait_for(f"{key} to be there", lambda key=key: get(key))
    finally:
        if process and process.poll() is None:
            process.kill()
            process.wait()
        subprocess.run(["umount", str(directory)], check=False)
        os.rmdir(directory)


if __name__ == "__main__":
    run([a_full_disk_refuses_writes_loses_nothing_and_recovers])
