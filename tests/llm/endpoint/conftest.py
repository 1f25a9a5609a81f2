from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest

from agents.llm.endpoint import create_app, serving
from agents.llm.engines import Engine, EngineConfig, ModelRegistry
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.scripted import ScriptedModel
from agents.llm.engines.transformers_model import open_model
from tests.llm.engines.gate import Gate, GatedModel
from tests.llm.tiny_phi import save_tiny_phi

Start = Callable[..., Any]


class Served:
    """A server under test: its URL, its engine behind a gate, and clients of it."""

    def __init__(self, url: str, registry: ModelRegistry, stack: AsyncExitStack) -> None:
        self.url = url
        self.registry = registry
        self.gate = Gate()
        self.engines: list[LocalEngine] = []
        self.configs: dict[str, EngineConfig] = {}
        self._stack = stack

    async def client(self, **settings: Any) -> openai.AsyncOpenAI:
        given = {"base_url": self.url, "api_key": "unused", "max_retries": 0, **settings}
        return await self._stack.enter_async_context(openai.AsyncOpenAI(**given))


@pytest.fixture(scope="session")
def roomy_phi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Phi with room for descriptions of tools."""
    folder = tmp_path_factory.mktemp("models") / "roomy-phi"
    return save_tiny_phi(folder, context_window=1024)


@pytest.fixture
async def start(roomy_phi: Path) -> AsyncIterator[Start]:
    """Starts a server of one model: `tiny`, a random Phi, or `script`, where there is one."""
    async with AsyncExitStack() as stack:

        async def start(script: Any = None, *, config: Any = None, **settings: Any) -> Served:
            gate, engines = Gate(), []

            def create(config: EngineConfig) -> Engine:
                def opened() -> Any:
                    model: Any = (
                        open_model(config)
                        if config.backend == "transformers"
                        else ScriptedModel(script, config.context_window or 2048)
                    )
                    return GatedModel(model, gate)

                engines.append(LocalEngine(config, opened))
                return engines[-1]

            registry = await stack.enter_async_context(ModelRegistry(create=create))
            stack.callback(gate.open)
            config = config or {}
            model = {
                "tiny": EngineConfig(model=str(roomy_phi), device="cpu", **config),
                "script": EngineConfig(model="script", backend="scripted", **config),
            }["tiny" if script is None else "script"]
            name = "tiny" if script is None else "script"
            app = create_app({name: model}, registry, **settings)
            url = await stack.enter_async_context(serving(app))
            served = Served(url, registry, stack)
            served.gate, served.engines, served.configs = gate, engines, {name: model}
            return served

        yield start
