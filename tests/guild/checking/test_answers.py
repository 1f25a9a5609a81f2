"""A request that nobody would ever answer is refused at once, and no other."""

import pytest

from guild.agent.agent import Agent, handles
from guild.builder import AgentBuilder, GuildBuilder, RouteBuilder
from guild.checking import answers
from guild.checking.answers import require_answer
from guild.checking.plan import Plan
from guild.client import GuildClient
from guild.errors import NobodyAnswersError
from guild.testing import guild_of, launched
from messaging.errors import NotAMessageError, RequestFailedError, RequestTimeoutError
from messaging.handling.context import Context, Requester
from messaging.handling.failure_record import reason_of
from messaging.wire.message import Message
from tests.guild.samples import Asker, Echo, Note, Ping, Pong, Reader


class Passed(Message, wire_name="tests.passed"):
    requester: Requester


class Later(Agent):
    """Answers notes when a pong comes."""

    @handles(sends=[Ping])
    async def keep(self, note: Note, ctx: Context) -> None: ...

    @handles(answers=[Pong])
    async def answer(self, pong: Pong, ctx: Context) -> None: ...


class Passing(Agent):
    """Has somebody else answer."""

    @handles(sends=[Passed])
    async def pass_on(self, note: Note, ctx: Context) -> None:
        assert ctx.requester is not None
        ctx.send(Passed(requester=ctx.requester))


class Answering(Agent):
    @handles(answers=[Pong])
    async def answer(self, passed: Passed, ctx: Context) -> None:
        ctx.answer(passed.requester, Pong(text="for another"))


class Sometimes(Agent):
    @handles
    async def perhaps(self, note: Note) -> Pong | None:
        return None


class Wrong(Agent):
    @handles
    async def give(self, ping: Ping) -> Pong:
        return Note(text=ping.text)  # type: ignore[return-value]


async def test_a_request_to_handlers_that_answer_nothing_is_refused_and_not_published() -> None:
    async with launched(Reader) as guild:
        for asking in (
            guild.client.request("default_topic", Note(text="")),
            anext(aiter(guild.client.stream("default_topic", Note(text="")))),
        ):
            with pytest.raises(NobodyAnswersError, match=r"answers.*: reader\.read; nothing was"):
                await asking

        topics = await guild.client.bus.backend.topics()
        assert sum(info.entries for info in topics if info.topic == "default_topic") == 0


def refusal(*agents: type[Agent]) -> str:
    plan = Plan.of(guild_of(*agents))
    with pytest.raises(NobodyAnswersError) as refused:
        require_answer(plan, "default_topic", Note)
    return ", ".join(refused.value.handlers)


def test_all_handlers_that_answer_nothing_are_named() -> None:
    assert refusal(Reader) == "reader.read"
    assert refusal(Reader, Asker, Echo) == "reader.read, asker.ask"


@pytest.mark.parametrize(
    "agents", [(Later, Echo), (Sometimes,), (Reader, Sometimes), (Passing, Answering)]
)
def test_a_request_that_may_be_answered_now_or_later_or_by_another_is_not_refused(
    agents: tuple[type[Agent], ...],
) -> None:
    require_answer(Plan.of(guild_of(*agents)), "default_topic", Note)


def test_what_a_route_brings_may_be_answered_by_its_receiver() -> None:
    class Forward(Agent):
        @handles(sends=[Ping])
        async def take(self, note: Note, ctx: Context) -> None: ...

    class Answers(Agent):
        @handles(answers=[Pong])
        async def take(self, pong: Pong, ctx: Context) -> None: ...

    guild = GuildBuilder.from_spec(guild_of(Forward, Echo))
    far = AgentBuilder(Answers).set_id("far").listen_to_default_topic(False)
    guild.add_agent_spec(far.add_additional_topic("pongs").build_spec())
    guild.add_route(RouteBuilder("echo").on_message(Pong).to("pongs"))

    require_answer(Plan.of(guild.build_spec()), "default_topic", Note)


async def test_an_agent_that_another_handed_the_requester_to_does_answer() -> None:
    async with launched(guild_of(Passing, Answering)) as guild:
        answer = await guild.client.request("default_topic", Note(text=""))

    assert answer == Pong(text="for another")


async def test_if_contracts_were_not_asked_the_caller_would_wait_in_vain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("guild.operations.talking.require_answer", lambda *_: None)
    async with launched(Reader) as guild:
        with pytest.raises(RequestTimeoutError):
            await guild.client.request("default_topic", Note(text=""), timeout_s=0.2)


async def test_an_agent_that_answers_another_class_than_it_declares_fails_for_good() -> None:
    async with launched(Wrong) as guild:
        with pytest.raises(RequestFailedError, match="declared to return Pong and returned Note"):
            await guild.client.request("default_topic", Ping())

        (letter,) = await guild.client.bus.dead_letters.list()
        assert reason_of(letter).text.startswith("wrong: give is declared to return Pong")
        assert len(reason_of(letter).attempts) == 1


async def test_what_is_no_message_is_refused_by_the_client() -> None:
    async with launched(Echo) as guild:
        client: GuildClient = guild.client
        for asking in (
            client.publish("default_topic", "x"),  # type: ignore[arg-type]
            client.request("default_topic", dict),  # type: ignore[arg-type]
            anext(aiter(client.stream("default_topic", {}))),  # type: ignore[arg-type]
        ):
            with pytest.raises(NotAMessageError, match="a message is an instance of a pydantic"):
                await asking


async def test_what_was_looked_up_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def note(plan: Plan, topic: str, message: type) -> None:
        looked.append(topic)
        answers.require_answer(plan, topic, message)

    monkeypatch.setattr("guild.operations.talking.require_answer", note)
    async with launched(Echo) as guild:
        for _ in range(3):
            await guild.client.request("default_topic", Ping())

    assert looked == ["default_topic"]
