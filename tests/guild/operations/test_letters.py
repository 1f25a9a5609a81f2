"""Dead letters as an operator reads them."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import chain

import pytest

from guild.errors import LetterNotFoundError
from guild.operations import LetterInfo
from guild.operations.letters import Letters
from messaging.backends.redis.admin.dead_letters import _FAR, _letter
from messaging.client.dead_letters import Wanted
from messaging.wire.codec import encode_header
from messaging.wire.envelope import Envelope, new_id
from tests.guild.operations.desk import client_of, running, spec_of
from tests.guild.samples import Failing, Ping
from tests.messaging.buses import dead_letters
from tests.messaging.conftest import Site

TEXTS = "abc"


@pytest.fixture
async def letters(site: Site) -> list[LetterInfo]:
    """Those of three messages, to be read by any client on the site."""
    async with running(site, spec_of(Failing, other=Failing)) as guild:
        for text in TEXTS:
            await guild.client.publish("inbox.failing", Ping(text=text))
        await guild.client.publish("inbox.other", Ping(text="z"))
        await dead_letters(guild.client.bus, 4)
        return [*await guild.client.letters(Wanted("failing"))]


async def test_they_come_page_by_page(site: Site, letters: list[LetterInfo]) -> None:
    async with client_of(site, spec_of(Failing)) as client:
        pages, after = list[str](), ""
        while page := await client.letters(Wanted("failing"), after=after, count=2):
            pages += [letter.id for letter in page]
            after = page[-1].id

        assert pages == [letter.id for letter in letters]
        assert await client.letters(count=0) == []
        assert [each.id async for each in client.each_letter(Wanted("failing"))] == pages
        assert len(await client.letters()) == 4


@pytest.mark.parametrize("at", [b"nan", b"inf", b"-inf", b"1e300", b"-1e300", b"1e12", b"-5e10"])
async def test_one_with_a_time_of_no_calendar_is_shown_with_when_it_was_stored(
    site: Site, letters: list[LetterInfo], at: bytes
) -> None:
    if site.kind.startswith("memory"):
        pytest.skip("no stranger writes into the memory of a process")
    async with client_of(site, spec_of(Failing)) as client:
        header = encode_header(Envelope(new_id(), "tests.ping", 1, "asks", b"", sender="them"))
        fields = {b"t": b"asks", b"h": header, b"p": b"{}", b"g": b"failing", b"r": b"{}"}
        fields[b"at"] = at
        await site.inject_dead(fields)

        (letter,) = (each for each in await client.letters() if each.topic == "asks")
        (group,) = await client.letter_groups(wanted=Wanted(topic="asks"))

        assert (letter.agent, letter.topic, letter.type) == ("failing", "asks", "tests.ping")
        assert (await client.letter(letter.id)).at == letter.at == group.first_at
        assert timedelta() <= datetime.now(UTC) - letter.at < timedelta(minutes=5)
        assert letter.at.astimezone(timezone(timedelta(hours=14)))
        assert _letter(b"18446744073709551615-1", [*chain(*fields.items())]).at == _FAR
        assert _letter(b"18446744073709551615-1", []).at == _FAR


async def test_one_is_told_with_all_that_is_known_of_it(
    site: Site, letters: list[LetterInfo]
) -> None:
    async with client_of(site, spec_of(Failing)) as client:
        detail = await client.letter(letters[0].id)
        assert await client.letter(letters[0].message_id) == detail
        with pytest.raises(LetterNotFoundError, match="list the dead letters to see"):
            await client.letter("1-1")

    info = LetterInfo(**{name: getattr(detail, name) for name in LetterInfo.model_fields})
    assert info == letters[0]
    assert (detail.agent, detail.topic, detail.type) == ("failing", "inbox.failing", "tests.ping")
    assert (detail.error_type, detail.error) == (
        "ValueError",
        f"cannot stand {detail.payload['text']}",
    )
    assert detail.conversation == detail.message_id
    assert timedelta() <= datetime.now(UTC) - detail.at < timedelta(minutes=5)
    assert "cannot stand" in detail.reason.traceback
    assert [attempt.number for attempt in detail.reason.attempts] == [1]


async def test_they_are_counted_by_what_they_have_in_common(
    site: Site, letters: list[LetterInfo]
) -> None:
    async with client_of(site, spec_of(Failing)) as client:
        by_agent = await client.letter_groups(["agent"])
        (by_error,) = await client.letter_groups(["error"], Wanted("failing"))
        with pytest.raises(ValueError, match="grouped by type, error and agent"):
            await client.letter_groups(["topic"])

    assert [(group.agent, group.letters) for group in by_agent] == [("failing", 3), ("other", 1)]
    assert (by_error.error, by_error.agent, by_error.letters) == ("ValueError", "", 3)
    assert by_error.first_at == letters[0].at


async def test_one_is_requeued_or_dropped_once(site: Site, letters: list[LetterInfo]) -> None:
    async with client_of(site, spec_of(Failing)) as client:
        assert await client.requeue(letters[0].id) == letters[0]
        assert await client.drop(letters[1].id, "seen") == letters[1]
        for letter in letters[:2]:
            for act in (client.requeue(letter.id), client.drop(letter.id, "seen")):
                with pytest.raises(LetterNotFoundError):
                    await act
        assert await client.letters(Wanted("failing")) == letters[2:]


async def test_one_that_is_gone_before_the_act_is_told_as_gone(
    site: Site, letters: list[LetterInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another operator was quicker, between the look and the act."""
    async with (
        client_of(site, spec_of(Failing)) as client,
        client_of(site, spec_of(Failing)) as quicker,
    ):
        look = Letters._letter

        async def slow(self: Letters, letter_id: str) -> object:
            letter = await look(self, letter_id)
            if self is client and await quicker.letters():
                await quicker.bus.dead_letters.drop(letter_id)
            return letter

        monkeypatch.setattr(Letters, "_letter", slow)
        with pytest.raises(LetterNotFoundError):
            await client.requeue(letters[0].id)
        with pytest.raises(LetterNotFoundError):
            await client.drop(letters[1].id, "seen")
