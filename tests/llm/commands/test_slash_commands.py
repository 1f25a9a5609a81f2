"""Lines in a talk that are no questions."""

import pytest

from agents.llm.repl.slash_commands import (
    SlashCommand,
    is_for_the_talk,
    slash_command,
    unknown_command,
)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("/quit", SlashCommand.QUIT),
        ("/exit", SlashCommand.QUIT),
        ("/bye", SlashCommand.QUIT),
        ("/q", SlashCommand.QUIT),
        ("/QUIT  ", SlashCommand.QUIT),
        ("/clear", SlashCommand.CLEAR),
        ("/help", SlashCommand.HELP),
        ("/?", SlashCommand.HELP),
    ],
)
def test_a_command_is_known_alone_on_its_line_in_any_case(line: str, wanted: SlashCommand) -> None:
    assert is_for_the_talk(line)
    assert slash_command(line) is wanted


@pytest.mark.parametrize(
    "line", ["/eixt", "/new-chat", "/", "/clear the table", "/set x 1", "/quit\nnow"]
)
def test_what_only_looks_like_a_command_is_told_and_never_sent(line: str) -> None:
    assert is_for_the_talk(line)
    assert slash_command(line) is None
    assert "there are /clear, /help, /quit. Begin with a space" in unknown_command(line)


@pytest.mark.parametrize(
    "line",
    [
        "/etc/hosts is empty, why?",
        "/* what does this comment mean? */",
        "// and this one?",
        "/2 is half of what?",
        " /quit is what I type to leave vi?",
        "quit",
        "What is /dev/null?",
    ],
)
def test_paths_comments_and_all_else_are_questions(line: str) -> None:
    assert not is_for_the_talk(line)
