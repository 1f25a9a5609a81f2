"""A primary, its replica and the Sentinels that watch them, all with passwords."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import redis

from tests.servers import RedisServer, redis_binary

NAME = "mymaster"
PASSWORD = "of-the-servers"
SENTINEL_PASSWORD = "of-the-sentinels"
PATIENCE_S = 30.0
SENTINELS = 3


class Sentinels:
    """A site with failover; `primary` is the server that was the primary at first."""

    def __init__(self, folder: Path) -> None:
        binary = redis_binary()
        options = ("--requirepass", PASSWORD, "--masterauth", PASSWORD)
        options += ("--repl-diskless-sync-delay", "0")
        self.primary = RedisServer(binary, _made(folder / "primary"), *options)
        follow = ("--replicaof", f"127.0.0.1 {self.primary.port}")
        self.replica = RedisServer(binary, _made(folder / "replica"), *options, *follow)
        self.sentinels = [
            _sentinel(binary, _made(folder / f"sentinel{n}"), self.primary.port)
            for n in range(SENTINELS)
        ]
        self._started: list[RedisServer] = []

    @property
    def url(self) -> str:
        """With a host in front that nobody runs."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in (1, *(s.port for s in self.sentinels)))
        return f"sentinel://:{PASSWORD}@{hosts}/{NAME}?sentinel_password={SENTINEL_PASSWORD}"

    def start(self) -> None:
        for server in (self.primary, self.replica):
            self._start(server)
        until(lambda: b"state=online" in self.info(self.primary))
        for sentinel in self.sentinels:
            self._start(sentinel)
        for sentinel in self.sentinels:
            until(lambda s=sentinel: self._is_ready(s))  # type: ignore[misc] # binds now

    def stop(self) -> None:
        for server in reversed(self._started):
            server.stop()

    def ask(self, server: RedisServer, *command: Any) -> Any:
        password = SENTINEL_PASSWORD if server in self.sentinels else PASSWORD
        with redis.Redis(port=server.port, password=password) as client:
            client.response_callbacks.clear()
            return client.execute_command(*command)  # type: ignore[no-untyped-call] # redis-py

    def info(self, server: RedisServer) -> bytes:
        return bytes(self.ask(server, "INFO", "replication"))

    def replicate(self) -> None:
        """Return once the replica has everything that the primary has."""
        assert self.ask(self.primary, "WAIT", 1, 10_000) == 1

    def cut_replication(self) -> None:
        """From now on the primary accepts what the replica does not get."""
        self.ask(self.replica, "CONFIG", "SET", "masterauth", "wrong")
        self.ask(self.primary, "CLIENT", "KILL", "TYPE", "replica")

    def demote_primary(self) -> None:
        """What Sentinel does with an old primary once it looks at it again."""
        self.ask(self.primary, "REPLICAOF", "127.0.0.1", self.replica.port)

    def is_promoted(self) -> bool:
        return b"role:master" in self.info(self.replica)

    def is_over(self) -> bool:
        """Whether every Sentinel names the replica as the primary."""
        ports = [
            self.ask(s, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1] for s in self.sentinels
        ]
        return self.is_promoted() and {*map(int, ports)} == {self.replica.port}

    def _start(self, server: RedisServer) -> None:
        server.start()
        self._started.append(server)

    def _is_ready(self, sentinel: RedisServer) -> bool:
        """It knows the replica and enough of the others to elect a leader."""
        with contextlib.suppress(redis.ResponseError):
            replicas = self.ask(sentinel, "SENTINEL", "REPLICAS", NAME)
            self.ask(sentinel, "SENTINEL", "CKQUORUM", NAME)
            return len(replicas) == 1
        return False


def until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up_at, "it did not come to pass in time"
        time.sleep(0.02)


@contextlib.contextmanager
def running_sentinels(folder: Path) -> Iterator[Sentinels]:
    site = Sentinels(folder)
    try:
        site.start()
        yield site
    finally:
        site.stop()


def _sentinel(binary: str, folder: Path, primary_port: int) -> RedisServer:
    lines = (
        f"sentinel monitor {NAME} 127.0.0.1 {primary_port} 2",
        f"sentinel auth-pass {NAME} {PASSWORD}",
        f"sentinel down-after-milliseconds {NAME} 500",
        f"sentinel failover-timeout {NAME} 3000",
        f"requirepass {SENTINEL_PASSWORD}",
    )
    file = folder / "sentinel.conf"
    file.write_text("\n".join(lines) + "\n")
    return RedisServer(binary, folder, configuration=file)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
