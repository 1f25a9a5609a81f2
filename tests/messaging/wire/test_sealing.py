"""Envelopes made one at a time, and many at once."""

from typing import Any

import pytest
from pydantic import BaseModel

from messaging import MessageRegistry, connect
from messaging.errors import NotAMessageError, TopicError
from messaging.wire.envelope import seal, seal_like
from messaging.wire.message import Message, wire_type_of


class Counted(Message, wire_name="test.counted", version=3):
    number: int


class Listed(BaseModel):
    """Its sender can still change it, so it travels as bytes."""

    items: list[int]


MIXED = (Counted(number=1), Listed(items=[1, 2]), Counted(number=2))
HEADER: dict[str, Any] = {
    "sender": "somebody", "cause": "c", "conversation": "d", "reply_to": "_reply.me", "key": "k",
    "tags": "a,b", "trace": "t", "waiter": "_reply.you 1", "deadline": 9.5, "hops": 2,
    "priority": -1, "delay_s": 0.5,
}  # fmt: skip


@pytest.mark.parametrize("by_reference", [True, False])
@pytest.mark.parametrize("first", MIXED[:2])
def test_many_envelopes_are_those_that_would_be_made_one_at_a_time(
    first: BaseModel, by_reference: bool
) -> None:
    alone = [seal(each, "topic", by_reference=by_reference, **HEADER) for each in (first, *MIXED)]

    many = [alone[0], *seal_like(alone[0], iter(MIXED), by_reference=by_reference)]

    assert [one._replace(id="") for one in many] == [one._replace(id="") for one in alone]
    assert len({one.id for one in many}) == len(many)


@pytest.mark.parametrize("count", range(4))
async def test_many_messages_are_published_with_one_header(count: int) -> None:
    async with connect("memory://", "test", registry=MessageRegistry(Counted, Listed)) as bus:
        ids = await bus.publish_many("topic", iter(MIXED[:count]), tags=["a"], key="k")

        stored = await bus.backend.tail({"topic": ""}, max_count=10, wait_s=0)

    envelopes = [entry.envelope for entry in stored]
    assert [each.id for each in envelopes] == ids
    assert [each.type for each in envelopes] == [wire_type_of(type(m))[0] for m in MIXED[:count]]
    assert {(each.sender, each.tags, each.key) for each in envelopes} <= {("client", "a", "k")}


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("what", ["hello", None])
async def test_what_is_no_message_is_named_wherever_it_stands_among_many(
    at: int, what: Any
) -> None:
    messages: list[Any] = [*MIXED]
    messages[at] = what

    async with connect("memory://", "test") as bus:
        with pytest.raises(NotAMessageError, match=type(what).__name__):
            await bus.publish_many("topic", messages)

        assert await bus.backend.topics() == []


@pytest.mark.parametrize("messages", [(), MIXED])
async def test_not_even_nothing_is_published_to_a_reserved_topic(
    messages: tuple[BaseModel, ...],
) -> None:
    async with connect("memory://", "test") as bus:
        with pytest.raises(TopicError, match="reserved"):
            await bus.publish_many("_bus", messages)
