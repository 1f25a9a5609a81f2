"""What nobody should send: each ends in a dead letter that says why, and holds up nobody else."""

from typing import Any

import pytest
from pydantic import BaseModel, Field

from messaging.errors import InvalidMessageError, NobodyListensError, RequestFailedError
from messaging.handling import unreadable
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.subscription import Subscription
from messaging.testing import Recorder
from messaging.wire.envelope import Envelope, new_id
from messaging.wire.message import Message
from tests.messaging.buses import (
    Ask,
    Told,
    dead_letters,
    listening,
    open_bus,
    options,
    settled_all,
    texts_in,
)
from tests.messaging.conftest import Site
from tests.messaging.notes import everything_in
from tests.servers import SERVER_KINDS

on_servers = pytest.mark.parametrize("site", SERVER_KINDS, indirect=True)


class Loose(Message, wire_name="tests.loose"):
    data: dict[str, Any] = Field(default_factory=dict)


class Newer(Message, wire_name="Ask", version=2):
    text: str
    tone: str = "polite"


class Measured(BaseModel):
    value: float


def loose(payload: bytes, **fields: Any) -> Envelope:
    fields = {"type": "tests.loose", "version": 1, **fields}
    return Envelope(id=new_id(), topic="asks", payload=payload, **fields)


HOSTILE = {
    "too deep": (b'{"data":{"a":' + b"[" * 99 + b"]" * 99 + b"}}", "deeper than 64"),
    "far too deep": (b'{"data":' + b'{"a":' * 9_000, "deeper than 64"),
    "infinite": (b'{"data":{"a":1e999}}', "data.a: a number must be finite"),
    "not a number": (b'{"data":{"a":NaN}}', "data.a: a number must be finite"),
    "huge": (b'{"data":{"a":' + b"9" * 100 + b"}}", "data.a: an integer must fit 64 bits"),
    "beyond huge": (b'{"data":{"a":' + b"9" * 9_000 + b"}}", "Invalid JSON"),
    "surrogate": (rb'{"data":{"a":"\ud800"}}', "Invalid JSON"),
    "not utf-8": (b'{"data":{"a":"\xff"}}', "unicode"),
    "not json": (b"\x80\x04pickled", "Invalid JSON"),
    "empty": (b"", "Invalid JSON"),
    "a list": (b"[1, 2]", "object"),
    "many keys": (b"{" + b",".join(b'"%d":1' % n for n in range(9_000)) + b"}", "8,980 more"),
}


@pytest.mark.parametrize(("payload", "says"), HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_hostile_payload_is_dead_lettered_at_once_and_the_next_is_handled(
    site: Site, payload: bytes, says: str
) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("reader", recorder, Loose))
        await bus.backend.append([loose(payload), loose(b'{"data":{"n":1}}')])

        (letter,) = await dead_letters(bus)

        reason = reason_of(letter)
        assert reason.error_type == "InvalidMessageError"
        assert says in reason.text
        assert len(reason.text) <= 2_000
        assert len(reason.attempts) == 1
        assert letter.envelope.payload == payload
        assert await recorder.messages(1) == [Loose(data={"n": 1})]


async def test_who_asks_with_a_hostile_payload_is_told_which_field(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("reader", Recorder(), Ask))

        with pytest.raises(RequestFailedError, match=r"InvalidMessageError.*text") as refusal:
            await bus.request("asks", Wrong(text=3))

        assert refusal.value.agent == "reader"


class Wrong(Message, wire_name="Ask"):
    text: int


async def test_an_endless_number_of_a_plain_model_is_refused_before_it_is_published(
    site: Site,
) -> None:
    async with open_bus(site) as bus:
        with pytest.raises(InvalidMessageError, match="value: a number must be finite"):
            await bus.publish("asks", Measured(value=float("inf")))

        assert await everything_in(bus.backend, "asks") == []


# -- errors whose text cannot be stored ----------------------------------------------------------


class BrokenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError("no file caf\udce9"), "no file caf\\udce9"),
        (BrokenError(), "(its text cannot be had: RuntimeError)"),
    ],
)
async def test_an_error_whose_text_is_no_text_still_makes_a_dead_letter(
    site: Site, error: Exception, text: str
) -> None:
    async def fail(ask: Ask, context: Context) -> None:
        raise error

    async with open_bus(site) as bus:
        await bus.subscribe(listening("ill", fail))

        with pytest.raises(RequestFailedError, match=type(error).__name__):
            await bus.request("asks", Ask(text="go"), timeout_s=10.0)

        (letter,) = await dead_letters(bus)
        reason = reason_of(letter)
        assert reason.text == text
        assert [attempt.text for attempt in reason.attempts] == [text] * 3


# -- types and versions --------------------------------------------------------------------------


