"""Wakes readers: one more connection listens for "this topic has something".

Nobody blocks in the server, so that a process needs two connections however many topics and
consumers it has, and a cancelled reader cannot take a batch with it. A lost wake-up costs
nothing but time: readers also look by themselves now and then, and after a reconnection.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from messaging.backends.redis.link import Address, Link
from messaging.backends.redis.pipeline import Pipeline, pack

CONFIRM_TIMEOUT_S = 1.0


class Wakes:
    """Calls whoever watches a channel when something is published there."""

    def __init__(self, address: Address, *, give_up_after_s: float, reply_timeout_s: float) -> None:
        self._watchers: dict[bytes, set[Callable[[bytes], None]]] = {}
        self._confirmations: dict[bytes, asyncio.Future[None]] = {}
        self._link = Link(
            address,
            give_up_after_s=give_up_after_s,
            reply_timeout_s=reply_timeout_s,
            on_back=self._back,
            on_push=self._pushed,
        )

    async def open(self) -> None:
        await self._link.open()

    async def close(self) -> None:
        await self._link.close()

    async def watch(self, channels: dict[bytes, Callable[[bytes], None]]) -> None:
        """Call these, with what is published, from now on; returns once the server knows of it."""
        fresh = [channel for channel in channels if channel not in self._watchers]
        for channel, call in channels.items():
            self._watchers.setdefault(channel, set()).add(call)
        loop = asyncio.get_running_loop()
        for channel in fresh:
            self._confirmations[channel] = loop.create_future()
        pipeline = self._link.current()
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
                if (waiting := self._confirmations.pop(channel, None)) and not waiting.done():
                    waiting.set_result(None)
                if pipeline := self._link.current():
                    pipeline.write(pack(("UNSUBSCRIBE", channel)))

    async def _back(self, pipeline: Pipeline) -> None:
        if self._watchers:
            pipeline.write(pack(("SUBSCRIBE", *self._watchers)))

    def _pushed(self, message: list[Any]) -> None:
        kind, channel = message[0], message[1]
        if kind == b"subscribe":  # whatever came before it was not heard, so look
            news = b""
            if (confirmation := self._confirmations.pop(channel, None)) and not confirmation.done():
                confirmation.set_result(None)
        elif kind == b"message":
            news = message[2]
        else:
            return
        for call in tuple(self._watchers.get(channel, ())):
            call(news)
