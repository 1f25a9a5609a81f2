"""What the small real model says on transformers, as `auto` loads it on a CPU."""

from pathlib import Path

import pytest

from agents.llm.engines import EngineConfig, create_engine
from tests.llm.real.tasks import extracted, said


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_real_model_answers_and_extracts(smollm2_folder: Path) -> None:
    """One test: the model takes seconds to load, and would be loaded by each worker."""
    engine = create_engine(EngineConfig(model=str(smollm2_folder), device="cpu"))
    await engine.load()
    try:
        assert engine.capabilities.dtype == "float32"
        answer = await said(engine, "What is the capital of France?")
        found = await extracted(engine)
    finally:
        await engine.close()

    assert answer == "The capital of France is Paris."
    assert sum(found) >= 17
