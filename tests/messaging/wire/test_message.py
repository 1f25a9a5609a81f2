from typing import Annotated, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from messaging.errors import InvalidMessageError, UnknownTypeError, WireNameConflictError
from messaging.wire.message import Message, MessageRegistry, WireType, decode, encode, wire_type_of


class Measure(Message, wire_name="tests.measure"):
    name: str
    value: float = 0.0
    counts: tuple[int, ...] = ()


class MeasureLater(Message, wire_name="tests.measure", version=2):
    name: str


class Unnamed(Message):
    name: str = ""


class Plain(BaseModel):
    number: int = 0


class Cat(Message):
    kind: Literal["cat"] = "cat"


class Dog(Message):
    kind: Literal["dog"] = "dog"


class Pet(Message):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]


def namesake(version: int = 1) -> type[Message]:
    class Other(Message, wire_name="tests.measure", version=version):
        pass

    return Other


# -- names ---------------------------------------------------------------------------------------


def test_a_message_is_called_what_its_class_says() -> None:
    assert wire_type_of(Measure) == WireType("tests.measure", 1)
    assert wire_type_of(MeasureLater) == WireType("tests.measure", 2)
    assert wire_type_of(Unnamed) == WireType("Unnamed", 1)
    assert wire_type_of(Plain) == WireType("Plain", 1)


def test_a_subclass_does_not_inherit_the_wire_name() -> None:
    class Finer(Measure):
        digits: int = 0

    assert wire_type_of(Finer) == WireType("Finer", 1)


def test_a_wire_type_reads_as_its_name_and_later_versions() -> None:
    assert str(wire_type_of(Measure)) == "tests.measure"
    assert str(wire_type_of(MeasureLater)) == "tests.measure@2"


# -- models --------------------------------------------------------------------------------------


def test_a_message_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Measure(name="a").name = "b"  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_message_holds_no_number_that_json_lacks(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Measure(name="a", value=number)


@given(
    st.text(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers(-(2**63), 2**63 - 1)),
)
def test_a_message_decodes_to_itself(name: str, value: float, counts: list[int]) -> None:
    message = Measure(name=name, value=value, counts=tuple(counts))

    assert decode(Measure, encode(message)) == message


def test_what_json_cannot_hold_is_an_invalid_message_when_it_is_encoded() -> None:
    with pytest.raises(InvalidMessageError, match=r"tests\.measure.*surrogates"):
        encode(Measure(name="\ud800"))


@given(st.binary())
@example(b"")
@example(b'{"name": "\\ud800"}')
@example(b'{"name": "a", "counts": [' + b"9" * 5_000 + b"]}")
@example(b'{"name": ' + b"[" * 5_000 + b"]" * 5_000 + b"}")
@example(b'{"name": "a", "value": NaN}')
@example(b'\xef\xbb\xbf{"name": "a"}')
def test_any_payload_is_a_message_or_an_invalid_one(payload: bytes) -> None:
    try:
        message = decode(Measure, payload)
    except InvalidMessageError:
        return
    assert decode(Measure, encode(message)) == message


def test_an_invalid_message_names_each_field_and_no_value() -> None:
    payload = b'{"value": "s3cret", "counts": [1, "s3cret"], "more": "s3cret"}'

    with pytest.raises(InvalidMessageError) as refusal:
        decode(Measure, payload)

    assert [problem.split(":")[0] for problem in refusal.value.problems] == [
        "name",
        "value",
        "counts.1",
        "more",
    ]
    assert "s3cret" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.wire_name == "tests.measure"


def test_a_wrong_tag_is_not_repeated_either() -> None:
    with pytest.raises(InvalidMessageError, match="expected one of 'cat', 'dog'") as refusal:
        decode(Pet, b'{"pet": {"kind": "s3cret"}}')

    assert "s3cret" not in str(refusal.value)


def test_a_message_hides_its_input_in_pydantics_own_errors() -> None:
    with pytest.raises(ValidationError) as refusal:
        Measure(name="a", value="s3cret")

    assert "s3cret" not in str(refusal.value)


# -- registry ------------------------------------------------------------------------------------


def test_a_registry_decodes_each_version_by_its_own_class() -> None:
    registry = MessageRegistry(Measure, MeasureLater)

    assert registry.decode("tests.measure", 1, b'{"name": "a"}') == Measure(name="a")
    assert registry.decode("tests.measure", 2, b'{"name": "a"}') == MeasureLater(name="a")


def test_an_unknown_type_is_refused_with_what_is_known() -> None:
    registry = MessageRegistry(MeasureLater, Plain)

    with pytest.raises(UnknownTypeError, match=r"weight@3.*Plain, tests\.measure@2") as error:
        registry.get("tests.weight", 3)

    assert (error.value.wire_name, error.value.version) == ("tests.weight", 3)


def test_two_classes_cannot_share_a_wire_name_and_version() -> None:
    registry = MessageRegistry(Measure)

    with pytest.raises(WireNameConflictError, match=r"(?s)Other.*Measure.*tests\.measure"):
        registry.add(namesake())

    assert registry.get("tests.measure", 1) is Measure


def test_another_version_is_no_conflict() -> None:
    registry = MessageRegistry(Measure, namesake(version=2))

    assert registry.get("tests.measure", 1) is Measure


def test_adding_a_class_again_changes_nothing() -> None:
    registry = MessageRegistry(Measure, Measure)

    assert list(registry) == [Measure]


def test_a_reloaded_class_replaces_its_former_self() -> None:
    registry = MessageRegistry(namesake())
    reloaded = namesake()

    registry.add(reloaded)

    assert list(registry) == [reloaded]


def test_a_class_is_found_by_wire_name_or_class_name_the_latest_version_first() -> None:
    registry = MessageRegistry(MeasureLater, Measure, Plain)

    assert registry.find("tests.measure") is MeasureLater
    assert registry.find("Measure") is Measure
    assert registry.find("Plain") is Plain
    assert registry.find("Nothing") is None


def test_problems_are_told_in_words_of_json() -> None:
    class Basket(Message, wire_name="tests.basket"):
        apples: tuple[str, ...] = Field(min_length=1)

    with pytest.raises(InvalidMessageError) as refusal:
        decode(Basket, b'{"apples": [], "pears": 1}')

    assert refusal.value.problems == (
        "apples: Array should have at least 1 item, not 0",
        "pears: there is no such field",
    )
