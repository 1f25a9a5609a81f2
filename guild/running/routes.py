"""Sends what an agent gives to further topics, as the routes of the spec say.

A route that fails takes nothing along: what the handling did, its answer and the other routes are
committed. The message that the route failed on goes to the agent's own inbox in the same commit,
as a `RouteAgain`; applying the route to it fails again, so that it becomes a dead letter which
names the route. Requeued, once the route is mended, it goes its way.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, JsonValue, ValidationError

from guild.agent.agent import Agent
from guild.agent.route_again import RouteAgain
from guild.errors import RouteError
from guild.spec.expressions import Expression, ExpressionError, is_true
from guild.spec.spec import RouteSpec
from messaging.handling.subscription import Routed
from messaging.process.logs import get_logger
from messaging.wire.envelope import Envelope
from messaging.wire.message import MessageRegistry, decode, encode, problems_of, wire_type_of
from messaging.wire.topic import inbox_of

log = get_logger()


class Router:
    """Where the messages of one agent go besides their usual way.

    Args:
        agent_id: of the agent.
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
                same = self._routes.setdefault(message, [])
                place = sum(route.to == spec.to for route in same)
                same.append(_route(index, place, spec, target))

    @property
    def has_routes(self) -> bool:
        return bool(self._routes)

    def __call__(self, envelope: Envelope, message: BaseModel) -> Sequence[Routed]:
        """The further ways of `message`, which came of handling `envelope`."""
        kind = type(message)
        if kind not in self._undeclared_told:
            self._tell_undeclared(kind)
        routes = self._routes.get(kind)
        if not routes:
            return ()
        facts = _facts(envelope)
        document = _document(message, facts)
        routed = (self._apply(route, message, document, facts) for route in routes)
        return [one for one in routed if one is not None]

    def again(self, failed: RouteAgain) -> Routed | None:
        """The way of a message on which a route failed before.

        Raises:
            RouteError: it fails again, or the spec has no such route any more.
        """
        for message_class, routes in self._routes.items():
            if wire_type_of(message_class).name == failed.type:
                for route in routes:
                    if (route.to, route.place) == (failed.to, failed.route):
                        payload = failed.payload.encode()
                        message = decode(message_class, payload, version=failed.version)
                        return route.apply(message, _document(message, failed.facts))
        raise RouteError(
            f"the spec has no route {failed.route} of {failed.type} to {failed.to} any more; "
            "requeue the message with the spec that has it, or drop it"
        )

    def _apply(
        self,
        route: "_Route",
        message: BaseModel,
        document: Mapping[str, Any],
        facts: dict[str, JsonValue],
    ) -> Routed | None:
        try:
            return route.apply(message, document)
        except RouteError:
            pass  # told when the agent fails at it again: by the dead letter
        name, version = wire_type_of(type(message))
        failed = RouteAgain(
            to=route.to,
            route=route.place,
            type=name,
            version=version,
            payload=encode(message).decode(),
            facts=facts,
        )
        return Routed(inbox_of(self._agent_id), failed)

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
    place: int
    to: str
    when: Expression | None
    transform: Expression | None
    target: type[BaseModel]

    def apply(self, message: BaseModel, document: Mapping[str, Any]) -> Routed | None:
        if self.when is not None and not is_true(self._evaluate(self.when, document)):
            return None
        if self.transform is None and isinstance(message, self.target):
            return Routed(self.to, message)
        fields = document if self.transform is None else self._evaluate(self.transform, document)
        if isinstance(fields, Mapping):
            fields = {key: value for key, value in fields.items() if key != "_envelope"}
        return Routed(self.to, self._shaped(fields))

    def _evaluate(self, expression: Expression, document: Mapping[str, Any]) -> Any:
        try:
            return expression.search(document)
        except ExpressionError as error:
            raise RouteError(f"{self.label}: {expression.text!r} failed: {error}") from None

    def _shaped(self, fields: Any) -> BaseModel:
        try:
            return self.target.model_validate(fields)
        except ValidationError as error:
            problems = "; ".join(problems_of(error))
            name = wire_type_of(self.target).name
            raise RouteError(f"{self.label}: its result is not a {name}: {problems}") from None


def _route(index: int, place: int, spec: RouteSpec, target: type[BaseModel]) -> _Route:
    return _Route(
        label=f"routes[{index}] of {spec.message} to {spec.to}",
        place=place,
        to=spec.to,
        when=Expression(spec.when) if spec.when is not None else None,
        transform=Expression(spec.transform) if spec.transform is not None else None,
        target=target,
    )


def _known(messages: MessageRegistry, name: str) -> type[BaseModel]:
    message = messages.find(name)
    assert message is not None, f"the plan let the unknown message {name} through"
    return message


def _facts(envelope: Envelope) -> dict[str, JsonValue]:
    return {
        "id": envelope.id,
        "topic": envelope.published_to,
        "sender": envelope.sender,
        "conversation": envelope.conversation_id,
        "attempt": envelope.attempt,
        "hops": envelope.hops,
        "tags": list(envelope.tags.split(",")) if envelope.tags else [],
    }


def _document(message: BaseModel, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {**message.model_dump(mode="json", by_alias=True), "_envelope": facts}
