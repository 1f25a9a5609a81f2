"""What a model writes and no message carries, such as integers past 64 bits.

Its text can always be sent. So a reply goes out without the value or the call that it means, and
says why: no answer is lost for it.
"""

from typing import TypeVar

from agents.llm.bus.messages import ChatReply, CompletionReply, Step, StepSaid
from messaging.errors import InvalidMessageError
from messaging.wire.message import Message, encode

R = TypeVar("R", ChatReply, CompletionReply)


def sendable(reply: R) -> R:
    """The reply without the value and the calls that cannot be sent; `problems` tells of each."""
    problems = list(reply.problems)
    changes: dict[str, object] = {}
    if reply.value is not None:
        is_chat = isinstance(reply, ChatReply)
        alone = reply.model_copy(update={"tool_calls": ()} if is_chat else {})
        if told := _problem("its value", alone):
            problems.append(told)
            changes["value"] = None
    if isinstance(reply, ChatReply) and reply.tool_calls:
        calls = []
        for call in reply.tool_calls:
            alone = reply.model_copy(update={"tool_calls": (call,), "value": None})
            if told := _problem(f"a call of {call.name!r}", alone):
                problems.append(told)
            else:
                calls.append(call)
        changes["tool_calls"] = tuple(calls)
    return reply.model_copy(update={**changes, "problems": tuple(problems)}) if changes else reply


def sendable_step(step: Step) -> Step:
    """The step without a value that cannot be sent, and why."""
    told = _problem("its value", StepSaid(number=1, max_steps=1, step=step))
    return step.model_copy(update={"value": None, "problem": told}) if told else step


def _problem(what: str, message: Message) -> str:
    """Why `message` cannot be sent; empty where it can."""
    try:
        encode(message)
    except InvalidMessageError as error:
        return f"{what} cannot be sent: {'; '.join(error.problems)}"
    return ""
