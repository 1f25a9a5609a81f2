"""The engine under test, around a model that is in this process already."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents.llm.engines import EngineConfig
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.local_model import DecodingState, LocalModel, Outcome
from agents.llm.engines.options import TransformersOptions
from agents.llm.engines.transformers_model import TransformersModel
from benchmarks.llm.report import Report
from benchmarks.llm.sizes import Size

WINDOW = 2048


class Counted:
    """A model that counts its steps, and knows at which one an answer was forgotten last."""

    def __init__(self, model: TransformersModel) -> None:
        self._model = model
        self.steps = 0
        self.ended_at = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def step(self, states: Sequence[DecodingState]) -> list[Outcome]:
        outcomes = self._model.step(states)
        self.steps += 1
        return outcomes

    def end(self, state: DecodingState) -> None:
        self._model.end(state)
        self.ended_at = self.steps


@dataclass
class Subject:
    """What is measured, and with what.

    Attributes:
        folder: the saved model, for those who load it for themselves.
        file: the same weights as a GGUF file of float32; None on a GPU.
        model: loaded; its linear layers change when int8 is measured.
        counted: the model of the engine that was opened last.
    """

    folder: Path
    file: Path | None
    model: Any
    tokenizer: Any
    size: Size
    device: str
    threads: int
    report: Report
    counted: Counted | None = None

    @property
    def is_exact(self) -> bool:
        """Whether tokens must be those of `generate`."""
        return self.size.dtype == "float32"

    @asynccontextmanager
    async def engine(self, **options: Any) -> AsyncIterator[LocalEngine]:
        """An engine of its own; its model counts steps."""
        config = EngineConfig(
            model=str(self.folder), device=self.device, max_active=self.size.answers
        )
        threads = self.threads

        def open_model() -> LocalModel:
            torch.set_num_threads(threads)  # it counts for the thread that sets it
            wanted = TransformersOptions(**options)
            model = TransformersModel(self.model, self.tokenizer, WINDOW, wanted)
            self.counted = Counted(model)
            return cast(LocalModel, self.counted)

        engine = LocalEngine(config, open_model)
        await engine.load()
        try:
            yield engine
        finally:
            await engine.close()


def load(folder: Path, dtype: str, device: str) -> tuple[Any, Any]:
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    return model.to(device).eval(), AutoTokenizer.from_pretrained(folder)
