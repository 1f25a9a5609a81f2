"""The beats of a process: together, answered or not, and each consumer with troubles of its own."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from messaging.consuming.heartbeat import MOST_UNANSWERED, Heart
from messaging.errors import FencedError
from messaging.testing import eventually

PAUSE_S = 0.01


class Beater:
    """A consumer of which only the beats are of interest."""

    def __init__(self, name: str, beaten: list[str]) -> None:
        self.name = name
        self.beaten = beaten
        self.error: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def beat(self) -> Mapping[str, int]:
        self.beaten.append(self.name)
        if self.error:
            raise self.error
        await self.answers.wait()
        return {self.name: self.beaten.count(self.name)}


def beating(heart: Heart, beater: Any, seen: list[Mapping[str, int]]) -> asyncio.Task[None]:
    return asyncio.create_task(heart.keep_beating(beater, PAUSE_S, seen.append))


async def ended(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_those_who_beat_equally_often_beat_at_the_same_moment() -> None:
    heart, beaten, seen = Heart(), list[str](), list[Mapping[str, int]]()
    names = [f"c{number}" for number in range(5)]
    tasks = [beating(heart, Beater(name, beaten), seen) for name in names]
    await eventually(lambda: len(beaten) >= 20)
    await ended(*tasks)

    assert [beaten[at : at + 5] for at in (5, 10, 15)] == [names] * 3


async def test_every_answer_is_looked_at() -> None:
    heart, seen = Heart(), list[Mapping[str, int]]()
    task = beating(heart, Beater("a", []), seen)
    await eventually(lambda: len(seen) >= 3)
    await ended(task)

    assert seen[:3] == [{"a": 1}, {"a": 2}, {"a": 3}]


async def test_the_next_beat_does_not_wait_for_an_answer_up_to_a_bound() -> None:
    heart, beaten = Heart(), list[str]()
    slow = Beater("slow", beaten)
    slow.answers.clear()
    task = beating(heart, slow, [])
    other = beating(heart, Beater("other", beaten), [])
    await eventually(lambda: beaten.count("other") > MOST_UNANSWERED + 5)
    assert beaten.count("slow") == MOST_UNANSWERED
    slow.answers.set()
    await eventually(lambda: beaten.count("slow") > MOST_UNANSWERED)
    await ended(task, other)


async def test_the_end_of_one_is_not_the_end_of_the_others() -> None:
    heart, beaten = Heart(), list[str]()
    lost = Beater("lost", beaten)
    task, other = beating(heart, lost, []), beating(heart, Beater("other", beaten), [])
    await eventually(lambda: "lost" in beaten)
    lost.error = FencedError("group", "lost")
    with pytest.raises(FencedError):
        await task
    count = len(beaten)
    await eventually(lambda: len(beaten) > count + 5)
    await ended(other)

    assert "lost" not in beaten[count:]


async def test_who_cannot_take_an_answer_is_told_of_it() -> None:
    def look(_: Mapping[str, int]) -> None:
        raise ZeroDivisionError

    beater: Any = Beater("a", [])
    with pytest.raises(ZeroDivisionError):
        await Heart().keep_beating(beater, PAUSE_S, look)


async def test_nothing_beats_on_when_all_have_gone() -> None:
    heart, beaten = Heart(), list[str]()
    task = beating(heart, Beater("a", beaten), [])
    await eventually(lambda: len(beaten) > 1)
    await ended(task)

    assert not [task for task in asyncio.all_tasks() if task.get_name() == "pulse"]
    again = beating(heart, Beater("b", beaten), [])
    await eventually(lambda: beaten.count("b") > 2)
    await ended(again)
