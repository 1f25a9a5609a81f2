"""Entries that the bus did not write, or that were damaged: asked of every server."""

import json

import pytest

from messaging.backend import Settlement
from messaging.wire.codec import encode_header
from tests.messaging.conftest import Site
from tests.messaging.notes import (
    everything_in,
    given_up,
    is_owed_nothing,
    joined,
    note,
    take,
    texts,
)
from tests.servers import SERVER_KINDS

on_servers = pytest.mark.parametrize("site", SERVER_KINDS, indirect=True)

GOOD_HEADER = encode_header(note("x"))
DAMAGED = {
    "garbage": {b"h": b"\xff\x00garbage", b"p": b"{}"},
    "cut short": {b"h": GOOD_HEADER[:10], b"p": b"{}"},
    "empty": {b"h": b"", b"p": b""},
    "of a later version": {b"h": b"\x09" + GOOD_HEADER[1:], b"p": b"{}"},
    "without a header": {b"p": b"{}"},
    "of a stranger": {b"hello": b"world", b"\xff": b"\xff", b"more": b""},
}


@on_servers
@pytest.mark.parametrize("fields", DAMAGED.values(), ids=DAMAGED.keys())
async def test_an_entry_that_cannot_be_decoded_is_delivered_with_its_fault(
    site: Site, fields: dict[bytes, bytes]
) -> None:
    backend = await site.open()
    reader = await joined(backend, "readers")
    await backend.append([note("before")])
    await site.inject("notes", fields)
    await backend.append([note("after")])

    before, faulty, after = await take(reader, 3)

    assert texts([before, after]) == ["before", "after"]
    assert before.fault == after.fault == ""
    assert faulty.fault != ""
    assert faulty.envelope.topic == "notes"
    assert faulty.envelope.type == ""
    if b"hello" in fields:
        told = {"hello": "world", "\ufffd": "\ufffd", "more": ""}
        assert json.loads(faulty.envelope.payload) == told
    else:
        assert faulty.envelope.payload == fields[b"p"]


@on_servers
async def test_a_faulty_delivery_can_be_settled(site: Site) -> None:
    backend = await site.open()
    reader = await joined(backend, "readers")
    await backend.append([note("before")])
    await site.inject("notes", DAMAGED["garbage"])
    before, faulty = await take(reader, 2)

    await reader.commit([Settlement(before), Settlement(faulty)])

    assert await is_owed_nothing(backend, reader)


@on_servers
async def test_a_faulty_delivery_can_become_a_dead_letter(site: Site) -> None:
    backend = await site.open()
    reader = await joined(backend, "readers")
    await backend.append([note("before")])
    await site.inject("notes", {b"h": b"garbage", b"p": b"what is left"})
    _, faulty = await take(reader, 2)

    await reader.commit([given_up(faulty, "readers")])

    (letter,) = await backend.dead_letters()
    assert letter.envelope.payload == b"what is left"
    assert letter.envelope.published_to == "notes"


@on_servers
async def test_an_observer_passes_over_what_it_cannot_decode(site: Site) -> None:
    backend = await site.open()
    await backend.append([note("before")])
    await site.inject("notes", DAMAGED["garbage"])
    await backend.append([note("after")])

    assert texts(await everything_in(backend, "notes")) == ["before", "after"]
