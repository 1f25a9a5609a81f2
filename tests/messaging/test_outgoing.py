"""Envelopes made one at a time, and many at once."""

from typing import Any

import pytest
from pydantic import BaseModel

from messaging.errors import NotAMessageError
from messaging.message import Message
from messaging.outgoing import seal, seal_all


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
@pytest.mark.parametrize("messages", [(), MIXED[:1], MIXED])
def test_many_envelopes_are_those_that_would_be_made_one_at_a_time(
    messages: tuple[BaseModel, ...], by_reference: bool
) -> None:
    many = seal_all(iter(messages), "topic", by_reference=by_reference, **HEADER)

    alone = [seal(each, "topic", by_reference=by_reference, **HEADER) for each in messages]
    assert [one._replace(id="") for one in many] == [one._replace(id="") for one in alone]
    assert len({one.id for one in many}) == len(messages)


@pytest.mark.parametrize("at", range(3))
def test_what_is_no_message_is_named_wherever_it_stands_among_many(at: int) -> None:
    messages = [*MIXED]
    messages[at] = "hello"  # type: ignore[call-overload]

    with pytest.raises(NotAMessageError, match="str"):
        seal_all(messages, "topic", by_reference=True)
