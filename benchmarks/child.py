"""A contestant in a process of its own: it pays for nobody's imports, heap or threads but its own.

`python -m benchmarks.child MODULE:CLASS URL` opens the contestant, tells its scenarios, and then
measures one round for each `[scenario, messages]` it is sent, all in lines of JSON. Between rounds
its consumers wait, as they do when nothing comes: of all contestants together that took 12 % of a
core, most of it for polling, and 2 % of the server. It ends with its input.
"""

import asyncio
import gc
import json
import logging
import os
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from redis import Redis

from benchmarks.contestant import Contestant
from benchmarks.measure import Meter, Round
from benchmarks.peers import PEERS

PATIENCE_S = 120.0


class MissingError(Exception):
    """What the contestant needs is not installed."""


class ChildError(Exception):
    """The contestant failed; its process says more on stderr."""


class Child:
    """The parent's end: asks for rounds, one at a time."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self.name = name
        self._process = process
        self.scenarios: Sequence[str] = self._answer()

    def run(self, scenario: str, messages: int) -> Round:
        """One round there. Raises `ChildError` with what went wrong."""
        assert self._process.stdin is not None
        print(json.dumps([scenario, messages]), file=self._process.stdin, flush=True)
        return Round(*self._answer())

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ChildError(f"{self.name} ended with status {self._process.wait()}")
        kind, value = json.loads(line)
        if kind == "done":
            return value
        raise (MissingError if kind == "missing" else ChildError)(f"{self.name}: {value}")


@contextmanager
def child(name: str, url: str, path: str = "") -> Iterator[Child]:
    """The contestant `name`, open in a process that ends with the block.

    Args:
        name: one of the peers, unless a `path` leads elsewhere.
        url: of the server.
        path: MODULE:CLASS.

    Raises:
        MissingError: its library is not installed.
        ChildError: it failed to open, to work or to close.
    """
    command = (_python(name), "-m", "benchmarks.child", path or PEERS[name], url)
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield Child(name, process)
    if process.returncode:
        raise ChildError(f"{name} ended with status {process.returncode}")


def _python(name: str) -> str:
    """Ours, or that of the environment of its own, for a library that cannot live beside ours."""
    own = Path(sys.prefix, "peers", name, "bin", "python")
    return str(own) if own.exists() else sys.executable


def main(path: str, url: str) -> None:
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is for people

        def answer(kind: str, value: object) -> None:
            print(json.dumps([kind, value]), file=answers, flush=True)

        logging.disable(logging.WARNING)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
        try:
            peer = pkgutil.resolve_name(path)(url)
        except ImportError as error:
            answer("missing", str(error))
            return
        try:
            asyncio.run(_serve(peer, url, answer))
        except Exception as error:
            answer("failed", repr(error))
            raise


async def _serve(peer: Contestant, url: str, answer: Callable[[str, object], None]) -> None:
    requests = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(requests), sys.stdin
    )
    with Redis.from_url(url) as server:
        meter = Meter(server)
        await peer.open()
        answer("done", peer.scenarios)
        async for line in requests:
            scenario, messages = json.loads(line)
            gc.collect()  # no round pays for what another has left
            async with asyncio.timeout(PATIENCE_S):
                answer("done", await meter.run(scenario, peer, messages))
        await peer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
