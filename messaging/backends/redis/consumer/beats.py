"""The beats of many consumers in one call: all that are asked for in the same tick of the loop."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from messaging.backends.redis.connection.pipeline import Argument
from messaging.backends.redis.server import Server

MOST_AT_ONCE = 128


class Beat(Protocol):
    """One beat that is to be sent."""

    def keys(self) -> Sequence[bytes]:
        """Members and beats of the group, then the streams to look at; asked when it is sent."""
        ...

    def arguments(self) -> tuple[str, str]:
        """The group and the incarnation."""
        ...

    def answered(self, answer: Any) -> None:
        """What the script says, or why nothing came back."""
        ...


class Beats:
    """Sends the beats of one process."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._queued: list[Beat] = []
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, beat: Beat) -> None:
        if not self._queued:
            asyncio.get_running_loop().call_soon(self._flush)
        self._queued.append(beat)

    async def close(self) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)

    def _flush(self) -> None:
        queued, self._queued = self._queued, []
        for start in range(0, len(queued), MOST_AT_ONCE):
            some = queued[start : start + MOST_AT_ONCE]
            task = asyncio.get_running_loop().create_task(self._send(some), name="beats")
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, beats: Sequence[Beat]) -> None:
        keys, arguments = list[bytes](), list[Argument]()
        for beat in beats:
            own = beat.keys()
            keys += own
            arguments += (*beat.arguments(), len(own) - 2)
        answers: Sequence[Any]
        try:
            answers = await self._server.run(
                self._server.scripts.beat, keys, *arguments, is_urgent=True
            )
        except Exception as error:  # noqa: BLE001 - each consumer is told
            answers = [error] * len(beats)
        for beat, answer in zip(beats, answers, strict=True):
            beat.answered(answer)
