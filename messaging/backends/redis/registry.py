"""Which topics and groups the guild has, kept up to date by a version counter.

Which patterns fit which topics is decided here, in Python; the scripts apply the decision only
if the registry is still at the version it was made for, and are asked again otherwise.

What a server has forgotten of the groups (memory.py) it is told before anything else is done there.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from messaging.backends.redis.membership import Membership
from messaging.backends.redis.memory import (
    Subscriptions,
    group_paused_in,
    loss,
    subscriptions_in,
)
from messaging.backends.redis.pipeline import Argument
from messaging.backends.redis.server import Server, to_json
from messaging.errors import NobodyListensError
from messaging.topic import matches, owner_of, retry_topic_of


class _News(NamedTuple):
    """What the server said of the registry."""

    identity: bytes
    version: int
    has_all_topics: bool
    topics: set[str]
    subscriptions: Subscriptions


class Registry:
    """Topics and groups of a guild as this process knows them.

    Attributes:
        revision: counts what this process has learnt, and goes on when the server goes back.
        losses: how often the server was found to have forgotten something, and that was told.
        on_lost: called when the server has lost everything, before anything else is done there.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._refreshing = asyncio.Lock()
        self._watchers: set[Callable[[], None]] = set()
        self._known = Subscriptions({}, {}, frozenset())
        self._identity = b""
        self._version = 0
        self._refreshed_at = -math.inf
        self._generation = 0
        self._is_loss_told = False
        self.revision = self.losses = 0
        self.topics: set[str] = set()
        self.on_lost: list[Callable[[], None]] = []

    @property
    def groups(self) -> dict[str, list[str]]:
        """The patterns of each group that is subscribed."""
        return self._known.groups

    def watch(self, call: Callable[[], None]) -> None:
        """Call after each change."""
        self._watchers.add(call)

    def unwatch(self, call: Callable[[], None]) -> None:
        self._watchers.discard(call)

    def topics_of(self, membership: Membership) -> list[str]:
        """Its own topic, and for a whole group the existing topics that its patterns fit."""
        if membership.partition is not None:
            return [membership.own_topic]
        patterns = self.groups.get(membership.group, [])
        return [
            membership.own_topic,
            *sorted(topic for topic in self.topics if _fits(patterns, topic)),
        ]

    async def refresh(self) -> None:
        """Ask for what changed; a server that has forgotten something is told it again first."""
        async with self._refreshing:
            generation = self._server.link.generation
            is_elsewhere = generation != self._generation  # perhaps another server, and behind
            news = await self._ask(-1 if is_elsewhere else self._version)
            while forgotten := self._forgotten(news, is_elsewhere=is_elsewhere):
                await self._remind(news, forgotten)
                news = await self._ask(-1)
            self._generation = generation
            self._refreshed_at = asyncio.get_running_loop().time()
            self._is_loss_told = False
            if not is_elsewhere and (news.identity, news.version) == (
                self._identity,
                self._version,
            ):
                return
            self._take(news)
        for call in tuple(self._watchers):
            call()

    async def refresh_if_older(self, age_s: float) -> None:
        """Refresh unless it was done within `age_s`, or somebody is at it."""
        age = asyncio.get_running_loop().time() - self._refreshed_at
        if age > age_s and not self._refreshing.locked():
            await self.refresh()

    async def ensure(self, topic: str) -> None:
        """Bring `topic` into being with all groups that are owed its first entry.

        Raises:
            NobodyListensError: it belongs to a group that is not subscribed; nobody needs it.
        """
        keys, owner = self._server.keys, owner_of(topic)
        while True:
            groups = [
                group
                for group, patterns in self.groups.items()
                if group == owner or _fits(patterns, topic)
            ]
            if owner and not groups:
                await self.refresh()
                if owner not in self.groups:
                    raise NobodyListensError(f"{topic} is {owner}'s own, which is not subscribed")
                continue
            answer = await self._server.run(
                self._server.scripts.create_topic,
                (keys.registry, keys.topics, keys.stream(topic)),
                self._stand,
                topic,
                keys.registry_channel,
                *groups,
            )
            await self.refresh()
            if answer == 1:
                self._server.announce(
                    "bus.stream_lost",
                    f"the stream of topic {topic} had been deleted, with whatever it held; "
                    "it and its groups were made again",
                )
            if answer >= 0:
                return

    async def subscribe(self, group: str, patterns: Sequence[str]) -> None:
        while True:
            before = self._identity
            answer = await self._subscribe(group, patterns, self._stand, self.topics)
            await self.refresh()
            # A server that has forgotten it in between was told of all others only.
            if answer >= 0 and (group in self.groups or before in (b"", self._identity)):
                return

    async def _subscribe(
        self,
        group: str,
        patterns: Sequence[str],
        stand: bytes,
        topics: Iterable[str],
        stamp: Argument = "",
    ) -> int:
        keys, retry_topic = self._server.keys, retry_topic_of(group)
        others = [topic for topic in topics if not owner_of(topic)]
        fitting = [topic for topic in others if _fits(patterns, topic)]
        leaving = [topic for topic in others if not _fits(patterns, topic)]
        answer = await self._server.run(
            self._server.scripts.subscribe,
            (
                keys.registry,
                keys.topics,
                keys.groups,
                keys.bounds(group),
                keys.stream(retry_topic),
                keys.stamps,
            ),
            stand,
            group,
            to_json(list(patterns)),
            retry_topic,
            keys.registry_channel,
            keys.stream(""),
            stamp,
            len(fitting),
            *fitting,
            *leaving,
            touches=[keys.stream(topic) for topic in others],
        )
        return int(answer)

    async def unsubscribe(self, group: str) -> None:
        await self.refresh()  # a server that had forgotten the group would hear of it afterwards
        await self._unsubscribe(group)
        await self.refresh()

    async def _unsubscribe(self, group: str, stamp: Argument = "") -> None:
        keys = self._server.keys
        retry_topic = retry_topic_of(group)
        await self._server.run(
            self._server.scripts.unsubscribe,
            (
                keys.registry,
                keys.topics,
                keys.groups,
                keys.floors,
                keys.stamps,
                keys.stream(retry_topic),
                keys.members(group),
                keys.beats(group),
                keys.leader(group),
                keys.state(group),
                keys.bounds(group),
            ),
            group,
            retry_topic,
            keys.registry_channel,
            keys.stream(""),
            stamp,
        )

    async def set_paused(self, group: str, is_paused: bool) -> None:
        await self.refresh()  # as above
        await self._pause(group, is_paused)
        await self.refresh()

    async def paused(self) -> list[str]:
        """Groups that are paused, also if the server has forgotten that."""
        paused = await self._paused()
        if self._known.paused.issubset(paused):
            return paused
        await self.refresh()
        return await self._paused()

    async def _paused(self) -> list[str]:
        names = await self._server.link.call("SMEMBERS", self._server.keys.paused)
        return [name.decode() for name in names]

    async def _pause(self, group: str, is_paused: bool, stamp: Argument = "") -> None:
        keys = self._server.keys
        await self._server.run(
            self._server.scripts.pause,
            (keys.paused, keys.stamps, keys.registry),
            group,
            int(is_paused),
            keys.registry_channel,
            stamp,
        )

    async def repair(self, group: str, topics: Sequence[str]) -> None:
        """Make the group again where somebody deleted it or its stream, from the start."""
        keys = self._server.keys
        repaired = await self._server.run(
            self._server.scripts.repair,
            (keys.groups, *map(keys.stream, topics)),
            group,
        )
        for number in repaired:
            self._server.announce(
                "bus.group_lost",
                f"the group of {group} on topic {topics[number - 1]} had been deleted; it was made "
                "again from the start of what the topic still holds, so messages may come twice, "
                "and what was deleted with the topic is lost",
            )

    @property
    def _stand(self) -> bytes:
        return _stand(self._identity, self._version)

    async def _ask(self, version: int) -> _News:
        keys = self._server.keys
        identity, now, has_all, topics, groups, stamps = await self._server.run(
            self._server.scripts.registry,
            (keys.registry, keys.topics, keys.groups, keys.stamps),
            version,
            self._identity,
        )
        names = {topic.decode() for topic in topics}
        return _News(
            identity, now, bool(has_all), names, subscriptions_in(groups, stamps, keys.groups)
        )

    def _take(self, news: _News) -> None:
        self.topics = news.topics if news.has_all_topics else self.topics | news.topics
        self._known = news.subscriptions
        self._version, self._identity = news.version, news.identity
        self.revision += 1

    def _forgotten(self, news: _News, *, is_elsewhere: bool) -> list[str]:
        """Groups of which this process knows something later; it is announced why."""
        is_lost = self._identity not in (b"", news.identity)
        is_behind = not is_lost and news.version < self._version
        if not (is_lost or is_behind or is_elsewhere):
            return []
        groups = self._known.newer_than(news.subscriptions)
        if not self._is_loss_told and (is_lost or is_behind or groups):
            self._is_loss_told = True
            self.losses += 1
            self._server.announce(*loss(self._known, groups, is_whole=is_lost))
            if is_lost:
                for call in self.on_lost:
                    call()
        return groups

    async def _remind(self, news: _News, groups: Sequence[str]) -> None:
        """Tell the server what it has forgotten of these groups."""
        for group in groups:
            stamp, patterns = self._known.stamps[group], self.groups.get(group)
            if paused := group_paused_in(group):
                await self._pause(paused, paused in self._known.paused, stamp)
                news = await self._ask(-1)
                continue
            if patterns is None:
                await self._unsubscribe(group, stamp)
                continue
            answer = -1
            while answer < 0:
                stand, topics = _stand(news.identity, news.version), news.topics
                answer = await self._subscribe(group, patterns, stand, topics, stamp)
                if answer == 0 and news.identity:
                    news = news._replace(version=news.version + 1)
                elif answer <= 0:
                    news = await self._ask(-1)


def _stand(identity: bytes, version: int) -> bytes:
    return identity + f" {version}".encode()


def _fits(patterns: Sequence[str], topic: str) -> bool:
    return any(matches(pattern, topic) for pattern in patterns)
