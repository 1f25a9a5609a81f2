"""The models of this process's agents: each loaded once, freed when the last agent lets go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from weakref import WeakKeyDictionary

from agents.llm.engines import Engine, EngineConfig, ModelRegistry

_registries: "WeakKeyDictionary[asyncio.AbstractEventLoop, ModelRegistry]" = WeakKeyDictionary()


def shared_models() -> ModelRegistry:
    """The registry of the running event loop, which all agents share that are given none."""
    loop = asyncio.get_running_loop()
    if loop not in _registries:
        _registries[loop] = ModelRegistry()
    return _registries[loop]


class HeldModel:
    """A model that stays loaded from its first use until it is let go.

    An agent that is collected as garbage lets go, too: its model is freed when it has been idle
    for a while. Each event loop that uses the agent has the model for itself.
    """

    def __init__(self, config: EngineConfig, models: ModelRegistry | None = None) -> None:
        self._config = config
        self._given = models
        self._models: ModelRegistry | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lease: AbstractAsyncContextManager[Engine] | None = None
        self._engine: Engine | None = None
        self._lock = asyncio.Lock()

    @property
    def is_loaded(self) -> bool:
        return self._engine is not None and self._engine.stats.is_loaded

    @asynccontextmanager
    async def use(self) -> AsyncIterator[Engine]:
        """The engine; its model is loaded and stays so while the block runs.

        Raises:
            LLMInitializationError: it cannot be loaded; the next use tries again.
        """
        models = await self._hold()
        try:
            async with models.lease(self._config) as engine:
                yield engine
        finally:
            if self._lease is None:  # it was let go meanwhile
                await models.free_unused()

    async def let_go(self) -> None:
        """Free the model, unless another agent holds it; what runs now may end first."""
        async with self._lock:
            models, lease = self._models, self._lease
            self._models = self._lease = self._engine = None
        if lease is not None and models is not None:
            await lease.__aexit__(None, None, None)
            await models.free_unused()

    async def _hold(self) -> ModelRegistry:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Another loop's lease cannot be given back any more; its engine ends with it.
            self._loop, self._lock = loop, asyncio.Lock()
            self._models = self._lease = self._engine = None
        async with self._lock:
            if self._lease is None or self._models is None:
                models = self._given or shared_models()
                lease = models.lease(self._config)
                self._engine = await lease.__aenter__()
                self._models, self._lease = models, lease
            return self._models
