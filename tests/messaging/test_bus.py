"""The facade: publishing, listening, watching, opening and closing."""

import asyncio
import math
import time
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import BaseModel

import messaging
from messaging.backend import Incident
from messaging.backends.memory import MemoryBackend
from messaging.bus import Bus
from messaging.client.tap import WAIT_S, Tapped
from messaging.control.incidents import Incidents
from messaging.errors import (
    BackendSetupError,
    BusClosedError,
    InvalidMessageError,
    NobodyListensError,
    TopicError,
    WireError,
)
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.handling.subscription import SubscriptionOptions
from messaging.testing import Recorder, memory_bus
from messaging.testing.stillness import until_still
from messaging.wire.envelope import new_id
from messaging.wire.message import MessageRegistry
from tests.messaging.buses import Ask, Progress, Told, listening, lying_in, open_bus, options
from tests.messaging.conftest import Site
from tests.messaging.notes import passed

REPEATS = 50


class Plain(BaseModel):
    items: list[int]


async def test_what_many_publish_under_one_id_is_stored_once(site: Site) -> None:
    kept, other = new_id(), new_id()
    async with open_bus(site) as here, open_bus(site) as there:
        await asyncio.gather(
            *[
                bus.publish("asks", Ask(text=text), message_id=message_id)
                for bus in (here, there)
                for text, message_id in [("a", kept), ("b", other)] * REPEATS
            ]
        )
    async with open_bus(site) as later:
        assert await later.publish("asks", Ask(text="a"), message_id=kept) == kept
        await later.publish("asks", Ask(text="last"))

        entries = await lying_in(later, "asks", 3)
        assert len(entries) == 3
        assert {entry.envelope.id for entry in entries} > {kept, other}


async def test_an_id_that_no_envelope_can_carry_is_refused(site: Site) -> None:
    async with open_bus(site) as bus:
        with pytest.raises(ValueError, match="32 lower-case hex digits"):
            await bus.publish("asks", Ask(text="a"), message_id="order-17")


async def test_publishing_answers_with_ids_in_order(site: Site) -> None:
    async with open_bus(site) as bus:
        ids = await bus.publish_many("asks", [Ask(text=str(number)) for number in range(10)])

        entries = await lying_in(bus, "asks", 10)
        assert [entry.envelope.id for entry in entries] == ids
        assert {entry.envelope.sender for entry in entries} == {"tests"}


async def test_publishing_to_nobody_fails_when_a_listener_is_required(site: Site) -> None:
    async with open_bus(site) as bus:
        with pytest.raises(NobodyListensError, match="nothing was published"):
            await bus.publish("asks", Ask(text="hello"), require_listener=True)

        await bus.register(listening("late", Recorder()))

        assert await bus.publish("asks", Ask(text="hello"), require_listener=True)


@pytest.mark.parametrize("topic", ["", "a..b", "a.*", "_retry.x", "with space", "x" * 300])
async def test_a_name_that_is_no_topic_is_refused(topic: str) -> None:
    async with memory_bus(Ask) as bus:
        with pytest.raises(TopicError):
            await bus.publish(topic, Ask(text="hello"))


async def test_a_message_that_cannot_be_written_as_json_is_refused_by_name() -> None:
    async with memory_bus(Ask) as bus:
        with pytest.raises(InvalidMessageError, match=r"not a valid Ask: .* JSON"):
            await bus.publish("asks", Ask.model_construct(text="\ud800"))


@pytest.mark.parametrize("text", ["\ud800", "a\0b"], ids=["lone surrogate", "NUL"])
@pytest.mark.parametrize("name", ["key", "tags", "reply_to", "conversation"])
async def test_an_option_that_no_header_can_carry_is_refused_by_name_on_every_backend(
    site: Site, name: str, text: str
) -> None:
    option: Any = {name: ["fit", text] if name == "tags" else text}
    refused: list[str] = []

    async def pass_on(ask: Ask, context: Context) -> Told:
        with pytest.raises(WireError, match=f"^{name} .*cannot travel"):
            context.send(ask, "never", **option)
        with pytest.raises(WireError, match=f"^{name} .*cannot travel"):
            context.send(ask, timer="never", delay_s=1.0, **option)
        refused.append("in a handler")
        return Told(text="told")

    async with open_bus(site) as bus:
        for publishing in (
            bus.publish("never", Ask(text="a"), **option),
            bus.publish("never", Ask(text="a"), message_id=new_id(), **option),
            bus.publish_many("never", [Ask(text="a"), Ask(text="b")], **option),
            bus.publish_many("never", [], **option),
        ):
            with pytest.raises(WireError, match=f"^{name} .*cannot travel"):
                await publishing
        if name in ("tags", "conversation"):
            for asking in (
                bus.request("never", Ask(text="a"), require_listener=False, **option),
                bus.request(
                    "never", Ask(text="a"), require_listener=False, message_id=new_id(), **option
                ),
                anext(bus.stream("never", Ask(text="a"), require_listener=False, **option)),
                bus.begin_request("never", Ask(text="a"), message_id=new_id(), **option),
            ):
                with pytest.raises(WireError, match=f"^{name} .*cannot travel"):
                    await asking
        await bus.subscribe(listening("reader", pass_on))
        assert await bus.request("asks", Ask(text="b")) == Told(text="told")
        assert refused
        assert "never" not in {info.topic for info in await bus.backend.topics()}


