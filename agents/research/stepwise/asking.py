"""What agents of long work do: ask for steps, end them, and answer all that wait."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

from agents.research.errors import WorkRefusedError
from agents.research.stepwise.work import Step, Work
from guild import Context
from messaging.wire.replies import Cancelled, RequestFailed

W = TypeVar("W", bound=Work[Any, Any])

_ERROR_CHARS = 2000


class Ask(NamedTuple):
    """A message that a step sends, and the role of its recipient."""

    step: str
    to: str
    message: BaseModel


class Asked(BaseModel):
    """Which step of which work a message asked for.

    Attributes:
        since: when that work began, since other work may have its name by now.
    """

    run: str
    step: str
    since: float | None = None


async def ask(
    what: Ask, work: Work[Any, Any], topic: str, ctx: Context, *, detached: bool = False
) -> None:
    """Send the message of `what` to `topic`, and remember that its answer ends the step."""
    message_id = ctx.send(what.message, topic, conversation=work.conversation, detached=detached)
    work.steps[what.step] = Step(agent=what.to, asked_at=time.time())
    asked = Asked(run=work.request.name, step=what.step, since=work.started_at)
    await ctx.state.save(_key(message_id), asked)


async def end_step(
    answer: BaseModel, load: Callable[[str, Context], Awaitable[W | None]], ctx: Context
) -> tuple[W, str] | None:
    """The work with the step that `answer` ends, and the name of the step.

    None where the answer came before, or the work was forgotten or began anew: then there is
    nothing to do, and nothing stays of the question.
    """
    key = _key(ctx.envelope.cause)
    asked = await ctx.state.load(key, Asked)
    if asked is not None:
        await ctx.state.delete(key)
    work = await load(asked.run, ctx) if asked is not None else None
    if asked is None or work is None or asked.since not in (None, work.started_at):
        ctx.log.info("research.answer_ignored", cause=ctx.envelope.cause)
        return None
    step = work.steps[asked.step]
    step.ended_at = time.time()
    if isinstance(answer, RequestFailed | Cancelled):
        step.error = _told(answer)
    else:
        step.answer = answer.model_dump(mode="json")
    ctx.log.info("research.step_ended", work=asked.run, step=asked.step, error=step.error or None)
    return work, asked.step


def answer_all(work: Work[Any, Any], message: BaseModel, ctx: Context) -> None:
    """Answer all that wait when this handling is committed."""
    for requester in work.waiting:
        ctx.answer(requester, message)
    work.waiting = []


def fail_all(work: Work[Any, Any], error_type: str, text: str, ctx: Context) -> None:
    """Tell all that wait that the work failed, and why."""
    for requester in work.waiting:
        failure = RequestFailed(
            message_id=requester.message_id,
            error_type=error_type,
            text=text,
            agent=ctx.group,
            attempts=1,
        )
        ctx.answer(requester, failure)
    work.waiting = []


def _key(message_id: str) -> str:
    return f"asked.{message_id}"


def _told(failure: RequestFailed | Cancelled) -> str:
    if isinstance(failure, Cancelled):
        text = f"cancelled{f': {failure.reason}' if failure.reason else ''}"
    else:
        is_refused = failure.error_type == WorkRefusedError.__name__  # its text tells the kind
        text = failure.text if is_refused else f"{failure.error_type}: {failure.text}"
    return text[:_ERROR_CHARS]