@pytest.fixture
def soon_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody can read is left to others for two pauses or so; for how long is no matter here.

    A lease of less would not do it: each pause ends when the bus next looks for what is due.
    """
    monkeypatch.setattr(unreadable, "LEASES", 1 / unreadable.PAUSES_PER_LEASE)


@pytest.mark.usefixtures("soon_given_up")
async def test_a_version_that_is_too_new_is_kept_until_its_reader_is_updated(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as old:
        running = await old.subscribe(listening("reader", Recorder()))
        await old.publish("asks", Newer(text="soon"))
        (letter,) = await dead_letters(old)
        await running.drain()

        reason = reason_of(letter)
        assert reason.error_type == "TooNewError"
        assert "Ask@2 is newer than Ask@1" in reason.text
        assert "update this process" in reason.text

    async with open_bus(site) as new:
        await new.subscribe(listening("reader", recorder, Newer))
        assert await new.dead_letters.requeue(letter.id)
        assert await recorder.messages(1) == [Newer(text="soon")]


@pytest.mark.usefixtures("soon_given_up")
async def test_a_version_that_is_too_old_is_dead_lettered_with_what_is_missing(site: Site) -> None:
    async with open_bus(site) as bus:
        bus.registry = type(bus.registry)()
        await bus.subscribe(listening("reader", Recorder(), Newer))
        await bus.publish("asks", Ask(text="late"))

        (letter,) = await dead_letters(bus)

        reason = reason_of(letter)
        assert reason.error_type == "MissingUpcasterError"
        assert "upcast(from_version=1)" in reason.text


async def test_a_version_that_others_here_handle_is_not_ours(site: Site) -> None:
    ours, theirs = Recorder(), Recorder()
    async with open_bus(site) as bus:
        bus.registry.add(Newer)
        await bus.subscribe(listening("ours", ours))
        await bus.subscribe(listening("theirs", theirs, Newer))

        await bus.publish("asks", Newer(text="for you"))
        await bus.publish("asks", Ask(text="for me"))

        assert await theirs.messages(1) == [Newer(text="for you")]
        assert await ours.messages(1) == [Ask(text="for me")]
        await settled_all(bus, "ours")


@pytest.mark.usefixtures("soon_given_up")
async def test_an_unknown_type_is_ignored_unless_all_types_are_known(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("open", Recorder()))
        await bus.subscribe(listening("strict", Recorder(), only_known_types=True))

        await bus.publish("asks", Told(text="for others"))  # the registry knows it
        await bus.publish("asks", Loose(data={"a": 1}))
        await settled_all(bus, "open")
        await settled_all(bus, "strict")

        (letter,) = await dead_letters(bus)
        assert (letter.group, letter.envelope.type) == ("strict", "tests.loose")
        assert reason_of(letter).error_type == "UnknownTypeError"


# -- entries of others ---------------------------------------------------------------------------


@on_servers
async def test_an_entry_past_the_cap_is_dead_lettered_unread_and_told_to_its_requester(
    site: Site,
) -> None:
    recorder = Recorder()
    small = await site.open(max_envelope_bytes=1_000)
    large = await site.open()
    async with open_bus(site, backend=large) as sender, open_bus(site, backend=small) as bus:
        await bus.subscribe(listening("reader", recorder))

        with pytest.raises(RequestFailedError, match="1,000"):
            await sender.request("asks", Ask(text="x" * 2_000), timeout_s=10.0)
        await sender.publish("asks", Ask(text="small"))

        (letter,) = await dead_letters(bus)
        assert letter.envelope.type == "Ask"
        assert len(letter.envelope.payload) > 2_000
        assert await recorder.messages(1) == [Ask(text="small")]


@on_servers
async def test_a_strangers_entry_becomes_a_dead_letter_that_can_be_dropped(site: Site) -> None:
    async def tell(ask: Ask, context: Context) -> None:
        context.send(Told(text=ask.text), "told")

    async with open_bus(site) as bus:
        await bus.subscribe(Subscription("reader", ["asks"], {Ask: tell}, options()))
        await bus.publish("asks", Ask(text="before"))
        await site.inject("asks", {b"hello": b"world"})
        await bus.publish("asks", Ask(text="after"))

        (letter,) = await dead_letters(bus)

        assert "not written by guildbus" in reason_of(letter).text
        assert await texts_in(bus, "told", 2) == ["before", "after"]
        assert await bus.dead_letters.drop(letter.id, "a stranger's")


@on_servers
async def test_what_strangers_put_among_the_dead_letters_is_shown_and_can_be_dropped(
    site: Site,
) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("ill", Recorder(), Loose))
        await bus.backend.append([loose(b"?")])
        await dead_letters(bus)
        await site.inject_dead({b"hello": b"world"})
        await site.inject_dead({b"t": b"a", b"h": b"?", b"p": b"{}", b"g": b"g", b"at": b"x"})

        good, *foreign = await bus.dead_letters.list()

        assert good.group == "ill"
        assert [letter async for letter in bus.dead_letters.requeue_all()] == [good]
        for letter in foreign:
            assert "not written by guildbus" in reason_of(letter).text
            with pytest.raises(NobodyListensError, match="no agent can be handed it; drop it"):
                await bus.dead_letters.requeue(letter.id)
            assert await bus.dead_letters.drop(letter.id, "not ours")
        assert await bus.dead_letters.list() == [good]
