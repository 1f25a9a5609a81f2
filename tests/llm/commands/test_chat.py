"""`guildbus chat`: piped, at a terminal, and with what goes wrong."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.llm.models import SMOLLM2
from tests.cli.conftest import ROOT, Run
from tests.llm.commands.terminal import CTRL_C, CTRL_D, Terminal
from tests.llm.engines.tiny_gguf import save_tiny_gguf
from tests.reliability.workers.patience import stretched

TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[answer]"
SHORT = ["--max-new-tokens", "5", "--seed", "1", "--threads", "1"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Talks nonsense, one character a token, and never ends by itself."""
    path = tmp_path_factory.mktemp("models") / "talking.gguf"
    return save_tiny_gguf(path, tokenizer__chat_template=TEMPLATE, context_window=8192)


def test_each_piped_line_gets_one_line_of_answer(run: Run, tiny: Path) -> None:
    outcome = run("chat", tiny, *SHORT, stdin="Hello\n\nAgain\nAnd again")

    lines = outcome.out.split("\n")
    assert (outcome.code, outcome.err) == (0, "")
    assert [bool(line) for line in lines] == [True, False, True, True, False]


def test_a_seed_repeats_a_conversation(run: Run, tiny: Path) -> None:
    first, again = (run("chat", tiny, *SHORT, stdin="Hello\nAgain\n").out for _ in range(2))

    assert first == again


def test_the_real_model_answers_and_remembers(run: Run, smollm2: Path) -> None:
    questions = "What is the capital of Japan?\nRepeat the name of that city.\n"

    outcome = run("chat", "--temperature", "0", "--threads", "1", stdin=questions)

    first, second = outcome.out.splitlines()
    assert first == "The capital of Japan is Tokyo."
    assert "Tokyo" in second


def test_a_long_conversation_forgets_its_beginning_and_goes_on(run: Run, tmp_path: Path) -> None:
    model = save_tiny_gguf(
        tmp_path / "small.gguf", tokenizer__chat_template=TEMPLATE, context_window=128
    )

    outcome = run("chat", model, *SHORT, stdin="A question of some length\n" * 12)

    assert (outcome.code, outcome.err) == (0, "")
    assert all(outcome.out.splitlines())
    assert outcome.out.count("\n") == 12


def test_a_question_that_fails_leaves_its_line_empty_and_the_status_says_so(
    run: Run, tmp_path: Path
) -> None:
    model = save_tiny_gguf(
        tmp_path / "small.gguf", tokenizer__chat_template=TEMPLATE, context_window=128
    )

    outcome = run("chat", model, *SHORT, stdin=f"one\n{'long ' * 60}\nthree\n")

    assert outcome.code == 1
    assert [bool(line) for line in outcome.out.splitlines()] == [True, False, True]
    assert "more than the context window" in outcome.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nowhere.gguf"], 1, "there is no file nowhere.gguf"),
        (["."], 1, ". is a folder, and `guildbus chat` takes a GGUF file; `guildbus init"),
        (["mine.yaml"], 1, "mine.yaml is a spec, and `guildbus chat` takes a GGUF file"),
        (["microsoft/phi-2"], 1, "`guildbus init --model microsoft/phi-2` writes a spec"),
        (["http://127.0.0.1:1/v1"], 1, "`guildbus init --model http://127.0.0.1:1/v1` writes"),
        (["folder/mine.gguf"], 1, "there is no file folder/mine.gguf"),
        (["BROKEN"], 1, "is damaged or breaks off"),
        (["CUT"], 1, "breaks off: it promises"),
        (["TINY", "--temperature", "nan"], 2, "--temperature"),
        (["TINY", "--temperature", "3"], 2, "--temperature"),
        (["TINY", "--seed", "9" * 30], 1, "seed"),
        (["TINY", "--max-new-tokens", "9" * 30], 1, "max_new_tokens"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else None,
)
def test_what_cannot_talk_is_a_sentence_and_a_status(
    run: Run, tiny: Path, words: list[str], code: int, said: str
) -> None:
    whole = tiny.read_bytes()
    Path("broken.gguf").write_bytes(whole[:2000])
    Path("cut.gguf").write_bytes(whole[:-5000])
    Path("mine.yaml").write_text("id: mine", encoding="utf-8")
    stands_for = {"TINY": tiny, "BROKEN": "broken.gguf", "CUT": "cut.gguf"}

    outcome = run("chat", *(stands_for.get(word, word) for word in words), stdin="Hello\n")

    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_without_its_package_the_status_is_4(
    run: Run, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    outcome = run("chat", tiny, stdin="Hello\n")

    assert outcome.code == 4
    assert "pip install 'guildbus[llamacpp]'" in outcome.err


def shell(line: str, tiny: Path, **environ: str) -> subprocess.CompletedProcess[bytes]:
    command = f"{sys.executable} -m guild.cli chat {tiny} {' '.join(SHORT)}"
    environ = os.environ | {"PYTHONPATH": str(ROOT)} | environ
    line = line.replace("CHAT", command)
    return subprocess.run(["bash", "-c", line], capture_output=True, env=environ, check=False)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("yes Hello | CHAT | head -n 1; exit ${PIPESTATUS[1]}", 0),
        ("echo Hello | CHAT >&-", 0),
        ("CHAT <&-", 0),
        ("echo Hello | CHAT > /dev/full", 1),
        (r"printf 'caf\xe9 \xff\n' | PYTHONIOENCODING=ascii CHAT", 0),
    ],
)
def test_odd_streams_end_without_a_traceback(line: str, code: int, tiny: Path) -> None:
    done = shell(line, tiny)

    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert b"rror" not in done.stderr


