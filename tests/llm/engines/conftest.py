import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agents.llm.engines import EngineConfig
from agents.llm.engines.llamacpp_model import LlamaModel
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.local_model import LocalModel
from agents.llm.engines.scripted import ScriptedModel
from agents.llm.engines.transformers_model import open_model
from tests.llm.engines.gate import Gate, GatedModel
from tests.llm.engines.tiny_gguf import save_tiny_gguf

MakeEngine = Callable[..., LocalEngine]


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture(params=["scripted", "transformers", "llamacpp"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF file with a random Llama; its context window is 128 tokens."""
    return save_tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture
async def make_engine(
    backend: str, tiny_phi: Path, tiny_gguf: Path, gate: Gate
) -> AsyncIterator[MakeEngine]:
    """Engines of the backend under test, behind `gate`; closed afterwards, with no thread left."""
    before = {*threading.enumerate()}
    engines = []

    def make(**settings: Any) -> LocalEngine:
        model = str(tiny_gguf if backend == "llamacpp" else tiny_phi)
        config = EngineConfig(model=model, device="cpu", backend=backend, **settings)
        engines.append(LocalEngine(config, lambda: GatedModel(_open(config), gate)))
        return engines[-1]

    yield make
    gate.open()
    for engine in engines:
        await engine.close()
    assert not {t for t in threading.enumerate() if t.name.startswith("engine-")} - before


@pytest.fixture
def engine(make_engine: MakeEngine) -> LocalEngine:
    return make_engine()


def _open(config: EngineConfig) -> LocalModel:
    if config.backend == "scripted":
        return ScriptedModel(lambda _: "word " * 500, context_window=128)
    if config.backend == "llamacpp":
        return LlamaModel(Path(config.model), max_active=config.max_active, threads=1)
    return open_model(config)
