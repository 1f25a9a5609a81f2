"""Answers for everybody that asked for the same long work and waits for it."""

from collections.abc import Iterable

from pydantic import BaseModel

from guild import Context
from messaging.context import Requester
from messaging.failure import RequestFailed


def answer_all(waiting: Iterable[Requester], ctx: Context, message: BaseModel) -> None:
    """Answer each of them when this handling is committed."""
    for requester in waiting:
        ctx.answer(requester, message)


def fail_all(waiting: Iterable[Requester], ctx: Context, error_type: str, text: str) -> None:
    """Tell each of them that the work failed, and why."""
    for requester in waiting:
        failure = RequestFailed(
            message_id=requester.message_id,
            error_type=error_type,
            text=text,
            agent=ctx.group,
            attempts=1,
        )
        ctx.answer(requester, failure)
