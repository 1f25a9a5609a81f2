"""The state of a study: what was planned, what was asked and what came back."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.ml.selection.facts import Facts
from agents.research.researcher.messages import (
    DataDealt,
    StudyReport,
    StudyRequest,
)
from agents.research.researcher.space import Recipe
from agents.research.stepwise.work import Work


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Candidate(_Part):
    """A recipe that is tried.

    Attributes:
        recipe: None until the language model that proposes it has answered.
        parents: the candidates it was made from.
        why: in words.
        is_repeat: what was proposed had been tried, and is something else in `recipe`.
    """

    name: str
    proposer: str
    parents: tuple[str, ...] = ()
    why: str = ""
    recipe: Recipe | None = None
    is_repeat: bool = False


class Trial(_Part):
    """One training of a candidate, or one classical model on all folds.

    Attributes:
        rung: how far up the ladder of ever longer trainings; a classical model has none.
        record: its id in the experiment store, once it was asked for.
    """

    number: int
    kind: Literal["quick", "full", "baseline"]
    candidate: str
    rung: int = 0
    fold: int = 0
    epochs: int = 0
    record: str = ""

    @property
    def step(self) -> str:
        return f"trial {self.number}"

    @property
    def id(self) -> str:
        return f"{self.number:04d}"


class Study(Work[StudyRequest, StudyReport]):
    """The state of a study; see `Work`.

    Attributes:
        elapsed_s: how long it has been at work, from its first trial on: what workers take to
            start is no time of the study's.
        clock_at: until when that was counted.
        trials: in the order in which they were planned, on which everything by chance depends.
    """

    elapsed_s: float = 0.0
    clock_at: float
    candidates: dict[str, Candidate] = Field(default={})
    trials: list[Trial] = Field(default=[])
    tokens: int = 0

    @property
    def facts(self) -> Facts | None:
        dealt = self.done("data", DataDealt)
        return dealt.facts if dealt is not None else None
