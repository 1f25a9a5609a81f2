import pytest


@pytest.fixture(autouse=True)
def _no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pulls the plug in this process, and a hundred waits for a disk add up."""
    monkeypatch.setattr("agents.research.experiments.database._SYNCHRONOUS", "OFF")
