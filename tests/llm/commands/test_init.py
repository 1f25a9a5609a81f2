"""`guildbus init` without a terminal: every question has a flag, and what is wrong a sentence."""

import http.server
import json
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import HfApi, errors

from agents.llm.wizard import hub, machine, wizard
from agents.llm.wizard.gguf_files import look_at_gguf
from agents.llm.wizard.spec_text import spec_text
from guild.checking.loader import load_file
from guild.checking.plan import Plan
from tests.cli.conftest import Run
from tests.llm.engines.tiny_gguf import save_tiny_gguf
from tests.llm.models.parcels import make_parcel, offer

CAPITAL = 'messages:=[{"role": "user", "content": "What is the capital of Japan?"}]'
ASKING = ["--bus", "memory://", "--request", "ChatRequest", CAPITAL, "--json"]


def properties(spec: Path) -> dict[str, Any]:
    return Plan.of(load_file(spec)).agent_properties(0).model_dump()


def test_the_spec_for_the_model_out_of_the_box_runs(
    run: Run, smollm2: Path, tmp_path: Path
) -> None:
    outcome = run("init", "--model", "smollm2", "--output", "talk.yaml")

    assert (outcome.code, outcome.out) == (0, "talk.yaml\n")
    assert "guildbus run talk.yaml\n" in outcome.err
    assert "guildbus request talk.yaml ChatRequest messages:='[{" in outcome.err
    assert "What is the capital of Japan?" in outcome.err
    assert properties(tmp_path / "talk.yaml")["temperature"] == 0.2
    assert run("validate", "talk.yaml").code == 0
    spec = tmp_path / "talk.yaml"  # on one thread the machine's other tests disturb it less
    spec.write_text(spec.read_text() + "      options: {threads: 1}\n")
    (answer,) = run("run", spec, *ASKING).documents()
    assert "Tokyo" in answer["data"]["content"]


def test_a_gguf_files_spec_fits_the_file(run: Run, tmp_path: Path) -> None:
    model = save_tiny_gguf(tmp_path / 'we ird ${HOME} "x".gguf')

    outcome = run("init", "--model", str(model), "--device", "cpu")

    written = properties(tmp_path / "chat.yaml")
    assert outcome.code == 0
    assert "has no chat template" in outcome.err
    assert written["model"] == str(model)
    assert written["context_window"] == 128
    assert written["device"] == "cpu"
    assert written["max_new_tokens"] is None  # a limit that the window has no room for is refused
    (answer,) = run("run", "chat.yaml", *ASKING).documents()
    assert answer["data"]["usage"]["filled_window"]


def test_a_folders_spec_runs(run: Run, tiny_chat: Path, tmp_path: Path) -> None:
    outcome = run("init", "--model", tiny_chat, "--output", "tiny.yaml", "--device", "cpu")

    assert (outcome.code, outcome.out) == (0, "tiny.yaml\n")
    (answer,) = run("run", "tiny.yaml", *ASKING).documents()
    assert answer["data"]["finish_reason"] == "length"


def test_a_servers_spec_runs_whether_v1_was_said_or_not(run: Run, scripted_url: str) -> None:
    for url in (scripted_url, scripted_url.removesuffix("/v1")):
        several = run("init", "--model", url)
        outcome = run("init", "--model", url, "--served-model", "say", "--force")

        assert several.code == 1
        assert "has say, script: choose one by --served-model" in several.err
        assert outcome.code == 0, outcome.err
        (answer,) = run("run", "chat.yaml", *ASKING).documents()
        assert answer["data"]["content"] == "hello"


def test_a_model_that_is_not_here_is_fetched_when_that_was_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUILDBUS_CACHE", str(tmp_path / "cache"))
    content = save_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    offer(monkeypatch, make_parcel(tmp_path / "index", content), content)

    later = run("init", "--model", "tiny", "--output", "later.yaml")
    now = run("init", "--model", "tiny", "--output", "now.yaml", "--yes")

    assert "guildbus models get tiny\n" in later.err
    assert properties(tmp_path / "later.yaml")["context_window"] is None
    assert "fetching tiny" in now.err
    assert properties(tmp_path / "now.yaml")["context_window"] == 128


