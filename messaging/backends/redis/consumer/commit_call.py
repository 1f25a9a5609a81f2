"""A commit: one script call, sent again until it is answered, applied once."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from messaging.backend import Settlement
from messaging.backends.redis.connection.error_replies import wrong_type
from messaging.backends.redis.connection.pipeline import Argument, ConnectionLostError, Receiver
from messaging.backends.redis.entries import pack_entry
from messaging.backends.redis.keys import expected_type
from messaging.backends.redis.registry.membership import Membership
from messaging.backends.redis.registry.registry import TopicRegistry
from messaging.backends.redis.scripts import Script
from messaging.backends.redis.server import Server, pack_script
from messaging.backends.redis.upkeep import Trimmed, trim_topic
from messaging.backends.sizes import check_value
from messaging.errors import (
    BackendError,
    BusFullError,
    NobodyListensError,
    PayloadTooLargeError,
)
from messaging.wire.topic import is_ephemeral

_FIXED_KEYS = 6


class CommitCall:
    """A batch of settlements in the form that `commit.lua` takes.

    Args:
        sequence: one more than that of the last commit that was applied.
        lent_in: the connection by which all of this was surely lent. On any other, the server
            looks first whether it still lends it to us.
    """

    def __init__(
        self,
        server: Server,
        registry: TopicRegistry,
        membership: Membership,
        incarnation: str,
        settlements: Sequence[Settlement],
        *,
        sequence: int,
        lent_in: int,
    ) -> None:
        self.settlements = settlements
        self._sequence = sequence
        self._lent_in = lent_in
        self._server = server
        self._registry = registry
        self._group = membership.group
        self._members = server.keys.members(membership.name)
        self._incarnation = incarnation
        self._inputs: dict[str, int] = {}
        self._outputs: dict[str, int] = {}
        self._receipts: list[Argument] = []
        self._adds: list[Argument] = []
        self._writes: list[Argument] = []
        self._dead: list[Argument] = []
        self._size_bytes = 0
        for settlement in settlements:
            self._inputs.setdefault(settlement.delivery.envelope.topic, len(self._inputs))
        for index, settlement in enumerate(settlements):
            self._add(index, settlement)
        limit_bytes = server.options.max_commit_bytes
        if self._size_bytes > limit_bytes:
            raise PayloadTooLargeError.of_commit(self._group, self._size_bytes, limit_bytes)

    def send(self, receiver: Receiver) -> None:
        """Send it once, now, and have `receiver` take to `apply` what comes back."""
        pipeline = self._server.connection.current()
        if pipeline is None:
            receiver(ConnectionLostError("there is no connection"))
            return
        script, again = self._scripts()
        if self._server.connection.generation != self._lent_in:
            script = again
        pipeline.send_for(receiver, pack_script(script, *self._call()))
        pipeline.flush()

    def skipped_if_applied(self, answer: Any) -> list[int] | None:
        """Indices of skipped settlements if the server has applied it and nothing is left to do."""
        if isinstance(answer, list) and answer[0] == b"ok":
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

    def _add(self, index: int, settlement: Settlement) -> None:
        limit = self._server.options.max_envelope_bytes
        delivery = settlement.delivery
        input_key = _FIXED_KEYS + 1 + self._inputs[delivery.envelope.topic]
        self._receipts += (index, input_key, delivery.position)
        for envelope in settlement.outbox:
            header, payload = pack_entry(envelope, limit)
            output = self._outputs.setdefault(envelope.topic, len(self._outputs))
            key = _FIXED_KEYS + 1 + len(self._inputs) + output
            self._adds += (index, key, int(envelope.delay_s * 1000), header, payload)
            self._size_bytes += len(header) + len(payload)
        for write in settlement.state:
            check_value(write, self._group, limit)
            action = "delete" if write.value is None else "set"
            value = write.value or b""
            self._size_bytes += len(value)
            self._writes += (index, write.key, write.expected_version, action, value)
        if (dead := settlement.dead) is not None:
            # It lies in the store already; a limit must not keep it from being given up.
            header, payload = pack_entry(dead.envelope, None)
            topic = dead.envelope.topic
            reason, at = dead.reason, repr(dead.at)
            self._dead += (index, topic, header, payload, reason, at, dead.envelope.id)

    async def _send_until_answered(self) -> Any:
        script, again = self._scripts()
        keys, arguments = self._call()
        return await self._server.run(
            script, keys, *arguments, again=again, generation=self._lent_in
        )

    def _scripts(self) -> tuple[Script, Script]:
        """By that connection, and by any other."""
        scripts = self._server.scripts
        if self._adds or self._writes or self._dead:
            return scripts.commit, scripts.recommit
        return scripts.settle, scripts.resettle

    def _call(self) -> tuple[tuple[bytes, ...], tuple[Argument, ...]]:
        keys, options = self._server.keys, self._server.options
        return (
            self._members,
            keys.state(self._group),
            keys.floors,
            keys.delays,
            keys.delayed_bodies,
            keys.dead,
            *map(keys.stream, self._inputs),
            *map(keys.stream, self._outputs),
        ), (
            keys.prefix,
            self._group,
            self._incarnation,
            self._sequence,
            options.max_backlog,
            options.max_dead_letters,
            len(self._inputs),
            len(self._outputs),
            len(self._receipts) // 3,
            len(self._adds) // 5,
            len(self._writes) // 5,
            len(self._dead) // 7,
            *self._outputs,
            *self._receipts,
            *self._adds,
            *self._writes,
            *self._dead,
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
        if count:
            self._server.announce(
                "bus.dead_letters_trimmed",
                f"there are more than {self._server.options.max_dead_letters:,} dead letters; "
                f"the {count} oldest were dropped",
            )
