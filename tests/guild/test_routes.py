"""Routes: where else a message goes, when, and as what."""

from typing import Any

import pytest

from guild.agent import Agent
from guild.errors import RouteError
from guild.routes import Router
from guild.spec import RouteSpec
from messaging.envelope import Envelope, new_id
from messaging.message import MessageRegistry
from messaging.subscription import Routed
from tests.guild.samples import Echo, Note, Ping, Pong, Writer

MESSAGES = MessageRegistry(Ping, Pong, Note)
NOTE = Note(text="hi", stars=3)


def router(agent: type[Agent[Any]] = Writer, **route: Any) -> Router:
    spec = RouteSpec.model_validate({"message": "tests.note", "to": "out", **route})
    return Router("writer", agent, [spec], MESSAGES)


def envelope(**fields: Any) -> Envelope:
    return Envelope(new_id(), "tests.ping", 1, "in", b"{}", **fields)


def test_a_message_goes_on_as_it_is() -> None:
    assert router()(envelope(), NOTE) == [Routed("out", NOTE)]


def test_a_route_is_for_its_message_and_its_agent_alone() -> None:
    assert router(Echo)(envelope(), Pong(text="x")) == ()
    assert router(**{"from": "other"})(envelope(), NOTE) == ()
    assert router(**{"from": "writer"})(envelope(), NOTE)


@pytest.mark.parametrize(
    ("when", "goes"),
    [
        ("stars > `2`", True),
        ("stars > `3`", False),
        ("text == 'hi'", True),
        ("missing", False),
        ("`0`", True),
        ("''", False),
        ("`[]`", False),
        ("`{}`", False),
        ("`false`", False),
        ("_envelope.sender == 'ada'", True),
        ("contains(_envelope.tags, 'urgent')", True),
        ("_envelope.topic == 'in' && _envelope.attempt == `2`", True),
    ],
)
def test_a_condition_decides(when: str, goes: bool) -> None:
    route = router(when=when)

    assert bool(route(envelope(sender="ada", tags="urgent,x", attempt=2), NOTE)) is goes


def test_a_transform_makes_another_message() -> None:
    route = router(transform="{text: join('', [text, '!'])}", into="tests.pong")

    assert route(envelope(), NOTE) == [Routed("out", Pong(text="hi!"))]


def test_without_a_transform_the_fields_must_fit_the_other_type() -> None:
    with pytest.raises(RouteError, match=r"its result is not a tests\.pong: stars"):
        router(into="tests.pong")(envelope(), NOTE)


@pytest.mark.parametrize(
    ("transform", "text"),
    [
        ("{text: stars}", "its result is not a tests.pong: text"),
        ("missing", "its result is not a tests.pong"),
        ("{text: abs(text)}", "failed"),
    ],
)
def test_a_transform_that_does_not_work_out_names_its_route(transform: str, text: str) -> None:
    with pytest.raises(RouteError, match=r"routes\[0\] of tests.note to out: .*" + text) as told:
        router(transform=transform, into="tests.pong")(envelope(), NOTE)

    assert " hi" not in str(told.value)
    assert not told.value.retryable
