"""Wakes readers: one more connection listens for "this topic has something".

No command blocks in the server, so that a process needs two connections however many topics and
consumers it has, and a cancelled reader cannot take a batch with it. A lost wake-up costs
nothing but time: readers also look by themselves now and then, and after a reconnection. So a
server that refuses to listen for us is asked again, in the background.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import hiredis

from messaging.backends.redis.connection.connection import Address, Connection
from messaging.backends.redis.connection.error_replies import is_passing, to_messaging_error
from messaging.backends.redis.connection.pipeline import Pipeline, pack

CONFIRM_TIMEOUT_S = 1.0
ASK_AGAIN_S = 0.1
ASK_REFUSED_AGAIN_S = 5.0


class Notifications:
    """Calls the watchers of a channel when something is published there.

    Args:
        announce: told when the server refuses to listen for us, and this will not pass by itself.
    """

    def __init__(
        self,
        address: Address,
        *,
        give_up_after_s: float,
        reply_timeout_s: float,
        announce: Callable[[str, str], None],
    ) -> None:
        self._watchers: dict[bytes, set[Callable[[bytes], None]]] = {}
        self._confirmations: dict[bytes, asyncio.Future[None]] = {}
        self._unheard: set[bytes] = set()  # the server behind this connection has not confirmed
        self._asking_again: asyncio.TimerHandle | None = None
        self._announce = announce
        self._refusal: hiredis.ReplyError | None = None
        self._connection = Connection(
            address,
            give_up_after_s=give_up_after_s,
            reply_timeout_s=reply_timeout_s,
            on_back=self._back,
            on_push=self._pushed,
            watchers=self._watchers,
        )

    async def open(self) -> None:
        await self._connection.open()

    def check(self) -> None:
        """Return unless the server has refused to listen for us.

        Raises:
            BackendSetupError: as for a user whose ACL does not allow it.
        """
        if self._refusal is not None:
            raise to_messaging_error(self._refusal, self._connection.url) from self._refusal

    async def close(self) -> None:
        if self._asking_again is not None:
            self._asking_again.cancel()
        await self._connection.close()

    async def watch(self, channels: dict[bytes, Callable[[bytes], None]]) -> None:
        """Call these, with what is published, from now on; returns once the server knows of it."""
        fresh = [channel for channel in channels if channel not in self._watchers]
        for channel, call in channels.items():
            self._watchers.setdefault(channel, set()).add(call)
        loop = asyncio.get_running_loop()
        for channel in fresh:
            self._confirmations[channel] = loop.create_future()
        pipeline = self._connection.current()
        self._unheard.update(fresh)
        if fresh and pipeline is not None:
            pipeline.write(pack(("SUBSCRIBE", *fresh)))
        unconfirmed = [self._confirmations[c] for c in channels if c in self._confirmations]
        if unconfirmed:  # without a connection it will be confirmed later, and readers look anyway
            await asyncio.wait(unconfirmed, timeout=CONFIRM_TIMEOUT_S)

    def unwatch(self, channels: dict[bytes, Callable[[bytes], None]]) -> None:
        for channel, call in channels.items():
            watchers = self._watchers.get(channel, set())
            watchers.discard(call)
            if not watchers and self._watchers.pop(channel, None) is not None:
                self._unheard.discard(channel)
                if (waiting := self._confirmations.pop(channel, None)) and not waiting.done():
                    waiting.set_result(None)
                if pipeline := self._connection.current():
                    pipeline.write(pack(("UNSUBSCRIBE", channel)))

    async def _back(self, pipeline: Pipeline) -> None:
        self._unheard = set(self._watchers)
        if self._watchers:
            pipeline.write(pack(("SUBSCRIBE", *self._watchers)))

    def _pushed(self, message: Any) -> None:
        """Take whatever comes besides what is published."""
        if isinstance(message, hiredis.ReplyError):
            self._refused(message)
        # A PING on a connection without channels is answered by a word, not a list.
        if isinstance(message, list) and message[0] == b"subscribe":
            channel = message[1]
            self._confirmed(channel)
            for call in tuple(self._watchers.get(channel, ())):
                call(b"")  # whatever came before it was not heard, so look

    def _refused(self, error: hiredis.ReplyError) -> None:
        """To a PING, which asks for no more, or to SUBSCRIBE; then ask again."""
        if not self._unheard or self._asking_again is not None:
            return
        pause_s = ASK_AGAIN_S
        if not is_passing(error):
            pause_s = ASK_REFUSED_AGAIN_S
            if self._refusal is None:
                why = to_messaging_error(error, self._connection.url)
                self._announce("bus.deaf", f"{why}; until then messages are noticed late")
            self._refusal = error
        self._asking_again = asyncio.get_running_loop().call_later(pause_s, self._ask_again)

    def _ask_again(self) -> None:
        self._asking_again = None
        pipeline = self._connection.current()
        if self._unheard and pipeline is not None:
            pipeline.write(pack(("SUBSCRIBE", *self._unheard)))

    def _confirmed(self, channel: bytes) -> None:
        self._refusal = None
        self._unheard.discard(channel)
        if (confirmation := self._confirmations.pop(channel, None)) and not confirmation.done():
            confirmation.set_result(None)
