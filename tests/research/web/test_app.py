"""Studies, trees and curves over HTTP, read from what a workspace holds."""

import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from pydantic import BaseModel

from agents.research.experiments import ExperimentStore, Study
from agents.research.experiments.measured import noting
from agents.research.experiments.store import store_path
from agents.research.experiments.worker import this_worker
from agents.research.web import files, sheets
from agents.research.web.app import PATH, experiments, experiments_app
from agents.research.web.sheets import study_row
from guild import Guild
from guild.checking.plan import Plan
from guild.gateway import gateway_app
from guild.gateway.callers import Caller, OneSecret, Scope, new_secret
from guild.progress import Measured
from guild.spec.spec import GuildSpec
from tests.research.experiments.samples import done, trial

pytestmark = pytest.mark.usefixtures("no_power_cuts")


@pytest.fixture
def no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.research.experiments.database._SYNCHRONOUS", "OFF")


class Unheard:
    def emit(self, message: BaseModel, /) -> None:
        """What is written down is looked at, not what is heard."""


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(experiments_app(tmp_path))
    async with AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with closing(ExperimentStore(store_path(tmp_path))) as store:
        yield store


async def get(client: AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(path, params=query or None)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_workspace_in_which_nothing_was_tried_has_no_studies(client: AsyncClient) -> None:
    assert await get(client, "/studies") == {"studies": [], "left_off": 0}

    answer = await client.get("/studies/digits")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_what_is_not_there_is_told_with_what_is(
    client: AsyncClient, store: ExperimentStore
) -> None:
    for number in range(30):
        store.begin(Study(name=f"study {number}", created_at=float(number)))

    study, trial = [(await client.get(path)).json() for path in ("/studies/x", "/trials/x")]

    assert (study["status"], study["title"]) == (404, "No such study")
    assert study["detail"].endswith("study 19 and 10 more")
    assert (trial["status"], trial["error"]) == (404, "UnknownTrialError")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/trials/x/curves/", 404), ("POST", "/studies", 405)],
)
async def test_paths_and_methods_that_are_none_are_problems(
    client: AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/studies", "/studies/x", "/trials/x", "/trials/x/curves"])
async def test_a_store_that_is_damaged_is_told_with_what_to_do(
    client: AsyncClient, tmp_path: Path, path: str
) -> None:
    store_path(tmp_path).parent.mkdir(parents=True)
    store_path(tmp_path).write_bytes(b"no database" * 1000)

    answer = await client.get(path)

    assert (answer.status_code, answer.json()["error"]) == (503, "SourceUnreadableError")
    assert "Save what can be saved" in answer.json()["detail"]


async def test_studies_are_listed_with_their_best_the_last_begun_first(
    client: AsyncClient, store: ExperimentStore
) -> None:
    store.begin(Study(name="old", created_at=1.0))
    store.begin(Study(name="digits", created_at=2.0))
    done(store, trial(8), 0.8)
    done(store, trial(16), 0.9)
    store.start(store.plan(trial(32)).id)

    told = await get(client, "/studies")

    digits, old = told["studies"]
    assert told["left_off"] == 0

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
    assert study["left_off"] == {"branches": 2, "points": 0, "ranking": 0, "trials": 0}


async def test_the_ranking_has_baselines_and_what_has_no_score_last(
    client: AsyncClient, store: ExperimentStore
) -> None:
    done(store, trial(8), 0.8)
    done(store, trial(8, kind="baseline", code=""), 0.9)
    store.start(store.plan(trial(16)).id)

    study = await get(client, "/studies/digits")

    told = [(row["rank"], row["kind"], row["state"]) for row in study["ranking"]]
    assert told == [(1, "baseline", "done"), (2, "quick", "done"), (None, "quick", "running")]


async def test_each_seed_of_a_configuration_can_be_found_and_what_runs_now(
    client: AsyncClient, store: ExperimentStore
) -> None:
    first = done(store, trial(8), 0.8)
    second = store.start(store.plan(trial(8, seed=1)).id)

    study = await get(client, "/studies/digits")
    told = await get(client, f"/trials/{first.id}")

    (branch,) = study["branches"]
    assert (branch["trial"], branch["latest"]) == (first.id, second.id)
    assert [each["id"] for each in study["at_work"]] == [second.id]
    assert [(each["id"], each["seed"], each["state"]) for each in told["seeds"]] == [
        (first.id, 0, "done"),
        (second.id, 1, "running"),
    ]


async def test_of_very_many_trials_the_latest_and_the_best_are_told(
    client: AsyncClient, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_TRIALS", 3)
    monkeypatch.setattr(files, "MOST_BEST", 1)
    tried = [
        done(store, trial(width), score) for width, score in enumerate([0.1, 0.9, 0.2, 0.3], 1)
    ]
    tried.append(done(store, trial(9, parent=tried[0].id), float("nan")))

    study = await get(client, "/studies/digits")
    row = (await get(client, "/studies"))["studies"][0]
    first = await get(client, f"/trials/{tried[0].id}")

    assert {point["trial"] for point in study["points"]} == {tried[1].id, tried[3].id}
    assert study["best"]["trial"] == row["best"]["trial"] == tried[1].id
    assert (study["trials"], study["left_off"]["trials"]) == (5, 2)
    assert [each["id"] for each in first["children"]] == [tried[4].id]


async def test_of_many_children_and_ancestors_the_nearest_are_told(
    client: AsyncClient, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (files, sheets):
        monkeypatch.setattr(module, "MOST_RELATED", 2)
    line = [done(store, trial(1), 0.1)]
    for width in range(2, 5):
        line.append(done(store, trial(width, parent=line[-1].id), 0.1))
    for width in range(5, 9):
        done(store, trial(width, parent=line[-1].id), 0.1)

    told = await get(client, f"/trials/{line[-1].id}")

    assert [each["id"] for each in told["lineage"]] == [line[-2].id, line[-1].id]
    assert len(told["children"]) == 2
    assert told["left_off"] == {"lineage": 2, "children": 2, "seeds": 0}


async def test_of_very_many_studies_those_that_run_and_the_latest_are_told(
    client: AsyncClient, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_STUDIES", 2)
    for at, name in enumerate(["first", "second", "third"]):
        store.begin(Study(name=name, created_at=float(at)))
    store.start(store.plan(trial(8, study="first")).id)

    told = await get(client, "/studies")

    assert [study["name"] for study in told["studies"]] == ["first", "third"]
    assert told["left_off"] == 1


async def test_a_study_whose_process_has_ended_runs_no_more(
    client: AsyncClient, store: ExperimentStore, tmp_path: Path
) -> None:
    store.start(store.plan(trial(8)).id)
    running = (await get(client, "/studies"))["studies"][0]["running"]
    with sqlite3.connect(store_path(tmp_path)) as connection:
        connection.execute("UPDATE trials SET worker = ?", (f"{this_worker()}0",))
    connection.close()

    assert running == 1
    assert (await get(client, "/studies"))["studies"][0]["running"] == 0


@pytest.mark.parametrize(("is_higher", "best"), [(True, 0.9), (False, 0.1)])
async def test_which_of_very_many_are_the_best_depends_on_the_metric(
    is_higher: bool,
    best: float,
    client: AsyncClient,
    store: ExperimentStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "MOST_TRIALS", 2)
    monkeypatch.setattr(files, "MOST_BEST", 1)
    store.begin(Study(name="digits", higher_is_better=is_higher, created_at=1.0))
    for width, score in enumerate([0.1, 0.9, 0.5, 0.5], 1):
        done(store, trial(width), score)

    assert (await get(client, "/studies/digits"))["best"]["mean"] == best


async def test_a_study_that_changes_is_told_anew_and_one_that_does_not_is_not_read_again(
    client: AsyncClient, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        files, "study_row", lambda study, *args: read.append(study.name) or study_row(study, *args)
    )
    done(store, trial(8), 0.8)
    done(store, trial(8, study="other"), 0.8)
    await get(client, "/studies")
    done(store, trial(16), 0.9)

    (other, digits) = (await get(client, "/studies"))["studies"]

    assert digits["best"]["mean"] == 0.9
    assert other["best"]["mean"] == 0.8
    assert sorted(read) == ["digits", "digits", "other"]


async def test_a_trial_is_told_with_where_it_comes_from_and_what_came_of_it(
    client: AsyncClient, store: ExperimentStore
) -> None:
    root = done(store, trial(8), 0.8)
    child = done(store, trial(16, parent=root.id), float("inf"))

    told = await get(client, f"/trials/{child.id}")

    named = {"seed": 0, "state": "done"}
    assert told["lineage"] == [
        {"id": root.id, "label": "#1", **named},
        {"id": child.id, "label": "#2", **named},
    ]
    assert told["metrics"] == {"accuracy": None}
    assert told["config"]["width"] == 16
    assert (await get(client, f"/trials/{root.id}"))["children"] == [
        {"id": child.id, "label": "#2", **named}
    ]
    assert (await client.get("/trials/none")).status_code == 404


async def test_curves_of_a_running_trial_grow_and_go_on_behind_what_was_seen(
    client: AsyncClient, store: ExperimentStore, tmp_path: Path
) -> None:
    running = store.start(store.plan(trial(8)).id, artifacts="runs/first")
    (tmp_path / "runs/first").mkdir(parents=True)
    file = tmp_path / "runs/first/metrics.jsonl"
    file.write_text(
        '{"step": 1, "val_loss": 0.5, "lr": null, "note": "x"}\nnonsense\n{"step": 2, "val_lo'
    )

    first = await get(client, f"/trials/{running.id}/curves")
    file.write_text(file.read_text() + 'ss": NaN, "lr": 0.1}\n')
    second = await get(client, f"/trials/{running.id}/curves?after={first['next']}")

    assert first["records"] == [{"step": 1, "val_loss": 0.5, "lr": None}, {}]
    assert second["records"] == [{"step": 2, "val_loss": None, "lr": 0.1}]
    assert (first["next"], second["next"]) == (2, 3)
    assert [first["is_over"], second["is_over"], first["is_more"]] == [False] * 3


async def test_a_running_trial_without_a_folder_tells_what_it_has_measured(
    client: AsyncClient, store: ExperimentStore, tmp_path: Path
) -> None:
    running = store.start(store.plan(trial(8)).id)
    path = f"/trials/{running.id}/curves"
    audience = noting(tmp_path, running.id, Unheard())

    nothing = await get(client, path)
    audience.emit(Measured(task="train", step=1, values={"loss": 0.5}))
    first = await get(client, path, after=nothing["next"], of=nothing["of"])
    audience.emit(Measured(task="train", step=2, values={"loss": 0.25}))
    second = await get(client, path, after=first["next"], of=first["of"])

    assert nothing["records"] == []
    assert first["records"] == [{"loss": 0.5, "step": 1.0}]
    assert second["records"] == [{"loss": 0.25, "step": 2.0}]
    assert second["of"] == first["of"]


async def test_numbers_of_what_a_trial_was_do_not_count_in_what_it_is(
    client: AsyncClient, store: ExperimentStore, tmp_path: Path
) -> None:
    running = store.start(store.plan(trial(8)).id)
    path = f"/trials/{running.id}/curves"
    for step in range(5):
        noting(tmp_path, running.id, Unheard()).emit(
            Measured(task="train", step=step, values={"loss": 0.5})
        )
    live = await get(client, path)
    history = [{"step": 1, "train_loss": 0.5}, {"step": 2, "train_loss": 0.25}]
    store.finish(running.id, status="done", metrics={"accuracy": 0.9}, history=history)

    ended = await get(client, path, after=live["next"], of=live["of"])

    assert ended["of"] != live["of"]
    assert (ended["records"], ended["next"], ended["is_over"]) == (history, 2, True)


async def test_whoever_comes_late_gets_the_curves_that_the_store_keeps(
    client: AsyncClient, store: ExperimentStore
) -> None:
    history = [{"step": step, "val_loss": 1 / step} for step in range(1, 4)]
    ended = done(store, trial(8), 0.8, history=history)

    told = await get(client, f"/trials/{ended.id}/curves?after=1")

    assert (told["records"], told["next"], told["is_over"]) == (history[1:], 3, True)


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

    assert (told["records"], told["next"], told["is_over"]) == ([], 0, False)


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
    assert [study["name"] for study in studies["studies"]] == ["digits"]
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
