"""Dead letters in numbers: grouped, edited, requeued and dropped, with nothing forgotten."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import Field

from messaging.backend import DeadLetter
from messaging.bus import Bus
from messaging.client.dead_letters import EVERY, DeadLetterDropped, Wanted
from messaging.errors import (
    InvalidMessageError,
    NobodyListensError,
    PayloadTooLargeError,
    UnknownTypeError,
)
from messaging.handling.context import Context
from messaging.handling.failure_record import reason_of
from messaging.handling.retry import RetryPolicy
from messaging.testing import Recorder
from messaging.wire.envelope import payload_of
from messaging.wire.message import Message
from messaging.wire.topic import EVENTS_TOPIC
from tests.messaging.buses import (
    REGISTRY,
    Ask,
    Told,
    dead_letters,
    listening,
    lying_in,
    open_bus,
    settled_all,
    texts_in,
)
from tests.messaging.conftest import Site
from tests.messaging.notes import given_up, joined, notes, take, texts

ONCE = RetryPolicy(attempts=1)


class Paid(Message, wire_name="tests.paid"):
    cents: int = Field(ge=0)
    by: str = "cash"


class Strange(Message, wire_name="tests.strange"):
    text: str = ""


REGISTRY.add(Paid)


async def picky(message: Ask | Paid, context: Context) -> None:
    """Takes nothing that contains `bad`."""
    if isinstance(message, Paid):
        if message.by == "bad":
            raise ValueError("bad payment")
        context.send(Told(text=f"paid {message.cents}"), "told")
        return
    if "bad" in message.text:
        raise KeyError(message.text)
    context.send(Told(text=message.text), "told")


async def bury(bus: Bus, *messages: Message, group: str = "picky", **changes: Any) -> None:
    """Let `group` give up on these."""
    known = len(await bus.dead_letters.list())
    classes = (Ask, Paid, Strange)
    await bus.subscribe(listening(group, picky, *classes, topics=[group], retry=ONCE, **changes))
    await bus.publish_many(group, messages)
    await dead_letters(bus, known + len(messages))


async def requeued(
    bus: Bus,
    wanted: Wanted = EVERY,
    *,
    dry_run: bool = False,
    done: list[DeadLetter] | None = None,
) -> Sequence[DeadLetter]:
    done = [] if done is None else done
    async for letter in bus.dead_letters.requeue_all(wanted, dry_run=dry_run):
        done.append(letter)
    return done


def message_in(letter: DeadLetter) -> Ask:
    return Ask.model_validate_json(payload_of(letter.envelope))


# -- grouped -------------------------------------------------------------------------------------


async def test_letters_are_counted_by_type_error_and_agent(site: Site) -> None:
    async with open_bus(site) as bus:
        await bury(bus, Ask(text="bad"), Ask(text="bad too"), Paid(cents=1, by="bad"))
        await bury(bus, Ask(text="bad"), group="other")

        kinds = [bundle[:4] for bundle in await bus.dead_letters.summary()]

        assert kinds[0] == ("Ask", "KeyError", "picky", 2)
        assert set(kinds[1:]) == {
            ("Ask", "KeyError", "other", 1),
            ("tests.paid", "ValueError", "picky", 1),
        }


async def test_letters_are_counted_by_what_was_asked_for(site: Site) -> None:
    async with open_bus(site) as bus:
        await bury(bus, Ask(text="bad"), Ask(text="bad too"), Paid(cents=1, by="bad"))

        by_error = await bus.dead_letters.summary(["error"], wanted=Wanted(type="Ask"))

        ((kind, error, agent, count, first_at, last_at),) = by_error
        assert (kind, error, agent, count) == ("", "KeyError", "", 2)
        assert first_at <= last_at
        with pytest.raises(ValueError, match="not colour"):
            await bus.dead_letters.summary(["colour"])


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Wanted(), 3),
        (Wanted(agent="picky"), 3),
        (Wanted(agent="nobody"), 0),
        (Wanted(type="Ask"), 2),
        (Wanted(error="ValueError"), 1),
        (Wanted(topic="picky", error="KeyError"), 2),
        (Wanted(topic="elsewhere"), 0),
    ],
)
async def test_letters_are_found_by_what_they_have_in_common(
    site: Site, wanted: Wanted, count: int
) -> None:
    async with open_bus(site) as bus:
        await bury(bus, Ask(text="bad"), Ask(text="bad too"), Paid(cents=1, by="bad"))

        assert len([letter async for letter in bus.dead_letters.find(wanted)]) == count


# -- edited --------------------------------------------------------------------------------------


async def test_an_edited_letter_keeps_its_id_and_is_handled(site: Site) -> None:
    async with open_bus(site) as bus:
        await bury(bus, Paid(cents=7, by="bad"))
        (letter,) = await dead_letters(bus)

        assert await bus.dead_letters.requeue(letter.id, edit={"by": "card"})

        (told,) = await lying_in(bus, "told")
        assert told.envelope.cause == letter.envelope.id
        assert await texts_in(bus, "told") == ["paid 7"]
        assert await bus.dead_letters.list() == []


async def test_a_letter_that_cannot_be_read_gets_a_whole_new_payload(site: Site) -> None:
    async with open_bus(site) as bus:
        await bury(bus, Paid(cents=7, by="bad"))
        (letter,) = await dead_letters(bus)
        broken = letter.envelope._replace(payload=b"?", message=None, topic="picky", origin="")
        await bus.backend.append([broken])
        unreadable = (await dead_letters(bus, 2))[-1]

        with pytest.raises(InvalidMessageError, match="give all of its fields"):
            await bus.dead_letters.requeue(unreadable.id, edit={"by": "card"})
        assert await bus.dead_letters.requeue(unreadable.id, payload={"cents": 9})

        assert await texts_in(bus, "told") == ["paid 9"]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"cents": -1}, "cents"),
        ({"cents": "many"}, "cents"),
        ({"colour": "red"}, "colour"),
        ({"cents": 10**30}, "cents"),
        ({"by": "\ud800"}, "JSON"),
        ({"by": object()}, "JSON"),
        ({"cents": float("nan")}, "cents"),
    ],
)
async def test_an_edit_that_does_not_fit_the_type_stores_nothing(
    site: Site, edit: dict[str, Any], says: str
) -> None:
    async with open_bus(site) as bus:
        await bury(bus, Paid(cents=7, by="bad"))
        (letter,) = await dead_letters(bus)

        with pytest.raises(InvalidMessageError, match=says):
            await bus.dead_letters.requeue(letter.id, edit=edit)

        assert await bus.dead_letters.list() == [letter]
        await settled_all(bus, "picky")


async def test_a_message_of_an_unknown_type_is_not_edited(site: Site) -> None:
    async def refuse(message: Strange, context: Context) -> None:
        raise ValueError("no")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("reader", refuse, Strange, retry=ONCE))
        await bus.publish("asks", Strange())
        (letter,) = await dead_letters(bus)

        with pytest.raises(UnknownTypeError, match=r"tests\.strange"):
            await bus.dead_letters.requeue(letter.id, edit={"text": "x"})

        assert await bus.dead_letters.list() == [letter]


async def test_an_edit_past_the_cap_stores_nothing(site: Site) -> None:
    backend = await site.open(max_envelope_bytes=1_000)
    async with open_bus(site, backend=backend) as bus:
        await bury(bus, Paid(cents=7, by="bad"))
        (letter,) = await dead_letters(bus)

        with pytest.raises(PayloadTooLargeError):
            await bus.dead_letters.requeue(letter.id, edit={"by": "x" * 2_000})

        assert await bus.dead_letters.list() == [letter]


# -- history -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered_by", ["", "by"])
async def test_a_letter_that_dies_again_keeps_its_history(site: Site, ordered_by: str) -> None:
    async with open_bus(site) as bus:
        await bury(bus, Paid(cents=7, by="bad"), ordered_by=ordered_by)
        (first,) = await dead_letters(bus)
        await bus.dead_letters.requeue(first.id, edit={"cents": 8})
        (second,) = await dead_letters(bus)
        await bus.dead_letters.requeue(second.id)
        (third,) = await dead_letters(bus)

        attempts = reason_of(third).attempts

        assert third.envelope.id == first.envelope.id
        assert payload_of(third.envelope) == b'{"cents":8,"by":"bad"}'
        assert [(each.number, each.error_type) for each in attempts] == [
            (1, "ValueError"),
            (0, "requeued"),
            (1, "ValueError"),
            (0, "requeued"),
            (1, "ValueError"),
        ]
        assert attempts[1].text == "by tests, edited: cents"
        assert attempts[3].text == "by tests"


@pytest.mark.parametrize("ordered_by", ["", "by"])
async def test_a_requeued_letter_that_is_cured_leaves_nothing_behind(
    site: Site, ordered_by: str
) -> None:
    async with open_bus(site) as bus:
        await bury(bus, Paid(cents=7, by="bad"), ordered_by=ordered_by)
        (letter,) = await dead_letters(bus)

        await bus.dead_letters.requeue(letter.id, edit={"by": "card"})
        await texts_in(bus, "told")
        await settled_all(bus, "picky")

        key = f"_bus.attempts.{letter.envelope.id}"
        assert await bus.backend.load_state("picky", key) is None


# -- many at once --------------------------------------------------------------------------------


async def test_many_are_requeued_by_what_they_have_in_common_once_it_is_said_so(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        running = await bus.subscribe(listening("picky", picky, Ask, Paid, retry=ONCE))
        messages = [Ask(text=f"bad {number}") for number in range(150)]
        await bus.publish_many("asks", [*messages, Paid(cents=1, by="bad")])
        await dead_letters(bus, 100)
        await settled_all(bus, "picky")
        await running.drain()
        await bus.subscribe(listening("picky", recorder, Ask, Paid))

        meant = await requeued(bus, Wanted(type="Ask"), dry_run=True)
        assert len(meant) == 150
        assert (await bus.dead_letters.summary(["agent"]))[0].letters == 151
        assert recorder.contexts == []

        done = await requeued(bus, Wanted(type="Ask"))

        assert [letter.id for letter in done] == [letter.id for letter in meant]
        assert await recorder.messages(150) == messages
        (left,) = await bus.dead_letters.list()
        assert left.envelope.type == "tests.paid"


async def test_requeueing_for_a_group_that_left_keeps_the_letter(site: Site) -> None:
    async with open_bus(site) as bus:
        await bury(bus, Ask(text="bad"))
        (letter,) = await dead_letters(bus)
        await bus._running[0].drain()
        await bus.unsubscribe("picky")

        with pytest.raises(NobodyListensError, match="picky"):
            await requeued(bus)

        assert await bus.dead_letters.list() == [letter]


async def test_who_leaves_while_requeueing_goes_on_later(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        messages = [Ask(text=f"bad {number}") for number in range(60)]
        await bury(bus, *messages)
        await bus._running[0].drain()

        async with aclosing(bus.dead_letters.requeue_all(dry_run=False)) as requeueing:
            first = await anext(requeueing)
        left = await requeued(bus)

        assert message_in(first) == messages[0]
        assert 0 < len(left) < 60
        assert await bus.dead_letters.list() == []
        await bus.subscribe(listening("picky", recorder, Ask, topics=["picky"]))
        assert await recorder.messages(60) == messages
        await settled_all(bus, "picky")
        assert len(recorder.contexts) == 60


@pytest.mark.parametrize("is_mutant", [False, True])
async def test_all_of_a_kind_are_dropped_for_good_and_each_is_told(
    site: Site, is_mutant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_mutant:
        monkeypatch.setattr(Wanted, "fits", lambda *_: True)
    async with open_bus(site) as bus:
        await bury(bus, *[Ask(text=f"bad {number}") for number in range(60)])
        await bury(bus, Paid(cents=1, by="bad"))
        letters = bus.dead_letters
        wanted = Wanted(type="Ask")

        counted = [each.id async for each in letters.drop_all(wanted, "tests")]
        assert await letters.count() == 61
        async with aclosing(letters.drop_all(wanted, "tests", dry_run=False, by="ada")) as dropping:
            first = await anext(dropping)
        rest = [each.id async for each in letters.drop_all(wanted, "tests", dry_run=False)]

        assert first.id == counted[0]
        assert 0 < len(rest) < 60
        assert (await letters.count() == 1) is not is_mutant
        events = await lying_in(bus, "guild.events", 60)
        told = [
            DeadLetterDropped.model_validate_json(payload_of(entry.envelope))
            for entry in events
            if entry.envelope.type == "guild.dead_letter_dropped"
        ]
        assert [each.letter_id for each in told] == counted
        assert {each.reason for each in told} == {"tests"}
        assert told[0].by == "ada"


async def test_what_dies_while_its_kind_is_dropped_is_kept(site: Site) -> None:
    async with open_bus(site) as bus:
        await bury(bus, *[Ask(text=f"bad {number}") for number in range(30)])
        dropped = []

        async for letter in bus.dead_letters.drop_all(Wanted("picky"), "tests", dry_run=False):
            if not dropped:
                await bury(bus, Ask(text="bad, and later"), group="other")
                await bus.publish("picky", Ask(text="bad, and later"))
                await settled_all(bus, "picky")
            dropped.append(letter.id)

        assert len(dropped) == 30
        left = await bus.dead_letters.list()
        assert sorted(each.group for each in left) == ["other", "picky"]


async def test_what_dies_again_while_the_rest_is_requeued_is_left_alone(site: Site) -> None:
    async with open_bus(site) as bus:
        await bury(bus, *[Ask(text=f"bad {number}") for number in range(60)])
        done = []

        async for letter in bus.dead_letters.requeue_all(dry_run=False):
            done.append(letter.envelope.id)
            await settled_all(bus, "picky")  # it has died again

        assert len(set(done)) == len(done) == 60
        assert len(await dead_letters(bus, 60)) == 60


async def test_a_group_that_left_keeps_no_other_from_its_letters(site: Site) -> None:
    done: list[DeadLetter] = []
    async with open_bus(site) as bus:
        await bury(bus, Ask(text="bad"), group="gone")
        await bury(bus, Ask(text="bad"), group="here")
        for running in bus._running:
            await running.drain()
        await bus.unsubscribe("gone")

        with pytest.raises(NobodyListensError, match="gone"):
            await requeued(bus, done=done)

        assert [letter.group for letter in done] == ["here"]
        assert [letter.group for letter in await bus.dead_letters.list()] == ["gone"]


# -- dropped -------------------------------------------------------------------------------------


async def test_why_a_letter_was_dropped_is_told_on_the_events_and_stays_there(site: Site) -> None:
    async with open_bus(site) as bus:
        await bury(bus, Paid(cents=7, by="bad"))
        (letter,) = await dead_letters(bus)

        assert await bus.dead_letters.drop(letter.id, "a test payment")

        (entry,) = await lying_in(bus, EVENTS_TOPIC)
        event = DeadLetterDropped.model_validate_json(payload_of(entry.envelope))
        assert event == DeadLetterDropped(
            letter_id=letter.id,
            message_id=letter.envelope.id,
            type="tests.paid",
            agent="picky",
            topic="picky",
            error="ValueError: bad payment",
            reason="a test payment",
            by="tests",
        )
        assert not await bus.dead_letters.drop(letter.id, "again")
        assert len(await lying_in(bus, EVENTS_TOPIC)) == 1


async def test_a_letter_whose_reason_cannot_be_read_is_listed_requeued_and_dropped(
    site: Site,
) -> None:
    async with open_bus(site) as bus:
        worker = await joined(bus.backend, "workers")
        await bus.backend.append(notes(2))
        await worker.commit([given_up(job, "workers") for job in await take(worker, 2)])
        first, second = [letter async for letter in bus.dead_letters.find()]

        assert "cannot be read" in reason_of(first).text
        (bundle,) = await bus.dead_letters.summary()
        assert bundle[:4] == ("Note", "WireError", "workers", 2)
        assert await bus.dead_letters.requeue(first.id)
        assert await bus.dead_letters.drop(second.id)
        assert texts(await take(worker, 1)) == texts([first])
