"""What is made of the real model, and kept."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import transformers

from agents.llm.engines import Engine, EngineConfig, create_engine
from agents.llm.engines.loading import load_pretrained
from agents.llm.engines.options import TransformersOptions
from agents.llm.models import SMOLLM2, cache_folder

_MADE_OF = f"{SMOLLM2.sha256[:16]}-transformers-{transformers.__version__}"


@pytest.fixture(scope="session")
def smollm2_folder(smollm2: Path) -> Path:
    """The same as transformers keeps models, in float32: converting takes longer than all tests."""
    folder = cache_folder() / "tests" / f"smollm2-{_MADE_OF}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as staging:
            made = Path(staging) / "model"
            config = EngineConfig(model=str(smollm2), device="cpu")
            for part in load_pretrained(config, TransformersOptions()):
                part.save_pretrained(made)
            with suppress(OSError):  # another process was quicker
                made.rename(folder)
    return folder


@pytest.fixture(scope="session")
def llama(smollm2: Path) -> Iterator[Engine]:
    """The model on llama.cpp, loaded."""
    del smollm2  # it is here now, and goes by its name
    config = EngineConfig(model="smollm2", backend="llamacpp", max_active=2, options={"threads": 1})
    engine = create_engine(config)
    asyncio.run(engine.load())
    yield engine
    asyncio.run(engine.close())
