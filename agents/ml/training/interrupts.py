"""SIGTERM as a request to stop at the next step, instead of an end in the middle of one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 128 + signal.SIGTERM  # 143, what a shell shows for a process that SIGTERM ended


@contextmanager
def stop_on_sigterm() -> Iterator[threading.Event]:
    """Give an event that SIGTERM sets; in a thread, where no signal arrives, it is never set."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return

    def request(_signal: int, _frame: FrameType | None) -> None:
        requested.set()

    previous = signal.signal(signal.SIGTERM, request)
    try:
        yield requested
    finally:
        signal.signal(signal.SIGTERM, previous)
