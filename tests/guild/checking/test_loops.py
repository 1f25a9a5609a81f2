"""Answers that come round to where they began are warned of before anything starts."""

import pytest

from guild import Agent, handles
from guild.agent.registry import type_name_of
from guild.checking.loader import load_yaml
from guild.checking.plan import Plan
from messaging import Message


class Ball(Message):
    hits: int = 0


class Back(Message):
    hits: int = 0


class Player(Agent):
    @handles
    async def hit(self, ball: Ball) -> Ball:
        return Ball(hits=ball.hits + 1)


class Wall(Agent):
    @handles
    async def reflect(self, ball: Ball) -> Back:
        return Back(hits=ball.hits)


class Thrower(Agent):
    @handles
    async def throw(self, back: Back) -> Ball:
        return Ball(hits=back.hits)


class Tired(Agent):
    @handles
    async def hit(self, ball: Ball) -> Ball | None:
        return Ball(hits=ball.hits + 1) if ball.hits < 3 else None


class Moody(Agent):
    @handles
    async def hit(self, ball: Ball) -> Ball | Back:
        return Ball() if ball.hits else Back()


PLAYER, WALL, THROWER = (type_name_of(each) for each in (Player, Wall, Thrower))
BACK_TO_X = "{from: w, message: Back, to: x, transform: '{hits: hits}', into: Ball"
TIRED, MOODY = type_name_of(Tired), type_name_of(Moody)


def warnings(agents: str, more: str = "") -> list[str]:
    spec = load_yaml(f"id: court\nbus: memory://\nagents: [{agents}]\n{more}", "s.yaml")
    return [line for line in Plan.of(spec).warnings if "goes round" in line]


def agent(name: str, type_name: str, more: str = "") -> str:
    return f'{{id: {name}, type: "{type_name}", {more}}}'


@pytest.mark.parametrize(
    ("agents", "more", "way"),
    [
        (agent("a", PLAYER), "", "'default_topic' goes round without an end: a -> a;"),
        (agent("a", PLAYER, "topics: [x, y.*]"), "", "'x' goes round without an end: a -> a;"),
        (
            f"{agent('w', WALL)}, {agent('t', THROWER)}",
            "",
            "'default_topic' goes round without an end: w -> t -> w;",
        ),
        (
            agent("a", PLAYER, "topics: [x, y], output_topic: y"),
            "",
            "'y' goes round without an end: a -> a;",
        ),
        (
            f"{agent('w', WALL, 'topics: [x]')}, {agent('c', 'hello.counter', 'topics: [z]')}",
            f"routes: [{BACK_TO_X}}}]",
            "'x' goes round without an end: w -> w;",
        ),
    ],
)
def test_a_way_round_without_an_end_is_warned_of_once(agents: str, more: str, way: str) -> None:
    (line,) = warnings(agents, more)

    assert way in line


@pytest.mark.parametrize(
    ("agents", "more"),
    [
        (agent("a", PLAYER, "answers: requester"), ""),
        (agent("a", PLAYER, "topics: [x], output_topic: y"), "topics: [y]"),
        (agent("a", PLAYER, "topics: ['x.*']"), ""),
        (agent("a", PLAYER, "only_when_tagged: true"), ""),
        (agent("a", TIRED), ""),
        (agent("a", MOODY), ""),
        (f"{agent('w', WALL, 'topics: [x]')}, {agent('t', THROWER, 'topics: [y]')}", ""),
        (
            agent("w", WALL, "topics: [x]"),
            f"routes: [{BACK_TO_X}, when: 'hits < `3`'}}]",
        ),
        (agent("g", "hello.greeter"), ""),
    ],
)
def test_a_way_that_ends_or_may_end_is_not(agents: str, more: str) -> None:
    assert warnings(agents, more) == []


def test_several_ways_round_are_told_each() -> None:
    one, two = warnings(
        f"{agent('a', PLAYER, 'topics: [x]')}, {agent('w', WALL, 'topics: [y]')}, "
        f"{agent('t', THROWER, 'topics: [y]')}"
    )

    assert "a -> a" in one
    assert "w -> t -> w" in two


def test_of_very_many_ways_round_a_few_are_told() -> None:
    told = warnings(", ".join(agent(f"a{n}", PLAYER, f"topics: [t{n}]") for n in range(300)))

    assert len(told) == 6
    assert told[-1].endswith("more goes round without an end, too")
