from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from guild.cli.app import app
from guild.cli.syntax import plugins


def installed(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    entries = {name: EntryPoint(name, value, plugins.GROUP) for name, value in values.items()}
    monkeypatch.setattr(plugins, "_plugins", lambda: entries)


def test_a_plugin_that_cannot_be_loaded_is_a_sentence_and_harms_no_other_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed(monkeypatch, broken="nowhere_at_all:app")

    outcome = CliRunner().invoke(app, ["broken", "--any", "thing"])

    assert outcome.exit_code == 1
    assert "broken cannot be loaded from nowhere_at_all:app" in outcome.output
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0


def test_a_plugin_cannot_take_the_name_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, run="nowhere_at_all:app")

    assert "Run a guild." in CliRunner().invoke(app, ["run", "--help"]).output


def test_the_commands_of_models_are_found_by_their_entry_points() -> None:
    outcome = CliRunner().invoke(app, ["models", "list"])

    assert outcome.exit_code == 0
    assert "smollm2" in outcome.output
    assert CliRunner().invoke(app, ["models", "get", "smolm2"]).exit_code == 1
