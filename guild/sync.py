"""A guild for scripts without an event loop: it runs in a thread of its own.

with launch_sync(spec) as guild:
    reply = guild.request("default_topic", GenerationPromptRequest(generation_prompt="…"))
"""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Self, TypeVar, Unpack

from pydantic import BaseModel

from guild.client import GuildClient, Receipt, Receipts
from guild.errors import GuildNotRunningError
from guild.runtime import Guild, GuildStatus
from guild.spec.spec import GuildSpec
from messaging.client.options import PublishManyOptions, PublishOptions
from messaging.errors import BusForkedError

T = TypeVar("T")

GRACE_S = 10.0

_END = object()


def launch_sync(spec: GuildSpec, **options: Any) -> "SyncGuild":
    """`Guild.launch` for a plain `with`; `options` are the same.

    Raises:
        SpecError: everything that is wrong with the spec.
        MissingExtraError: an agent needs packages that are not installed.
    """
    return SyncGuild(Guild.launch(spec, **options))


class BackgroundLoop:
    """An event loop in a thread of its own, for callers who have none or whose own is busy."""

    def __init__(self, name: str) -> None:
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    @property
    def is_inherited(self) -> bool:
        """Whether it belongs to the process from which this one was forked."""
        return self._pid != os.getpid()

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin `work` there.

        Raises:
            RuntimeError: the loop was closed.
            BusForkedError: it runs in the process from which this one was forked.
        """
        if self.is_inherited:
            work.close()
            raise BusForkedError
        if self._loop.is_closed():
            work.close()
            raise RuntimeError(f"the {self._thread.name} is closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for `work`; it is cancelled when the waiting is interrupted."""
        future = self.start(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancel what still runs there, let it clean up, and stop; not in a forked child."""
        if self.is_inherited:
            return
        self.run(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            if not task.cancelling():  # or it would be disturbed as it cleans up
                task.cancel()
        if others:
            await asyncio.wait(others, timeout=GRACE_S)
        await self._loop.shutdown_default_executor()


class SyncGuild:
    """A guild on a loop in the background. Any thread may use it, a handler's may not."""

    def __init__(self, guild: Guild) -> None:
        self._guild = guild
        self._loop: BackgroundLoop | None = None

    @property
    def status(self) -> GuildStatus:
        return self._guild.status

    def __enter__(self) -> Self:
        self._loop = BackgroundLoop("guild")
        try:
            self._run(self._guild.start())
        except BaseException:
            self._stop_loop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._loop.is_inherited:
            return
        try:
            self._run(self._guild.close())
        finally:
            self._stop_loop()

    def publish(self, topic: str, message: BaseModel, **options: Unpack[PublishOptions]) -> Receipt:
        """As `GuildClient.publish`."""
        return self._run(self._client.publish(topic, message, **options))

    def publish_many(
        self, topic: str, messages: Iterable[BaseModel], **options: Unpack[PublishManyOptions]
    ) -> Receipts:
        """As `GuildClient.publish_many`."""
        return self._run(self._client.publish_many(topic, messages, **options))

    def request(self, topic: str, message: BaseModel, **options: Any) -> Any:
        """As `GuildClient.request`."""
        return self._run(self._client.request(topic, message, **options))

    def stream(self, topic: str, message: BaseModel, **options: Any) -> Iterator[Any]:
        """As `GuildClient.stream`; leaving early stops following, not the work."""
        loop, items = self._running_loop, self._client.stream(topic, message, **options)

        async def next_item() -> Any:
            return await anext(items, _END)

        try:
            while (item := loop.run(next_item())) is not _END:
                yield item
        finally:
            # Not waited for: it may be the loop's own thread that collects this as garbage.
            with suppress(BusForkedError, RuntimeError):
                loop.start(items.aclose())

    def cancel(self, message_id: str, reason: str = "") -> None:
        """As `GuildClient.cancel`."""
        self._run(self._client.cancel(message_id, reason))

    @property
    def _client(self) -> GuildClient:
        return self._guild.client

    @property
    def _running_loop(self) -> BackgroundLoop:
        if self._loop is None:
            raise GuildNotRunningError("the guild is not running; use it within `with`")
        return self._loop

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._running_loop.run(work)

    def _stop_loop(self) -> None:
        loop, self._loop = self._running_loop, None
        loop.close()
