"""The state of long work: which steps were asked for, and what came back."""

from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from messaging.handling.context import Requester

A = TypeVar("A", bound=BaseModel)
Q = TypeVar("Q", bound=BaseModel)
R = TypeVar("R", bound=BaseModel)

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


class Work(BaseModel, Generic[Q, R]):
    """Work as it is stored; every change leaves in the commit of the message that caused it.

    Attributes:
        request: what it was asked for.
        conversation: in which its steps are asked for, so that the last requester sees them.
        waiting: all requesters that have no answer yet.
        report: the answer, once the work is over.
        is_failed: nothing worked; the next request begins anew.
    """

    model_config = ConfigDict(extra="forbid")

    request: Q
    started_at: float
    conversation: str = ""
    steps: dict[str, Step] = {}
    waiting: list[Requester] = []
    report: R | None = None
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

    def failed(self, step: str) -> bool:
        return step in self.steps and self.steps[step].status == "failed"

    def has_ended(self, step: str) -> bool:
        return step in self.steps and self.steps[step].status != "asked"

    def error(self, step: str) -> str:
        return self.steps[step].error if step in self.steps else ""

    @property
    def errors(self) -> list[str]:
        return [f"{name}: {step.error}" for name, step in self.steps.items() if step.error]

    @property
    def under_way(self) -> list[str]:
        """The steps that are asked for and have no answer yet."""
        return [name for name, step in self.steps.items() if step.status == "asked"]

    @property
    def is_over(self) -> bool:
        return self.is_failed or self.report is not None
