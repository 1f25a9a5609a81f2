"""Which topics and groups the guild has, kept up to date by a version counter.

Which patterns fit which topics is decided here, in Python; the scripts apply the decision only
if the registry is still at the version it was made for, and are asked again otherwise.
"""

import asyncio
import json
import math
from collections.abc import Callable, Sequence

from messaging.backends.redis.membership import Membership
from messaging.backends.redis.server import Server, to_json
from messaging.errors import BackendSetupError, NobodyListensError
from messaging.topic import matches, owner_of, retry_topic_of


class Registry:
    """Topics and groups of a guild as this process knows them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._refreshing = asyncio.Lock()
        self._watchers: set[Callable[[], None]] = set()
        self._own_groups: dict[str, Sequence[str]] = {}
        self._identity = b""
        self._refreshed_at = -math.inf
        self._generation = 0
        self.version = 0
        self.topics: set[str] = set()
        self.groups: dict[str, list[str]] = {}

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
        """Ask for what changed; announce it when the server has forgotten the guild."""
        async with self._refreshing:
            keys, generation = self._server.keys, self._server.link.generation
            if generation != self._generation:  # the server may be another one, and behind
                self.version = -1
            identity, version, has_all, topics, groups = await self._server.run(
                self._server.scripts.registry,
                (keys.registry, keys.topics, keys.groups),
                self.version,
                self._identity,
            )
            self._generation = generation
            self._refreshed_at = asyncio.get_running_loop().time()
            if version == self.version and identity == self._identity:
                return
            was_lost = self._identity not in (b"", identity)
            names = {topic.decode() for topic in topics}
            self.topics = names if has_all else self.topics | names
            pairs = zip(groups[::2], groups[1::2], strict=True)
            self.groups = {group.decode(): self._patterns_in(group, text) for group, text in pairs}
            self.version, self._identity = version, identity
        if was_lost:
            await self._recover()
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
                self.version,
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
        keys = self._server.keys
        self._own_groups[group] = list(patterns)
        retry_topic = retry_topic_of(group)
        while True:
            others = [topic for topic in self.topics if not owner_of(topic)]
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
                ),
                self.version,
                group,
                to_json(list(patterns)),
                retry_topic,
                keys.registry_channel,
                keys.stream(""),
                len(fitting),
                *fitting,
                *leaving,
                touches=[keys.stream(topic) for topic in others],
            )
            await self.refresh()
            if answer == 0:
                return

    async def unsubscribe(self, group: str) -> None:
        keys = self._server.keys
        self._own_groups.pop(group, None)
        retry_topic = retry_topic_of(group)
        await self._server.run(
            self._server.scripts.unsubscribe,
            (
                keys.registry,
                keys.topics,
                keys.groups,
                keys.floors,
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
        )
        await self.refresh()

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

    def _patterns_in(self, group: bytes, text: bytes) -> list[str]:
        try:
            return [str(pattern) for pattern in json.loads(text)]
        except (ValueError, TypeError) as error:
            key = self._server.keys.groups.decode()
            raise BackendSetupError(
                f"the key {key} holds patterns of {group.decode(errors='replace')} that guildbus "
                "did not write: remove that field (HDEL), or use another guild id or database"
            ) from error

    async def _recover(self) -> None:
        self._server.announce(
            "bus.data_lost",
            "the server has lost this guild's data (restarted without persistence, or flushed); "
            "what was accepted and not yet handled is gone",
        )
        for group, patterns in list(self._own_groups.items()):
            await self.subscribe(group, patterns)


def _fits(patterns: Sequence[str], topic: str) -> bool:
    return any(matches(pattern, topic) for pattern in patterns)
