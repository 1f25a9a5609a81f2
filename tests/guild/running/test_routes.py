"""Routes: where else a message goes, when, and as what."""

from typing import Any

import pytest
from pydantic import BaseModel

from guild.agent.agent import Agent
from guild.agent.route_again import RouteAgain
from guild.errors import RouteError
from guild.running.routes import Router
from guild.spec.expressions import Expression
from guild.spec.spec import RouteSpec
from messaging.handling.subscription import Routed
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.message import MessageRegistry
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


def failure(route: Router, message: BaseModel = NOTE) -> str:
    """What the dead letter of a message on which the route failed says."""
    (routed,) = route(envelope(), message)
    assert routed.topic == "inbox.writer"
    assert isinstance(routed.message, RouteAgain)
    with pytest.raises(RouteError) as told:
        route.again(RouteAgain.model_validate_json(routed.message.model_dump_json()))
    assert not told.value.retryable
    return str(told.value)


def test_without_a_transform_the_fields_must_fit_the_other_type() -> None:
    assert "its result is not a tests.pong: stars" in failure(router(into="tests.pong"))


@pytest.mark.parametrize(
    ("transform", "text"),
    [
        ("{text: stars}", "its result is not a tests.pong: text"),
        ("missing", "its result is not a tests.pong"),
        ("{text: abs(text)}", "failed"),
    ],
)
def test_a_transform_that_does_not_work_out_names_its_route(transform: str, text: str) -> None:
    told = failure(router(transform=transform, into="tests.pong"))

    assert told.startswith("routes[0] of tests.note to out: ")
    assert text in told
    assert " hi" not in told


@pytest.mark.parametrize(
    ("when", "types"),
    [
        ("length(stars) > `1`", "length() takes string or array or object, not number"),
        (
            "contains(text, stars)",
            "TypeError: 'in <string>' requires string as left operand, not i",
        ),
        ("floor(to_number('1e999'))", "OverflowError"),
    ],
)
def test_a_condition_that_fails_names_its_route_and_types_and_no_value(
    when: str, types: str
) -> None:
    assert failure(router(when=when)).startswith(
        f"routes[0] of tests.note to out: {when!r} failed: {types}"
    )


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
@pytest.mark.parametrize(
    ("one", "other"),
    [("text", "stars"), ("text", "`3`"), ("stars", "'3'"), ("`true`", "`0`"), ("`null`", "'a'")],
)
def test_what_is_in_no_order_makes_no_condition_true(one: str, other: str, sign: str) -> None:
    assert router(when=f"{one} {sign} {other}")(envelope(), NOTE) == []
    assert router(when=f"{other} {sign} {one}")(envelope(), NOTE) == []


def test_a_filter_leaves_out_what_is_in_no_order() -> None:
    assert Expression("[?id < '2']").search([{"id": 1}, {"id": "1"}]) == [{"id": "1"}]


def test_texts_are_in_the_order_of_texts_and_numbers_of_numbers() -> None:
    assert router(when="text > 'ha' && stars >= `2.5`")(envelope(), NOTE)
    assert not router(when="text > 'hj' || stars < `3`")(envelope(), NOTE)


def test_a_route_that_fails_takes_no_other_with_it() -> None:
    specs = [
        RouteSpec(message="tests.note", to="out", when="length(stars) > `1`"),
        RouteSpec(message="tests.note", to="out"),
        RouteSpec(message="tests.note", to="out", when="contains(text, stars)"),
    ]

    first, second, third = Router("writer", Writer, specs, MESSAGES)(envelope(), NOTE)

    assert second == Routed("out", NOTE)
    assert isinstance(first.message, RouteAgain)
    assert isinstance(third.message, RouteAgain)
    assert (first.message.route, third.message.route) == (0, 2)


def test_a_route_that_is_mended_is_applied_as_if_it_had_never_failed() -> None:
    (failed,) = router(when="length(stars) > `1`")(envelope(sender="ada"), NOTE)
    assert isinstance(failed.message, RouteAgain)

    mended = router(when="_envelope.sender == 'ada'", transform="{text: text}", into="tests.pong")
    assert mended.again(failed.message) == Routed("out", Pong(text="hi"))
    assert router(when="stars > `3`").again(failed.message) is None
    with pytest.raises(RouteError, match=r"no route 0 of tests\.note to out any more"):
        router(to="elsewhere").again(failed.message)
