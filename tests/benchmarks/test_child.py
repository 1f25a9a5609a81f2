"""Contestants in processes of their own: each is heard, and whoever fails says why."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.__main__ import measure
from benchmarks.child import ChildError, MissingError, child
from benchmarks.contestant import AWAITED
from benchmarks.peers import PEERS
from benchmarks.server import private_server


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with private_server(tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Chatty", "Absent", "Failing", "Dying"):
        monkeypatch.setitem(PEERS, name, f"tests.benchmarks.fakes:{name}")


@pytest.mark.parametrize("name", PEERS)
def test_every_contestant_does_every_scenario_it_takes_part_in(name: str, url: str) -> None:
    try:
        with child(name, url) as peer:
            rounds = {scenario: peer.run(scenario, 64) for scenario in peer.scenarios}
    except MissingError as error:
        pytest.skip(str(error))

    for scenario, round_ in rounds.items():
        assert round_.messages >= 20, scenario
        assert round_.cpu_s > 0, scenario


def test_what_a_contestant_prints_is_no_answer(url: str) -> None:
    with child("Chatty", url) as peer:
        assert peer.run(AWAITED, 64).messages == 64


def test_whoever_has_an_environment_of_its_own_runs_there(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "peers" / "Chatty" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 7\n")
    python.chmod(0o700)
    monkeypatch.setattr("sys.prefix", str(tmp_path))

    with pytest.raises(ChildError, match="Chatty ended with status 7"), child("Chatty", url):
        raise AssertionError("it ran elsewhere")


def test_whoever_lacks_a_library_is_skipped(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    results = measure(url, ["Absent", "floor by hand"], messages=64, rounds=1)

    assert not results[AWAITED]["Absent"]
    assert results[AWAITED]["floor by hand"]
    assert "skipped Absent: No module named 'nobody_has_this'" in capsys.readouterr().err


def test_a_round_that_fails_fails_the_run_with_its_reason(url: str) -> None:
    with pytest.raises(ChildError, match=r"Failing: .*nobody answers"):
        measure(url, ["floor by hand", "Failing"], messages=64, rounds=1)


def test_a_process_that_dies_fails_the_run(url: str) -> None:
    with pytest.raises(ChildError, match=f"Dying ended with status -{signal.SIGKILL:d}"):
        measure(url, ["Dying"], messages=64, rounds=1)
