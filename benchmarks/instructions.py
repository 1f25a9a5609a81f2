"""What a message costs in instructions, counted by valgrind: the same however busy the machine is.

`python -m benchmarks.instructions OBSERVER MESSAGES` is what it runs: a guild in memory, where a
message costs least and an observer the largest share of it. Between two runs that differ in the
number of messages lies what the messages have cost.
"""

import asyncio
import inspect
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

from benchmarks.measure import PUBLISHERS, notes_of
from benchmarks.observers import OBSERVED, OFF
from messaging.client.publisher import Publisher
from messaging.handling.context import Context
from messaging.handling.settlement import SettlementBuilder

FEW, MANY = 500, 2_500
BARE = "bare"
"""A bus without what asks whether there is an observer."""

_HOOKS: tuple[tuple[type, Callable[..., Any], str, str], ...] = (
    (
        Publisher,
        Publisher.publish,
        "(first if traced is None else traced(first),)",
        "(first,)",
    ),
    (
        Context,
        Context._seal,  # noqa: SLF001 - the hook is there
        "return envelope if traced is None else traced(envelope)",
        "return envelope",
    ),
    (
        SettlementBuilder,
        SettlementBuilder._answer,  # noqa: SLF001 - likewise
        "return answer if self._traced is None else self._traced(answer)",
        "return answer",
    ),
)


class NoValgrindError(Exception):
    """There is no valgrind to count with."""


def each(observer: str) -> float:
    """Instructions of one message from publish to settled, in thousands.

    Raises:
        NoValgrindError: it is not installed.
    """
    if shutil.which("valgrind") is None:
        raise NoValgrindError
    return (_counted(observer, MANY) - _counted(observer, FEW)) / (MANY - FEW) / 1e3


def _counted(observer: str, messages: int) -> int:
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    run = [sys.executable, "-m", "benchmarks.instructions", observer, str(messages)]
    done = subprocess.run(
        [*command, *run],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "0"},
    )
    counted = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    assert counted is not None, done.stderr
    return int(counted[1].replace(",", ""))


async def _work(observer: str, messages: int) -> None:
    if observer == BARE:
        _take_hooks_away()
        observer = OFF
    peer = OBSERVED[observer]("memory://")
    await peer.open()
    await peer.publish_awaited(notes_of(messages), PUBLISHERS)
    await peer.close()


def _take_hooks_away() -> None:
    for owner, function, hook, instead in _HOOKS:
        source = textwrap.dedent(inspect.getsource(function))
        assert hook in source, f"{function.__qualname__} has changed"
        made: dict[str, Any] = {}
        exec(source.replace(hook, instead), function.__globals__, made)
        setattr(owner, function.__name__, made[function.__name__])


if __name__ == "__main__":
    asyncio.run(_work(sys.argv[1], int(sys.argv[2])))
