"""Progress and text while an answer is awaited."""

import io

import pytest
from rich.console import Console

from guild.cli import watch
from guild.cli.output import printable
from guild.cli.watch import Watch
from guild.progress import Progress, TextDelta


def shown(*items: object, is_terminal: bool) -> str:
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


def test_on_a_terminal_a_task_has_a_bar_with_its_latest_figure() -> None:
    written = shown(Progress(task="[a] task", done=1, total=2, text="[b] text"), is_terminal=True)

    assert "[a] task" in written
    assert "50%" in written
    assert "[b] text" in written


@pytest.mark.parametrize("is_terminal", [True, False])
def test_text_comes_line_by_line_and_its_last_line_at_the_end(is_terminal: bool) -> None:
    written = shown(*map(_delta, ("one ", "line\nand", " more")), is_terminal=is_terminal)

    assert written.index("one line\n") < written.index("and more\n")


@pytest.mark.parametrize("is_terminal", [True, False])
def test_nothing_that_is_shown_commands_the_terminal(is_terminal: bool) -> None:
    red = "\x1b[31mred"

    written = shown(_delta(red), Progress(task=red, text=red), is_terminal=is_terminal)

    assert "\x1b[31m" not in written
    assert written.count("[31mred") >= 3
    assert printable("a\tb\n\x1b\x9b\x7f") == "a\tb\n"


def test_other_items_are_passed_over() -> None:
    assert shown(object(), is_terminal=False) == ""


def _delta(text: str) -> TextDelta:
    return TextDelta(text=text)
