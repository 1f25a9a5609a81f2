"""The state of a study: what was planned, what was asked and what came back."""

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from agents.ml.selection.facts import Facts
from agents.research.researcher.messages import (
    DataDealt,
    StudyReport,
    StudyRequest,
)
from agents.research.researcher.space import Recipe
from agents.research.run import Step
from messaging.context import Requester

A = TypeVar("A", bound=BaseModel)
MOST_WAITING = 16


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Candidate(_Part):
    """A recipe that is tried.

    Attributes:
        recipe: None until the language model that proposes it has answered.
        parents: the candidates it was made from.
        why: in words.
    """

    name: str
    proposer: str
    parents: tuple[str, ...] = ()
    why: str = ""
    recipe: Recipe | None = None


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


class Study(_Part):
    """A study as it is stored; every change leaves in the commit of the message that caused it.

    Attributes:
        elapsed_s: how long it has been at work.
        clock_at: until when that was counted.
        trials: in the order in which they were planned, on which everything by chance depends.
    """

    request: StudyRequest
    started_at: float
    elapsed_s: float = 0.0
    clock_at: float
    conversation: str = ""
    steps: dict[str, Step] = {}
    candidates: dict[str, Candidate] = {}
    trials: list[Trial] = []
    tokens: int = 0
    waiting: list[Requester] = []
    report: StudyReport | None = None
    is_failed: bool = False

    def attach(self, requester: Requester | None, conversation: str) -> None:
        """Remember one more who wants the answer, and show progress where they look."""
        self.conversation = conversation
        if requester is not None and requester not in self.waiting:
            self.waiting = [*self.waiting, requester][-MOST_WAITING:]

    def tick(self, now: float, longest_s: float) -> None:
        """Count the time since the last tick; what is longer than any trial was no work.

        The clock starts with the data: what workers take to start is no time of the study's.
        """
        if self.trials:
            self.elapsed_s += min(max(0.0, now - self.clock_at), longest_s)
        self.clock_at = now

    def done(self, step: str, model: type[A]) -> A | None:
        """The answer to `step`, None while there is none or if it failed."""
        taken = self.steps.get(step)
        if taken is None or taken.answer is None:
            return None
        return model.model_validate(taken.answer)

    def failed(self, step: str) -> bool:
        return step in self.steps and self.steps[step].status == "failed"

    def has_ended(self, step: str) -> bool:
        return step in self.steps and self.steps[step].status != "asked"

    def error(self, step: str) -> str:
        return self.steps[step].error if step in self.steps else ""

    @property
    def facts(self) -> Facts | None:
        dealt = self.done("data", DataDealt)
        return dealt.facts if dealt is not None else None

    @property
    def is_over(self) -> bool:
        return self.is_failed or self.report is not None

    @property
    def is_waiting_for_answers(self) -> bool:
        return any(step.status == "asked" for step in self.steps.values())
