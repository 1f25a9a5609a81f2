"""Messages that were given up: to be found, tried again or dropped."""

from messaging.handling.context import Context
from messaging.handling.subscription import Subscription
from messaging.testing import Recorder
from messaging.wire.envelope import payload_of
from messaging.wire.replies import RequestFailed
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


class Cured:
    """A handler that fails until it is cured."""

    def __init__(self) -> None:
        self.is_cured = False

    async def __call__(self, ask: Ask, context: Context) -> None:
        if not self.is_cured:
            raise RuntimeError("still ill")
        context.send(Told(text=f"attempt {context.attempt}"), "told")


async def test_a_dead_letter_is_found_by_its_own_id_and_by_its_messages(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("ill", Cured()))
        asked = await bus.publish("asks", Ask(text="keep me"))
        (letter,) = await dead_letters(bus)

        assert await bus.dead_letters.show(letter.id) == letter
        assert await bus.dead_letters.show(asked) == letter
        assert await bus.dead_letters.show("0" * 32) is None
        assert letter.envelope.published_to == "asks"
        assert payload_of(letter.envelope) == b'{"text":"keep me"}'


async def test_dead_letters_are_listed_by_group_and_page(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("ill", Cured()))
        await bus.subscribe(listening("worse", Cured(), topics=["others"]))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(3)])
        await bus.publish("others", Ask(text="other"))
        await dead_letters(bus, 4)

        (first,) = await bus.dead_letters.list(group="ill", max_count=1)
        rest = await bus.dead_letters.list(group="ill", after=first.id)

        assert len(rest) == 2
        assert {letter.group for letter in rest} == {"ill"}


async def test_a_requeued_message_starts_afresh_with_its_own_agent_only(site: Site) -> None:
    cured, other = Cured(), Recorder()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("ill", cured))
        await bus.subscribe(listening("other", other))
        await bus.publish("asks", Ask(text="again"))
        (letter,) = await dead_letters(bus)
        cured.is_cured = True

        assert await bus.dead_letters.requeue(letter.id)

        assert await texts_in(bus, "told") == ["attempt 1"]
        assert await bus.dead_letters.list() == []
        assert not await bus.dead_letters.requeue(letter.id)
        await settled_all(bus, "other")
        assert len(await other.messages(1)) == 1


async def test_a_dropped_dead_letter_is_gone(site: Site) -> None:
    async with open_bus(site) as bus:
        await bus.subscribe(listening("ill", Cured()))
        asked = await bus.publish("asks", Ask(text="forget me"))
        await dead_letters(bus)

        assert await bus.dead_letters.drop(asked, "a test message")

        assert await bus.dead_letters.list() == []
        assert not await bus.dead_letters.drop(asked)


async def test_a_failed_sub_request_reaches_the_inbox_of_the_agent_that_asked(site: Site) -> None:
    failures = Recorder()

    async def delegate(ask: Ask, context: Context) -> None:
        context.send(ask, "further")

    async with open_bus(site) as bus:
        await bus.subscribe(listening("ill", Cured(), topics=["further"]))
        handlers = {Ask: delegate, RequestFailed: failures}
        await bus.subscribe(Subscription("front", ["asks"], handlers, options()))

        await bus.publish("asks", Ask(text="go"))

        (failure,) = await failures.messages(1)
        assert isinstance(failure, RequestFailed)
        assert (failure.agent, failure.error_type, failure.attempts) == ("ill", "RuntimeError", 3)
        assert failures.contexts[0].envelope.cause == failure.message_id
