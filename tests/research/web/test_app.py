"""Studies, trees and curves over HTTP, read from what a workspace holds."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from agents.research.experiments import ExperimentStore, Study
from agents.research.experiments.store import store_path
from agents.research.web import files
from agents.research.web.app import PATH, experiments, experiments_app
from guild import Guild
from guild.checking.plan import Plan
from guild.gateway import gateway_app
from guild.gateway.callers import Caller, OneSecret, Scope, new_secret
from guild.spec.spec import GuildSpec
from tests.research.experiments.samples import done, trial

pytestmark = pytest.mark.usefixtures("no_power_cuts")


@pytest.fixture
def no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.research.experiments.database._SYNCHRONOUS", "OFF")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(experiments_app(tmp_path))
    async with AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with closing(ExperimentStore(store_path(tmp_path))) as store:
        yield store


async def get(client: AsyncClient, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_workspace_in_which_nothing_was_tried_has_no_studies(client: AsyncClient) -> None:
    assert await get(client, "/studies") == []

    answer = await client.get("/studies/digits")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_studies_are_listed_with_their_best_the_last_begun_first(
    client: AsyncClient, store: ExperimentStore
) -> None:
    store.begin(Study(name="old", created_at=1.0))
    store.begin(Study(name="digits", created_at=2.0))
    done(store, trial(8), 0.8)
    done(store, trial(16), 0.9)
    store.start(store.plan(trial(32)).id)

    digits, old = await get(client, "/studies")

    assert old["name"] == "old"
    assert old["best"] is None
    assert digits["best"]["mean"] == 0.9
    assert (digits["trials"], digits["running"]) == (3, 1)


async def test_a_study_is_told_as_a_tree_with_what_each_change_gained(
    client: AsyncClient, store: ExperimentStore
) -> None:
    root = done(store, trial(8), 0.8)
    child = done(store, trial(16, parent=root.id, proposer="llm", note="wider"), 0.9)
    done(store, trial(32, parent=child.id), float("nan"))

    study = await get(client, "/studies/digits")

    assert [(row["depth"], row["mean"]) for row in study["branches"]] == [
        (0, 0.8),
        (1, 0.9),
        (2, None),
    ]
    assert study["branches"][1]["gain"] == pytest.approx(0.1)
    assert study["branches"][1]["note"] == "wider"
    assert [(point["score"], point["best"]) for point in study["points"]] == [
        (0.8, 0.8),
        (0.9, 0.9),
    ]


async def test_a_study_of_any_size_is_told_within_bounds(
    client: AsyncClient, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.research.web.sheets.MOST_BRANCHES", 3)
    for width in range(1, 6):
        done(store, trial(width), width / 10)

    study = await get(client, "/studies/digits")

    assert len(study["branches"]) == 3
    assert study["left_off"] == 2


async def test_a_trial_is_told_with_where_it_comes_from_and_what_came_of_it(
    client: AsyncClient, store: ExperimentStore
) -> None:
    root = done(store, trial(8), 0.8)
    child = done(store, trial(16, parent=root.id), float("inf"))

    told = await get(client, f"/trials/{child.id}")

    assert told["lineage"] == [root.id, child.id]
    assert told["metrics"] == {"accuracy": None}
    assert told["config"]["width"] == 16
    assert (await get(client, f"/trials/{root.id}"))["children"] == [child.id]
    assert (await client.get("/trials/none")).status_code == 404


async def test_curves_of_a_running_trial_grow_and_go_on_behind_what_was_seen(
    client: AsyncClient, store: ExperimentStore, tmp_path: Path
) -> None:
    running = store.start(store.plan(trial(8)).id, artifacts="runs/first")
    (tmp_path / "runs/first").mkdir(parents=True)
    file = tmp_path / "runs/first/metrics.jsonl"
    file.write_text('{"step": 1, "val_loss": 0.5, "note": "x"}\nnonsense\n{"step": 2, "val_lo')

    first = await get(client, f"/trials/{running.id}/curves")
    file.write_text(file.read_text() + 'ss": NaN, "lr": 0.1}\n')
    second = await get(client, f"/trials/{running.id}/curves?after={first['next']}")

    assert first == {"records": [{"step": 1, "val_loss": 0.5}, {}], "next": 2, "is_over": False}
    assert second == {"records": [{"step": 2, "lr": 0.1}], "next": 3, "is_over": False}


async def test_whoever_comes_late_gets_the_curves_that_the_store_keeps(
    client: AsyncClient, store: ExperimentStore
) -> None:
    history = [{"step": step, "val_loss": 1 / step} for step in range(1, 4)]
    ended = done(store, trial(8), 0.8, history=history)

    told = await get(client, f"/trials/{ended.id}/curves?after=1")

    assert told == {"records": history[1:], "next": 3, "is_over": True}


async def test_many_records_come_in_parts(
    client: AsyncClient, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_RECORDS", 2)
    ended = done(store, trial(8), 0.8, history=[{"step": step} for step in range(3)])

    first = await get(client, f"/trials/{ended.id}/curves")
    second = await get(client, f"/trials/{ended.id}/curves?after=2")

    assert (len(first["records"]), first["is_over"]) == (2, False)
    assert (len(second["records"]), second["is_over"]) == (1, True)


@pytest.mark.parametrize("kind", ["link", "folder link", "fifo", "long line", "elsewhere"])
async def test_what_code_that_is_judged_puts_there_shows_nothing_and_hangs_nobody(
    kind: str, client: AsyncClient, store: ExperimentStore, tmp_path: Path
) -> None:
    workspace, secret = tmp_path, tmp_path.parent / f"{tmp_path.name}-secret"
    secret.mkdir()
    (secret / "metrics.jsonl").write_text('{"step": 4711}\n')
    folder, artifacts = workspace / "runs/first", "runs/first"
    folder.parent.mkdir()
    if kind == "folder link":
        folder.symlink_to(secret)
    elif kind == "elsewhere":
        artifacts = f"../{secret.name}"
    else:
        folder.mkdir()
        file = folder / "metrics.jsonl"
        if kind == "link":
            file.symlink_to(secret / "metrics.jsonl")
        elif kind == "fifo":
            os.mkfifo(file)
        else:
            file.write_text(json.dumps({"step": 4711, "x": "y" * files.LONGEST_LINE}) + "\n")
    running = store.start(store.plan(trial(8)).id, artifacts=artifacts)

    told = await get(client, f"/trials/{running.id}/curves")

    assert told == {"records": [], "next": 0, "is_over": False}


@pytest.mark.parametrize("after", ["-1", "x", "1e3", "9" * 40, "\u0663"])
async def test_a_number_that_makes_no_sense_is_refused(after: str, client: AsyncClient) -> None:
    answer = await client.get("/trials/x/curves", params={"after": after})

    assert answer.status_code == 422
    assert "after" in answer.text


async def test_a_token_that_may_only_read_sees_experiments_through_the_gateway(
    store: ExperimentStore, tmp_path: Path
) -> None:
    done(store, trial(8), 0.8)
    spec = GuildSpec.model_validate({"id": "lab", "bus": "memory://"})
    token = new_secret()
    caller = OneSecret(Caller("reader", frozenset({Scope.READ})), token)
    async with Guild.launch(spec) as guild:
        app = gateway_app(guild.client, tokens=caller, mounts={PATH: experiments_app(tmp_path)})
        async with AsyncClient(transport=ASGITransport(app), base_url="http://localhost") as http:
            http.headers["Authorization"] = f"Bearer {token}"
            overview = await get(http, "/api/v1/guild")
            studies = await get(http, "/experiments/studies")
            asked = await http.post("/experiments/studies")
            del http.headers["Authorization"]
            stranger = await http.get("/experiments/studies")

    assert "experiments" in overview["features"]
    assert [study["name"] for study in studies] == ["digits"]
    assert asked.status_code == 403
    assert stranger.status_code == 401


async def test_a_gateway_gets_the_app_where_a_spec_names_a_workspace(tmp_path: Path) -> None:
    def plan(resources: dict[str, Any]) -> Plan:
        spec = {"id": "lab", "bus": "memory://", "agents": [], "resources": resources}
        return Plan.of(GuildSpec.model_validate(spec))

    with_jobs = plan(
        {"jobs": {"type": "research.jobs", "properties": {"workspace": str(tmp_path)}}}
    )

    async with experiments(with_jobs) as apps, experiments(plan({})) as none:
        assert list(apps) == [PATH]
        assert none == {}
