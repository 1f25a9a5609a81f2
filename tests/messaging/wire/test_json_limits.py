"""What pydantic lets through and a message must not hold, on its way out and on its way in."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from messaging.errors import InvalidMessageError
from messaging.wire.json_limits import MOST_LEVELS, MOST_PROBLEMS, is_too_deep, leeway_of
from messaging.wire.message import Message, decode, encode

BRACKETS = st.text('[]{}"\\, a1', max_size=400)


class Plain(BaseModel):
    value: float = 0.0
    kids: "list[Plain]" = []


class Closed(Message):
    name: str = ""
    value: float | None = None
    share: int = Field(0, ge=0, le=100)
    parts: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Open(Message):
    data: dict[str, Any] = Field(default_factory=dict)


class Holder(Message):
    plain: Plain = Plain()


class Counts(Message):
    counts: tuple[int, ...] = ()


class More(BaseModel):
    model_config = {"extra": "allow"}


class Untyped(Message):
    items: list = Field(default_factory=list)  # type: ignore[type-arg]  # the point of the test


# -- what has to be looked at --------------------------------------------------------------------


def test_a_class_that_can_hold_nothing_bad_is_not_looked_at() -> None:
    assert leeway_of(Closed) is None


@pytest.mark.parametrize("message_class", [Open, More, Untyped])
def test_a_class_that_can_hold_anything_is_looked_at_for_everything(
    message_class: type[BaseModel],
) -> None:
    assert leeway_of(message_class) == (True, True, True)


def test_a_plain_model_within_a_message_keeps_its_own_rules() -> None:
    leeway = leeway_of(Holder)

    assert leeway is not None
    assert leeway.floats
    assert leeway_of(Counts) == (False, True, False)


# -- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize(
    ("model", "field"),
    [
        (lambda number: Plain(value=number), "value"),
        (lambda number: Plain(kids=[Plain(), Plain(value=number)]), r"kids\.1\.value"),
        (lambda number: Holder(plain=Plain(value=number)), r"plain\.value"),
        (lambda number: Open(data={"a": [0, number]}), r"data\.a\.1"),
        (lambda number: More(extra=number), "extra"),  # type: ignore[call-arg]  # it allows more
    ],
)
def test_a_number_that_json_lacks_is_not_encoded(model: Any, field: str, number: float) -> None:
    with pytest.raises(InvalidMessageError, match=rf"{field}: .*finite"):
        encode(model(number))


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity", b'"inf"', b'"nan"'])
def test_a_number_that_json_lacks_is_not_decoded(number: bytes) -> None:
    with pytest.raises(InvalidMessageError, match=r"value: .*finite"):
        decode(Plain, b'{"value": ' + number + b"}")


@pytest.mark.parametrize("number", [b"1e999", b"NaN", b"-Infinity"])
def test_nor_is_it_decoded_where_anything_may_stand(number: bytes) -> None:
    with pytest.raises(InvalidMessageError, match=r"data\.a\.0: .*finite"):
        decode(Open, b'{"data": {"a": [' + number + b"]}}")


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 10**18])
def test_integers_of_64_bits_travel(number: int) -> None:
    counts = Counts(counts=(number,))

    assert decode(Counts, encode(counts)) == counts
    assert decode(Open, encode(Open(data={"n": number}))).data == {"n": number}


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**400])
def test_larger_integers_do_not(number: int) -> None:
    with pytest.raises(InvalidMessageError, match=r"counts\.1: .*64 bits"):
        encode(Counts(counts=(1, number)))
    with pytest.raises(InvalidMessageError, match=r"counts\.0: .*64 bits"):
        decode(Counts, json.dumps({"counts": [number]}).encode())
    with pytest.raises(InvalidMessageError, match=r"data\.n: .*64 bits"):
        decode(Open, json.dumps({"data": {"n": number}}).encode())


def test_a_long_row_of_digits_in_a_text_is_no_number() -> None:
    message = Open(data={"isbn": "9" * 40, "n": 1})

    assert decode(Open, encode(message)) == message


# -- depth ---------------------------------------------------------------------------------------


def nested(levels: int) -> dict[str, Any]:
    """A value that is `levels` deep, to be put into `data` of an `Open`."""
    value: Any = 1
    for level in range(levels - 1):
        value = [value] if level % 2 else {"a": value}
    return {"a": value}


def test_a_message_of_64_levels_travels() -> None:
    message = Open(data=nested(MOST_LEVELS - 1))

    assert decode(Open, encode(message)) == message


def test_a_message_of_65_levels_does_not() -> None:
    data = nested(MOST_LEVELS)

    with pytest.raises(InvalidMessageError, match="deeper than 64"):
        encode(Open(data=data))
    with pytest.raises(InvalidMessageError, match="deeper than 64"):
        decode(Open, json.dumps({"data": data}).encode())


def test_brackets_within_texts_are_not_levels() -> None:
    message = Open(data={"a": '[{"\\' * 200, "b": "\\", "[" * 100: 1})

    assert decode(Open, encode(message)) == message


@given(
    st.recursive(
        st.integers() | BRACKETS, lambda kid: st.lists(kid) | st.dictionaries(BRACKETS, kid)
    )
)
def test_nothing_shallow_is_called_too_deep(value: Any) -> None:
    assert not is_too_deep(json.dumps(value).encode())


@given(st.integers(60, 70), BRACKETS, st.lists(BRACKETS, max_size=3))
def test_the_depth_is_found_whatever_the_texts_are(levels: int, text: str, more: list[str]) -> None:
    value: Any = text
    for _ in range(levels):
        value = {text: value, "more": more}  # `more` is one level deeper than its dict

    is_deep = levels + 1 > MOST_LEVELS

    assert is_too_deep(json.dumps(value).encode()) == is_deep


@pytest.mark.parametrize(
    "payload",
    [b"[" * 4_000_000, b"[" * 2_000_000 + b"]" * 2_000_000, b'{"a":' * 800_000, b"[[]" * 1_300_000],
    ids=["open", "closed", "objects", "comb"],
)
def test_megabytes_of_brackets_are_refused(payload: bytes) -> None:
    assert is_too_deep(payload)
    with pytest.raises(InvalidMessageError):
        decode(Open, payload)


# -- texts, keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [rb"\ud800", rb"\udc00\ud800", rb"a\udfffb"])
def test_a_lone_surrogate_is_not_decoded(text: bytes) -> None:
    with pytest.raises(InvalidMessageError):
        decode(Open, b'{"data": {"a": "' + text + b'"}}')


def test_a_lone_surrogate_is_not_encoded() -> None:
    with pytest.raises(InvalidMessageError, match="surrogates"):
        encode(Open(data={"a": "\ud800"}))


def test_a_nul_in_a_text_is_json_like_any_other() -> None:
    message = Closed(name="a\0b")

    assert decode(Closed, encode(message)) == message


def test_of_duplicate_keys_the_last_one_counts() -> None:
    assert decode(Closed, b'{"name": "first", "name": "last"}').name == "last"


def test_of_a_hundred_thousand_unknown_keys_the_first_are_told() -> None:
    payload = json.dumps({f"key {number}" + "!" * 500: 1 for number in range(100_000)}).encode()

    with pytest.raises(InvalidMessageError) as refusal:
        decode(Closed, payload)

    assert refusal.value.problems[-1] == f"and {100_000 - MOST_PROBLEMS:,} more"
    assert len(str(refusal.value)) < 200 * MOST_PROBLEMS


def test_a_message_within_itself_is_not_encoded() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop

    with pytest.raises(InvalidMessageError):
        encode(Open.model_construct(data=loop))


# -- whatever comes ------------------------------------------------------------------------------


@given(st.binary())
@example(b'{"data":{"a":' + b"9" * 5_000 + b"}}")
@example(b'{"value":1' + b"0" * 400 + b".0}")
@example(b'\xff\xfe{"data":{}}')
def test_any_bytes_are_a_message_or_an_invalid_one(payload: bytes) -> None:
    for message_class in (Open, Plain, Counts, More, Closed, Holder):
        check_decoding(message_class, payload)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda kid: st.lists(kid, max_size=5) | st.dictionaries(st.text(), kid, max_size=5),
        max_leaves=20,
    )
)
def test_any_json_is_a_message_or_an_invalid_one(value: Any) -> None:
    for name in ("data", "value", "counts", "extra", "plain"):
        for message_class in (Open, Plain, Counts, More, Closed, Holder):
            check_decoding(message_class, json.dumps({name: value}).encode())


def check_decoding(message_class: type[BaseModel], payload: bytes) -> None:
    """What decodes can be sent on, and decodes again."""
    try:
        message = decode(message_class, payload)
    except InvalidMessageError:
        return
    assert decode(message_class, encode(message)) == message
