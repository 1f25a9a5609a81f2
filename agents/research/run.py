"""The state of a run: which steps were asked for, and what came back."""

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from agents.research.study import ResearchReport, ResearchRequest
from messaging.context import Requester

A = TypeVar("A", bound=BaseModel)

MOST_WAITING = 16


class Step(BaseModel):
    """One thing that was asked of an agent.

    Attributes:
        answer: the answer's fields as JSON, once it is there.
    """

    model_config = ConfigDict(extra="forbid")

    agent: str
    asked_at: float
    ended_at: float | None = None
    answer: dict[str, Any] | None = None
    error: str = ""

    @property
    def status(self) -> Literal["asked", "done", "failed"]:
        if self.ended_at is None:
            return "asked"
        return "failed" if self.error else "done"


class Run(BaseModel):
    """A run as it is stored; every change leaves in the commit of the message that caused it.

    Attributes:
        conversation: in which its steps are asked for, so that whoever asked last sees them.
        waiting: everybody who asked for this run and has no answer yet.
        report: the answer, once the run is over.
        is_failed: nothing worked; the next request begins anew.
    """

    model_config = ConfigDict(extra="forbid")

    request: ResearchRequest
    started_at: float
    conversation: str = ""
    steps: dict[str, Step] = {}
    waiting: list[Requester] = []
    report: ResearchReport | None = None
    is_failed: bool = False

    def attach(self, requester: Requester | None, conversation: str) -> None:
        """Remember one more who wants the answer, and show progress where they look."""
        self.conversation = conversation
        if requester is not None and requester not in self.waiting:
            self.waiting = [*self.waiting, requester][-MOST_WAITING:]

    def done(self, step: str, model: type[A]) -> A | None:
        """The answer to `step`, None while there is none or if it failed."""
        taken = self.steps.get(step)
        if taken is None or taken.answer is None:
            return None
        return model.model_validate(taken.answer)

    @property
    def is_over(self) -> bool:
        return self.is_failed or self.report is not None

    @property
    def is_waiting_for_answers(self) -> bool:
        return any(step.status == "asked" for step in self.steps.values())

    @property
    def ended_steps(self) -> int:
        return sum(step.status != "asked" for step in self.steps.values())


class Asked(BaseModel):
    """Which step of which run a message asked for."""

    run: str
    step: str
