"""Reading topics as an observer, which settles nothing.

What is added to an ephemeral topic comes along with the wake-up when it is small. So whoever tails
answers or tokens and has seen all that came before need not ask for them: one round trip less.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from messaging.backend import FROM_NOW, FROM_START, Entry
from messaging.backends.redis.claim_check import redeem_entry
from messaging.backends.redis.connection.notifications import Notifications
from messaging.backends.redis.entries import position_key, unpack_entry
from messaging.backends.redis.observer.notification import Notification, read_notification
from messaging.backends.redis.observer.positions import last_position
from messaging.backends.redis.server import Server
from messaging.errors import WireError
from messaging.process.logs import get_logger

WATCHED_S = 60.0
MOST_SHOWN = 256

log = get_logger()


class Tails:
    """Observers of topics. A topic stays watched for a while after it was last tailed."""

    def __init__(self, server: Server, notifications: Notifications) -> None:
        self._server = server
        self._notifications = notifications
        self._watched: dict[str, _Watched] = {}

    async def tail(self, after: Mapping[str, str], max_count: int, wait_s: float) -> list[Entry]:
        """See `Backend.tail`."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + wait_s
        woken = asyncio.Event()
        positions = {topic: await self._resolve(topic, at) for topic, at in after.items()}
        watched = await self._watch(after)
        for topic in watched.values():
            topic.waiting.add(woken)
        timer = loop.call_at(give_up_at, woken.set)
        try:
            while True:
                woken.clear()
                if entries := await self._see(positions, watched, max_count):
                    return entries
                if loop.time() < give_up_at:
                    await woken.wait()
                if loop.time() >= give_up_at:
                    return await self._look(positions, watched, max_count)
        finally:
            timer.cancel()
            for topic in watched.values():
                topic.waiting.discard(woken)

    async def _see(
        self, positions: dict[str, str], watched: Mapping[str, "_Watched"], max_count: int
    ) -> list[Entry]:
        """What has been shown, as long as nothing was missed; else what the server says."""
        entries: list[Entry] = []
        for topic, position in positions.items():
            shown = watched[topic].shown_after(position)
            if shown is None:
                return await self._look(positions, watched, max_count)
            entries += shown
        return _first(entries, max_count, len(positions))

    def forget(self, topic: str) -> None:
        if watched := self._watched.pop(topic, None):
            self._notifications.unwatch({self._server.keys.channel(topic): watched.wake})

    async def _watch(self, topics: Iterable[str]) -> dict[str, "_Watched"]:
        now = asyncio.get_running_loop().time()
        fresh: dict[bytes, Callable[[bytes], None]] = {}
        found: dict[str, _Watched] = {}
        for topic in topics:
            if topic not in self._watched:
                watched = self._watched[topic] = _Watched(topic)
                fresh[self._server.keys.channel(topic)] = watched.wake
            found[topic] = self._watched[topic]
            found[topic].used_at = now
        if fresh:
            self._forget_unused(now)
            await self._notifications.watch(fresh)
        return found  # a topic may have been forgotten meanwhile

    def _forget_unused(self, now: float) -> None:
        for topic, watched in list(self._watched.items()):
            if not watched.waiting and now - watched.used_at > WATCHED_S:
                self.forget(topic)

    async def _resolve(self, topic: str, position: str) -> str:
        if position == FROM_START:
            return "0-0"
        if position != FROM_NOW:
            return position
        return await last_position(self._server, topic) or "0-0"

    async def _look(
        self, positions: dict[str, str], watched: Mapping[str, "_Watched"], max_count: int
    ) -> list[Entry]:
        keys, entries = self._server.keys, list[Entry]()
        streams = [keys.stream(topic) for topic in positions]
        known = {topic: watched[topic].began_to_look() for topic in positions}
        while (
            positions and not entries
        ):  # entries that cannot be read are passed over, however many there are
            reply = await self._server.connection.call(
                "XREAD", "COUNT", max_count, "STREAMS", *streams, *positions.values()
            )
            for stream, found in reply or ():
                topic = keys.topic_of(stream)
                unpacked = [_entry(position, fields, topic) for position, fields in found]
                entries += [entry for entry in unpacked if entry is not None]
                positions[topic] = found[-1][0].decode()
                if len(found) == max_count:
                    known.pop(topic, None)  # there may be more
            if not reply:
                break
            whole = [
                await redeem_entry(self._server, entry)
                for entry in _first(entries, max_count, len(positions))
            ]
            entries = [entry for entry in whole if entry is not None]
        for topic, epoch in known.items():
            watched[topic].has_looked(positions[topic], epoch)
        return entries


class _Watched:
    """A topic that somebody tails, or did a moment ago, and what was shown of it since."""

    def __init__(self, topic: str) -> None:
        self.waiting: set[asyncio.Event] = set()
        self.used_at = 0.0
        self._topic = topic
        self._epoch = 0
        self._shown: deque[Notification] = deque()
        self._shown_from: str | None = None  # everything behind it was shown; None: not known

    def wake(self, notification: bytes) -> None:
        shown = read_notification(notification) if notification else None
        if shown is None or len(self._shown) + len(shown.entries) > MOST_SHOWN:
            self._forget()
        elif self._shown and self._shown[-1].last != shown.before:
            self._forget()  # something between the two was not heard
        else:
            self._shown.append(shown)
        for event in self.waiting:
            event.set()

    def began_to_look(self) -> int:
        """To be given to `has_looked`."""
        return self._epoch

    def has_looked(self, position: str, epoch: int) -> None:
        """The server was asked, and there was nothing behind `position` then."""
        self._shown_from = position if epoch == self._epoch else None

    def shown_after(self, position: str) -> list[Entry] | None:
        """What came behind `position`; None if something may have been missed."""
        if self._shown_from is None:
            return None
        at = position_key(position)
        while self._shown and position_key(self._shown[0].last) <= at:
            self._shown_from = self._shown.popleft().last
        if self._shown_from != position or (self._shown and self._shown[0].before != position):
            return None
        found = [
            _entry(id_, fields, self._topic)
            for notification in self._shown
            for id_, fields in notification.entries
        ]
        return [entry for entry in found if entry is not None]

    def _forget(self) -> None:
        self._epoch += 1
        self._shown_from = None
        self._shown.clear()


def _first(entries: list[Entry], max_count: int, topics: int) -> list[Entry]:
    if topics > 1:
        entries.sort(key=lambda entry: position_key(entry.position))
    return entries[:max_count]


def _entry(position: bytes, fields: Sequence[Any], topic: str) -> Entry | None:
    try:
        return Entry(position.decode(), unpack_entry(fields, topic))
    except WireError as error:
        log.warning("bus.unreadable_entry", topic=topic, reason=str(error))
        return None
