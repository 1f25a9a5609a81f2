"""What a consumer reads: the topics that fit its group's patterns, and which may hold something.

A topic that may hold something new is *ready*: it was woken, or nobody has looked for a while. A
topic that the group has left is read up to its *bound*, the last position that is still owed.
"""

import asyncio
from collections.abc import Callable, Iterable

from messaging.backend import Delivery
from messaging.backends.redis.connection.notifications import Notifications
from messaging.backends.redis.entries import position_key
from messaging.backends.redis.registry.fits import Fit
from messaging.backends.redis.registry.membership import Membership
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.backends.redis.server import Server


class Interest:
    """The topics of one consumer.

    Attributes:
        topics: its own topic comes first.
        is_over: nobody reads them any more.
        needs_care: something besides new entries may have to be seen to, in every topic.
        is_returned_work_likely: something may have been given back.
    """

    def __init__(
        self,
        server: Server,
        registry: TopicRegistry,
        notifications: Notifications,
        membership: Membership,
    ) -> None:
        self.topics: list[str] = []
        self.is_over = False
        self.needs_care = True
        self.is_returned_work_likely = True
        self._server = server
        self._registry = registry
        self._notifications = notifications
        self._membership = membership
        self._group = membership.group
        self._end_offsets: dict[str, str] = {}
        self._watched: dict[bytes, Callable[[bytes], None]] = {}
        self._ready: dict[str, None] = {}
        self._sleeper: asyncio.Future[None] | None = None
        self._begin: Callable[[], bool] | None = None
        self._fit = registry.fit_of(membership)
        self._seen_version = self._seen_patterns = -1
        self._fit.watchers.add(self._fit_changed)

    async def follow(self) -> None:
        """Catch up with the registry: watch the topics that are wanted now, forget the others."""
        fit = self._fit
        version, patterns_version = fit.version, fit.patterns_version
        if self.is_up_to_date or self.is_over:
            return
        if patterns_version != self._seen_patterns:  # only other patterns leave topics behind
            end_offsets = await self._look_up_end_offsets()
            if self.is_over:
                return
            self._end_offsets = end_offsets
        self._seen_version, self._seen_patterns = version, patterns_version
        self.topics = self._topics_by(fit)
        wanted = set(self.topics)
        self._ready = {topic: None for topic in self._ready if topic in wanted}
        await self._watch_topics()

    @property
    def is_up_to_date(self) -> bool:
        """Whether there is nothing to `follow`."""
        return self._seen_version == self._fit.version

    @property
    def is_bounded(self) -> bool:
        """Whether some topic is read only up to its bound."""
        return bool(self._end_offsets)

    def known_topics(self) -> list[str]:
        """The topics, as far as they are known without asking."""
        if self.is_up_to_date:
            return self.topics
        return self._topics_by(self._fit)

    def unbounded_topics(self) -> list[str]:
        """Those of which the group is owed whatever comes."""
        return [self._membership.own_topic, *self._fit.topics]

    async def follow_anew(self) -> None:
        """Catch up with what others have done, however little of it we have heard."""
        await self._registry.refresh()
        self._look_anew()
        await self.follow()

    def wake(self, topics: Iterable[str]) -> None:
        """These may hold something."""
        for topic in topics:
            self._ready[topic] = None
        if self._begin is None or not self._begin():
            self.rouse()

    def rouse(self) -> None:
        """Have `wait` return."""
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.set_result(None)

    def rouse_to_care(self) -> None:
        """Have the reader look after end offsets, returned work and every topic."""
        self.needs_care = True
        self.rouse()

    def wake_all(self) -> None:
        self.is_returned_work_likely = True
        self.wake(self.topics)

    def take_ready(self, max_count: int) -> list[str]:
        """Some ready topics, which are not ready any more until somebody wakes them."""
        taken = list(self._ready)[:max_count]
        for topic in taken:
            del self._ready[topic]
        return taken

    async def wait(self, until: float, begin: Callable[[], bool]) -> None:
        """Return when a topic is ready or the registry has changed, at the latest at `until`.

        Args:
            until: on the clock of the loop.
            begin: called when a topic is ready, at that moment and not a turn of the loop later.
                If it says that reading has begun, whoever waits sleeps on, until `rouse`.
        """
        if self.needs_care or not self.is_up_to_date or (self._ready and not begin()):
            return
        loop = asyncio.get_running_loop()
        self._sleeper, self._begin = loop.create_future(), begin
        # A timer costs half of what a timeout does, and being woken for nothing does no harm.
        timer = loop.call_at(until, self.rouse)
        try:
            await self._sleeper
        finally:
            timer.cancel()
            self._sleeper = self._begin = None

    async def still_owed(self, topic: str, deliveries: list[Delivery]) -> list[Delivery]:
        """Without what came to a topic after the group had left it; that is let go."""
        if topic not in self._end_offsets:
            return deliveries
        bound = position_key(self._end_offsets[topic])
        owed = [d for d in deliveries if position_key(d.position) <= bound]
        if len(owed) < len(deliveries):
            stream = self._server.keys.stream(topic)
            positions = [delivery.position for delivery in deliveries[len(owed) :]]
            await self._server.connection.call("XACK", stream, self._group, *positions)
        return owed

    async def drop_settled_end_offsets(self) -> None:
        """Take the group off the topics that it left and owes nothing any more."""
        keys = self._server.keys
        for topic in tuple(self._end_offsets):
            is_dropped = await self._server.run(
                self._server.scripts.retire,
                (keys.stream(topic), keys.end_offsets(self._group)),
                self._group,
                topic,
            )
            if is_dropped:
                self._look_anew()

    def stop(self) -> None:
        self.is_over = True
        self._fit.watchers.discard(self._fit_changed)
        watched, self._watched = self._watched, {}
        self._notifications.unwatch(watched)

    def _fit_changed(self, may_have_missed: bool) -> None:
        if may_have_missed:
            self.wake_all()
        else:
            self.rouse()

    def _look_anew(self) -> None:
        self._seen_version = self._seen_patterns = -1

    def _topics_by(self, fit: Fit) -> list[str]:
        own = self._membership.own_topic
        return list(dict.fromkeys((own, *fit.topics, *self._end_offsets)))

    async def _look_up_end_offsets(self) -> dict[str, str]:
        if self._membership.partition is not None:
            return {}
        flat = await self._server.connection.call(
            "HGETALL", self._server.keys.end_offsets(self._group)
        )
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return {topic.decode(): bound.decode() for topic, bound in pairs}

    async def _watch_topics(self) -> None:
        wanted = {self._server.keys.channel(topic): topic for topic in self.topics}
        gone = {c: call for c, call in self._watched.items() if c not in wanted}
        fresh = {c: topic for c, topic in wanted.items() if c not in self._watched}
        calls = {channel: self._waker(topic) for channel, topic in fresh.items()}
        self._notifications.unwatch(gone)
        self._watched = {c: self._watched[c] for c in self._watched.keys() - gone.keys()} | calls
        await self._notifications.watch(calls)
        self.wake(fresh.values())

    def _waker(self, topic: str) -> Callable[[bytes], None]:
        def wake(_: bytes) -> None:
            if topic == self._membership.own_topic:  # who leaves gives back through this channel
                self.is_returned_work_likely = True
            self.wake((topic,))

        return wake
