"""One incarnation of a replica: reads, commits, beats, takes over, leaves."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import hiredis

from messaging.backend import Delivery, Settlement
from messaging.backends.redis.commit import Commit
from messaging.backends.redis.connection import FIRST_PAUSE_S, Argument, pack
from messaging.backends.redis.entries import position_key, unpack_delivery
from messaging.backends.redis.registry import Registry
from messaging.backends.redis.replies import code_of
from messaging.backends.redis.server import Server
from messaging.backends.redis.wakes import Wakes
from messaging.envelope import new_id
from messaging.errors import BackendError, FencedError, NotHeldError
from messaging.topic import retry_topic_of

LOOK_ANYWAY_S = 2.0
TOPICS_AT_ONCE = 64
RETURNED = "returned"

T = TypeVar("T")


class RedisConsumer:
    """See `messaging.backend.Consumer`. Topics that may hold something new are *ready*."""

    def __init__(self, server: Server, registry: Registry, wakes: Wakes, group: str) -> None:
        self.group = group
        self.incarnation = new_id()
        self._server = server
        self._registry = registry
        self._wakes = wakes
        self._topics: list[str] = []
        self._bounds: dict[str, str] = {}
        self._watched: dict[bytes, Any] = {}
        self._ready: dict[str, None] = {}
        self._something_is_ready = asyncio.Event()
        self._is_returned_work_likely = True
        self._stash: list[Delivery] = []
        self._held: dict[str, set[str]] = {}
        self._generation = server.link.generation
        self._looked_at = 0.0
        self._seen_version = -1
        self._beat_from = 0
        self._sequence = 0
        self._is_committing = asyncio.Lock()
        self._is_reading = asyncio.Lock()
        self._is_fenced = False

    async def join(self) -> None:
        keys = self._server.keys
        await self._registry.refresh()  # whoever was fenced by a loss of data joins into its repair
        joined = await self._server.run(
            self._server.scripts.join,
            (keys.groups, keys.members(self.group), keys.beats(self.group)),
            self.group,
            self.incarnation,
        )
        if not joined:
            raise BackendError(f"{self.group} is not subscribed; subscribe it before it joins")
        self._registry.watch(self._registry_changed)
        await self._follow_registry()

    async def read(self, max_count: int, wait_s: float) -> list[Delivery]:
        give_up_at = asyncio.get_running_loop().time() + wait_s
        has_looked_everywhere = False
        async with self._is_reading:
            while True:
                if not self._stash:
                    await self._unless_cancelled(self._step(max_count))
                if self._stash:
                    return self._lend(max_count)
                is_worth_another_look = self._ready or await self._wait(give_up_at)
                if is_worth_another_look and not (has_looked_everywhere and _is_past(give_up_at)):
                    continue
                if has_looked_everywhere:
                    return []
                has_looked_everywhere = True
                self._wake_all()

    async def commit(self, settlements: Sequence[Settlement]) -> list[int]:
        return await self._unless_cancelled(self._commit(settlements))

    async def beat(self) -> Mapping[str, int]:
        keys = self._server.keys
        await self._registry.refresh_if_older(LOOK_ANYWAY_S)
        await self._follow_registry()
        topics = self._next_topics_to_check()
        answer = await self._server.run(
            self._server.scripts.beat,
            (keys.members(self.group), keys.beats(self.group), *map(keys.stream, topics)),
            self.group,
            self.incarnation,
        )
        if answer == 0:
            raise self._fenced()
        flat, orphans = answer
        beats = {
            name.decode(): int(count) for name, count in zip(flat[::2], flat[1::2], strict=True)
        }
        return beats | {name.decode(): -1 for name in orphans}

    async def take_over(self, incarnation: str, max_count: int) -> list[Delivery]:
        await self._registry.refresh()
        await self._follow_registry()
        claiming = asyncio.get_running_loop().create_task(self._claim(incarnation, max_count))
        try:
            deliveries = await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(self._keep)
            raise
        self._hold(deliveries)
        return deliveries

    async def leave(self, unhandled: Sequence[Delivery]) -> None:
        keys = self._server.keys
        topics = self._topics
        numbers = {topic: number for number, topic in enumerate(topics, 1)}
        back: list[Argument] = []
        for delivery in (*unhandled, *self._stash):
            number = numbers.get(delivery.envelope.topic)
            if number is not None:
                back += (number, delivery.position, delivery.handed_out)
        self._stash = []
        self._stop_watching()
        await self._server.run(
            self._server.scripts.leave,
            (keys.members(self.group), keys.beats(self.group), *map(keys.stream, topics)),
            self.group,
            self.incarnation,
            keys.channel(retry_topic_of(self.group)),
            *back,
        )
        self._is_fenced = True

    async def _commit(self, settlements: Sequence[Settlement]) -> list[int]:
        async with self._is_committing:
            if self._is_fenced:
                raise self._fenced()
            if not self._holds_all(settlements):
                await self._check_membership()
                raise NotHeldError(self.group, self.incarnation)
            commit = Commit(self._server, self._registry, self.group, self.incarnation, settlements)
            skipped = await commit.apply(self._sequence + 1)
            if skipped is None:
                raise self._fenced()
            self._sequence += 1
            self._let_go(s for i, s in enumerate(settlements) if i not in set(skipped))
            return skipped

    async def _unless_cancelled(self, work: Coroutine[Any, Any, T]) -> T:
        """`work` to its end even if the caller is cancelled: what it brings is kept for later."""
        return await asyncio.shield(asyncio.get_running_loop().create_task(work))

    def _keep(self, claiming: asyncio.Task[list[Delivery]]) -> None:
        if not claiming.cancelled() and claiming.exception() is None:
            self._stash += claiming.result()

    async def _step(self, max_count: int) -> None:
        await self._look_around(max_count)
        if not self._stash:
            await self._fetch(max_count)

    async def _look_around(self, max_count: int) -> None:
        """Now and then look without being woken; after a reconnection look for lost replies."""
        if self._is_fenced:
            raise self._fenced()
        now = asyncio.get_running_loop().time()
        if now - self._looked_at > LOOK_ANYWAY_S:
            self._looked_at = now
            await self._registry.refresh_if_older(LOOK_ANYWAY_S)
            await self._retire_bounds()
            self._wake_all()
        await self._follow_registry()
        if self._generation != self._server.link.generation:
            await self._recover_lost_replies()
        if self._is_returned_work_likely:
            self._is_returned_work_likely = False
            returned = await self._claim(RETURNED, max_count)
            self._is_returned_work_likely |= bool(returned)
            self._stash += returned

    async def _wait(self, give_up_at: float) -> bool:
        """Wait until a topic is ready; False when the time is up."""
        loop = asyncio.get_running_loop()
        look_at = self._looked_at + LOOK_ANYWAY_S
        self._something_is_ready.clear()
        # The fetch may have used up the wake-up of a change that it did not know of yet.
        if self._ready or self._seen_version != self._registry.version:
            return True
        try:
            async with asyncio.timeout_at(min(give_up_at, look_at)):
                await self._something_is_ready.wait()
        except TimeoutError:
            return loop.time() < give_up_at
        return True

    async def _fetch(self, max_count: int) -> None:
        """Read ready topics without waiting, then make sure that this consumer still counts."""
        topics = list(self._ready)[: min(max_count, TOPICS_AT_ONCE)]
        if not topics:
            return
        link, give_up_at = self._server.link, self._server.link.deadline()
        pipeline = await link.connected(give_up_at)
        for topic in topics:
            self._ready.pop(topic, None)
        count = max_count // len(topics)
        membership = (b"HEXISTS", self._server.keys.members(self.group), self.incarnation)
        reading = pipeline.send(pack(self._read_command(topics, count)))
        asking = pipeline.send(pack(membership))
        outcomes: Sequence[Any] = await asyncio.gather(reading, asking, return_exceptions=True)
        if outcomes[1] == 0:
            raise self._fenced()
        failure = next((o for o in outcomes if isinstance(o, BaseException)), None)
        if failure is None:
            await self._take_in(outcomes[0], count)
            return
        self._wake(topics)
        if not isinstance(failure, hiredis.ReplyError):
            return  # the connection was lost; the next step waits for the new one
        if code_of(failure) == "NOGROUP":
            await self._registry.repair(self.group, self._topics)
        else:
            await link.wait_out(failure, FIRST_PAUSE_S, give_up_at, pipeline)

    def _read_command(self, topics: Sequence[str], count: int) -> list[Argument]:
        command: list[Argument] = ["XREADGROUP", "GROUP", self.group, self.incarnation]
        command += ["COUNT", count, "STREAMS", *map(self._server.keys.stream, topics)]
        return command + [">"] * len(topics)

    async def _take_in(self, reply: Any, count: int) -> None:
        for stream, entries in reply or ():
            topic = self._server.keys.topic_of(stream)
            if len(entries) == count:
                self._wake((topic,))
            deliveries = [unpack_delivery(position, fields, topic) for position, fields in entries]
            if topic in self._bounds:
                deliveries = await self._within_bound(topic, deliveries)
            self._stash += deliveries

    def _lend(self, max_count: int) -> list[Delivery]:
        lent, self._stash = self._stash[:max_count], self._stash[max_count:]
        self._hold(lent)
        return lent

    def _hold(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._held.setdefault(delivery.envelope.topic, set()).add(delivery.position)

    async def _check_membership(self) -> None:
        key = self._server.keys.members(self.group)
        if not await self._server.link.call("HEXISTS", key, self.incarnation):
            raise self._fenced()

    def _holds_all(self, settlements: Sequence[Settlement]) -> bool:
        """Whether each delivery is held here, and settled only once."""
        lent = [(s.delivery.envelope.topic, s.delivery.position) for s in settlements]
        is_held = all(position in self._held.get(topic, ()) for topic, position in lent)
        return is_held and len(set(lent)) == len(lent)

    def _let_go(self, settlements: Iterable[Settlement]) -> None:
        for settlement in settlements:
            delivery = settlement.delivery
            self._held.get(delivery.envelope.topic, set()).discard(delivery.position)

    async def _claim(self, incarnation: str, max_count: int) -> list[Delivery]:
        keys, claimed = self._server.keys, list[Delivery]()
        for start in range(0, len(self._topics), TOPICS_AT_ONCE):
            topics = self._topics[start : start + TOPICS_AT_ONCE]
            answer = await self._server.run(
                self._server.scripts.claim,
                (keys.members(self.group), keys.beats(self.group), *map(keys.stream, topics)),
                self.group,
                self.incarnation,
                incarnation,
                max_count - len(claimed),
            )
            if answer == 0:
                raise self._fenced()
            entries, gone = answer
            claimed += [
                unpack_delivery(position, fields, topics[number - 1], lent)
                for number, position, lent, fields in entries
            ]
            self._announce_gone(gone)
            if len(claimed) >= max_count:
                break
        return claimed

    async def _recover_lost_replies(self) -> None:
        """Find what the server lent to us in a reply that never came."""
        self._generation = self._server.link.generation
        known = {(d.envelope.topic, d.position) for d in self._stash}
        known |= {(topic, position) for topic, some in self._held.items() for position in some}
        for topic in self._topics:
            stream, start = self._server.keys.stream(topic), "-"
            while pending := await self._pending(stream, start):
                for position, _, _, lent in pending:
                    if (topic, position.decode()) not in known:
                        await self._reclaim(topic, position, lent)
                start = f"({pending[-1][0].decode()}"

    async def _pending(self, stream: bytes, start: str) -> list[Any]:
        command = ("XPENDING", stream, self.group, start, "+", 1000, self.incarnation)
        try:
            return list(await self._server.link.call(*command))
        except BackendError as error:
            if isinstance(error.__cause__, Exception) and code_of(error.__cause__) == "NOGROUP":
                return []
            raise

    async def _reclaim(self, topic: str, position: bytes, lent: int) -> None:
        stream = self._server.keys.stream(topic)
        entries = await self._server.link.call(
            "XCLAIM", stream, self.group, self.incarnation, 0, position, "RETRYCOUNT", lent
        )
        if entries and entries[0] and entries[0][1]:
            self._stash.append(unpack_delivery(position, entries[0][1], topic, max(0, lent - 1)))
        else:
            await self._server.link.call("XACK", stream, self.group, position)
            self._announce_gone(1)

    async def _within_bound(self, topic: str, deliveries: list[Delivery]) -> list[Delivery]:
        """Only what the group is still owed of a topic that it left; the rest is let go."""
        bound = position_key(self._bounds[topic])
        owed = [d for d in deliveries if position_key(d.position) <= bound]
        if len(owed) < len(deliveries):
            stream = self._server.keys.stream(topic)
            positions = [d.position for d in deliveries[len(owed) :]]
            await self._server.link.call("XACK", stream, self.group, *positions)
        return owed

    async def _retire_bounds(self) -> None:
        keys = self._server.keys
        for topic in list(self._bounds):
            is_retired = await self._server.run(
                self._server.scripts.retire,
                (keys.stream(topic), keys.bounds(self.group)),
                self.group,
                topic,
            )
            if is_retired:
                self._seen_version = -1

    async def _follow_registry(self) -> None:
        """Watch and read the topics that fit the patterns now, and those left but still owed."""
        version = self._registry.version
        if version == self._seen_version or self._is_fenced:
            return
        flat = await self._server.link.call("HGETALL", self._server.keys.bounds(self.group))
        pairs = zip(flat[::2], flat[1::2], strict=True)
        self._seen_version = version
        self._bounds = {topic.decode(): bound.decode() for topic, bound in pairs}
        topics = self._registry.topics_of(self.group)
        self._topics = [*topics, *(topic for topic in self._bounds if topic not in topics)]
        self._ready = {topic: None for topic in self._ready if topic in self._topics}
        channels = {self._server.keys.channel(topic): topic for topic in self._topics}
        gone = {channel: call for channel, call in self._watched.items() if channel not in channels}
        fresh = {
            channel: self._waker(topic)
            for channel, topic in channels.items()
            if channel not in self._watched
        }
        self._wakes.unwatch(gone)
        self._watched = {c: call for c, call in self._watched.items() if c not in gone} | fresh
        await self._wakes.watch(fresh)
        self._wake(topic for topic in self._topics if self._server.keys.channel(topic) in fresh)

    def _waker(self, topic: str) -> Any:
        if topic == retry_topic_of(self.group):
            return self._wake_retries
        return lambda: self._wake((topic,))

    def _wake_retries(self) -> None:
        self._is_returned_work_likely = True
        self._wake((retry_topic_of(self.group),))

    def _wake_all(self) -> None:
        self._is_returned_work_likely = True
        self._wake(self._topics)

    def _wake(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self._ready[topic] = None
        if self._ready:
            self._something_is_ready.set()

    def _registry_changed(self) -> None:
        self._wake((retry_topic_of(self.group),))

    def _next_topics_to_check(self) -> list[str]:
        """A slice of the topics; after some beats every topic was looked at for orphans."""
        if self._beat_from >= len(self._topics):
            self._beat_from = 0
        topics = self._topics[self._beat_from : self._beat_from + TOPICS_AT_ONCE]
        self._beat_from += TOPICS_AT_ONCE
        return topics

    def _announce_gone(self, count: int) -> None:
        if count:
            self._server.announce(
                "bus.entries_lost",
                f"{count} messages that {self.group} was still handling had been deleted from "
                "their stream by somebody else; they cannot be handed out again",
            )

    def _fenced(self) -> FencedError:
        self._is_fenced = True
        self._stop_watching()
        return FencedError(self.group, self.incarnation)

    def _stop_watching(self) -> None:
        self._registry.unwatch(self._registry_changed)
        watched, self._watched = self._watched, {}
        self._wakes.unwatch(watched)


def _is_past(moment: float) -> bool:
    return asyncio.get_running_loop().time() >= moment
