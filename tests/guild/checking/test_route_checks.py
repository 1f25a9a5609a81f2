"""The expressions of routes are held against the messages that they are for, before any comes."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, computed_field, model_validator

from guild.agent.agent import Agent, handles
from guild.builder import GuildBuilder, RouteBuilder
from guild.checking.plan import Plan
from guild.checking.route_checks import flaws_of_route
from guild.errors import WiringError
from guild.spec.expressions import Expression, ExpressionError, is_true
from guild.testing import guild_of
from messaging.wire.message import Message


class Item(BaseModel):
    sku: str
    count: int = 1
    parent: "Item | None" = None


class Order(Message, wire_name="tests.order"):
    id: str
    total: Decimal = Decimal(1)
    status: Literal["open", "paid"] = "open"
    items: list[Item] = Field(default_factory=list)
    note: str | None = None
    meta: dict[str, Any] = Field(default_factory=dict)
    stock: dict[str, int] = Field(default_factory=dict)
    at: datetime = datetime(2030, 1, 1, tzinfo=UTC)
    count: int = 0
    urgent: bool = False
    ship_to: Item | None = None
    named: str = Field(default="", alias="called")

    @computed_field
    @property
    def is_big(self) -> bool:
        return self.count > 9


class Receipt(Message, wire_name="tests.receipt"):
    id: str
    count: int = 0


class Lenient(BaseModel):
    id: str = ""


class Reshaped(Message, wire_name="tests.reshaped"):
    id: str

    @model_validator(mode="before")
    @classmethod
    def _take(cls, data: Any) -> Any:
        return {"id": data["order"]}


class Fitting(Message, wire_name="tests.fitting"):
    model_config = ConfigDict(coerce_numbers_to_str=True)
    id: str


class Holder(Message, wire_name="tests.holder"):
    item: SerializeAsAny[Item]


def condition(when: str, message: type[BaseModel] = Order) -> list[str]:
    return told(flaws_of_route(when, None, message, message))


def transform(text: str | None, target: type[BaseModel] = Receipt) -> list[str]:
    return told(flaws_of_route(None, text, Order, target))


def told(found: Any) -> list[str]:
    return [f"{flaw.text} ({flaw.suggestion})" for _, flaw in found]


NEEDS = "tests.receipt needs a field"


@pytest.mark.parametrize(
    "when",
    [
        "count > `3`",
        "id > 'a' && at > '2030-01-01'",
        "items[0].sku == 'x' || items[?count > `3`].sku",
        "items[].count && items[:2].sku && items[*].{a: sku, b: count}[].a",
        "note && length(note) > `3`",
        "note == `null` || note == 'a'",
        "meta.anything.goes > `1` && stock.apples > `3`",
        "urgent == `true` && is_big && !urgent",
        "ship_to.parent.parent.sku",
        "called == 'x'",
        "_envelope.attempt > `1` && contains(_envelope.tags, 'urgent')",
        "sort_by(items, &count)[0].sku && max_by(items, &count).anything",
        "map(&sku, items) && join(',', items[].sku) == 'a,b'",
        "to_number(total) > `100` && abs(count) > `3`",
        "status == 'paid' && status != 'open'",
        "count == `null` && (note || count) == `3`",
        "*.x && @.id",
        "note == items[0].count",  # both may be missing
        "items[].count | [0] > `3`",
    ],
)
def test_what_may_be_meant_is_let_through(when: str) -> None:
    assert condition(when) == []


@pytest.mark.parametrize(
    ("when", "text"),
    [
        ("statu", "tests.order has no field 'statu' (status)"),
        ("named == 'x'", "tests.order has no field 'named' (called)"),
        ("!(count > `3`) && statu", "tests.order has no field 'statu' (status)"),
        ("items[?count > `3`].skuu", "it has no field 'skuu' (sku)"),
        ("items[?cuont > `3`]", "it has no field 'cuont' (count)"),
        ("ship_to.parent.parent.skuu", "it has no field 'skuu' (sku)"),
        ("items.sku", "a list has no field 'sku' ()"),
        ("id.x", "text has no field 'x' ()"),
        ("stock.apples.x", "a number has no field 'x' ()"),
        ("_envelope.attemp > `1`", "it has no field 'attemp' (attempt)"),
        ("sort_by(items, &cuont)", "it has no field 'cuont' (count)"),
        ("{a: id}.b", "it has no field 'b'; its fields are a ()"),
        ("total > `100`", "> compares text with a number: that is always false ()"),
        ("`100` <= total", "<= compares a number with text: that is always false ()"),
        ("count == '3'", "== compares a number with text: that is always false ()"),
        ("count != '3'", "!= compares a number with text: that is always true ()"),
        ("urgent > `0`", "> compares a boolean with a number: that is always false ()"),
        ("urgent > `true`", "> compares a boolean with a boolean: that is always false ()"),
        ("status == 'payd'", "== is always false: it is 'open' or 'paid' (paid)"),
        ("length(count) > `1`", "length() takes a list or an object or text, not a number ()"),
    ],
)
def test_what_can_only_be_a_mistake_is_told(when: str, text: str) -> None:
    assert condition(when) == [text]


def test_text_in_double_quotes_is_a_field_and_that_is_told() -> None:
    (line,) = condition('status == "paid"')

    assert line.startswith(
        "tests.order has no field 'paid'; text stands in single quotes, not in d"
    )


@pytest.mark.parametrize("word", ["null", "true", "false"])
def test_a_word_of_json_without_backticks_is_a_field_and_that_is_told(word: str) -> None:
    (line,) = condition(f"urgent == {word}")

    assert line.endswith(f"; the value {word} stands in backticks: `{word}` ()")


@pytest.mark.parametrize(
    ("text", "flaws"),
    [
        ("{id: id}", []),
        ("items[0] && {id: id}", []),  # without an item it is null, and no object of other fields
        ("meta && {id: id}", []),
        ("{id: id, count: total}", []),  # text may be read as a number
        ("{id: note, count: urgent}", []),
        ("{id: meta.id}", []),
        ("meta", []),
        ("{idd: id}", ["tests.receipt has no field 'idd' (id)"]),
        ("{count: count}", [f"{NEEDS} 'id' ()"]),
        ("{id: count}", ["'id' of tests.receipt is text, not a number ()"]),
        ("{id: items}", ["'id' of tests.receipt is text, not a list ()"]),
        ("id", ["it gives text, not the fields of tests.receipt ()"]),
        ("[id]", ["it gives a list, not the fields of tests.receipt ()"]),
        ("{id: noe}", ["tests.order has no field 'noe' (note)"]),
    ],
)  # fmt: skip
def test_a_transform_makes_the_fields_of_its_target(text: str, flaws: list[str]) -> None:
    assert transform(text) == flaws


def test_without_a_transform_the_fields_are_held_against_the_target() -> None:
    (line,) = transform(None)

    assert line.startswith("tests.receipt has no field 'total', 'status', 'items'")
    assert transform(None, Lenient) == []  # it ignores what it does not know


def test_a_class_that_is_read_its_own_way_is_not_judged() -> None:
    assert transform("{order: id}", Reshaped) == []
    assert transform("{id: count}", Fitting) == []
    assert condition("item.anything", Holder) == []


def test_all_of_it_is_told_before_anything_starts_with_its_place() -> None:
    class Shop(Agent):
        @handles
        async def sell(self, item: Receipt) -> Order: ...

    builder = GuildBuilder.from_spec(guild_of(Shop)).add_topic("out")
    route = RouteBuilder().on_message(Order).to("out").when("statu == `3`")
    builder.add_route(route.transform("{idd: id}", into=Receipt))

    with pytest.raises(WiringError) as caught:
        Plan.of(builder.build_spec())

    assert str(caught.value).splitlines() == [
        "routes[0].when: 'when': tests.order has no field 'statu'; did you mean 'status'?",
        "routes[0].transform: 'transform': tests.receipt has no field 'idd'; did you mean 'id'?",
    ]


# -- what is told is true --------------------------------------------------------------------------

words = st.sampled_from(["open", "paid", "", "7", "x"])
orders = st.builds(
    Order,
    id=words,
    total=st.decimals(0, 9, places=1),
    status=st.sampled_from(["open", "paid"]),
    items=st.lists(st.builds(Item, sku=words, count=st.integers(0, 9)), max_size=2),
    note=words | st.none(),
    count=st.integers(0, 9),
    urgent=st.booleans(),
)
operands = st.sampled_from(
    ["id", "total", "status", "note", "count", "urgent", "items", "items[0].count", "items[0].sku",
     "meta.x", "length(id)", "'7'", "'paid'", "`7`", "`true`", "`null`", "at", "ship_to.sku", "no"]
)  # fmt: skip
signs = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])


@settings(max_examples=300, deadline=None)
@given(operands, signs, operands, st.lists(orders, min_size=3, max_size=3))
def test_what_is_always_false_is_false_for_every_message(
    left: str, sign: str, right: str, some: list[Order]
) -> None:
    text = f"{left} {sign} {right}"
    (result,) = {line.partition("always ")[2][:4] for line in condition(text)} or {""}

    for order in some:
        comes = is_true(Expression(text).search(order.model_dump(mode="json", by_alias=True)))
        if result == "fals":
            assert not comes
        if result == "true" and "`null`" not in text:
            assert comes


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        operands,
        lambda inner: (
            st.builds("{} {} {}".format, inner, signs, inner)
            | st.builds("({} || {})".format, inner, inner)
            | st.builds("[{}, {}]".format, inner, inner)
            | st.builds(
                "{}({})".format,
                st.sampled_from(
                    ["abs", "length", "sum", "max", "sort", "floor", "keys", "to_number"]
                ),
                inner,
            )
            | st.builds("contains({}, {})".format, inner, inner)
        ),
        max_leaves=6,
    ),
    orders,
)
def test_an_expression_gives_something_or_fails_with_types_alone(text: str, order: Order) -> None:
    condition(text)

    told = ""
    try:
        Expression(text).search(order.model_dump(mode="json", by_alias=True))
    except ExpressionError as error:
        told = str(error)
    assert "paid" not in told


@pytest.mark.parametrize(
    "text",
    ["(" * 3000 + "a" + ")" * 3000, "!" * 3000 + "a", "`" + "[" * 3000 + "`", "a" + " || a" * 3000],
)
def test_an_expression_that_is_nested_too_deep_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the expression is nested more than 200 deep"):
        Expression(text)


def test_an_expression_that_is_nested_as_deep_as_it_may_be_is_checked_and_evaluated() -> None:
    text = " || ".join(["id == 'x'"] * 199 + ["id == 'y'"])

    assert not list(flaws_of_route(text, None, Order, None))
    assert Expression(text).search({"id": "y"}) is True


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("length(a < `1`", "it is not complete; is a bracket or an operand missing"),
        ("", "cannot be empty"),
        ("a = b", "Unknown token '=', at character 3; equality is =="),
        ("a-b", "Unknown token '-', at character 2; a name with - stands in double quotes"),
        ("a b", "Unexpected token: b, at character 3"),
        ("a == 'b", "Unclosed ' delimiter, at character 6"),
    ],
)
def test_a_slip_in_an_expression_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape('not a JMESPath expression: ' + told)}"):
        Expression(text)
