"""`guildbus init` with somebody at a terminal."""

from pathlib import Path

import pytest

from guild.checking.loader import load_file
from tests.cli.conftest import ROOT
from tests.llm.commands.terminal import CTRL_C, CTRL_D, Terminal
from tests.llm.engines.tiny_gguf import save_tiny_gguf


def wizard(folder: Path, *words: str | Path) -> Terminal:
    return Terminal("init", *words, cwd=folder, PYTHONPATH=str(ROOT))


def test_bad_answers_are_asked_for_again_and_nothing_is_overwritten(tmp_path: Path) -> None:
    model = save_tiny_gguf(tmp_path / "tiny.gguf")
    kept = tmp_path / "chat.yaml"
    kept.write_text("mine")
    with wizard(tmp_path) as terminal:
        assert "smollm2: SmolLM2 135M Instruct" in terminal.until("[1]: ")
        terminal.type("nowhere.gguf\n")
        assert "there is no file or folder nowhere.gguf" in terminal.until("[1]: ")
        terminal.type("7\n")
        assert "no number of the list is 7" in terminal.until("[1]: ")
        terminal.type("2\n")
        terminal.until("Path of the GGUF file: ")
        terminal.type(f"{model}\n")
        terminal.until("Backend (llamacpp, transformers) [llamacpp]: ")
        terminal.type("vllm\n")
        assert "runs on llamacpp or transformers" in terminal.until("[llamacpp]: ")
        terminal.type("\n")
        terminal.until("Device (auto, cpu) [auto]: ")
        terminal.type("cpu\n")
        terminal.until("Write the spec to [chat.yaml]: ")
        terminal.type("\n")
        terminal.until("chat.yaml is there already. Overwrite it? [y/N]: ")
        terminal.type("maybe\n")
        assert "type y or n" in terminal.until("[y/N]: ")
        terminal.type("\n")
        assert "give another name" in terminal.until("[chat.yaml]: ")
        terminal.type("mine.yaml\n")
        said = terminal.until("guildbus request mine.yaml ChatRequest")

        assert terminal.end() == 0
    assert "guildbus run mine.yaml" in said
    assert kept.read_text() == "mine"
    (agent,) = load_file(tmp_path / "mine.yaml").agents
    assert agent.properties["model"] == str(model)
    assert agent.properties["device"] == "cpu"


@pytest.mark.parametrize(("key", "code"), [(CTRL_C, 130), (CTRL_D, 1)])
def test_who_leaves_in_the_middle_leaves_nothing_behind(
    tmp_path: Path, key: str, code: int
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    model = save_tiny_gguf(tmp_path / "tiny.gguf")
    with wizard(folder, "--model", model, "--backend", "llamacpp", "--device", "cpu") as terminal:
        terminal.until("Write the spec to")
        terminal.type(key)

        assert terminal.end() == code
    assert "nothing was written" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert list(folder.iterdir()) == []


def test_a_flag_that_does_not_fit_is_asked_for_instead(tmp_path: Path) -> None:
    with wizard(tmp_path, "--model", "smolm2") as terminal:
        assert "did you mean 'smollm2'?" in terminal.until("[1]: ")
        terminal.type(CTRL_C)

        assert terminal.end() == 130


def test_yes_asks_nothing_on_a_terminal_either(tmp_path: Path) -> None:
    model = save_tiny_gguf(tmp_path / "tiny.gguf")
    with wizard(tmp_path, "--model", model, "--yes") as terminal:
        assert terminal.end() == 0

    assert (tmp_path / "chat.yaml").is_file()
