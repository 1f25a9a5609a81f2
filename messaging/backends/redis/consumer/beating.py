"""The beats of one consumer; they show which others live, and what was taken from this one."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from messaging.backends.redis.consumer.beats import Beats
from messaging.backends.redis.consumer.commits import CommitQueue
from messaging.backends.redis.consumer.fetcher import Fetcher
from messaging.backends.redis.consumer.in_flight import InFlight
from messaging.backends.redis.consumer.interest import Interest
from messaging.backends.redis.consumer.pending_entries import TOPICS_AT_ONCE
from messaging.backends.redis.consumer.presence import Presence
from messaging.backends.redis.consumer.session import ConsumerSession
from messaging.errors import BackendError

_FENCED, _ODD = 0, -1

Outcome = asyncio.Future[Mapping[str, int]]


class Beating:
    """Beats of one incarnation. Most of them come back with nothing to be seen to."""

    def __init__(
        self,
        session: ConsumerSession,
        beats: Beats,
        *,
        interest: Interest,
        fetcher: Fetcher,
        in_flight: InFlight,
        commit_queue: CommitQueue,
        presence: Presence,
    ) -> None:
        self._server = session.server
        self._beats = beats
        self._interest = interest
        self._fetcher = fetcher
        self._in_flight = in_flight
        self._commit_queue = commit_queue
        self._presence = presence
        self._group = session.group
        self._incarnation = session.incarnation
        self._keys = session.members, session.beats
        self._fence = session.fence
        self._from = 0
        self._hearing: set[asyncio.Task[None]] = set()

    def beat(self) -> Outcome:
        """See `Consumer.beat`."""
        beat = _Beat(self)
        self._beats.send(beat)
        return beat.outcome

    def next_topics(self) -> list[str]:
        """A slice of the topics; after some beats every topic was looked at for orphans."""
        topics = self._interest.known_topics()
        if self._from >= len(topics):
            self._from = 0
        chosen = topics[self._from : self._from + TOPICS_AT_ONCE]
        self._from += TOPICS_AT_ONCE
        return chosen

    def hear(self, beat: "_Beat", answer: Any) -> None:
        """Give `beat` its outcome."""
        if isinstance(answer, int) and answer > 0 and not beat.sure:
            self._presence.beaten(beat.beaten, answer)
            beat.outcome.set_result({self._incarnation: answer})
            return
        hearing = asyncio.get_running_loop().create_task(self._hear(beat, answer))
        self._hearing.add(hearing)
        hearing.add_done_callback(self._hearing.discard)

    async def _hear(self, beat: "_Beat", answer: Any) -> None:
        try:
            beats = await self._look_at(beat, answer)
        except Exception as error:  # noqa: BLE001 - the waiter for the beat is told
            if not beat.outcome.done():
                beat.outcome.set_exception(error)
        else:
            if not beat.outcome.done():
                beat.outcome.set_result(beats)

    async def _look_at(self, beat: "_Beat", answer: Any) -> Mapping[str, int]:
        if isinstance(answer, Exception):
            raise answer
        if answer == _FENCED:
            raise self._fence.hit()
        if answer == _ODD:
            await self._server.connection.check_types({*self._keys})
            raise BackendError(f"the server cannot write the keys of {self._group}'s consumers")
        flat: Sequence[Any] = (self._incarnation.encode(), answer)
        orphans: Sequence[bytes] = ()
        lent: Sequence[int] = [0] * len(beat.topics)
        has_returned = False
        if not isinstance(answer, int):
            flat, orphans, lent, has_returned = answer
        if beat.generation == self._server.connection.generation:
            for topic, count in zip(beat.topics, lent, strict=True):
                if 0 <= count < beat.sure[topic]:
                    async with self._commit_queue.alone():
                        await self._fetcher.lend_again(topic)
        if has_returned or min(lent, default=0) < 0:  # or the group is missing: reading finds out
            self._interest.rouse_to_care()
        pairs = zip(flat[::2], flat[1::2], strict=True)
        beats = {name.decode(): int(count) for name, count in pairs}
        self._presence.beaten(beat.beaten, beats[self._incarnation])
        return beats | {name.decode(): -1 for name in orphans}

    @property
    def beaten(self) -> int:
        """How often this consumer has beaten, as far as it knows."""
        return self._presence.beats

    def keys_for(self, topics: Sequence[str]) -> Sequence[bytes]:
        return (*self._keys, *map(self._server.keys.stream, topics))

    def names(self) -> tuple[str, str]:
        return self._group, self._incarnation

    def surely_lent(self) -> tuple[int, Counter[str]]:
        """The connection, and how much the server must say that it lends by it."""
        lent = Counter(topic for topic, _ in self._in_flight.surely_lent())
        return self._server.connection.generation, lent


class _Beat:
    """See `messaging.backends.redis.consumer.beats.Beat`."""

    def __init__(self, beating: Beating) -> None:
        self.outcome: Outcome = asyncio.get_running_loop().create_future()
        self.topics: Sequence[str] = ()
        self.generation = self.beaten = 0
        self.sure = Counter[str]()
        self._beating = beating

    def keys(self) -> Sequence[bytes]:
        self.topics = self._beating.next_topics()
        self.generation, self.sure = self._beating.surely_lent()
        self.beaten = self._beating.beaten
        return self._beating.keys_for(self.topics)

    def arguments(self) -> tuple[str, str]:
        return self._beating.names()

    def answered(self, answer: Any) -> None:
        if not self.outcome.done():
            self._beating.hear(self, answer)
