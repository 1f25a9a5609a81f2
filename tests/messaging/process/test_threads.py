"""Plain handlers in threads, where the system has none left."""

import threading

import pytest

from messaging.process.threads import Threads


async def test_a_thread_that_cannot_be_had_keeps_no_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads(1)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            await threads.run(int)

    assert await threads.run(int) == 0
