"""What a consumer reads: the topics that fit its group's patterns, and which may hold something.

A topic that may hold something new is *ready*: it was woken, or not looked at for a while. A
topic that the group has left is read up to its *bound*, the last position that is still owed.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from messaging.backend import Delivery, Take
from messaging.backends.redis.connection.notifications import Notifications
from messaging.backends.redis.consumer.in_flight import InFlight
from messaging.backends.redis.consumer.session import ConsumerSession
from messaging.backends.redis.entries import position_key
from messaging.backends.redis.registry.fits import Fit


class Interest:
    """The topics of one consumer.

    Attributes:
        topics: its own topic comes first.
        end_offsets: of each topic that the group has left, the last position still owed.
        begin: called when a topic is ready while the reader naps; see `nap`.
        is_over: nobody reads them any more.
        is_up_to_date: there is nothing to `follow`.
        needs_care: something besides new entries may have to be seen to, in every topic.
        is_returned_work_likely: something may have been given back.
    """

    def __init__(self, session: ConsumerSession, notifications: Notifications) -> None:
        self.topics: list[str] = []
        self.end_offsets: dict[str, str] = {}
        self.begin: Callable[[int], bool]
        self.is_over = False
        self.is_up_to_date = False
        self.needs_care = True
        self.is_returned_work_likely = True
        self._server = session.server
        self._registry = session.registry
        self._notifications = notifications
        self._group = session.group
        self._own_topic = session.membership.own_topic
        self._is_of_partition = session.membership.partition is not None
        self._watched: dict[bytes, Callable[[bytes], None]] = {}
        self._here: dict[str, Callable[[], None]] = {}
        self._ready: dict[str, bytes] = {}  # up to where, as far as that was told
        self._seen: dict[str, bytes] = {}
        self._nap: asyncio.Future[bool] | None = None
        self._wanted = 0
        self._take: Take | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._fit = self._registry.fit_of(session.membership)
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
            self.end_offsets = end_offsets
        self._seen_version, self._seen_patterns = version, patterns_version
        self._compare_versions()
        self.topics = self._topics_by(fit)
        wanted = set(self.topics)
        self._ready = {topic: told for topic, told in self._ready.items() if topic in wanted}
        self._seen = {topic: last for topic, last in self._seen.items() if topic in wanted}
        await self._watch_topics()

    def known_topics(self) -> list[str]:
        """The topics, as far as they are known without asking."""
        if self.is_up_to_date:
            return self.topics
        return self._topics_by(self._fit)

    def unbounded_topics(self) -> list[str]:
        """Those whose every new entry is owed to the group."""
        return [self._own_topic, *self._fit.topics]

    async def follow_anew(self) -> None:
        """Catch up with what others have done, however little of it we have heard."""
        await self._registry.refresh()
        self._look_anew()
        await self.follow()

    def wake(self, topics: Iterable[str], told: bytes = b"") -> None:
        """These may hold something, up to that position if one is told."""
        for topic in topics:
            self._ready[topic] = told
        nap = self._nap
        if nap is not None and not nap.done() and not self.begin(self._wanted):
            self.rouse()

    def hear(self, topic: str, told: bytes) -> None:
        """Something was added, the last of it at the position `told`; b"" where that is not known.

        A stream that was deleted may begin again at earlier positions, if the server's clock was
        set back meanwhile; `Patrol` sees that it has moved.
        """
        if not _is_reached(told, self._seen.get(topic, b"")):
            self.wake((topic,), told)

    def has_seen(self, topic: str, position: bytes) -> None:
        """What the group was not lent yet, this consumer has read up to there."""
        self._seen[topic] = position
        if _is_reached(self._ready.get(topic, b""), position):
            del self._ready[topic]

    def rouse(self) -> None:
        """Have a nap end."""
        if self._nap is not None and not self._nap.done():
            self._nap.set_result(False)

    def rouse_to(self, arrived: InFlight) -> None:
        """Have a nap end, as something has come for the reader: to `take`, if it came alone.

        Of several the senders go first: the server keeps what they send next while these are
        handled. Handled before, they would leave it nothing to do, a fifth slower with 4 senders.
        """
        nap, take = self._nap, self._take
        if nap is not None and not nap.done():
            is_for_take = take is not None and arrived.ready == 1
            nap.set_result(is_for_take)  # first: the reader asks for more before that is handled
            if take is not None and is_for_take:
                take(arrived.hand_on(self._wanted))

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

    def nap(
        self, until: float, wanted: int, take: Take | None = None
    ) -> asyncio.Future[bool] | None:
        """Ends when a topic is ready or the registry has changed, at the latest at `until`; its
        waiter looks what it was.

        Topics that are ready are sent for by `begin`, at that moment and not a turn of the loop
        later. If that says that reading has begun, the nap goes on, until `rouse`.

        Args:
            until: on the clock of the loop.
            wanted: how much to begin with.
            take: what comes of that is handed to this at once, where nothing else is to be done.

        Returns:
            Whether `take` was handed something, to be awaited; None when there is something to be
            done at once.
        """
        if self.needs_care or not self.is_up_to_date:
            return None
        if self._ready and not self.begin(wanted):
            return None
        loop = asyncio.get_running_loop()
        self._nap, self._wanted, self._take = loop.create_future(), wanted, take
        # One alarm serves many naps, which are short: a timer costs more than all else here. A
        # nap that it ends too early is begun again.
        if self._alarm is None or self._alarm.when() > until:
            self._stop_alarm()
            self._alarm = loop.call_at(until, self._ring)
        return self._nap

    async def still_owed(self, topic: str, deliveries: Sequence[Delivery]) -> Sequence[Delivery]:
        """Without what came to a topic after the group had left it; that is let go."""
        if topic not in self.end_offsets:
            return deliveries
        bound = position_key(self.end_offsets[topic])
        owed = [d for d in deliveries if position_key(d.position) <= bound]
        if len(owed) < len(deliveries):
            stream = self._server.keys.stream(topic)
            positions = [delivery.position for delivery in deliveries[len(owed) :]]
            await self._server.connection.call("XACK", stream, self._group, *positions)
        return owed

    async def drop_settled_end_offsets(self) -> None:
        """Take the group off the topics that it left and owes nothing any more."""
        keys = self._server.keys
        for topic in tuple(self.end_offsets):
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
        self._read_here(())
        self.rouse()
        self._stop_alarm()

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        self._alarm = None
        self.rouse()

    def _fit_changed(self, may_have_missed: bool) -> None:
        self._compare_versions()
        if may_have_missed:
            self.wake_all()
        else:
            self.rouse()

    def _look_anew(self) -> None:
        self._seen_version = self._seen_patterns = -1
        self._compare_versions()

    def _compare_versions(self) -> None:
        self.is_up_to_date = self._seen_version == self._fit.version

    def _topics_by(self, fit: Fit) -> list[str]:
        return list(dict.fromkeys((self._own_topic, *fit.topics, *self.end_offsets)))

    async def _look_up_end_offsets(self) -> dict[str, str]:
        if self._is_of_partition:
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
        self._read_here(self.topics)
        await self._notifications.watch(calls)
        self.wake(fresh.values())

    def _read_here(self, topics: Iterable[str]) -> None:
        """Have what this process sends to these topics, and no others, wake this consumer, too."""
        readers, wanted = self._server.connection.readers, dict.fromkeys(topics)
        for topic in self._here.keys() - wanted:
            readers[topic].remove(self._here.pop(topic))
            if not readers[topic]:
                del readers[topic]
        for topic in wanted.keys() - self._here:
            self._here[topic] = partial(self.wake, (topic,))
            readers.setdefault(topic, []).append(self._here[topic])

    def _waker(self, topic: str) -> Callable[[bytes], None]:
        return self._hear_own if topic == self._own_topic else partial(self.hear, topic)

    def _hear_own(self, _: bytes) -> None:
        self.is_returned_work_likely = True  # who leaves gives back through this channel
        self.wake((self._own_topic,))


def _is_reached(told: bytes, seen: bytes) -> bool:
    """Whether a reader at `seen` has read what was told of; False where that is not known."""
    if not told or not seen:
        return False
    return told == seen or position_key(told.decode()) <= position_key(seen.decode())
