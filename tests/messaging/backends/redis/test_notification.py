"""Small entries of ephemeral topics come along with the wake-up; nothing is missed without it."""

import asyncio

from hypothesis import example, given
from hypothesis import strategies as st

from messaging.backend import FROM_START, Entry
from messaging.backends.redis import RedisBackend
from messaging.backends.redis.observer.notification import read_notification
from tests.messaging.backends.redis.conftest import PATIENCE_S, Guild, command
from tests.messaging.notes import note, texts

REPLIES = "_reply.client"


async def opened(guild: Guild) -> RedisBackend:
    backend = await guild.open()
    await backend.open_ephemeral(REPLIES, ttl_s=60, max_entries=100)
    return backend


async def reads_of(backend: RedisBackend) -> int:
    stats: bytes = await command(backend, "INFO", "commandstats")
    lines = [line for line in stats.decode().splitlines() if line.startswith("cmdstat_xread:")]
    return int(lines[0].partition("calls=")[2].partition(",")[0]) if lines else 0


async def next_after(backend: RedisBackend, position: str) -> list[Entry]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if found := await backend.tail({REPLIES: position}, max_count=100, wait_s=PATIENCE_S):
                return found


async def test_who_has_seen_all_is_shown_the_next_entries_without_asking(guild: Guild) -> None:
    backend = await opened(guild)
    await backend.emit([note("0", REPLIES)])
    (last,) = await next_after(backend, FROM_START)
    before = await reads_of(backend)

    for number in range(1, 4):
        waiting = asyncio.create_task(next_after(backend, last.position))
        await backend.emit([note(f"{number}", REPLIES), note(f"{number}+", REPLIES)])
        found = await waiting
        assert texts(found) == [f"{number}", f"{number}+"]
        last = found[-1]

    assert await reads_of(backend) - before <= 1  # the first one may still have to ask


async def test_an_entry_behind_a_wake_up_that_was_lost_is_found_with_the_next_one(
    guild: Guild,
) -> None:
    backend = await opened(guild)
    await backend.emit([note("first", REPLIES)])
    (first,) = await next_after(backend, FROM_START)
    pipeline = backend._parts.notifications._connection.current()  # type: ignore[union-attr] # it is open
    assert pipeline is not None
    heard, watchers = pipeline._on_push, pipeline._watchers
    assert heard is not None
    lost = asyncio.Event()
    pipeline.subscribe_to_pushes(lambda _: lost.set())
    await backend.emit([note("unheard", REPLIES)])
    await lost.wait()
    pipeline.subscribe_to_pushes(heard, watchers)

    waiting = asyncio.create_task(next_after(backend, first.position))
    await asyncio.sleep(0)
    await backend.emit([note("heard", REPLIES)])

    found = await waiting
    if len(found) == 1:
        found += await next_after(backend, found[-1].position)
    assert texts(found) == ["unheard", "heard"]


async def test_large_entries_are_not_shown_and_still_seen(guild: Guild) -> None:
    backend = await opened(guild)
    waiting = asyncio.create_task(next_after(backend, FROM_START))
    await backend.emit([note("x" * 100_000, REPLIES)])

    assert texts(await waiting) == ["x" * 100_000]


async def test_two_who_tail_from_different_positions_both_see_everything(guild: Guild) -> None:
    backend = await opened(guild)
    seen: dict[str, list[str]] = {"one": [], "two": []}

    async def follow(name: str) -> None:
        position = FROM_START
        while len(seen[name]) < 40:
            found = await backend.tail({REPLIES: position}, max_count=3, wait_s=1)
            seen[name] += texts(found)
            position = found[-1].position if found else position

    async with asyncio.timeout(PATIENCE_S):
        following = [asyncio.create_task(follow(name)) for name in seen]
        for number in range(0, 40, 2):
            await backend.emit([note(f"{number}", REPLIES), note(f"{number + 1}", REPLIES)])
        await asyncio.gather(*following)

    assert seen["one"] == seen["two"] == [f"{number}" for number in range(40)]


@given(st.binary())
@example(b"0-0\n")
@example(b"0-0\n1-0 -5 3\nabc")
@example(b"0-0\n1-0 2 300\nabc")
def test_news_that_cannot_be_read_is_no_news(text: bytes) -> None:
    news = read_notification(text)

    assert news is None or news.entries


def test_news_holds_entries_as_a_stream_does() -> None:
    news = read_notification(b"1-0\n2-0 1 2\nhpp3-0 0 0\n")

    assert news is not None
    assert (news.before, news.last) == ("1-0", "3-0")
    assert news.entries == (
        (b"2-0", (b"h", b"h", b"p", b"pp")),
        (b"3-0", (b"h", b"", b"p", b"")),
    )
