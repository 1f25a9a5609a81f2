"""What a person is asked before a study costs anything, and what follows from the answers."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from agents.research.researcher.budget import Budget
from agents.research.researcher.state import Study
from agents.research.stepwise.asking import Ask
from guild.approvals import ApprovalDecision
from guild.asking import AskFirst, why_not

STUDY = "approval of the study"
LANGUAGE_MODEL = "approval of the language model"

Costly = Literal["study", "language_model"]


class StudyApprovals(AskFirst):
    """What of a study a person decides about; see its base.

    Attributes:
        before: `study`: before its data are fetched and anything is trained; without an approval
            it fails. `language_model`: before one is asked for proposals; without an approval the
            others propose.
    """

    before: tuple[Costly, ...] = Field(default=("study", "language_model"), min_length=1)


def approvals_of(study: Study, approvals: StudyApprovals | None) -> Sequence[Ask]:
    """What is to be asked before anything else."""
    request, asks = study.request, []
    if approvals is not None and "study" in approvals.before:
        what = f"Study {request.name}: find the best model for {request.dataset}"
        why = f"It may take {_told(request.budget)}, {request.parallel} trials at once."
        asks.append((STUDY, what, why))
    asks_model = "llm" in request.proposers and request.budget.tokens > 0
    if approvals is not None and "language_model" in approvals.before and asks_model:
        what = f"Study {request.name}: have a language model propose what to try"
        why = f"It may read and write {request.budget.tokens:,} tokens; without it others propose."
        asks.append((LANGUAGE_MODEL, what, why))
    if approvals is None:
        return []
    details = request.model_dump(mode="json")
    return [
        Ask(step, "approvals", approvals.request(what, why, details)) for step, what, why in asks
    ]


def why_refused(study: Study) -> str:
    """Why the study may not go on; "" where it may, or nothing is decided yet."""
    return _why_not(study, STUDY)


def may_ask_a_model(study: Study) -> bool:
    """Whether a language model may propose: it was not refused."""
    return not _why_not(study, LANGUAGE_MODEL)


def under_way(study: Study) -> Sequence[str]:
    """What is waited for, to be shown: a person has to be told to decide."""
    steps = study.under_way
    is_asked = STUDY in steps or LANGUAGE_MODEL in steps
    return ["a person decides first: guildbus approvals list"] if is_asked else steps


def _why_not(study: Study, step: str) -> str:
    decision = study.done(step, ApprovalDecision)
    if decision is not None:
        return "" if decision.approved else why_not(decision)
    return study.error(step)


def _told(budget: Budget) -> str:
    seconds = f"{budget.seconds:g} s" if budget.seconds is not None else ""
    trials = f"{budget.trials} trials" if budget.trials is not None else ""
    return " or ".join(filter(None, (seconds, trials)))
