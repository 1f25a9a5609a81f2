"""Contestants that are no good in one way each."""

# ruff: noqa: T201 - one prints

import importlib
import os
import signal
from collections.abc import Sequence

from benchmarks.contestant import AWAITED, Contestant, Note


class Chatty(Contestant):
    """Takes part and prints what is not JSON."""

    scenarios = (AWAITED,)
    is_on_server = False

    def __init__(self, url: str) -> None:
        print("here I am")

    async def open(self) -> None:
        print("open")

    async def close(self) -> None:
        print("closed")

    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        print(*notes)


class Absent(Chatty):
    def __init__(self, url: str) -> None:
        importlib.import_module("nobody_has_this")


class Failing(Chatty):
    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        raise ConnectionError("nobody answers")


class Dying(Chatty):
    async def publish_awaited(self, notes: Sequence[Note], publishers: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
