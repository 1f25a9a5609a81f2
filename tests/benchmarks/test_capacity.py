"""What a server can take: costs are fitted, and the queue in front of it is simulated soundly."""

from pathlib import Path

import pytest
from redis import Redis

from benchmarks import capacity
from benchmarks.costs import Cost, Costs, fit
from benchmarks.measure import Meter
from benchmarks.server import private_server

COSTS = Costs(Cost(20, 2), Cost(20, 2), Cost(20, 1))
CEILING = 1e6 / COSTS.each_us


def test_costs_of_calls_of_many_sizes_are_taken_apart() -> None:
    fitted = fit([(size, 30 + 2.5 * size) for size in (1, 16, 512)])

    assert fitted == pytest.approx(Cost(30, 2.5))


def test_calls_grow_with_the_load_and_every_message_comes_through() -> None:
    easy, hard = (
        capacity.simulate(COSTS, client_us=10, rate=share * CEILING, messages=5_000)
        for share in (0.1, 0.9)
    )

    assert len(easy.latencies_s) == len(hard.latencies_s) == 5_000
    assert min(easy.latencies_s) >= 4 * capacity.WAY_S
    assert hard.per_append > easy.per_append
    assert hard.p99_s > easy.p99_s


def test_no_server_takes_more_than_its_time_allows() -> None:
    flooded = capacity.simulate(COSTS, client_us=10, rate=3 * CEILING, messages=20_000)

    assert flooded.rate <= CEILING
    assert flooded.utilisation <= 1


def test_the_same_load_has_the_same_outcome() -> None:
    one, other = (capacity.simulate(COSTS, 10, 50_000, messages=2_000) for _ in range(2))

    assert one == other


async def test_the_report_counts_servers_for_a_million_messages_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "LOADS", (0.1,))
    monkeypatch.setattr(capacity, "TARGET_P99_S", 60.0)
    with private_server(tmp_path) as url, Redis.from_url(url) as server:
        report = await capacity.measure(url, Meter(server), messages=512)

    assert "| append |" in report
    assert "a million messages a second take" in report
