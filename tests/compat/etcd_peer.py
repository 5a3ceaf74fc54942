"""The real etcd as a cluster with the interface of process/cluster.py: what Quorate's answers are compared with."""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/process"))

from cluster import Cluster, Member  # noqa: E402: the path is known only now

ETCD = os.environ.get("QUORATE_ETCD", str(ROOT / "build/peers/usr/bin/etcd"))


class EtcdMember(Member):
    def start(self, *extra):
        client, peer = f"http://{self.etcd}", f"http://{self.peer}"
        command = [ETCD, "--name", self.name, "--data-dir", str(self.data_dir), "--logger", "zap",
                   "--listen-client-urls", client, "--advertise-client-urls", client,
                   "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                   "--initial-cluster", ",".join(f"{m.name}=http://{m.peer}" for m in self.cluster.members), *extra]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ETCD")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        return self


class EtcdCluster(Cluster):
    def __init__(self, size, start=True):
        super().__init__(size, protocol="", start=start)
        for index, member in enumerate(self.members):
            ports = [address.split(":")[1] for address in (member.etcd, member.peer, member.admin)]
            self.members[index] = EtcdMember(self, index, ports)