@pytest.mark.parametrize("key", [5, b"key"])
async def test_a_key_that_is_no_text_is_refused_on_every_backend(site: Site, key: Any) -> None:
    async with open_bus(site) as bus:
        with pytest.raises(TypeError, match=r"^key must be text, not "):
            await bus.publish("asks", Ask(text="a"), key=key)


def test_a_name_of_a_bus_that_no_header_can_carry_is_refused() -> None:
    with pytest.raises(WireError, match=r"^name .*cannot travel"):
        Bus(MemoryBackend("guild"), name="\ud800")


async def test_a_message_that_changes_after_publishing_arrives_as_it_was(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.register(listening("reader", recorder, Plain))
        plain = Plain(items=[1])
        await bus.publish("asks", plain)
        plain.items.append(2)

        await bus.subscribe(listening("reader", recorder, Plain))

        assert await recorder.messages(1) == [Plain(items=[1])]


async def test_a_delayed_message_comes_when_its_time_has_come(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("reader", recorder))
        published_at = time.monotonic()

        await bus.publish("asks", Ask(text="later"), delay_s=0.5)
        await bus.publish("asks", Ask(text="now"))

        assert await recorder.messages(2) == [Ask(text="now"), Ask(text="later")]
        assert time.monotonic() - published_at >= 0.45


async def test_a_registered_group_misses_nothing_before_it_starts(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.register(listening("late", recorder))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(3)])

        await bus.subscribe(listening("late", recorder))

        assert len(await recorder.messages(3)) == 3
        assert "asks" in (await bus.groups())["late"]


async def test_running_a_subscription_drains_it_when_cancelled(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        running = asyncio.create_task(bus.run(listening("team", recorder)))
        await asyncio.sleep(0)
        await bus.register(listening("team", recorder))
        await bus.publish("asks", Ask(text="hello"))
        await recorder.messages(1)

        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

        heir = await bus.backend.join("team")
        assert set(await heir.beat()) == {heir.incarnation}


async def test_an_unsubscribed_group_is_owed_nothing(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.register(listening("gone", Recorder()))

        await bus.unsubscribe("gone")

        assert "gone" not in await bus.groups()


async def test_a_tap_sees_what_is_published_from_now_on_and_takes_nothing(site: Site) -> None:
    recorder = Recorder()
    async with open_bus(site) as bus:
        await bus.register(listening("reader", recorder))
        await bus.publish("asks", Ask(text="before"))
        await passed(bus.backend, 0.05)
        async with aclosing(bus.tap(["asks", "others.*"])) as tapped:
            await bus.publish("asks", Ask(text="after"))
            await bus.publish("others.new", Told(text="after too"))
            seen = await _take(tapped, 2)

        await bus.subscribe(listening("reader", recorder))
        assert {(one.topic, one.message) for one in seen} == {
            ("asks", Ask(text="after")),
            ("others.new", Told(text="after too")),
        }
        assert len(await recorder.messages(2)) == 2


async def test_a_tap_from_the_start_shows_what_is_still_there(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(1_200)])

        async with aclosing(bus.tap(["asks"], from_start=True)) as tapped:
            seen = await _take(tapped, 1_200)

        assert [one.message for one in seen] == [Ask(text=str(n)) for n in range(1_200)]


async def test_a_tap_that_does_not_follow_ends_behind_what_was_there_when_it_began(
    site: Site,
) -> None:
    seen = list[str]()
    async with open_bus(site) as bus:
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(1_200)])
        await bus.publish("others.old", Ask(text="other"))

        async with aclosing(bus.tap(["asks", "others.*", "none"], follow=False)) as tapped:
            async for one in tapped:
                assert isinstance(one.message, Ask)
                seen.append(one.message.text)
                await bus.publish("asks", Ask(text="late"))

    assert sorted(seen) == sorted([*map(str, range(1_200)), "other"])


