"""A cluster of three nodes, each with a third of the slots, and a replica where one is wanted."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tests.sentinels import until
from tests.servers import RedisServer, free_port, redis_binary

SLOTS = 16_384
NODES = 3


class Cluster:
    """Nodes on loopback; `nodes[i]` starts with the i-th third of the slots."""

    def __init__(self, folder: Path) -> None:
        self._binary = redis_binary()
        self._folder = folder
        self._bus_ports: dict[int, int] = {}
        self.nodes = [self._new(f"node{n}") for n in range(NODES)]
        self.replicas: list[RedisServer] = []

    @property
    def url(self) -> str:
        """With a host in front that nobody runs, and without the last node."""
        ports = (1, *(node.port for node in self.nodes[:-1]))
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in ports)

    def start(self) -> None:
        for index, node in enumerate(self.nodes):
            node.start()
            start, end = index * SLOTS // NODES, (index + 1) * SLOTS // NODES - 1
            self.ask(node, "CLUSTER", "ADDSLOTSRANGE", start, end)
            self.ask(node, "CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        for node in self.nodes[1:]:
            self._meet(node, self.nodes[0])
        for node in self.nodes:
            until(lambda n=node: self._is_whole(n, NODES))  # type: ignore[misc] # binds now

    def stop(self) -> None:
        for server in (*self.nodes, *self.replicas):
            server.stop()

    def add_replica(self, of: RedisServer) -> RedisServer:
        """A replica that is in step."""
        replica = self._new(f"replica{len(self.replicas)}")
        self.replicas.append(replica)
        replica.start()
        self._meet(replica, of)
        until(lambda: self._is_whole(replica, NODES + 1))
        self.ask(replica, "CLUSTER", "REPLICATE", self.id_of(of))
        until(lambda: b"state=online" in self.ask(of, "INFO", "replication"))
        others = [node for node in self.nodes if node is not of]
        until(lambda: all(b"slave" in self.ask(node, "CLUSTER", "NODES") for node in others))
        return replica

    def ask(self, node: RedisServer, *command: Any) -> Any:
        with redis.Redis(port=node.port) as client:
            client.response_callbacks.clear()
            return client.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py

    def id_of(self, node: RedisServer) -> str:
        return str(self.ask(node, "CLUSTER", "MYID").decode())

    def owner_of(self, slot: int) -> RedisServer:
        return self.nodes[slot * NODES // SLOTS]

    def open_way(self, slot: int, source: RedisServer, target: RedisServer) -> None:
        """Begin to move a slot: from now on its keys may be on either side."""
        self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))

    def move_keys(self, slot: int, source: RedisServer, target: RedisServer, count: int) -> int:
        """Move some keys of an opened slot; how many there were to move."""
        keys = self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            where = ("127.0.0.1", target.port, "", 0, 5_000)
            self.ask(source, "MIGRATE", *where, "KEYS", *keys)
        return len(keys)

    def close_way(self, slot: int, target: RedisServer) -> None:
        """The slot has arrived; everybody hears of it."""
        others = [node for node in self.nodes if node is not target]
        for node in (target, *others):
            self.ask(node, "CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))

    def _new(self, name: str) -> RedisServer:
        folder = self._folder / name
        folder.mkdir()
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        bus_port = free_port()  # the usual one, 10,000 above the port, may be past the last
        options += ("--cluster-port", str(bus_port))
        options += ("--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0")
        node = RedisServer(self._binary, folder, *options)
        self._bus_ports[node.port] = bus_port
        return node

    def _meet(self, node: RedisServer, other: RedisServer) -> None:
        where = ("127.0.0.1", other.port, self._bus_ports[other.port])
        self.ask(node, "CLUSTER", "MEET", *where)

    def _is_whole(self, node: RedisServer, count: int) -> bool:
        info = self.ask(node, "CLUSTER", "INFO")
        return b"cluster_state:ok" in info and b"cluster_known_nodes:%d\r" % count in info


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
