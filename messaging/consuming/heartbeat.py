"""The beats of all consumers of a process: those that beat equally often do so at the same moment.

So a process sleeps between its beats, and a store can take them in one call. The next beat goes
out whether the one before was answered or not: an answer may have to wait behind a long message
on a narrow link; the next beat may not.
"""

import asyncio
from collections.abc import Callable, Mapping

from messaging.backend import Consumer

MOST_UNANSWERED = 64

Look = Callable[[Mapping[str, int]], None]


class Heart:
    """Beats for each consumer that asks it to."""

    def __init__(self) -> None:
        self._pulses: dict[float, _Pulse] = {}

    async def keep_beating(self, consumer: Consumer, pause_s: float, look: Look) -> None:
        """Beat at once and then every `pause_s` until cancelled; have `look` see each answer.

        Raises:
            FencedError: the consumer was taken over.
            BackendError: the store stayed away.
        """
        pulse = self._pulses.setdefault(pause_s, _Pulse(pause_s))
        beating = _Beating(consumer, look)
        beating.beat()
        pulse.add(beating)
        try:
            await beating.failed
        finally:
            pulse.remove(beating)
            beating.stop()


class _Pulse:
    """Everything that beats every `pause_s`."""

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._beating: dict[_Beating, None] = {}
        self._task: asyncio.Task[None] | None = None

    def add(self, beating: "_Beating") -> None:
        self._beating[beating] = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="pulse")

    def remove(self, beating: "_Beating") -> None:
        self._beating.pop(beating, None)
        if not self._beating and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        next_at = loop.time() + self._pause_s
        while True:
            await asyncio.sleep(next_at - loop.time())
            next_at = loop.time() + self._pause_s
            for beating in tuple(self._beating):
                beating.beat()


class _Beating:
    """The beats of one consumer. `failed` gets the first error."""

    def __init__(self, consumer: Consumer, look: Look) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._consumer = consumer
        self._look = look
        self._unanswered: set[asyncio.Future[Mapping[str, int]]] = set()

    def beat(self) -> None:
        if len(self._unanswered) < MOST_UNANSWERED:
            beat = asyncio.ensure_future(self._consumer.beat())
            self._unanswered.add(beat)
            beat.add_done_callback(self._answered)

    def stop(self) -> None:
        for beat in tuple(self._unanswered):
            beat.cancel()

    def _answered(self, beat: asyncio.Future[Mapping[str, int]]) -> None:
        self._unanswered.discard(beat)
        if beat.cancelled():
            return
        error = beat.exception()
        if self.failed.done():
            return
        if error is not None:
            self.failed.set_exception(error)
            return
        try:
            self._look(beat.result())
        except Exception as failure:  # noqa: BLE001 - it is raised where the beats are kept
            self.failed.set_exception(failure)