async def test_a_tap_that_does_not_follow_ends_at_once_where_nothing_is(site: Site) -> None:
    async with open_bus(site) as bus:
        assert [one async for one in bus.tap(["asks", ">"], follow=False)] == []


async def test_a_tap_of_a_pattern_that_fits_no_topic_yet_waits_for_one(site: Site) -> None:
    async with open_bus(site) as bus, aclosing(bus.tap(["others.*"])) as tapped:
        coming = asyncio.create_task(_take(tapped, 1))
        await bus.backend.tail({}, max_count=1, wait_s=2 * WAIT_S)  # it has looked once by then
        await bus.publish("others.new", Told(text="at last"))
        (one,) = await coming

    assert (one.topic, one.message) == ("others.new", Told(text="at last"))


async def test_a_tap_of_what_can_fit_no_topic_is_refused(site: Site) -> None:
    async with open_bus(site) as bus:
        for pattern in ("asks..new", "asks.>.new", ""):
            with pytest.raises(TopicError):
                bus.tap(["asks", pattern])
        async with aclosing(bus.tap(["_retry.reader"])):
            pass


async def test_a_tap_shows_what_it_cannot_decode_too(site: Site) -> None:
    async with open_bus(site) as bus:
        envelope = bus.publisher.seal("asks", Ask(text="x"))
        await bus.backend.append([envelope._replace(payload=b"{", message=None)])

        async with aclosing(bus.tap(["asks"], from_start=True)) as tapped:
            (one,) = await _take(tapped, 1)

        assert one.message is None
        assert one.envelope.type == "Ask"


async def _take(tapped: object, count: int) -> list[Tapped]:
    async with asyncio.timeout(10):
        return [await anext(tapped) for _ in range(count)]  # type: ignore[call-overload]


async def test_a_bus_that_is_not_open_says_so(site: Site) -> None:
    bus = Bus(await site.open(), owns_backend=False)
    with pytest.raises(BusClosedError, match="not open"):
        await bus.publish("asks", Ask(text="hello"))

    await bus.open()
    await bus.close()
    await bus.close()

    with pytest.raises(BusClosedError, match="not open"):
        await bus.request("asks", Ask(text="hello"))


async def test_a_listener_that_fails_harms_nobody() -> None:
    heard: list[Incident] = []

    def fail(incident: Incident) -> None:
        raise RuntimeError("a broken listener")

    incidents = Incidents()
    incidents.listen(fail)
    incidents.listen(heard.append)

    incidents.report(Incident("takeover", "for the test"))

    assert heard == [Incident("takeover", "for the test")]


async def test_an_operator_hears_of_dead_letters(site: Site) -> None:
    heard: asyncio.Queue[Incident] = asyncio.Queue()
    async with open_bus(site) as bus:
        bus.listen(heard.put_nowait)
        await bus.subscribe(listening("ill", Recorder(ValueError("no"))))

        asked = await bus.publish("asks", Ask(text="go"))

        incident = await asyncio.wait_for(heard.get(), 10)
        assert incident.event == "dead_letter"
        assert asked in incident.text


async def test_connect_opens_a_bus_and_closes_it_again() -> None:
    registry = MessageRegistry(Told)
    async with messaging.connect("memory://", "writers", name="me", registry=registry) as bus:
        await bus.subscribe(listening("echo", Recorder(Told(text="hi"))))
        assert await bus.request("asks", Ask(text="hello")) == Told(text="hi")
    with pytest.raises(BusClosedError):
        await bus.publish("asks", Ask(text="hello"))


async def test_connecting_to_something_unknown_names_what_there_is() -> None:
    with pytest.raises(BackendSetupError, match="memory://, embedded, redis://"):
        async with messaging.connect("carrier-pigeon://"):
            pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"concurrency": 0},
        {"prefetch": 1},
        {"timeout_s": 0},
        {"lease_s": 0},
        {"drain_s": -1},
        {"max_hops": 255},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must|not"):
        options(**wrong)


