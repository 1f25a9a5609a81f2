"""Which topics and groups the guild has, kept up to date by a version counter.

Which patterns fit which topics is decided here, in Python; the scripts apply the decision only
if the registry is still at the version it was made for, and are asked again otherwise. What many
ask for at the same time is asked once.

What a server has forgotten of the groups (subscriptions.py) it is told before anything else is done
there.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from messaging.backends.redis.connection.pipeline import Argument
from messaging.backends.redis.registry.fits import Fit, Fits, fitting
from messaging.backends.redis.registry.membership import Membership
from messaging.backends.redis.registry.subscriptions import (
    Subscriptions,
    group_paused_in,
    loss,
    subscriptions_in,
)
from messaging.backends.redis.registry.topic_creator import TopicCreator
from messaging.backends.redis.server import Server, to_json
from messaging.errors import MessagingError, NobodyListensError
from messaging.process.coalesced import Coalesced
from messaging.wire.topic import is_ephemeral, owner_of, retry_topic_of

_MOVED_ON = -1
_STREAM_LOST, _ODD = 1, 2


class _Answer(NamedTuple):
    """What the server said of the registry."""

    identity: bytes
    version: int
    has_all_topics: bool
    topics: set[str]
    has_all_groups: bool
    subscriptions: Subscriptions


class TopicRegistry:
    """Topics and groups of a guild as this process knows them.

    Attributes:
        losses: how often the server was found to have forgotten something, and that was told.
        on_lost: called when the server has lost everything, before anything else is done there.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._fits = Fits()
        self._topic_creator = TopicCreator(self._create)
        self._look = Coalesced(self._refresh)
        self._changing = asyncio.Lock()  # or our own changes would refuse each other
        self._known = Subscriptions({}, {}, frozenset())
        self._identity = b""
        self._version = 0
        self._refreshed_at = -math.inf
        self._generation = 0
        self._is_loss_told = False
        self.losses = 0
        self.on_lost: list[Callable[[], None]] = []

    @property
    def topics(self) -> Collection[str]:
        return self._fits.topics

    @property
    def groups(self) -> Mapping[str, list[str]]:
        """The patterns of each group that is subscribed."""
        return self._known.groups

    def fit_of(self, membership: Membership) -> Fit:
        """The topics that are read by patterns; a partition has none, under its own name."""
        return self._fits.of(membership.name)

    async def close(self) -> None:
        await self._topic_creator.close()

    async def refresh(self) -> None:
        """Ask for what changed; a server that has forgotten something is told it again first."""
        await self._look()

    async def refresh_if_older(self, age_s: float) -> None:
        """Refresh unless it was done within `age_s`, or somebody is at it."""
        age = asyncio.get_running_loop().time() - self._refreshed_at
        if age > age_s and not self._look.is_running:
            await self.refresh()

    async def ensure(self, topic: str) -> None:
        """Bring `topic` into being with all groups that are owed its first entry.

        Raises:
            NobodyListensError: it belongs to a group that is not subscribed, so it is not needed.
            BackendSetupError: its key holds something else.
        """
        assert not is_ephemeral(topic), f"{topic} is opened by its readers"
        await self._topic_creator.bring(topic)

    async def subscribe(self, group: str, patterns: Sequence[str]) -> None:
        while True:
            before = self._identity
            answer = await self._change(partial(self._subscribe_here, group, patterns))
            # A server that has forgotten it in between was told of all others only.
            if answer >= 0 and (group in self.groups or before in (b"", self._identity)):
                return

    async def _change(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What the server answers to one attempt to change the registry; then look what came."""
        async with self._changing:
            answer = await ask()
            await self.refresh()
        return answer

    async def _subscribe_here(self, group: str, patterns: Sequence[str]) -> int:
        wanted = self._fits.topics_for(patterns)
        leaving = set(self._fits.topics_for(self.groups.get(group, ()))).difference(wanted)
        return await self._subscribe(group, patterns, self._stand, wanted, leaving)

    async def _subscribe(
        self,
        group: str,
        patterns: Sequence[str],
        stand: bytes,
        wanted: Collection[str],
        leaving: Collection[str],
        *,
        stamp: Argument = "",
    ) -> int:
        keys, retry_topic = self._server.keys, retry_topic_of(group)
        answer = await self._server.run(
            self._server.scripts.subscribe,
            (
                keys.registry,
                keys.topics,
                keys.groups,
                keys.end_offsets(group),
                keys.stream(retry_topic),
                keys.stamps,
                keys.regrouped,
            ),
            stand,
            group,
            to_json(list(patterns)),
            retry_topic,
            keys.registry_channel,
            keys.stream(""),
            stamp,
            len(wanted),
            *wanted,
            *leaving,
            touches=[keys.stream(topic) for topic in (*wanted, *leaving)],
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
                keys.regrouped,
                keys.stream(retry_topic),
                keys.members(group),
                keys.beats(group),
                keys.leader(group),
                keys.state(group),
                keys.end_offsets(group),
                keys.turns(group),
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
        names = await self._server.connection.call("SMEMBERS", self._server.keys.paused)
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

    async def _refresh(self) -> None:
        generation = self._server.connection.generation
        is_elsewhere = generation != self._generation  # perhaps another server, and behind
        state = await self._ask(-1 if is_elsewhere else self._version)
        while forgotten := self._forgotten(state, is_elsewhere=is_elsewhere):
            await self._remind(state, forgotten)
            state = await self._ask(-1)
        self._generation = generation
        self._refreshed_at = asyncio.get_running_loop().time()
        self._is_loss_told = False
        if is_elsewhere or (state.identity, state.version) != (self._identity, self._version):
            self._take(state)

    async def _ask(self, version: int) -> _Answer:
        keys = self._server.keys
        identity, now, all_topics, topics, all_groups, groups, stamps = await self._server.run(
            self._server.scripts.registry,
            (keys.registry, keys.topics, keys.groups, keys.stamps, keys.regrouped),
            version,
            self._identity,
        )
        return _Answer(
            identity,
            now,
            bool(all_topics),
            {topic.decode() for topic in topics},
            bool(all_groups),
            subscriptions_in(groups, stamps, keys.groups),
        )

    def _take(self, state: _Answer) -> None:
        new = state.subscriptions
        may_have_missed = state.identity != self._identity or state.version < self._version
        changed = self._fits.update(
            state.topics,
            new.groups,
            all_topics=state.has_all_topics,
            all_groups=state.has_all_groups,
        )
        if not state.has_all_groups:  # then no pause has changed
            new = Subscriptions({}, self._known.stamps | new.stamps, self._known.paused)
        self._known = new._replace(groups=self._fits.groups)
        self._version, self._identity = state.version, state.identity
        for fit in self._fits.all_fits() if may_have_missed else changed:
            for call in tuple(fit.watchers):
                call(may_have_missed)

    async def _create(self, topics: Sequence[str]) -> Mapping[str, Exception]:
        """Create these, and return those that cannot be, with the reason."""
        if any(owner_of(topic) not in ("", *self.groups) for topic in topics):
            await self.refresh()
        while True:
            unowned = [t for t in topics if owner_of(t) and not self._fits.groups_for(t)]
            wanted = [topic for topic in topics if topic not in unowned]
            outcomes = await self._change(partial(self._ask_to_create, wanted))
            if outcomes != _MOVED_ON:
                break
        failed: dict[str, Exception] = {topic: _unowned(topic) for topic in unowned}
        for topic, outcome in zip(wanted, outcomes, strict=True):
            if outcome == _STREAM_LOST:
                self._server.announce(
                    "bus.stream_lost",
                    f"the stream of topic {topic} had been deleted, with whatever it held; "
                    "it and its groups were made again",
                )
            elif outcome == _ODD and (error := await self._misfit(topic)) is not None:
                failed[topic] = error
        return failed

    async def _ask_to_create(self, topics: Sequence[str]) -> Any:
        if not topics:
            return []
        keys = self._server.keys
        arguments: list[Argument] = []
        for topic in topics:
            groups = self._fits.groups_for(topic)
            arguments += (topic, len(groups), *groups)
        return await self._server.run(
            self._server.scripts.create_topics,
            (keys.registry, keys.topics, *map(keys.stream, topics)),
            self._stand,
            keys.registry_channel,
            *arguments,
        )

    async def _misfit(self, topic: str) -> MessagingError | None:
        """What is wrong with the key of `topic`; None if it has been put right meanwhile."""
        try:
            await self._server.connection.check_types({self._server.keys.stream(topic)})
        except MessagingError as error:
            return error
        return None

    def _forgotten(self, state: _Answer, *, is_elsewhere: bool) -> list[str]:
        """Groups of which this process knows more than the server; announces why."""
        is_lost = self._identity not in (b"", state.identity)
        is_behind = not is_lost and state.version < self._version
        if not (is_lost or is_behind or is_elsewhere):
            return []
        groups = self._known.newer_than(state.subscriptions)
        if not self._is_loss_told and (is_lost or is_behind or groups):
            self._is_loss_told = True
            self.losses += 1
            incident = loss(self._known, groups, is_whole=is_lost)
            self._server.announce(incident.event, incident.text)
            if is_lost:
                for call in self.on_lost:
                    call()
        return groups

    async def _remind(self, state: _Answer, groups: Sequence[str]) -> None:
        """Tell the server what it has forgotten of these groups."""
        for group in groups:
            stamp, patterns = self._known.stamps[group], self.groups.get(group)
            if paused := group_paused_in(group):
                await self._pause(paused, paused in self._known.paused, stamp)
                state = await self._ask(-1)
                continue
            if patterns is None:
                await self._unsubscribe(group, stamp)
                continue
            answer = -1
            while answer < 0:
                stand = _stand(state.identity, state.version)
                wanted = fitting(patterns, state.topics)
                had = state.subscriptions.groups.get(group, ())
                leaving = set(fitting(had, state.topics)).difference(wanted)
                answer = await self._subscribe(group, patterns, stand, wanted, leaving, stamp=stamp)
                if answer == 0 and state.identity:
                    state = state._replace(version=state.version + 1)
                elif answer <= 0:
                    state = await self._ask(-1)


def _stand(identity: bytes, version: int) -> bytes:
    return identity + f" {version}".encode()


def _unowned(topic: str) -> NobodyListensError:
    return NobodyListensError(f"{topic} is {owner_of(topic)}'s own, which is not subscribed")
