"""Sends what an agent gives to further topics, as the routes of the spec say."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jmespath
import structlog
from jmespath.exceptions import JMESPathError, JMESPathTypeError
from pydantic import BaseModel, ValidationError

from guild.agent import Agent
from guild.errors import RouteError
from guild.spec import RouteSpec
from messaging.envelope import Envelope
from messaging.message import MessageRegistry, problems_of, wire_type_of
from messaging.subscription import Routed

log = structlog.get_logger()


class Router:
    """Where the messages of one agent go besides their usual way.

    Args:
        agent_id: whose messages.
        agent_class: what it declares to send; anything else is told to the log, once.
        routes: all routes of the guild.
        messages: the classes that routes name.
    """

    def __init__(
        self,
        agent_id: str,
        agent_class: type[Agent[Any]],
        routes: Sequence[RouteSpec],
        messages: MessageRegistry,
    ) -> None:
        self._agent_id = agent_id
        self._undeclared_told = {
            given
            for contract in agent_class.contracts.values()
            for given in (*contract.returns, *contract.sends, *contract.answers)
        }
        self._routes: dict[type[BaseModel], list[_Route]] = {}
        for index, spec in enumerate(routes):
            if spec.from_agent in (None, agent_id):
                message = _known(messages, spec.message)
                target = _known(messages, spec.into) if spec.into else message
                self._routes.setdefault(message, []).append(_route(index, spec, target))

    def __call__(self, envelope: Envelope, message: BaseModel) -> Sequence[Routed]:
        """The further ways of `message`, which came of handling `envelope`.

        Raises:
            RouteError: an expression failed, or its result is not what the route promises.
        """
        kind = type(message)
        if kind not in self._undeclared_told:
            self._tell_undeclared(kind)
        routes = self._routes.get(kind)
        if not routes:
            return ()
        document = {**message.model_dump(mode="json", by_alias=True), "_envelope": _facts(envelope)}
        routed = (route.apply(message, document) for route in routes)
        return [one for one in routed if one is not None]

    def _tell_undeclared(self, kind: type[BaseModel]) -> None:
        self._undeclared_told.add(kind)
        log.warning(
            "agent.undeclared_send",
            agent=self._agent_id,
            message=wire_type_of(kind).name,
            remedy="name it in the return annotation, or in sends= or answers= of @handles",
        )


class _Route(NamedTuple):
    label: str
    to: str
    when: Any
    transform: Any
    target: type[BaseModel]

    def apply(self, message: BaseModel, document: Mapping[str, Any]) -> Routed | None:
        if self.when is not None and not _is_true(self._evaluate(self.when, document)):
            return None
        if self.transform is None and isinstance(message, self.target):
            return Routed(self.to, message)
        fields = {key: value for key, value in document.items() if key != "_envelope"}
        if self.transform is not None:
            fields = self._evaluate(self.transform, document)
        return Routed(self.to, self._shaped(fields))

    def _evaluate(self, expression: Any, document: Mapping[str, Any]) -> Any:
        try:
            return expression.search(document)
        except JMESPathError as error:
            text = f"{self.label}: {expression.expression!r} failed: {_reason(error)}"
            raise RouteError(text) from None

    def _shaped(self, fields: Any) -> BaseModel:
        try:
            return self.target.model_validate(fields)
        except ValidationError as error:
            problems = "; ".join(problems_of(error))
            name = wire_type_of(self.target).name
            raise RouteError(f"{self.label}: its result is not a {name}: {problems}") from None


def _route(index: int, spec: RouteSpec, target: type[BaseModel]) -> _Route:
    return _Route(
        label=f"routes[{index}] of {spec.message} to {spec.to}",
        to=spec.to,
        when=jmespath.compile(spec.when) if spec.when is not None else None,
        transform=jmespath.compile(spec.transform) if spec.transform is not None else None,
        target=target,
    )


def _known(messages: MessageRegistry, name: str) -> type[BaseModel]:
    message = messages.find(name)
    assert message is not None, f"the plan let the unknown message {name} through"
    return message


def _reason(error: JMESPathError) -> str:
    """What went wrong, without the value that it went wrong with."""
    if isinstance(error, JMESPathTypeError):
        expected = " or ".join(error.expected_types)
        return f"{error.function_name}() takes {expected}, not {error.actual_type}"
    return " ".join(str(error).split())


def _facts(envelope: Envelope) -> dict[str, Any]:
    return {
        "id": envelope.id,
        "topic": envelope.published_to,
        "sender": envelope.sender,
        "conversation": envelope.conversation_id,
        "attempt": envelope.attempt,
        "hops": envelope.hops,
        "tags": envelope.tags.split(",") if envelope.tags else [],
    }


def _is_true(result: Any) -> bool:
    """As JMESPath sees it: 0 is true."""
    return result is not None and result is not False and result not in ("", [], {})