NOT_FINITE = [math.nan, math.inf, -math.inf, "5", 10**400]
no_time = pytest.mark.parametrize("wrong", NOT_FINITE, ids=lambda wrong: str(wrong)[:5])


@no_time
@pytest.mark.parametrize("name", ["timeout_s", "lease_s", "drain_s"])
def test_a_subscription_refuses_by_name_what_is_no_time(name: str, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name} must be a finite number, not "):
        SubscriptionOptions(**{name: wrong})


@no_time
@pytest.mark.parametrize("name", ["backoff_s", "factor", "max_backoff_s", "jitter"])
def test_a_retry_policy_refuses_by_name_what_is_no_time(name: str, wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{name} must be a finite number, not "):
        RetryPolicy(**{name: wrong})


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 2.5, None], ids=str)
@pytest.mark.parametrize("name", ["concurrency", "prefetch", "max_hops", "partitions", "attempts"])
def test_a_count_that_is_no_whole_number_is_refused_by_name(name: str, wrong: Any) -> None:
    made: Any = RetryPolicy if name == "attempts" else SubscriptionOptions
    with pytest.raises(ValueError, match=f"^{name} must be a whole number, not "):
        made(**{name: wrong})


@pytest.mark.parametrize("wrong", [*NOT_FINITE, None], ids=lambda wrong: str(wrong)[:5])
async def test_a_wait_that_is_no_time_is_refused_by_name_before_anything_is_stored(
    wrong: Any,
) -> None:
    refused = pytest.raises(
        (TypeError, ValueError), match=r"^(timeout|wait|rest)_s must be a finite number, "
    )
    with refused:
        Bus(MemoryBackend("guild"), wait_s=wrong)
    async with memory_bus(Ask, Told) as bus:
        kept: Any = {"timeout_s": wrong, "message_id": new_id(), "require_listener": False}
        for asking in (
            bus.request("asks", Ask(text="a"), timeout_s=wrong, require_listener=False),
            bus.request("asks", Ask(text="a"), **kept),
            anext(bus.stream("asks", Ask(text="a"), timeout_s=wrong, require_listener=False)),
            anext(bus.stream("asks", Ask(text="a"), **kept)),
            anext(bus.follow(new_id(), timeout_s=wrong)),
            anext(bus.follow_with_positions(new_id(), timeout_s=wrong)),
        ):
            with refused:
                await asking
        with refused:
            bus.tap(["asks"], rest_s=wrong)
        with refused:
            await until_still([bus], timeout_s=wrong)
        assert await bus.backend.topics() == []


@no_time
async def test_a_deadline_that_is_no_time_is_refused(site: Site, wrong: Any) -> None:
    refused: list[str] = []

    async def pass_on(ask: Ask, context: Context) -> Told:
        with pytest.raises((TypeError, ValueError), match=r"^deadline_s must be a finite number, "):
            context.send(ask, "never", deadline_s=wrong)
        refused.append("in a handler")
        return Told(text="told")

    async with open_bus(site) as bus:
        with pytest.raises((TypeError, ValueError), match=r"^deadline_s must be a finite number, "):
            await bus.publish("asks", Ask(text="a"), deadline_s=wrong)
        await bus.subscribe(listening("reader", pass_on))
        assert await bus.request("asks", Ask(text="b")) == Told(text="told")
        assert refused


async def test_a_priority_that_is_no_whole_number_is_refused_on_every_backend(site: Site) -> None:
    priority: Any = 1.0
    async with open_bus(site) as bus:
        with pytest.raises(ValueError, match=r"^a priority is a whole number .* not 1\.0"):
            await bus.publish("asks", Ask(text="a"), priority=priority)


def test_two_handlers_for_one_wire_type_are_refused() -> None:
    class Told(messaging.Message):
        other: str

    from tests.messaging import buses  # noqa: PLC0415

    with pytest.raises(ValueError, match="two handlers for Told"):
        listening("both", Recorder(), Told, buses.Told)


async def test_the_testing_helpers_do_what_their_example_says() -> None:
    async with memory_bus(Ask, Told) as bus:
        recorder = Recorder(answer=Told(text="42"))
        await bus.subscribe(recorder.subscription("oracle", Ask, topic="questions"))

        assert await bus.request("questions", Ask(text="6 x 7?")) == Told(text="42")

        assert await recorder.messages(1) == [Ask(text="6 x 7?")]
        with pytest.raises(TimeoutError):
            await recorder.messages(2, timeout_s=0.01)
        assert Progress(step=1) not in await recorder.messages(0)
