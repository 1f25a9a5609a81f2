"""From a wire name and JSON data to a message, and to the topic where it is handled."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from guild.agent.contracts import reader_of
from guild.checking.parts import listens
from guild.checking.plan import Plan
from guild.checking.validation import with_hints
from guild.operations.schemas import message_class_of
from messaging.errors import InvalidMessageError
from messaging.wire.envelope import split_tags
from messaging.wire.json_limits import TOO_DEEP, is_too_deep
from messaging.wire.message import problems_of, wire_type_of
from messaging.wire.topic import DEFAULT_TOPIC, inbox_of, is_pattern


def compose(plan: Plan, type_name: str, data: Any) -> BaseModel:
    """The message of this type with this data, which is what JSON was read as.

    Raises:
        NoSuchMessageError: the guild has no message of that name.
        InvalidMessageError: the data does not fit it; `problems` has a line for each field.
    """
    message_class = message_class_of(plan, type_name)
    name = str(wire_type_of(message_class))
    try:
        text = json.dumps(data)
    except RecursionError:
        raise InvalidMessageError(name, (TOO_DEEP,)) from None
    except (TypeError, ValueError) as error:
        raise InvalidMessageError(name, (f"the data is not JSON: {error}",)) from None
    if is_too_deep(text.encode()):
        raise InvalidMessageError(name, (TOO_DEEP,))
    try:
        return message_class.model_validate_json(text)
    except ValidationError as error:
        raise InvalidMessageError(name, with_hints(problems_of(error), message_class)) from None


def topic_for(plan: Plan, message: BaseModel, wanted: str | None) -> str:
    """The topic that is wanted; else where an agent handles `message`, or the default topic."""
    if wanted is not None:
        return wanted
    for agent in plan.spec.agents:
        plain = [topic for topic in agent.topics if not is_pattern(topic)]
        if plain and reader_of(plan.agents[agent.id].accepted(), type(message)):
            return plain[0]
    return DEFAULT_TOPIC


def conversation_of(message: BaseModel) -> str:
    """The conversation that a message names itself, "" if it names none.

    A type with a `conversation` property is asked in that one, so that a caller that asks
    again, such as after a crash, sees what the first request caused.
    """
    is_named = isinstance(getattr(type(message), "conversation", None), property)
    return str(message.conversation) if is_named else ""  # type: ignore[attr-defined] # just looked


def handlers_of(plan: Plan, message: type[BaseModel], topic: str, tags: str = "") -> Sequence[str]:
    """Ids of the agents of the spec that handle `message` on `topic` if it has these joined tags.

    Tags keep a message only from the agents that act only when tagged, as they do at work.
    """
    addressed = split_tags(tags)
    return [
        agent.id
        for agent in plan.spec.agents
        if listens(agent, topic)
        and (
            not (addressed and agent.only_when_tagged)
            or agent.id in addressed
            or topic == inbox_of(agent.id)
        )
        and reader_of(plan.agents[agent.id].accepted(), message)
    ]


def described(message: BaseModel) -> Mapping[str, Any]:
    """`message` as JSON documents carry it: its wire name and its data."""
    return {"type": str(wire_type_of(type(message))), "data": message.model_dump(mode="json")}
