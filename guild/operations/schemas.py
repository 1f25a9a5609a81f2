"""The messages of a guild: what they are called, what they hold, who handles and answers them."""

from collections.abc import Iterable, Mapping, Sequence
from inspect import cleandoc
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema

from guild.agent.contracts import HandlerContract
from guild.checking.plan import Plan
from guild.checking.schema import message_schema
from guild.errors import NoSuchMessageError
from guild.operations.view import View
from guild.suggest import closest
from messaging.wire.message import wire_type_of

MessageClass = type[BaseModel]


class MessageInfo(View):
    """One class of messages that may travel in the guild.

    Attributes:
        type: wire name, and `@version` behind it from the second version on.
        title: name of the class.
        description: its docstring, "" without one of its own.
        topics: topics and patterns on which an agent of the spec takes it.
        handled_by: ids of the agents that handle it.
        answers: types that they may answer with.
        emits: types that they may show meanwhile.
        json_schema: of its data.
    """

    type: str
    title: str
    description: str
    topics: tuple[str, ...]
    handled_by: tuple[str, ...]
    answers: tuple[str, ...]
    emits: tuple[str, ...]
    json_schema: Mapping[str, Any]


def schemas_of(plan: Plan) -> Sequence[MessageInfo]:
    """Every message class that may travel, by type; those that agents handle come first."""
    infos = [_info(plan, message_class) for message_class in plan.messages]
    return sorted(infos, key=lambda info: (not info.handled_by, info.type))


def schema_of(plan: Plan, type_name: str) -> MessageInfo:
    """The class that goes by this wire name or class name.

    Raises:
        NoSuchMessageError: there is none; names the nearest, or all that an agent handles.
    """
    return _info(plan, message_class_of(plan, type_name))


def message_class_of(plan: Plan, type_name: str) -> MessageClass:
    """The class that goes by this wire name or class name in the guild.

    Raises:
        NoSuchMessageError: there is none; names the nearest, or all that an agent handles.
    """
    message_class = plan.messages.find(type_name)
    if message_class is not None:
        return message_class
    handled = {message for agent in plan.agents.values() for message in agent.accepted()}
    names = {wire_type_of(each).name for each in handled}
    near = closest(type_name, names | {each.__name__ for each in handled})
    hint = f"did you mean {near!r}?" if near else f"its agents handle {', '.join(sorted(names))}"
    raise NoSuchMessageError(f"{plan.spec.id} has no message {type_name!r}; {hint}")


def _info(plan: Plan, message_class: MessageClass) -> MessageInfo:
    contracts = _contracts(plan, message_class)
    takers = [agent for agent in plan.spec.agents if agent.id in contracts]
    return MessageInfo(
        type=str(wire_type_of(message_class)),
        title=message_class.__name__,
        description=cleandoc(message_class.__dict__.get("__doc__") or ""),
        topics=tuple(dict.fromkeys(topic for agent in takers for topic in agent.topics)),
        handled_by=tuple(contracts),
        answers=_names(m for c in contracts.values() for m in (*c.returns, *c.answers)),
        emits=_names(message for each in contracts.values() for message in each.emits),
        json_schema=_json_schema(message_class),
    )


def _contracts(plan: Plan, message_class: MessageClass) -> Mapping[str, HandlerContract]:
    """By agent of the spec, the handler of this class."""
    accepted = {agent.id: plan.agents[agent.id].accepted() for agent in plan.spec.agents}
    return {
        agent: handlers[message_class]
        for agent, handlers in accepted.items()
        if message_class in handlers
    }


def _names(classes: Iterable[MessageClass]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(wire_type_of(each)) for each in classes))


def _json_schema(message_class: MessageClass) -> Mapping[str, Any]:
    try:
        return message_schema(message_class)
    except PydanticInvalidForJsonSchema as error:  # one odd field hides no other message
        return {"$comment": f"no schema can be told: {str(error).splitlines()[0]}"}
