"""What answers of language models have cost, as observers ask for it: a `Spending` of telemetry."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from agents.llm.bus.messages import (
    ChatReply,
    CompletionReply,
    GenerationPromptResponse,
    StatefulReply,
)
from agents.llm.chat import AgentResponse
from agents.llm.dialogue.usage import Usage
from messaging.telemetry import Spent
from messaging.wire.envelope import Envelope
from messaging.wire.message import wire_type_of

# In the words of OpenTelemetry.
_CHAT, _COMPLETION, _AGENT = "chat", "text_completion", "invoke_agent"
_OPERATIONS: Mapping[str, str] = {
    wire_type_of(answer)[0]: operation
    for answer, operation in (
        (ChatReply, _CHAT),
        (AgentResponse, _CHAT),
        (CompletionReply, _COMPLETION),
        (StatefulReply, _AGENT),
    )
}

_WITHOUT_USAGE = wire_type_of(GenerationPromptResponse)[0]
MOST_NOTED = 1_000
_noted: OrderedDict[tuple[str, str], Spent] = OrderedDict()


def note_spending(agent: str, message_id: str, model: str, usage: Usage) -> None:
    """Keep what an answer has cost until it leaves, where the answer has no place to say so.

    Args:
        agent: that answers.
        message_id: of what it answers.
        model: that was asked.
        usage: what it cost.
    """
    _noted[agent, message_id] = Spent(
        operation=_COMPLETION,
        model=model,
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
    )
    while len(_noted) > MOST_NOTED:
        _noted.popitem(last=False)


def spent_on(envelope: Envelope) -> Spent | None:
    """What the answer in `envelope` has cost; None if it is no answer that says so.

    Give it to an observer: `MetricsObserver(registry, spending=spent_on)`.
    """
    operation = _OPERATIONS.get(envelope.type)
    if operation is None:
        is_noted = envelope.type == _WITHOUT_USAGE
        return _noted.get((envelope.sender, envelope.cause)) if is_noted else None
    answer = _fields_of(envelope)
    told = answer if "usage" in answer else answer.get("metadata") or {}
    try:
        usage = told["usage"]
        return Spent(
            operation=operation,
            model=str(told["model"]),
            input_tokens=int(usage["prompt_tokens"]),
            output_tokens=int(usage["completion_tokens"]),
            cached_tokens=int(usage["cached_tokens"]),
            finish_reason=str(told.get("finish_reason") or ""),
        )
    except (KeyError, TypeError, ValueError):  # an agent may put anything into its metadata
        return None


def _fields_of(envelope: Envelope) -> dict[str, Any]:
    message = envelope.message
    if isinstance(message, BaseModel):  # in memory it may travel without JSON
        return message.model_dump(include={"usage", "metadata", "model", "finish_reason"})
    fields: dict[str, Any] = from_json(envelope.payload)
    return fields
