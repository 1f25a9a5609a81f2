"""A tap that ends by itself: behind what there is, after so many, after so long."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture(scope="module")
def published() -> set[Path]:
    return set()


@pytest.fixture
def held(run: Run, running: Path, published: set[Path]) -> Path:
    """The spec of a guild whose topic `aside` holds three messages."""
    if running not in published:
        for count in range(3):
            run("publish", running, "crew.work", f"count:={count}", "--topic", "aside")
        published.add(running)
    return running


def test_a_tap_that_does_not_follow_shows_what_is_there_and_ends(run: Run, held: Path) -> None:
    outcome = run("tap", held, "aside", "--no-follow", "--count", "5", "--json")

    assert (outcome.code, outcome.err) == (0, "")
    assert [shown["data"]["count"] for shown in outcome.documents()] == [0, 1, 2]


def test_a_tap_begins_at_a_time(run: Run, held: Path) -> None:
    early = run("tap", held, "aside", "--no-follow", "--since", "2000-01-31T12:00Z", "--json")
    late = run("tap", held, "aside", "--no-follow", "--since", "2999-01-31", "--json")

    assert [shown["data"]["count"] for shown in early.documents()] == [0, 1, 2]
    assert (late.code, late.out) == (0, "")


def test_a_tap_that_cannot_begin_as_it_is_told_is_refused(run: Run, held: Path) -> None:
    vague = run("tap", held, "aside", "--since", "yesterday")
    both = run("tap", held, "aside", "--since", "2030-01-31", "--from-start")

    assert (vague.code, both.code) == (2, 2)
    assert "--since yesterday: write a time such as 2030-01-31T12:00Z" in vague.err
    assert "give --from-start or --since, not both" in both.err


def test_a_tap_that_does_not_follow_does_not_say_that_it_waits(run: Run, held: Path) -> None:
    outcome = run("tap", held, "asied", "--no-follow")

    assert (outcome.code, outcome.out) == (0, "")
    assert "did you mean 'aside'?" in outcome.err
    assert "waited for" not in outcome.err


def test_a_tap_that_times_out_below_its_count_ends_with_6(run: Run, held: Path) -> None:
    outcome = run("tap", held, "aside", "--from-start", "--count", "4", "--timeout", "0.5")

    assert outcome.code == 6
    assert len(outcome.out.splitlines()) == 3
    assert "fewer than 4 messages passed in 0.5 s" in outcome.err


def test_a_tap_without_a_count_just_ends_at_its_timeout(run: Run, held: Path) -> None:
    outcome = run("tap", held, "aside", "--from-start", "--timeout", "0.5")

    assert outcome.code == 0
    assert len(outcome.out.splitlines()) == 3
