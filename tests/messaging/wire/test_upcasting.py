"""Messages of earlier versions, brought up step by step; of later ones, never guessed."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ConfigDict

from messaging.errors import InvalidMessageError, MissingUpcasterError, TooNewError
from messaging.handling.context import Context
from messaging.testing import Recorder
from messaging.wire.decoding import Decoder
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.message import Message, MessageRegistry, decode, encode, find_version
from messaging.wire.replies import UnknownMessage
from tests.messaging.buses import Told, listening, open_bus, texts_in
from tests.messaging.conftest import Site


class OrderV1(Message, wire_name="tests.order"):
    name: str
    at: datetime


class OrderV2(Message, wire_name="tests.order", version=2):
    first_name: str
    last_name: str
    at: datetime


class OrderV3(Message, wire_name="tests.order", version=3):
    names: tuple[str, ...]
    at: datetime


@OrderV2.upcast(from_version=1)
@OrderV3.upcast(from_version=1)
def split_the_name(data: dict[str, Any]) -> dict[str, Any]:
    first, _, last = data.pop("name").partition(" ")
    return {**data, "first_name": first, "last_name": last}


@OrderV3.upcast(from_version=2)
def join_the_names(data: dict[str, Any]) -> dict[str, Any]:
    return {"names": [data["first_name"], data["last_name"]], "at": data["at"]}


AT = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
FIRST = OrderV1(name="Ada Lovelace", at=AT)


def gap() -> type[Message]:
    class Gap(Message, wire_name="tests.order", version=4):
        names: tuple[str, ...]

    @Gap.upcast(from_version=1)
    @Gap.upcast(from_version=3)
    def same(data: dict[str, Any]) -> dict[str, Any]:
        return data

    return Gap


# -- decoding ------------------------------------------------------------------------------------


def test_an_earlier_version_is_brought_up_in_one_step() -> None:
    order = decode(OrderV2, encode(FIRST), version=1)

    assert order == OrderV2(first_name="Ada", last_name="Lovelace", at=AT)


def test_an_earlier_version_is_brought_up_in_several_steps() -> None:
    assert decode(OrderV3, encode(FIRST), version=1) == OrderV3(names=("Ada", "Lovelace"), at=AT)


def test_its_own_version_is_not_touched() -> None:
    order = OrderV2(first_name="Ada", last_name="Lovelace", at=AT)

    assert decode(OrderV2, encode(order), version=2) == order


def test_a_later_version_is_refused_and_not_guessed() -> None:
    order = OrderV2(first_name="Ada", last_name="Lovelace", at=AT)

    with pytest.raises(TooNewError, match=r"tests\.order@2 is newer than tests\.order@1.*update"):
        decode(OrderV1, encode(order), version=2)


def test_a_missing_step_is_named_before_any_step_is_taken() -> None:
    with pytest.raises(MissingUpcasterError, match=r"tests\.order@1 .*upcast\(from_version=2\)"):
        decode(gap(), encode(FIRST), version=1)


def test_what_comes_out_must_fit_the_class() -> None:
    class Strict(Message, wire_name="tests.strict", version=2):
        count: int

    @Strict.upcast(from_version=1)
    def forget(data: dict[str, Any]) -> dict[str, Any]:
        return {}

    with pytest.raises(InvalidMessageError, match="count: Field required"):
        decode(Strict, b'{"amount": 1}', version=1)


@pytest.mark.parametrize("payload", [b"", b"[1]", b'"text"', b"{", b'{"a":' * 90, b"\xff"])
def test_a_payload_that_is_no_object_never_reaches_an_upcaster(payload: bytes) -> None:
    with pytest.raises(InvalidMessageError):
        decode(OrderV2, payload, version=1)


def test_an_upcaster_that_fails_is_named_without_the_values() -> None:
    with pytest.raises(InvalidMessageError, match="from version 1 raised KeyError") as refusal:
        decode(OrderV2, b'{"title": "s3cret"}', version=1)

    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize("result", [None, "text", {"first_name": object()}, {"at": "\ud800"}])
def test_an_upcaster_that_returns_no_json_is_an_error_too(result: Any) -> None:
    class Odd(Message, wire_name="tests.odd", version=2):
        model_config = ConfigDict(extra="allow")

    Odd.upcast(from_version=1)(lambda _: result)

    with pytest.raises(InvalidMessageError, match=r"tests\.odd"):
        decode(Odd, b"{}", version=1)


# -- registering ---------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [0, 2, 3, -1])
def test_an_upcaster_starts_below_the_version_of_its_class(start: int) -> None:
    with pytest.raises(ValueError, match=rf"OrderV2 is version 2: .*1 to 1, not {start}"):
        OrderV2.upcast(from_version=start)


def test_each_step_is_registered_once() -> None:
    with pytest.raises(ValueError, match="from version 1 already"):
        OrderV3.upcast(from_version=1)


def test_subclasses_do_not_inherit_upcasters() -> None:
    class Special(OrderV3, wire_name="tests.special", version=2):
        pass

    with pytest.raises(MissingUpcasterError):
        decode(Special, encode(FIRST), version=1)


# -- finding the class ---------------------------------------------------------------------------


def test_a_registry_reads_earlier_versions_by_the_class_that_leads_back_to_them() -> None:
    registry = MessageRegistry(OrderV3)

    assert registry.decode("tests.order", 1, encode(FIRST)) == OrderV3(
        names=("Ada", "Lovelace"), at=AT
    )
    with pytest.raises(TooNewError, match="@3, the newest"):
        registry.get("tests.order", 4)


def test_the_class_of_the_version_itself_comes_first() -> None:
    registry = MessageRegistry(OrderV3, OrderV1)

    assert registry.get("tests.order", 1) is OrderV1
    assert registry.get("tests.order", 2) is OrderV3


def test_the_nearest_class_that_can_read_a_version_reads_it() -> None:
    assert find_version("tests.order", 1, {2: OrderV2, 3: OrderV3}) == 2
    assert find_version("tests.order", 3, {2: OrderV2, 3: OrderV3}) == 3
    with pytest.raises(MissingUpcasterError, match=r"from_version=2"):
        find_version("tests.order", 1, {4: gap()})


def test_a_reader_gets_the_version_it_knows() -> None:
    envelope = Envelope(new_id(), "tests.order", 1, "orders", encode(FIRST))

    read = Decoder(MessageRegistry(OrderV2)).read(envelope)

    assert isinstance(read, OrderV2)


def test_a_reader_gets_a_version_that_nobody_can_read_as_the_json_it_is() -> None:
    envelope = Envelope(new_id(), "tests.order", 9, "orders", b'{"a": 1}')

    read = Decoder(MessageRegistry(OrderV2)).read(envelope)

    assert read == UnknownMessage(type="tests.order", version=9, data={"a": 1})


# -- on the bus ----------------------------------------------------------------------------------


async def test_a_handler_gets_earlier_messages_as_its_own_version(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("shop", recorder, OrderV3, topics=["orders"]))

        await bus.publish("orders", FIRST)
        await bus.publish("orders", OrderV2(first_name="Ada", last_name="Lovelace", at=AT))
        await bus.publish("orders", OrderV3(names=("Ada", "Lovelace"), at=AT))

        assert await recorder.messages(3) == [OrderV3(names=("Ada", "Lovelace"), at=AT)] * 3
        assert sorted(context.envelope.version for context in recorder.contexts) == [1, 2, 3]


async def test_handlers_of_two_versions_each_get_their_own(site: Site) -> None:
    async def first(order: OrderV1, context: Context) -> None:
        context.send(Told(text=f"first {order.name}"), "told")

    async def third(order: OrderV3, context: Context) -> None:
        context.send(Told(text=f"third {order.names[0]}"), "told")

    async with open_bus(site) as bus:
        subscription = listening("shop", first, OrderV1, topics=["orders"], concurrency=1)
        subscription.handlers[OrderV3] = third  # type: ignore[index]  # a dict here
        await bus.subscribe(subscription)

        await bus.publish("orders", FIRST)
        await bus.publish("orders", OrderV2(first_name="Grace", last_name="Hopper", at=AT))

        assert sorted(await texts_in(bus, "told", 2)) == ["first Ada Lovelace", "third Grace"]
