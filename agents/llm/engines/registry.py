"""Models that their users share, freed when they were not used for a while."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import EngineClosedError
from agents.llm.engines.factory import create_engine

DEFAULT_IDLE_UNLOAD_S = 300.0


class ModelRegistry:
    """Leases engines: equal configurations share one, loaded once.

    Belongs to one event loop. Close it, or use it as an async context manager.

    Args:
        idle_unload_s: seconds without a lease after which a model is freed; None for never.
        create: makes an engine from its configuration.
    """

    def __init__(
        self,
        *,
        idle_unload_s: float | None = DEFAULT_IDLE_UNLOAD_S,
        create: Callable[[EngineConfig], Engine] = create_engine,
    ) -> None:
        self._idle_unload_s = idle_unload_s
        self._create = create
        self._shared: dict[str, _Shared] = {}
        self._is_closed = False

    @asynccontextmanager
    async def lease(self, config: EngineConfig) -> AsyncIterator[Engine]:
        """A loaded engine for `config`; it stays loaded while the block runs.

        Raises:
            LLMInitializationError: it cannot be loaded; the next lease tries again.
            EngineClosedError: the registry was closed.
        """
        shared = await self._take(config)
        try:
            await shared.engine.load()
            yield shared.engine
        finally:
            self._give_back(shared)

    @property
    def memory_bytes(self) -> int:
        """What all loaded models occupy, caches included."""
        return sum(shared.engine.stats.memory_bytes for shared in self._shared.values())

    @property
    def loaded(self) -> list[str]:
        """The names of the models that are loaded."""
        engines = ((s.config.model, s.engine) for s in self._shared.values())
        return sorted(name for name, engine in engines if engine.stats.is_loaded)

    async def free_unused(self) -> None:
        """Free every model that is not leased now, and wait until they are freed."""
        unused = [shared for shared in self._shared.values() if shared.leases == 0]
        await asyncio.gather(*(self._unload(shared) for shared in unused))

    async def close(self) -> None:
        """Refuse new leases, close every engine and wait for their threads."""
        self._is_closed = True
        await asyncio.gather(*(self._unload(shared) for shared in list(self._shared.values())))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _take(self, config: EngineConfig) -> "_Shared":
        # A model that is being freed is waited for: two copies might not fit into memory.
        while (shared := self._shared.get(config.key)) and shared.unloading:
            await asyncio.shield(shared.unloading)
        if self._is_closed:
            raise EngineClosedError(f"{config.model}: the registry of models is closed")
        if shared is None:
            shared = self._shared[config.key] = _Shared(config, self._create(config))
        shared.leases += 1
        shared.stop_timer()
        return shared

    def _give_back(self, shared: "_Shared") -> None:
        shared.leases -= 1
        if shared.leases == 0 and not shared.unloading and self._idle_unload_s is not None:
            loop = asyncio.get_running_loop()
            shared.timer = loop.call_later(self._idle_unload_s, self._unload_if_idle, shared)

    def _unload_if_idle(self, shared: "_Shared") -> None:
        shared.timer = None
        if shared.engine.stats.active or shared.engine.stats.queue_length:
            shared.leases += 1  # somebody kept a generation beyond the lease: wait for another turn
            self._give_back(shared)
        else:
            self._begin_unloading(shared)

    async def _unload(self, shared: "_Shared") -> None:
        await asyncio.shield(self._begin_unloading(shared))

    def _begin_unloading(self, shared: "_Shared") -> "asyncio.Task[None]":
        shared.stop_timer()
        if shared.unloading is None:
            shared.unloading = asyncio.create_task(self._free(shared))
        return shared.unloading

    async def _free(self, shared: "_Shared") -> None:
        try:
            await shared.engine.close()
        finally:
            del self._shared[shared.config.key]


class _Shared:
    """An engine, who uses it, and what is going to happen to it."""

    def __init__(self, config: EngineConfig, engine: Engine) -> None:
        self.config = config
        self.engine = engine
        self.leases = 0
        self.timer: asyncio.TimerHandle | None = None
        self.unloading: asyncio.Task[None] | None = None

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