def test_an_existing_file_is_overwritten_only_when_that_was_said(run: Run, tmp_path: Path) -> None:
    model, kept = save_tiny_gguf(tmp_path / "tiny.gguf"), tmp_path / "chat.yaml"
    kept.write_text("mine")

    refused = run("init", "--model", model, "--yes")

    assert (refused.code, refused.out, kept.read_text()) == (1, "", "mine")
    assert "chat.yaml is there already: give another name, or --force" in refused.err
    assert run("init", "--model", model, "--force").code == 0
    assert properties(kept)["model"] == str(model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chat.yaml", "tiny.gguf"]


def test_what_another_process_writes_meanwhile_stays(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, path = save_tiny_gguf(tmp_path / "tiny.gguf"), tmp_path / "chat.yaml"

    def text_meanwhile(*facts: Any) -> str:
        path.write_text("its")
        return spec_text(*facts)

    monkeypatch.setattr(wizard, "spec_text", text_meanwhile)
    refused = run("init", "--model", model, "--yes")

    assert (refused.code, refused.out, path.read_text()) == (1, "", "its")
    assert "chat.yaml has just been written by another process" in refused.err
    assert sorted(each.name for each in tmp_path.iterdir()) == ["chat.yaml", "tiny.gguf"]


def test_without_a_terminal_the_missing_flag_is_named(run: Run, tmp_path: Path) -> None:
    outcome = run("init")

    assert (outcome.code, outcome.out) == (2, "")
    assert "there is no terminal to ask in: give --model" in outcome.err
    assert list(tmp_path.iterdir()) == []


def saved(folder: Path, **changes: Any) -> Path:
    """A folder that looks like a saved model; None leaves a file out."""
    weights = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
    header = json.dumps(weights).encode()
    files: dict[str, bytes | None] = {
        "config.json": json.dumps({"architectures": ["PhiForCausalLM"]}).encode(),
        "tokenizer.json": b"{}",
        "model.safetensors": struct.pack("<Q", len(header)) + header + b"\0" * 8,
    }
    folder.mkdir()
    for name, content in {**files, **changes}.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return folder


INDEX = json.dumps({"weight_map": {"a": "model-1.safetensors"}}).encode()
CASES: dict[str, tuple[Callable[[Path], list[Any]], str]] = {
    "no file": (lambda _: ["nowhere.gguf"], "there is no file or folder nowhere.gguf"),
    "a slip": (lambda _: ["smollm"], "did you mean 'smollm2'?"),
    "no name": (lambda _: ["what is this"], "is no model; name one"),
    "a web page": (lambda p: [_file(p, b"<!DOCTYPE html><html>")], "is a web page, not a model"),
    "a pointer": (lambda p: [_file(p, b"version https://git-lfs.github.com/spec/v1")], "Git LFS"),
    "no GGUF": (lambda p: [_file(p, b"PK\x03\x04 a zip")], "is no GGUF file"),
    "cut off": (
        lambda p: [_file(p, save_tiny_gguf(p / "t").read_bytes()[:900])],
        "is damaged or breaks off",
    ),
    "weights cut off in a GGUF": (
        lambda p: [_file(p, save_tiny_gguf(p / "t").read_bytes()[:-5000])],
        "breaks off: it promises",
    ),
    "an image encoder": (
        lambda p: [save_tiny_gguf(p / "mmproj.gguf", general__architecture="clip")],
        "holds a clip model, which writes no text",
    ),
    "a later part": (
        lambda p: [save_tiny_gguf(p / "m-00002-of-00003.gguf")],
        "is one of 3 parts: give the first",
    ),
    "a part is missing": (
        lambda p: [save_tiny_gguf(p / "m-00001-of-00002.gguf")],
        "m-00002-of-00002.gguf are not there",
    ),
    "an empty folder": (lambda p: [p], "there is no config.json in"),
    "an adapter": (
        lambda p: [saved(p / "m", **{"config.json": None, "adapter_config.json": b"{}"})],
        "it holds an adapter: merge it",
    ),
    "a broken config": (lambda p: [saved(p / "m", **{"config.json": b"{"})], "cannot be read"),
    "a pointer in the place of a tokenizer": (
        lambda p: [saved(p / "m", **{"tokenizer.json": b"version https://git-lfs.github.com/"})],
        "tokenizer.json cannot be read",
    ),
    "a cut file of what ends an answer": (
        lambda p: [saved(p / "m", **{"generation_config.json": b'{"eos'})],
        "generation_config.json cannot be read",
    ),
    "an encoder": (
        lambda p: [saved(p / "m", **{"config.json": b'{"architectures": ["BertForMaskedLM"]}'})],
        "holds a BertForMaskedLM, which writes no text",
    ),
    "no tokenizer": (lambda p: [saved(p / "m", **{"tokenizer.json": None})], "has no tokenizer"),
    "no weights": (lambda p: [saved(p / "m", **{"model.safetensors": None})], "has no weights"),
    "weights cut off": (
        lambda p: [saved(p / "m", **{"model.safetensors": b"version https://git-lfs"})],
        "damaged or breaks off (or is a Git LFS pointer)",
    ),
    "a shard is missing": (
        lambda p: [
            saved(p / "m", **{"model.safetensors": None, "model.safetensors.index.json": INDEX})
        ],
        "lacks model-1.safetensors",
    ),
    "weights by another name": (
        lambda p: [
            saved(p / "m", **{"model.safetensors": None, "consolidated.safetensors": b"all"})
        ],
        "has no weights",
    ),
    "no such server": (lambda _: ["http://127.0.0.1:9/v1"], "does the server run?"),
    "a server without a scheme": (
        lambda _: ["localhost:11434/v1"],
        "named by its URL: give http://localhost:11434/v1",
    ),
    "a file on the hub": (
        lambda _: ["https://huggingface.co/a/b-GGUF/blob/main/b.Q4.gguf"],
        "download b.Q4.gguf first (`hf download a/b-GGUF b.Q4.gguf`), and give its path",
    ),
    "a dataset": (lambda _: ["https://huggingface.co/datasets/a/b"], "is no page of a model"),
    "no such scheme": (lambda _: ["ftp://127.0.0.1/v1"], "it is no URL such as"),
    "a secret in the URL": (lambda _: ["http://me:pw@127.0.0.1/v1"], "a secret stands in it"),
    "no key there": (
        lambda _: ["http://127.0.0.1:9", "--api-key-env", "NO_SUCH_KEY"],
        "the environment variable NO_SUCH_KEY holds no API key",
    ),
    "a server's flag": (
        lambda p: [save_tiny_gguf(p / "t.gguf"), "--served-model", "x"],
        "is no URL",
    ),
    "another backend": (
        lambda p: [save_tiny_gguf(p / "t.gguf"), "--backend", "vllm"],
        "runs on llamacpp or transformers",
    ),
    "another device": (
        lambda p: [save_tiny_gguf(p / "t.gguf"), "--device", "tpu"],
        "tpu is no device for the llamacpp backend: the devices here are auto, cpu",
    ),
    "no folder to write to": (
        lambda p: [save_tiny_gguf(p / "t.gguf"), "--output", "no/chat.yaml"],
        "there is no folder no",
    ),
    "no name for a spec": (
        lambda p: [save_tiny_gguf(p / "t.gguf"), "--output", "chat"],
        "end it in .yaml",
    ),
}


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_run_is_refused_with_its_reason_and_nothing_is_written(
    run: Run, tmp_path: Path, case: str
) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    words, said = CASES[case][0](folder), CASES[case][1]

    outcome = run("init", "--model", *words)

    assert (outcome.code, outcome.out) == (1, "")
    assert said in outcome.err.splitlines()[-1]
    assert "pw" not in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


class RepoInfo:
    """What the hub says of a model that has these files."""

    safetensors = None

    def __init__(self, files: list[str]) -> None:
        self.siblings = [SimpleNamespace(rfilename=name) for name in files]


class _Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401 if "locked" in self.path else 200)
        self.end_headers()
        self.wfile.write(b"<html>It works!</html>")

    def log_message(self, *_: Any) -> None: ...


@pytest.mark.parametrize(
    ("path", "said"), [("/locked", "wants a key"), ("", "no list of models: is it a server with")]
)
def test_a_server_of_another_kind_or_with_a_lock_is_told(run: Run, path: str, said: str) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            outcome = run("init", "--model", f"http://127.0.0.1:{server.server_port}{path}")
        finally:
            server.shutdown()
            thread.join()

    assert outcome.code == 1
    assert said in outcome.err


def test_a_hub_that_cannot_be_asked_is_a_warning_and_a_missing_model_a_refusal(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route")

    def unknown(*_: Any, **__: Any) -> None:
        raise errors.RepositoryNotFoundError.__new__(errors.RepositoryNotFoundError)

    monkeypatch.setattr(HfApi, "model_info", unreachable)
    warned = run("init", "--model", "some/model", "--device", "cpu")
    monkeypatch.setattr(HfApi, "model_info", unknown)
    refused = run("init", "--model", "some/other", "--output", "other.yaml")

    assert warned.code == 0
    assert "warning: the hub cannot be asked for some/model" in warned.err
    assert properties(tmp_path / "chat.yaml")["model"] == "some/model"
    assert refused.code == 1
    assert "the hub has no model some/other" in refused.err


@pytest.mark.parametrize(
    "url",
    [
        "https://huggingface.co/some/model",
        "http://www.huggingface.co/some/model/",
        "https://huggingface.co/some/model/tree/main?x=1",
        "hf.co/some/model",
        "hf://some/model",
    ],
)
def test_the_page_of_a_model_names_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    offered = RepoInfo(["config.json", "model.safetensors"])
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: offered)

    outcome = run("init", "--model", url, "--device", "cpu")

    assert outcome.code == 0, outcome.err
    assert properties(tmp_path / "chat.yaml")["model"] == "some/model"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["README.md", "b.Q8.gguf", "a.Q4.gguf"], "`hf download some/model a.Q4.gguf`"),
        (["README.md", "adapter_config.json"], "has no config.json, which transformers needs"),
    ],
)
def test_what_transformers_cannot_load_from_the_hub_is_refused_before_it_is_fetched(
    run: Run, monkeypatch: pytest.MonkeyPatch, files: list[str], said: str
) -> None:
    monkeypatch.setattr(HfApi, "model_info", lambda *_, **__: RepoInfo(files))

    outcome = run("init", "--model", "some/model")

    assert (outcome.code, outcome.out) == (1, "")
    assert said in outcome.err


