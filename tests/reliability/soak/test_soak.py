"""The soak for a moment: what must not grow by a single one does not."""

from pathlib import Path

import pytest

from tests.reliability.soak.soak import slope, soak
from tests.servers import running_redis


@pytest.mark.timeout(400)  # a busy machine takes its time
async def test_consumers_that_come_and_go_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.reliability.soak.soak.REPLACED_EVERY_S", 0.2)
    with running_redis(tmp_path) as server:
        report = await soak(server.url, duration_s=6, samples=12, least=100)

    early, late = report.samples[len(report.samples) // 4], report.samples[-1]
    assert late.descriptors <= early.descriptors
    assert late.keys <= early.keys + 10  # topics of streams that are just being followed
    # Consumers of some twenty tasks may be coming or going at a look; thirty of them came.
    assert late.tasks <= early.tasks + 60


def test_growth_shows_as_a_slope() -> None:
    assert slope([0, 1, 2, 3], [5, 7, 9, 11]) == pytest.approx(2)
    assert slope([0, 1, 2, 3], [5, 5, 5, 5]) == 0
