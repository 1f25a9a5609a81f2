"""Tells what this process handles while somebody watches, and is not there otherwise.

Without a watcher no observer is attached to the bus and no task runs. With one, a process emits a
summary a second, and the handlings that have ended meanwhile, up to a number a second; what an
agent ignored is only counted. All of it goes to an ephemeral topic that only a watcher opens, at
most once: nothing waits for it, and what cannot be sent is dropped.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Self

from guild.live.messages import LiveHandling, LiveHandlings, LiveSummary
from guild.live.tally import LONGEST_NAME, Tally
from messaging.bus import Bus
from messaging.errors import MessagingError
from messaging.glancing import MOST, Glance, Onlooker
from messaging.observing import Ending, Handling
from messaging.process.error_text import text_of
from messaging.process.logs import get_logger
from messaging.wire.message import Message
from messaging.wire.sealing import seal
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


class _Seen(Onlooker):
    """What was handled and not told yet."""

    def __init__(self, process: str) -> None:
        self._process = process
        self._tally = Tally()
        self._kept: list[_Ended] = []
        self._room = MOST_ROWS
        self._left_off = self._left_off_of_rows = 0
        self._glances: dict[str, Glance] = {}
        self._own_glances: dict[str, Glance] = {}

    def glance(self, group: str) -> Glance:
        return self._glances.setdefault(group, Glance())

    def ended(self, handling: Handling, ending: Ending, token: Any) -> None:  # noqa: ARG002
        group = handling.group
        if group not in self._glances and ending.outcome == "handled":
            glance = self._own_glances.get(group) or self._own_glances.setdefault(group, Glance())
            if not glance.takes():
                envelope = handling.envelope
                glance.counts[envelope.type, envelope.sender] += 1
                return
        is_ignored = ending.outcome == "ignored"  # by whoever listens to a topic for other types
        if self._room and not is_ignored:
            self._room -= 1
            self._kept.append((handling, ending, time.time()))
            return
        self._tally.add(handling, ending)
        if not is_ignored:
            self._left_off += 1
            self._left_off_of_rows += 1

    def take_rows(self) -> list[Message]:
        """The handlings that have ended meanwhile, in messages of no great length."""
        self._take_counts()
        rows = self._take_kept()
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

    def _take_kept(self) -> Sequence[LiveHandling]:
        """Rows, made all at once: between two handlings each would take several times as long."""
        kept, self._kept = self._kept, []
        for handling, ending, _ in kept:
            self._tally.add(handling, ending)
        return [_row(*each) for each in kept]

    def _take_counts(self) -> None:
        """What was glanced over, in the last moment; from now on there is room again."""
        glances = (*self._glances.items(), *self._own_glances.items())
        for group, glance in glances:
            glance.most = max(1, MOST // len(glances))
            for (type_, sender), number in glance.begin_anew().items():
                self._tally.count(group, type_, sender, number)
                self._left_off += number
                self._left_off_of_rows += number

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
