"""A route that fails loses no work: what was done stays done, and its message can be requeued."""

import asyncio

from guild.agent.agent import Agent, handles
from guild.builder import GuildBuilder, RouteBuilder
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from guild.testing import guild_of
from messaging.backends.memory import MemoryBackend
from messaging.bus import Bus
from messaging.handling.failure_record import reason_of
from messaging.wire.message import Message, MessageRegistry

PAYMENTS: list[str] = []
booked: asyncio.Queue[str] = asyncio.Queue()
audited: asyncio.Queue[str] = asyncio.Queue()


class Pay(Message, wire_name="tests.pay"):
    order: str
    currency: str | None = None


class Paid(Message, wire_name="tests.paid"):
    order: str
    currency: str | None


class Payer(Agent):
    @handles
    async def pay(self, request: Pay) -> Paid:
        PAYMENTS.append(request.order)
        return Paid(order=request.order, currency=request.currency)


class Ledger(Agent):
    @handles
    async def book(self, paid: Paid) -> None:
        booked.put_nowait(paid.order)


class Auditor(Agent):
    @handles
    async def audit(self, paid: Paid) -> None:
        audited.put_nowait(paid.order)


def shop(when: str) -> GuildSpec:
    builder = GuildBuilder.from_spec(guild_of(Payer, Ledger, Auditor))
    builder.add_route(RouteBuilder("payer").on_message(Paid).to("inbox.ledger").when(when))
    builder.add_route(RouteBuilder("payer").on_message(Paid).to("inbox.auditor"))
    return builder.build_spec()


async def test_a_paid_order_is_not_condemned_by_a_later_route() -> None:
    PAYMENTS.clear()
    registry = MessageRegistry()
    backend = MemoryBackend("failing-routes", strict=True)
    died = asyncio.Event()
    async with Bus(backend, guild_id="tests", registry=registry) as bus:
        bus.listen(lambda incident: died.set() if incident.event == "dead_letter" else None)
        wrong = Guild.launch(shop("length(currency) == `3`"), bus=bus)  # which may be null
        for message_class in wrong.plan.messages:
            registry.add(message_class)
        async with wrong as guild:
            answer = await guild.client.request("default_topic", Pay(order="o1"))
            assert answer == Paid(order="o1", currency=None)
            assert await asyncio.wait_for(audited.get(), 10) == "o1"
            await asyncio.wait_for(died.wait(), 10)
        (letter,) = await bus.dead_letters.list()
        assert (letter.group, letter.envelope.type) == ("payer", "guild.route_again")
        reason = reason_of(letter)
        assert reason.text == (
            "routes[0] of tests.paid to inbox.ledger: 'length(currency) == `3`' failed: "
            "length() takes string or array or object, not null"
        )
        assert len(reason.attempts) == 1

        async with Guild.launch(shop("length(currency || 'EUR') == `3`"), bus=bus):
            assert await bus.dead_letters.requeue(letter.envelope.id)
            assert await asyncio.wait_for(booked.get(), 10) == "o1"

    assert PAYMENTS == ["o1"]
    assert audited.empty()
