"""Coroutines that a handler has begun and has to await: one that it forgets would do nothing."""

import inspect
from collections.abc import Coroutine
from typing import Any, TypeVar

from messaging.errors import ForgottenAwaitError

T = TypeVar("T")

MOST_WATCHED = 256


class Begun:
    """What one handling has begun, with how it was called."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: list[tuple[str, str, Any]] = []

    def watch(self, call: str, what: str, work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """Return `work`, which is `call` once `what` is put into it."""
        if len(self._calls) >= MOST_WATCHED:
            self._calls = [one for one in self._calls if one[2].cr_frame is not None]
        self._calls.append((call, what, work))
        return work

    def forgotten(self) -> ForgottenAwaitError | None:
        """The error that names what was never awaited, if anything."""
        forgotten = [one for one in self._calls if _was_never_started(one[2])]
        for _, _, work in forgotten:
            work.close()  # or Python warns of it, somewhere and some time
        calls = tuple(call.format(what) for call, what, _ in forgotten)
        return ForgottenAwaitError(calls) if calls else None


def _was_never_started(work: Any) -> bool:
    # What has ended, as nearly all have, has no frame any more.
    return work.cr_frame is not None and inspect.getcoroutinestate(work) == inspect.CORO_CREATED
