"""The call that stores a batch is written by hand: just as the library would write it."""

import time

import pytest

from messaging.backends.redis.connection.pipeline import pack
from messaging.backends.redis.producer.batch import AppendCall, Batch
from messaging.wire.envelope import new_id
from tests.messaging.backends.redis.conftest import Guild, server_of

ONE = [(b"header", b'{"text":"\xc3\xa4"}', 0.0)]
DELAYED = [(b"h", b"p", 1.5), (b"\r\n$3\0", b"", 0.0), (b"", b"long" * 20_000, 0.25)]


@pytest.mark.parametrize("entries", [ONE, DELAYED, ONE * 512])
async def test_what_is_sent_first_and_what_is_sent_again_are_the_same(
    guild: Guild, entries: list[tuple[bytes, bytes, float]]
) -> None:
    server = server_of(await guild.open())
    call = AppendCall(server)
    for topic, first in ("notes", 1), ("notes", 10**12), ("other", 7):
        batch = Batch(topic, 0.0)
        batch.add(entries)
        batch.producer, batch.first, batch.reached = new_id(), first, first + len(entries)
        keys = call.keys(batch.producer, batch.topic)

        sha = server.scripts.append.sha
        library = pack(("EVALSHA", sha, len(keys), *keys, *call.arguments(batch)))

        assert call.packed(batch) == library
        assert call.packed(batch) == library  # from what is remembered


async def test_another_script_or_producer_is_not_mistaken_for_the_one_before(guild: Guild) -> None:
    server = server_of(await guild.open())
    call, batch = AppendCall(server), Batch("notes", 0.0)
    batch.add(ONE)
    batch.producer = "first"
    before = call.packed(batch)

    server.scripts.append = server.scripts.append._replace(sha="f" * 40)
    batch.producer = "second"

    assert b"f" * 40 in call.packed(batch)
    assert b"p:second" in call.packed(batch)
    assert len(call.packed(batch)) == len(before) + 1


def test_a_large_batch_that_is_held_back_is_made_quickly() -> None:
    batch, began_s = Batch("notes", 0.0), time.perf_counter()

    batch.add([(b"h", b"p", 1.5)] * 100_000)

    assert time.perf_counter() - began_s < 5.0  # 50 s, had each delay cost more than the one before
    assert batch.delays[-1] == "100000:1500"
    assert len(batch.delays) == batch.count
