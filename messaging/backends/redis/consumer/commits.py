"""The commits of one consumer: one at a time, each to its end, even if its waiter has left.

A commit is one script call, sent again until it is answered, applied once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from messaging.backend import Settlement
from messaging.backends.redis.connection.error_replies import wrong_type
from messaging.backends.redis.connection.pipeline import (
    Argument,
    ConnectionLostError,
    RepliesReceiver,
    pack_script,
)
from messaging.backends.redis.consumer.in_flight import InFlight
from messaging.backends.redis.consumer.session import ConsumerSession
from messaging.backends.redis.entries import pack_entry
from messaging.backends.redis.keys import expected_type
from messaging.backends.redis.upkeep import Trimmed, trim_topic
from messaging.backends.sizes import check_value
from messaging.errors import (
    BackendError,
    BusFullError,
    NobodyListensError,
    NotHeldError,
    PayloadTooLargeError,
)
from messaging.wire.topic import is_ephemeral

_Effects = tuple[Sequence[Argument], Sequence[Argument], Sequence[Argument]]
_NO_EFFECTS: _Effects = ((), (), ())


class CommitConstants:
    """What all commits of one consumer begin with."""

    def __init__(self, session: ConsumerSession) -> None:
        keys, options = session.server.keys, session.server.options
        self.keys = (
            session.members,
            keys.state(session.group),
            keys.floors,
            keys.delays,
            keys.delayed_bodies,
            keys.dead,
        )
        self.first_key = len(self.keys) + 1  # behind these
        self.who = (keys.prefix, session.group, session.incarnation)
        self.limits = (options.max_backlog, options.max_dead_letters)


class CommitCall:
    """A batch of settlements in the form that `commit.lua` takes.

    Args:
        sequence: one more than that of the last commit that was applied.
        lent_in: the connection by which all of this was surely lent. On any other, the server
            looks first whether it still lends it to us.
    """

    def __init__(
        self,
        session: ConsumerSession,
        constants: CommitConstants,
        settlements: Sequence[Settlement],
        *,
        sequence: int,
        lent_in: int,
    ) -> None:
        self.settlements = settlements
        self._lent_in = lent_in
        self._server = server = session.server
        self._registry = session.registry
        self._group = session.group
        self._outputs: dict[str, int] = {}
        inputs, receipts = dict[str, int](), list[Argument]()
        has_effects = False
        for index, (delivery, outbox, state, dead) in enumerate(settlements):
            topic, position = delivery.place
            if topic not in inputs:
                inputs[topic] = constants.first_key + len(inputs)
            receipts += (index, inputs[topic], position)
            if outbox or state or dead is not None:
                has_effects = True
        effects: _Effects = _NO_EFFECTS
        self._script, self._again = server.scripts.settle, server.scripts.resettle
        if has_effects:  # most commits are receipts alone
            effects = self._effects(settlements, constants.first_key + len(inputs))
            self._script, self._again = server.scripts.commit, server.scripts.recommit
        adds, writes, dead_letters = effects
        stream = server.keys.stream
        self._keys = (*constants.keys, *map(stream, inputs), *map(stream, self._outputs))
        self._arguments: tuple[Argument, ...] = (
            *constants.who,
            sequence,
            *constants.limits,
            len(inputs),
            len(self._outputs),
            len(settlements),
            len(adds) // 5,
            len(writes) // 5,
            len(dead_letters) // 7,
            *self._outputs,
            *receipts,
            *adds,
            *writes,
            *dead_letters,
        )

    def send(self, then: RepliesReceiver) -> None:
        """Send it once, now; `then` gets the one reply, or why there is none, for `apply`."""
        connection = self._server.connection
        script = self._script if connection.generation == self._lent_in else self._again
        packed = pack_script(script, self._keys, self._arguments)
        if not connection.send((packed,), self._outputs, then):
            then([ConnectionLostError("there is no connection")])

    def skipped_if_applied(self, answer: Any) -> list[int] | None:
        """Indices of skipped settlements if the server has applied it and nothing is left to do."""
        if isinstance(answer, list) and answer[0] == b"ok":
            if answer[2]:
                self._announce_trimmed(answer[2])
            return [int(index) for index in answer[1].split(b",")] if answer[1] else []
        return None

    async def apply(self, answer: Any) -> list[int] | None:
        """Indices of skipped settlements; None when the consumer is fenced.

        Args:
            answer: what came back from `send`; anything but success is seen to.

        Raises:
            BusFullError, BackendSetupError, BackendUnavailableError
        """
        trimmed: Trimmed | None = None
        while True:
            if isinstance(answer, Exception):
                answer = await self._send_until_answered()
            if (skipped := self.skipped_if_applied(answer)) is not None:
                return skipped
            verdict, detail = [*answer, b""][:2]
            if verdict in (b"gap", b"unlent"):
                self._server.announce_commits_lost(self._group)
                return None
            if verdict == b"fenced":
                return None
            if verdict == b"absent":
                with suppress(NobodyListensError):  # then there is a fence now
                    await self._bring_outputs(detail.decode())
            elif verdict == b"full" and trimmed is None:
                trimmed = await trim_topic(self._server, detail.decode())
            else:
                raise self._refusal(verdict, detail, trimmed)
            answer = await self._send_until_answered()

    async def _bring_outputs(self, absent: str) -> None:
        """Create `absent`, and with it what else would be found absent by the next attempts."""
        known = {*self._registry.topics, absent}
        unknown = [t for t in self._outputs if t not in known and not is_ephemeral(t)]
        others = [self._registry.ensure(topic) for topic in unknown]
        await asyncio.gather(*others, return_exceptions=True)  # each is told of in its turn
        await self._registry.ensure(absent)

    def _effects(self, settlements: Sequence[Settlement], first_key: int) -> _Effects:
        """What the settlements send, write and give up; the streams of outputs come last."""
        limit = self._server.options.max_envelope_bytes
        adds, writes, dead_letters = list[Argument](), list[Argument](), list[Argument]()
        size_bytes = 0
        for index, (_, outbox, state, dead) in enumerate(settlements):
            for envelope in outbox:
                header, payload = pack_entry(envelope, limit)
                key = first_key + self._outputs.setdefault(envelope.topic, len(self._outputs))
                adds += (index, key, int(envelope.delay_s * 1000), header, payload)
                size_bytes += len(header) + len(payload)
            for write in state:
                check_value(write, self._group, limit)
                action = "delete" if write.value is None else "set"
                value = write.value or b""
                size_bytes += len(value)
                writes += (index, write.key, write.expected_version, action, value)
            if dead is not None:
                # It lies in the store already; a limit must not keep it from being given up.
                envelope = dead.envelope
                header, payload = pack_entry(envelope, None)
                dead_letters += (index, envelope.topic, header, payload)
                dead_letters += (dead.reason, repr(dead.at), envelope.id)
        limit_bytes = self._server.options.max_commit_bytes
        if size_bytes > limit_bytes:
            raise PayloadTooLargeError.of_commit(self._group, size_bytes, limit_bytes)
        return adds, writes, dead_letters

    async def _send_until_answered(self) -> Any:
        return await self._server.run(
            self._script,
            self._keys,
            *self._arguments,
            again=self._again,
            generation=self._lent_in,
        )

    def _refusal(self, verdict: bytes, detail: Any, trimmed: Trimmed | None) -> BackendError:
        limit = self._server.options.max_backlog
        if verdict == b"full":
            lagging = trimmed.lagging if trimmed is not None else ""
            return BusFullError.of_topic(detail.decode(), limit, lagging)
        if verdict == b"delays full":
            return BusFullError(
                f"the guild holds its limit of {limit:,} delayed messages; nothing was written",
                limit=limit,
            )
        if verdict == b"type":
            kind = "value of another type"
            return wrong_type({detail.decode(): (kind, expected_type(detail))})
        return BackendError(f"the server answered a commit with {verdict!r}: {detail!r}")

    def _announce_trimmed(self, count: int) -> None:
        self._server.announce(
            "bus.dead_letters_trimmed",
            f"there are more than {self._server.options.max_dead_letters:,} dead letters; "
            f"the {count} oldest were dropped",
        )


class CommitQueue:
    """Counts the commits that were applied, and lets go of what they settled.

    What an answer says counts at the moment it comes, even if the caller was cancelled meanwhile.
    """

    def __init__(self, session: ConsumerSession, in_flight: InFlight) -> None:
        self._session = session
        self._server = session.server
        self._in_flight = in_flight
        self._fence = session.fence
        self._constants = CommitConstants(session)
        self._loop = asyncio.get_running_loop()
        self._one_at_a_time = asyncio.Lock()
        self._is_on_its_way = False
        self._arrival: asyncio.Future[None] | None = None
        self._finishing: asyncio.Task[list[int]] | None = None
        self._sequence = 0

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """While no commit is on its way."""
        async with self._one_at_a_time:
            if self._is_on_its_way:
                self._arrival = self._loop.create_future()
                await self._arrival
            yield

    def commit(self, settlements: Sequence[Settlement]) -> Awaitable[list[int]]:
        """See `Consumer.commit`."""
        if self._is_on_its_way or self._one_at_a_time.locked():
            return self._commit_in_turn(settlements)
        try:
            return self._begin(settlements)  # as nearly always
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            failed: asyncio.Future[list[int]] = self._loop.create_future()
            failed.set_exception(error)
            return failed

    async def _commit_in_turn(self, settlements: Sequence[Settlement]) -> list[int]:
        async with self.alone():
            outcome = self._begin(settlements)
        return await outcome

    def _begin(self, settlements: Sequence[Settlement]) -> Awaitable[list[int]]:
        """Send it; what comes of it."""
        if self._fence.is_fenced:
            raise self._fence.hit()
        if not self._in_flight.begin_to_settle(settlements):
            return self._refuse()
        commit = CommitCall(
            self._session,
            self._constants,
            settlements,
            sequence=self._sequence + 1,
            lent_in=self._in_flight.settling_lent_in,
        )
        outcome: asyncio.Future[list[int]] = self._loop.create_future()
        self._is_on_its_way = True
        try:
            commit.send(partial(self._landed, commit, outcome))
        except BaseException:
            self._has_arrived()
            raise
        return outcome

    async def _refuse(self) -> list[int]:
        members, incarnation = self._session.members, self._session.incarnation
        if not await self._server.connection.call("HEXISTS", members, incarnation):
            raise self._fence.hit()
        raise NotHeldError(self._session.group, incarnation)

    def _landed(
        self, commit: CommitCall, outcome: asyncio.Future[list[int]], answers: list[Any]
    ) -> None:
        skipped = commit.skipped_if_applied(answers[0])
        if skipped is None or self._server.replication is not None:
            self._finishing = self._loop.create_task(self._finish(commit, answers[0]))
            self._finishing.add_done_callback(partial(self._finished, outcome))
            return
        self._note_applied(commit, skipped)
        self._has_arrived()
        if not outcome.done():
            outcome.set_result(skipped)

    async def _finish(self, commit: CommitCall, answer: Any) -> list[int]:
        skipped = await commit.apply(answer)
        if skipped is None:
            raise self._fence.hit()
        self._note_applied(commit, skipped)
        if self._server.replication is not None:
            await self._server.replication.report()
        return skipped

    def _finished(
        self, outcome: asyncio.Future[list[int]], finishing: asyncio.Task[list[int]]
    ) -> None:
        self._has_arrived()
        if finishing.cancelled():
            outcome.cancel()
        elif error := finishing.exception():
            if not outcome.done():  # otherwise it shows again in the next call
                outcome.set_exception(error)
        elif not outcome.done():
            outcome.set_result(finishing.result())

    def _note_applied(self, commit: CommitCall, skipped: Sequence[int]) -> None:
        self._sequence += 1
        settlements = commit.settlements
        self._in_flight.settled([settlements[index] for index in skipped] if skipped else ())

    def _has_arrived(self) -> None:
        self._is_on_its_way = False
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
