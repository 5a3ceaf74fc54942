"""What a case speaks to: etcdctl against one target, everything it prints kept in a masked transcript."""
import json
import os
import queue
import signal
import subprocess
import threading
import time

from etcd_peer import ROOT  # noqa: F401: puts tests/process on the path
from cluster import ETCDCTL, PATIENCE_SECONDS, wait_for
from masks import Masker, mask_protobuf

ENVIRONMENT = {**{key: value for key, value in os.environ.items() if not key.startswith("ETCD")}, "ETCDCTL_API": "3"}


class Session:
    """An etcdctl that keeps running (watch, lock, elect, keep-alive): its lines are waited for, never slept for."""

    def __init__(self, console, process, title):
        self.console, self.process, self.title = console, process, title
        self.lines, self.arrived = [], queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.arrived.put(line.decode(errors="backslashreplace"))
        self.arrived.put(None)

    def say(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()
        return self

    def expect(self, text, count=1):
        """Waits until `count` more lines with `text` in them have come."""
        end = time.monotonic() + PATIENCE_SECONDS
        while count > 0:
            try:
                line = self.arrived.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self.title}: no line with {text!r}; it said {self.lines}") from None
            if line is None:
                self.arrived.put(None)
                raise AssertionError(f"{self.title}: ended without {text!r}; it said {self.lines}")
            self.lines.append(line)
            count -= text in line
        return line

    def ready(self):
        """For an interactive watch: every watch said so far is being served."""
        self.say("progress")
        self.expect("progress notify")
        return self

    def end(self, how=None):
        """Sends the signal, or closes the input and waits for the end; then the whole output goes into the transcript."""
        if how is None:
            self.process.stdin.close()
        else:
            self.process.send_signal(how)
        self.process.wait(timeout=PATIENCE_SECONDS)
        self.reader.join(timeout=PATIENCE_SECONDS)
        while not self.arrived.empty():
            line = self.arrived.get()
            if line is not None:
                self.lines.append(line)
        errors = self.process.stderr.read().decode(errors="backslashreplace")
        self.console.sessions.remove(self)
        self.console.record(self.title, "".join(self.lines), errors, self.process.returncode)
        return self

    def interrupt(self):
        return self.end(signal.SIGINT)


class Console:
    """`c("put", "a", "1")` runs one command. On a cluster each goes to the next member; `on=0` pins it."""

    def __init__(self, target, is_etcd):
        self.target, self.is_etcd = target, is_etcd
        self.masker, self.transcript, self.sessions, self.turn = Masker(), [], [], 0

    def member(self, on=None):
        if on is None:
            self.turn += 1
            on = self.turn
        return self.target.members[on % len(self.target.members)]

    def record(self, title, out, err, status, report=False):
        self.transcript.append(f"$ {self.masker(title)}\n" + self.masker(out, report) + "".join(
            f"stderr: {line}\n" for line in self.masker(err, report).splitlines()) + (f"exit status {status}\n" if status else ""))

    def execute(self, arguments, stdin=None, endpoints=None):
        stdin = stdin.encode() if isinstance(stdin, str) else stdin
        return subprocess.run([ETCDCTL, "--endpoints", endpoints, *arguments], input=stdin if stdin is not None else b"",
                              capture_output=True, timeout=PATIENCE_SECONDS, env=ENVIRONMENT)

    def __call__(self, *arguments, stdin=None, on=None, everywhere=False, report=False, order=False):
        """order: the lines' order says nothing (one line per member). report: masks what members say about themselves."""
        endpoints = self.target.endpoints if everywhere else self.member(on).etcd
        done = self.execute(arguments, stdin, endpoints)
        if "protobuf" in arguments and done.returncode == 0:
            out = mask_protobuf(done.stdout)
        else:
            out = done.stdout.decode(errors="backslashreplace")
        if order:
            # Masked first: an address must not decide the order.
            out = "".join(line + "\n" for line in sorted(self.masker(out, report).splitlines()))
        title = " ".join(argument if len(argument) < 100 else argument[:40] + "..." for argument in arguments)
        self.record(title, out, done.stderr.decode(errors="backslashreplace"), done.returncode, report)
        return out

    def formats(self, *arguments, formats=("simple", "json", "fields", "protobuf"), **options):
        for name in formats:
            self(*arguments, "-w", name, **options)
        self(*arguments, "-w", "json", "--hex", **options)

    def start(self, *arguments, on=None):
        process = subprocess.Popen([ETCDCTL, "--endpoints", self.member(on).etcd, *arguments], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
        session = Session(self, process, " ".join(arguments))
        self.sessions.append(session)
        return session

    def quiet(self, *arguments, on=None):
        """Not part of the transcript; must succeed."""
        done = self.execute(arguments, None, self.member(on).etcd)
        if done.returncode != 0:
            raise AssertionError(f"etcdctl {' '.join(arguments)}: {done.stderr.decode()}")
        return done.stdout.decode(errors="backslashreplace")

    def revision(self):
        return json.loads(self.quiet("get", "no such key", "-w", "json"))["header"]["revision"]

    def lease(self, ttl):
        return self("lease", "grant", str(ttl)).split()[1]

    def wait_absent(self, key):
        wait_for(f"{key} to be deleted", lambda: not self.quiet("get", key))

    def wait_present(self, key, *flags):
        wait_for(f"{key} to be there", lambda: self.quiet("get", key, *flags))

    def note(self, text):
        self.transcript.append(text + "\n")

    def differs(self, reason, quorate_says, *arguments, etcd_too=True, everywhere=False):
        """A known difference: Quorate must say this, and etcd must not, or the entry is out of date."""
        self.transcript.append(f"(differs: {reason})\n")
        if self.is_etcd and not etcd_too:
            return
        done = self.execute(arguments, None, self.target.endpoints if everywhere else self.member().etcd)
        said = (done.stdout + done.stderr).decode(errors="backslashreplace")
        title = "etcdctl " + " ".join(arguments)
        if self.is_etcd:
            assert quorate_says not in said, f"{title}: no difference any more: {said}"
        else:
            assert quorate_says in said, f"{title}: {quorate_says!r} is not in {said!r}"

    def close(self):
        for session in list(self.sessions):
            session.process.kill()
            session.process.wait()
        self.sessions.clear()

    def clean(self):
        """Back to no keys and no leases; returns the revision, which must be the same on every target."""
        self.quiet("del", "", "--from-key")
        for line in self.quiet("lease", "list").splitlines()[1:]:
            # A lease of two seconds may have ended since it was listed; that it is gone is all that is wanted.
            self.execute(("lease", "revoke", line.strip()), endpoints=self.member().etcd)
        return self.revision()
