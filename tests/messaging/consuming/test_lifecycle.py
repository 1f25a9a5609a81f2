"""Who has to work, pause and end, and how those who work for it hear of that."""

import asyncio

import pytest

from messaging.consuming.lifecycle import Lifecycle, Phase

STEPS = {
    "pause": Lifecycle.pause,
    "resume": Lifecycle.resume,
    "retire": Lifecycle.retire,
    "drain": Lifecycle.drain,
    "hurry": lambda life: life.drain(hurry=True),
}


@pytest.mark.parametrize(
    ("steps", "phase"),
    [
        ("", Phase.RUNNING),
        ("pause", Phase.PAUSED),
        ("pause resume", Phase.RUNNING),
        ("pause drain", Phase.DRAINING),
        ("retire", Phase.RETIRING),
        ("retire pause", Phase.RETIRING),
        ("retire resume", Phase.RETIRING),
        ("retire drain", Phase.DRAINING),
        ("drain retire", Phase.DRAINING),
        ("drain resume", Phase.DRAINING),
        ("drain hurry", Phase.HURRIED),
        ("hurry drain", Phase.HURRIED),
    ],
)
def test_there_is_a_way_back_from_a_pause_and_from_no_end(steps: str, phase: Phase) -> None:
    life = Lifecycle()

    for step in steps.split():
        STEPS[step](life)

    assert life.phase is phase
    assert life.is_running == (phase is Phase.RUNNING)
    assert life.is_ending == (phase >= Phase.RETIRING)


def test_those_who_watch_hear_of_each_change_once_and_of_nothing_later() -> None:
    life, heard = Lifecycle(), list[Phase]()

    with life.watched(lambda: heard.append(life.phase)):
        for step in ["pause", "pause", "resume", "drain", "drain", "resume", "hurry"]:
            STEPS[step](life)
    other = list[Phase]()
    with life.watched(lambda: other.append(life.phase)):
        life.drain()

    assert heard == [Phase.PAUSED, Phase.RUNNING, Phase.DRAINING, Phase.HURRIED]
    assert not other


def test_a_part_follows_the_whole_and_may_end_before_it() -> None:
    whole, part, heard = Lifecycle(), Lifecycle(), list[Phase]()
    whole.pause()

    with part.watched(lambda: heard.append(part.phase)), part.following(whole):
        whole.resume()
        part.retire()
        whole.pause()
        whole.drain()
    whole.drain(hurry=True)

    assert heard == [Phase.PAUSED, Phase.RUNNING, Phase.RETIRING, Phase.DRAINING]


async def test_a_change_can_be_waited_for() -> None:
    life = Lifecycle()
    waiting = asyncio.create_task(life.changed())
    await asyncio.sleep(0)
    assert not waiting.done()

    life.pause()

    await waiting
