"""Which lines of the log somebody at a terminal gets."""

from contextlib import suppress

import pytest
import structlog

from guild.cli.printing.logs import HeldDeaths
from messaging.errors import RequestFailedError


def tell(held: HeldDeaths, event: str, message_id: str) -> str | None:
    """What is written at once of a line about a message."""
    render = held.before(lambda _, __, line: f"{line['event']} {line['message_id']}")
    try:
        return str(render(None, "error", {"event": event, "message_id": message_id}))
    except structlog.DropEvent:
        return None


@pytest.mark.parametrize(
    ("outcome", "written"),
    [
        (RequestFailedError("Error", "broken", dead_letter_id="mine"), ["other"]),
        (RequestFailedError("Error", "broken"), ["mine", "other"]),
        (TimeoutError(), ["mine", "other"]),
        (None, ["mine", "other"]),
    ],
)
def test_no_dead_letter_goes_untold_but_the_one_that_the_error_tells_of(
    outcome: Exception | None, written: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with suppress(RequestFailedError, TimeoutError), HeldDeaths() as held:
        for message_id in ("mine", "other"):
            assert tell(held, "delivery.dead_lettered", message_id) is None
        if outcome is not None:
            raise outcome

    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"delivery.dead_lettered {message_id}" for message_id in written]


def test_all_other_lines_are_written_at_once() -> None:
    with HeldDeaths() as held:
        assert tell(held, "delivery.retried", "mine") == "delivery.retried mine"