@pytest.mark.parametrize("is_asked", [True, False])
def test_an_interrupt_ends_a_piped_talk_whether_it_waits_or_answers(
    tiny: Path, is_asked: bool
) -> None:
    words = ["chat", str(tiny), "--max-new-tokens", "4000", "--threads", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "guild.cli", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    with process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("\n")  # an empty line: answered at once, when the model is there
        process.stdin.write("Hello\n" if is_asked else "")
        process.stdin.flush()
        process.stdout.read(20 if is_asked else 1)
        process.send_signal(signal.SIGINT)

        assert process.wait(timeout=stretched(10)) == 130
        assert "Traceback" not in process.stderr.read()  # type: ignore[union-attr]


def talk(tiny: Path, *words: str, **environ: str) -> Terminal:
    return Terminal(
        "chat", tiny, "--seed", "1", "--threads", "1", *words, cwd=tiny.parent, PYTHONPATH=str(ROOT)
    )


def test_ctrl_c_ends_an_answer_and_the_talk_goes_on_until_ctrl_d(tiny: Path) -> None:
    with talk(tiny, "--max-new-tokens", "4000") as terminal:
        assert "Ctrl-C ends an answer, Ctrl-D the talk" in terminal.until("> ")
        terminal.type("Hello\n")
        terminal.until("Hello\n")
        _is_answering(terminal)
        terminal.type(CTRL_C)
        assert len(terminal.until("\n> ")) < 4000
        terminal.type("Again\n")
        terminal.until("Again\n")
        _is_answering(terminal)
        terminal.type(CTRL_C)
        terminal.until("\n> ")
        terminal.type(CTRL_D)

        assert terminal.end() == 0
    assert "Traceback" not in terminal.shown


def _is_answering(terminal: Terminal) -> None:
    """Wait until some of the answer is shown."""
    begun = len(terminal.shown)
    while len(terminal.shown) < begun + 20:
        terminal.more()


def test_ctrl_c_at_the_prompt_says_how_to_leave_and_a_second_one_leaves(tiny: Path) -> None:
    with talk(tiny) as terminal:
        terminal.until("> ")
        terminal.type("x")
        terminal.until("x")  # it is being read
        terminal.interrupt_typing()
        assert "Ctrl-D ends the talk" in terminal.until("\n> ")
        terminal.type("y")
        terminal.until("y")
        terminal.interrupt_typing()

        assert terminal.end() == 130
    assert "Traceback" not in terminal.shown


@pytest.mark.parametrize("leaving", ["/quit\n", "/exit\n", "/bye\n"])
def test_commands_are_not_for_the_model_at_a_terminal(tiny: Path, leaving: str) -> None:
    with talk(tiny, "--max-new-tokens", "5") as terminal:
        terminal.until("> ")
        for typed, said in [
            ("/help\n", "/clear  forget"),
            ("/clear\n", "is forgotten"),
            ("/halp\n", "there is no command /halp; there are /clear, /help, /quit"),
            ("/etc/hosts\n", "(cut at 5 tokens: --max-new-tokens allows more)"),
            (" /help\n", "(cut at 5 tokens: --max-new-tokens allows more)"),
        ]:
            terminal.type(typed)
            assert "cut at" not in terminal.until(said).removesuffix(said)
            terminal.until("> ")
        terminal.type(leaving)

        assert terminal.end() == 0


def test_commands_are_questions_in_a_pipe(run: Run, tiny: Path) -> None:
    outcome = run("chat", tiny, *SHORT, stdin="/quit\n/help\n")

    assert (outcome.code, outcome.err) == (0, "")
    assert all(outcome.out.splitlines())
    assert outcome.out.count("\n") == 2


def test_an_answer_that_fills_the_window_is_said_to(tmp_path: Path) -> None:
    model = save_tiny_gguf(
        tmp_path / "small.gguf", tokenizer__chat_template=TEMPLATE, context_window=128
    )
    with talk(model) as terminal:
        terminal.until("> ")
        terminal.type("Hello\n")
        terminal.until("(cut: the context window is full; /clear begins anew)")
        terminal.until("> ")
        terminal.type(CTRL_D)

        assert terminal.end() == 0


def test_a_line_longer_than_a_terminal_takes_otherwise_arrives_whole(tiny: Path) -> None:
    with talk(tiny, "--max-new-tokens", "3") as terminal:
        terminal.until("> ")
        for number in range(120):
            terminal.type(f"part {number} of a question that somebody pastes now. ")
            terminal.until(f"part {number} ")
        terminal.type("\n")
        assert "more than the context window of 4096" in terminal.until("\n> ")
        terminal.type(CTRL_D)

        assert terminal.end() == 0


def offered(folder: Path, **environ: str) -> Terminal:
    """A chat whose model is not here."""
    environ = {"PYTHONPATH": str(ROOT), "GUILDBUS_CACHE": str(folder / "cache"), **environ}
    return Terminal("chat", "--threads", "1", cwd=folder, **environ)


@pytest.mark.parametrize("said", ["n\n", CTRL_D])
def test_who_declines_to_fetch_is_told_how_to_later(tmp_path: Path, said: str) -> None:
    with offered(tmp_path) as terminal:
        assert "licence Apache-2.0" in terminal.until("Fetch it now, through pip? [Y/n] ")
        terminal.type(said)
        terminal.until("run `guildbus models get smollm2`")

        assert terminal.end() == 1
    assert not (tmp_path / "cache").exists()


def test_a_fetch_that_fails_is_told(tmp_path: Path) -> None:
    with offered(tmp_path, PIP_NO_INDEX="1", PIP_CONFIG_FILE="/dev/null") as terminal:
        terminal.until("[Y/n] ")
        terminal.type("y\n")
        terminal.until(f"pip did not get {SMOLLM2.distribution}=={SMOLLM2.version}")

        assert terminal.end() == 1


def test_what_is_fetched_talks(tmp_path: Path, smollm2: Path) -> None:
    with offered(tmp_path, **_index_with(smollm2, tmp_path)) as terminal:
        terminal.until("[Y/n] ")
        terminal.type("\n")
        terminal.until("fetching smollm2")
        terminal.until("\n> ")
        terminal.type(CTRL_D)

        assert terminal.end() == 0


def _index_with(smollm2: Path, folder: Path) -> dict[str, Any]:
    """The environment in which `sitecustomize` lets pip find the model nearby."""
    path = folder / "site"
    path.mkdir()
    (path / "sitecustomize.py").write_text(
        "import agents.llm.models.fetching as fetching, shutil, pathlib\n"
        "def fetch(model, folder, report):\n"
        "    report(f'fetching {model.name}')\n"
        f"    return pathlib.Path(shutil.copy({str(smollm2)!r}, folder / model.file_name))\n"
        "fetching._fetch = fetch\n"
    )
    return {"PYTHONPATH": f"{path}:{ROOT}"}
