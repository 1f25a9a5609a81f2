"""Whether a consumer is to work: decided in one place, and heard of by all that work for it.

```
             pause
    running <-----> paused
       |     resume    |
       +-------+-------+
               | retire         nothing more is begun; what runs may take its time
               v
           retiring
               | drain          what runs has a while to finish
               v
           draining
               | drain, hurry   what runs is cancelled
               v
            hurried
```

A phase may be left out on the way down. There is no way back from the last three.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum


class Phase(IntEnum):
    """How far a consumer has come, see above."""

    RUNNING = 0
    PAUSED = 1
    RETIRING = 2
    DRAINING = 3
    HURRIED = 4


class Lifecycle:
    """The phase of one consumer, whichever incarnation of it is at work.

    Attributes:
        is_running: whether anything is to be begun.
    """

    def __init__(self) -> None:
        self.phase = Phase.RUNNING
        self.is_running = True
        self._watchers: list[Callable[[], None]] = []

    @property
    def is_ending(self) -> bool:
        """Whether it comes to its end; it is not said how soon."""
        return self.phase >= Phase.RETIRING

    def pause(self) -> None:
        """Begin nothing more until resumed."""
        self._enter(Phase.PAUSED)

    def resume(self) -> None:
        self._enter(Phase.RUNNING)

    def retire(self) -> None:
        """Begin nothing more, and end when what runs has ended, however long that takes."""
        self._enter(Phase.RETIRING)

    def drain(self, *, hurry: bool = False) -> None:
        """End within the time for draining; with `hurry` running handlers are cancelled at once."""
        self._enter(Phase.HURRIED if hurry else Phase.DRAINING)

    @contextmanager
    def watched(self, changed: Callable[[], None]) -> Iterator[None]:
        """Call `changed` whenever the phase changes within the block."""
        self._watchers.append(changed)
        try:
            yield
        finally:
            self._watchers.remove(changed)

    @contextmanager
    def following(self, whole: "Lifecycle") -> Iterator[None]:
        """Within the block every change of `whole` is one of this, too; it may end by itself."""

        def follow() -> None:
            self._enter(whole.phase)

        follow()
        with whole.watched(follow):
            yield

    async def changed(self) -> None:
        """Return at the next change."""
        change = asyncio.Event()
        with self.watched(change.set):
            await change.wait()

    def _enter(self, phase: Phase) -> None:
        if phase == self.phase or (self.is_ending and phase < self.phase):
            return
        self.phase = phase
        self.is_running = phase is Phase.RUNNING
        for changed in tuple(self._watchers):
            changed()
