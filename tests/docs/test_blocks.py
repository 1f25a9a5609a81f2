"""Every block of every page is of a kind that some test runs or checks."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from typer.main import get_command

from guild.cli.app import app
from tests.docs.pages import (
    MODELS,
    ORDERS,
    PAGES,
    README,
    ROOT,
    blocks_on,
    files,
    is_excerpt,
    name_of,
    prose_of,
    steps_on,
    text_of,
)

LANGUAGES = {"sh", "python", "console", "yaml", "mermaid"}
SAMPLES = Path(__file__).with_name("test_samples.py")
_INCLUDED = re.compile(r"!include ([\w./]+)")
_FILE = re.compile(r"[\w./]+\.(?:py|yaml)")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_blocks_of_a_page_are_of_kinds_that_are_tested(page: Path) -> None:
    blocks = blocks_on(page)
    folders = {"", "output"} if page == MODELS or page.name == "architecture.md" else set()

    assert {block.language for block in blocks} <= LANGUAGES | folders
    if page != MODELS:  # whose code test_models_page runs
        assert all(block.file for block in blocks if block.language in {"python", "yaml"})
    assert text_of(page).count("\n```") == 2 * len(blocks), "a block does not end"


def test_every_file_of_the_pages_is_used_by_a_console_or_by_a_test_of_samples() -> None:
    commands = " ".join(step.command for page in PAGES for step in steps_on(page))
    typed = set(_FILE.findall(commands))
    allowed = {f"{name}.py" for name in re.findall(r"(?:ALLOW=|--allow )(\w+)", commands)}
    run = set(re.findall(r'"(\w+\.(?:py|yaml))"', SAMPLES.read_text(encoding="utf-8")))

    included = {name for block in files().values() for name in _INCLUDED.findall(block.text)}

    assert set(files()) <= typed | allowed | run | included
    assert run <= set(files())
    assert len(files()) > 12


@pytest.mark.parametrize("page", [ORDERS], ids=name_of)
def test_what_a_page_shows_of_a_file_stands_there(page: Path) -> None:
    excerpts = [block for block in blocks_on(page) if block.file and is_excerpt(page, block)]

    assert len(excerpts) > 8
    for block in excerpts:
        _, shown = block.text.split("\n", 1)
        assert shown in (page.parent / block.file).read_text(encoding="utf-8"), block.file


def test_the_readme_is_short() -> None:
    assert len(text_of(README).splitlines()) <= 150


def test_the_first_guild_is_short_and_needs_no_model() -> None:
    text = files()["hello_guild.py"].text

    assert len([line for line in text.splitlines() if line.strip()]) <= 25
    assert "torch" not in text


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_commands_that_a_page_names_exist_with_their_options(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # it tells of the past
        return
    for line in _commands_on(page):
        words = shlex.split(line.replace("…", "..."), comments=True)
        if words[0] == "guildbus":
            _check_command(words[1:], line)
        elif words[:1] == ["make"]:
            targets = (ROOT / "Makefile").read_text(encoding="utf-8")
            assert f"\n{words[1]}:" in targets, line
        elif words[:3] == ["python", "-m", "benchmarks"] and len(words) > 3:
            room = ROOT / "benchmarks" / words[3]
            assert room.is_dir() or room.with_suffix(".py").is_file(), line


def _commands_on(page: Path) -> Iterator[str]:
    """What is typed in blocks, and named in code between words."""
    for block in blocks_on(page):
        if block.language == "sh":
            yield from (part for line in block.text.splitlines() for part in _parts(line))
    yield from (step.command.removesuffix("&") for step in steps_on(page))
    for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", prose_of(page)):
        if re.match(r"(guildbus|make|python -m) ", code):
            yield " ".join(code.split())


def _parts(line: str) -> Iterator[str]:
    for part in line.split("#", maxsplit=1)[0].split("&&"):
        if part.split()[:1] and part.split()[0] in {"guildbus", "make", "python"}:
            yield part.strip()


def _check_command(words: list[str], line: str) -> None:
    command: Any = get_command(app)
    context = click.Context(command)
    while words and hasattr(command, "get_command"):
        word = words.pop(0)
        if word.startswith("-") or not word.islower():
            break
        command = command.get_command(context, word)
        assert command is not None, f"{line}: there is no {word}"
    known = {name for each in command.params for name in each.opts}
    given = [word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)]
    assert [option for option in given if option not in {*known, "--help"}] == [], line
