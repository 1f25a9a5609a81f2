"""Progress and text while an answer is awaited."""

import io
import re
import time

import pytest
from pydantic import BaseModel
from rich.console import Console

from guild.cli.printing import watch
from guild.cli.printing.output import printable
from guild.cli.printing.watch import Watch
from guild.progress import Measured, Progress, TextDelta
from messaging.wire.replies import UnknownMessage
from tests.cli.crew import Half


def shown(*items: BaseModel, is_terminal: bool) -> str:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=is_terminal, width=100, no_color=True)
    with Watch(console) as view:
        for item in items:
            view.show(item)
    return stream.getvalue()


def test_off_a_terminal_a_task_is_told_at_its_start_and_its_end() -> None:
    steps = (Progress(task="training", done=n, total=4, text=f"loss {1 / n}") for n in (1, 2, 4))

    assert shown(*steps, is_terminal=False).splitlines() == [
        "training:  25% loss 1.0",
        "training: 100% loss 0.25",
    ]


def test_off_a_terminal_a_long_task_is_told_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "LINE_EVERY_S", 0.0)
    steps = (Progress(task="reading", done=n, text=str(n)) for n in range(3))

    assert shown(*steps, is_terminal=False).splitlines() == [
        "reading: 0",
        "reading: 1",
        "reading: 2",
    ]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_figures_for_curves_are_not_told_in_words(is_terminal: bool) -> None:
    figures = Measured(task="training", step=1, values={"loss": 0.25})

    assert shown(figures, is_terminal=is_terminal) == shown(is_terminal=is_terminal)


def test_on_a_terminal_a_task_has_a_bar_with_its_latest_figure() -> None:
    written = shown(Progress(task="[a] task", done=1, total=2, text="[b] text"), is_terminal=True)

    assert "[a] task" in written
    assert "50%" in written
    assert "[b] text" in written


def test_a_long_text_leaves_the_bars_their_room() -> None:
    long = Progress(task="evaluate DigitsResidual", done=1, total=2, text="a long finding " * 20)

    written = shown(long, is_terminal=True)

    assert re.search(r"evaluate DigitsResidual\S* ━+ .*50%.* a long finding .*…", written)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_text_comes_line_by_line_and_its_last_line_at_the_end(is_terminal: bool) -> None:
    written = shown(*map(_delta, ("one ", "line\nand", " more")), is_terminal=is_terminal)

    assert written.index("one line\n") < written.index("and more\n")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_text_stands_before_the_task_that_begins_after_it(is_terminal: bool) -> None:
    items = (_delta("the "), _delta("end"), Progress(task="report", done=1, total=2), _delta("new"))

    written = shown(*items, is_terminal=is_terminal)

    assert written.index("the end\n") < written.index("report") < written.index("new\n")


def test_a_task_under_way_does_not_break_a_line_of_text() -> None:
    begun, goes_on = (Progress(task="training", done=n, total=4) for n in (1, 2))

    written = shown(begun, _delta("one "), goes_on, _delta("line\n"), is_terminal=False)

    assert written.splitlines() == ["training:  25%", "one line"]


def test_on_a_terminal_text_is_seen_before_its_line_is_finished() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, no_color=True)
    with Watch(console) as view:
        view.show(_delta("half a li"))
        view.show(Progress(task="training", done=1, total=2))
        view.show(_delta("another li"))

        assert came_to_show("another li", stream)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_nothing_that_is_shown_commands_the_terminal(is_terminal: bool) -> None:
    red = "\x1b[31mred"

    written = shown(_delta(red), Progress(task=red, text=red), is_terminal=is_terminal)

    assert "\x1b[31m" not in written
    assert written.count("[31mred") >= 3
    assert printable("a\tb\n\x1b\x9b\x7f") == "a\tb\n"


def came_to_show(text: str, stream: io.StringIO) -> bool:
    """Wait for the bars to be drawn again, which a thread does ten times a second."""
    deadline_s = time.monotonic() + 30
    while text not in stream.getvalue() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return text in stream.getvalue()


def _delta(text: str) -> TextDelta:
    return TextDelta(text=text)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_any_other_item_is_shown_as_its_type_and_its_json(is_terminal: bool) -> None:
    strange = UnknownMessage(type="crew.strange", version=2, data={"a": "\x1b[1m"})

    lines = shown(TextDelta(text="so"), Half(count=2), strange, is_terminal=is_terminal)

    lines = re.sub(r"\x1b\[(2K|\?25.)|\r", "", lines)  # what a terminal is told about the cursor
    assert lines.splitlines()[:2] == ["so", 'crew.half {"count":2}']
    assert lines.splitlines()[2].startswith('crew.strange@2 {"a":')
    assert "\x1b" not in lines
