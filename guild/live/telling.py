"""Tells what this process handles while somebody watches, and is not there otherwise.

Without a watcher no observer is attached to the bus and no task runs. With one, a process emits a
summary a second, and the handlings that have ended meanwhile, up to a number a second; what an
agent ignored is only counted. All of it goes to an ephemeral topic that only a watcher opens, at
most once: nothing waits for it, and what cannot be sent is dropped.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

from guild.live.messages import LiveHandling, LiveHandlings, LiveSummary
from guild.live.tally import LONGEST_NAME, Tally
from messaging.bus import Bus
from messaging.errors import MessagingError
from messaging.observing import TIME, Ending, Handled, Handling, Observer, made_at
from messaging.process.error_text import text_of
from messaging.process.logs import get_logger
from messaging.wire.envelope import seal
from messaging.wire.message import Message
from messaging.wire.topic import LIVE_TOPIC

log = get_logger()

MOST_ROWS = 200
ROWS_AT_ONCE = 50
PERIOD_S = 1.0
ROWS_EVERY_S = 0.25
LONGEST_ERROR = 300

_Ended = tuple[Handling, Ending, float]  # and when


class LiveTeller:
    """Waits for watchers of a guild, and tells them what happens on its bus in this process."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._seen: _Seen | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._bus.watchers.listen(LIVE_TOPIC, self._change)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._bus.watchers.unlisten(LIVE_TOPIC, self._change)
        self._change(False)

    def _change(self, is_watched: bool) -> None:
        if self._task is not None and self._seen is not None:
            self._bus.detach(self._seen)
            self._task.cancel()
            self._task = self._seen = None
        if is_watched:
            self._seen = _Seen(self._bus.client_id)
            self._bus.attach(self._seen)
            self._task = asyncio.create_task(self._tell(self._seen), name="live")

    async def _tell(self, seen: "_Seen") -> None:
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        while True:
            await asyncio.sleep(ROWS_EVERY_S)
            try:
                messages: list[Message] = seen.take_rows()
                period_s = loop.time() - began_at
                if period_s >= PERIOD_S:
                    began_at += period_s
                    messages += seen.take_summary(period_s)
                if messages:
                    await self._emit(messages)
            except MessagingError as error:
                log.debug("live.dropped", error=str(error))
            except Exception:  # a bug of ours must not leave the watchers without the rest
                log.exception("live.failed")

    async def _emit(self, messages: Sequence[Message]) -> None:
        by_reference, sender = self._bus.backend.by_reference, self._bus.name
        envelopes = [
            seal(each, LIVE_TOPIC, by_reference=by_reference, sender=sender) for each in messages
        ]
        await self._bus.backend.emit(envelopes)


class _Seen(Observer):
    """What was handled and not told yet.

    All of it is counted. Rows are made, and seconds taken, of all handlings while they are few, and
    of one out of so many of each agent while they are not.
    """

    def __init__(self, process: str) -> None:
        self._process = process
        self._tally = Tally()
        self._kept: list[_Ended] = []
        self._room = MOST_ROWS
        self._left_off = self._left_off_of_rows = 0
        self._came = Counter[str]()
        self._strides: dict[str, int] = {}

    def handled(self, group: str, handlings: Sequence[Handled], epoch_s: float) -> None:
        stride = self._strides.get(group, 1)
        sample = handlings[-self._came[group] % stride :: stride][: self._room]
        self._came[group] += len(handlings)
        self._leave_off(len(handlings) - len(sample))
        for (type_, sender), number in _kinds_of(handlings):
            self._tally.count(group, type_, sender, number)
        for envelope, attempt, _, begun_s, ended_s in sample:
            made_s = made_at(envelope.id[TIME])
            waited_s = None if made_s is None else max(0.0, begun_s + epoch_s - made_s)
            handling = Handling(envelope, group, attempt, waited_s)
            ending = Ending("handled", None, ended_s - begun_s)
            self._tally.time(handling, ending)
            self._keep(handling, ending, ended_s + epoch_s)

    def ended(self, handling: Handling, ending: Ending, token: Any) -> None:  # noqa: ARG002
        self._tally.add(handling, ending)
        if ending.outcome == "ignored":  # by whoever listens to a topic for other types
            return
        if self._room:
            self._keep(handling, ending, time.time())
        else:
            self._leave_off(1)

    def _keep(self, handling: Handling, ending: Ending, at_s: float) -> None:
        self._room -= 1
        self._kept.append((handling, ending, at_s))

    def _leave_off(self, number: int) -> None:
        self._left_off += number
        self._left_off_of_rows += number

    def take_rows(self) -> list[Message]:
        """The handlings that have ended meanwhile, in messages of no great length."""
        for group, number in self._came.items():
            self._strides[group] = 1 + number * len(self._came) // ROWS_AT_ONCE
        self._came.clear()
        kept, self._kept = self._kept, []
        rows = [_row(*each) for each in kept]  # between two handlings each would take longer
        left_off, self._left_off_of_rows = self._left_off_of_rows, 0
        if left_off and not rows:
            return [LiveHandlings(process=self._process, rows=(), left_off=left_off)]
        return [
            LiveHandlings(
                process=self._process,
                rows=tuple(rows[start : start + ROWS_AT_ONCE]),
                left_off=left_off if start + ROWS_AT_ONCE >= len(rows) else 0,
            )
            for start in range(0, len(rows), ROWS_AT_ONCE)
        ]

    def take_summary(self, period_s: float) -> list[Message]:
        """What was handled in the last period, which ends now; from now on there is room again."""
        tally, self._tally = self._tally, Tally()
        left_off, self._left_off = self._left_off, 0
        self._room = MOST_ROWS
        activities = tuple(tally.activities())
        if not activities:
            return []
        return [
            LiveSummary(
                process=self._process,
                at=time.time(),
                period_s=period_s,
                activities=activities,
                left_off=left_off,
            )
        ]


def _kinds_of(handlings: Sequence[Handled]) -> Iterable[tuple[tuple[str, str], int]]:
    """How many there are of each type and sender."""
    kinds = {(each[0].type, each[0].sender) for each in handlings}
    if len(kinds) == 1:  # as nearly always
        return [(kinds.pop(), len(handlings))]
    return Counter((each[0].type, each[0].sender) for each in handlings).items()


def _row(handling: Handling, ending: Ending, at: float) -> LiveHandling:
    envelope, error = handling.envelope, ending.error
    text = "" if error is None else f"{type(error).__name__}: {text_of(error)}"
    return LiveHandling(
        id=envelope.id,
        cause=envelope.cause,
        conversation=envelope.conversation_id,
        topic=envelope.published_to,
        type=envelope.type[:LONGEST_NAME],
        sender=envelope.sender[:LONGEST_NAME],
        agent=handling.group,
        attempt=handling.attempt,
        outcome=ending.outcome,
        error=text[:LONGEST_ERROR],
        waited_s=_rounded(handling.waited_s),
        handled_s=_rounded(ending.handled_s),
        at=round(at, 3),
        trace=envelope.trace,
    )


def _rounded(seconds: float | None) -> float | None:
    """To microseconds: a float may have more digits than numbers that are sent as they are."""
    return None if seconds is None else round(seconds, 6)
