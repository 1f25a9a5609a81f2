"""Asking again, while a server cannot be reached or is busy."""

import asyncio
import contextlib
import math
import random
import time
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from typing import TypeVar

from agents.llm.engines.errors import LLMError

_FIRST_PAUSE_S = 0.1
_MAX_PAUSE_S = 5.0

T = TypeVar("T")


class TryAgainError(Exception):
    """The server cannot be reached or is busy; nothing of an answer has come."""

    def __init__(self, error: LLMError, wait_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait_s = wait_s


async def retried(ask: Callable[[], Awaitable[T]], retry_for_s: float) -> T:
    """`ask`, again and again for so long as it raises `TryAgainError`.

    Raises:
        LLMError: what the last attempt met.
    """
    until = time.monotonic() + retry_for_s
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return await ask()
        except TryAgainError as again:
            jitter = random.uniform(0.5, 1.0)  # noqa: S311  no secret
            if again.wait_s is None:
                wait_s = pause_s * jitter
            else:  # a server that says 0 every time is not to be asked without a pause
                wait_s = max(again.wait_s, _FIRST_PAUSE_S * jitter)
            if time.monotonic() + wait_s > until:
                raise again.error from again.__cause__
            await asyncio.sleep(wait_s)
            pause_s = min(2 * pause_s, _MAX_PAUSE_S)


def retry_after_s(given: str | None) -> float | None:
    """What the header `Retry-After` says; None where it is missing or makes no sense."""
    if given is None:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(given)
        return None if math.isnan(seconds) else max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
