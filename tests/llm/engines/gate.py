"""A model whose steps a test counts and lets through one by one."""

import time
from collections.abc import Sequence
from typing import Any

from agents.llm.engines.local_model import DecodingState, LocalModel


class Gate:
    """How many steps there have been, and how many more may happen; open at first."""

    def __init__(self) -> None:
        self.steps = 0
        self.allowed = float("inf")

    def close(self, *, after: int = 0) -> None:
        self.allowed = self.steps + after

    def open(self) -> None:
        self.allowed = float("inf")


class GatedModel:
    """Passes everything on to a real model, but takes no step while the gate is closed."""

    def __init__(self, model: LocalModel, gate: Gate) -> None:
        self._model = model
        self._gate = gate

    def step(self, states: Sequence[DecodingState]) -> list[int | Exception | None]:
        if self._gate.steps >= self._gate.allowed:
            time.sleep(0.0005)  # a slow step, not a wait for anything
            return [None] * len(states)
        outcomes = self._model.step(states)
        # One that only waited for a model that computes ahead was none.
        self._gate.steps += any(outcome is not None for outcome in outcomes)
        return outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)