@pytest.mark.parametrize(
    ("backend", "remedy"),
    [("llamacpp", "guildbus[llamacpp]"), ("transformers", "guildbus[torch]")],
)
def test_a_missing_package_is_told_with_the_command_that_installs_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, remedy: str
) -> None:
    model = save_tiny_gguf(tmp_path / "tiny.gguf")
    monkeypatch.setattr(machine.importlib.util, "find_spec", lambda _: None)

    outcome = run("init", "--model", model, "--backend", backend)

    assert outcome.code == 4
    assert f"pip install '{remedy}'" in outcome.err


def test_as_many_answers_are_granted_as_there_is_memory_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_tiny_gguf(tmp_path / "tiny.gguf")
    found = look_at_gguf(Path(path))
    granted = []
    for count in (8, 4, 2, 1):
        needed = machine.needed_bytes(found, "llamacpp", "cpu", count)
        monkeypatch.setattr(machine, "free_bytes", lambda free=needed: free)
        granted.append(machine.answers_that_fit(found, "llamacpp", "cpu"))
    assert granted == [8, 4, 2, 1]

    monkeypatch.setattr(machine, "free_bytes", lambda: 1 << 20)
    refused = run("init", "--model", path)

    assert refused.code == 1
    assert "of memory, and 0.0 GiB are free" in refused.err


def test_the_size_of_a_model_on_the_hub_is_counted_as_it_will_be_loaded() -> None:
    class Info:
        class safetensors:  # noqa: N801  as the hub's library has it
            parameters = {"F32": 10, "BF16": 10, "F16": 10, "U8": 10}  # noqa: RUF012  likewise

    assert hub._weight_bytes(Info) == 40 + 20 + 40 + 10
