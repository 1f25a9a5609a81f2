"""Agents, dead letters, approvals and what happens, through the gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from guild.approvals import DecideApproval
from guild.checking.loader import load_yaml
from guild.client import GuildClient
from guild.gateway import gateway_app, live
from guild.gateway.live import LiveHub
from guild.gateway.problems import problem_of
from guild.gateway.tokens import add_token
from guild.runtime import Guild
from messaging.errors import RequestFailedError
from messaging.wire.envelope import new_id, seal
from tests.gateway.conftest import LOCAL, Serve, asking, until
from tests.gateway.crew import SPEC, Break, crew_spec, runs
from tests.gateway.test_gateway import events_in
from tests.gateway.test_streams import EVENTS, events_from

DESK = """
  - {id: desk, type: approvals.desk, topics: [desk]}
"""


@pytest.fixture
async def desk(redis_url: str) -> AsyncIterator[Guild]:
    """The crew, with a desk for approvals."""
    spec = load_yaml(SPEC.format(id=f"desk-{new_id()}") + DESK.strip("\n"), allow=["tests.gateway"])
    async with Guild.launch(spec, bus=redis_url) as guild:
        yield guild


async def events_of(http: httpx.AsyncClient) -> list[Any]:
    found = (await http.get("events", params={"follow": False})).json()["events"]
    return [event["event"] for event in found if event["type"] == "guild.operated"]


async def test_an_agent_is_paused_and_resumed_by_the_name_of_the_token(
    crew: Guild, tmp_path: Path
) -> None:
    secret = add_token(tmp_path / "tokens", "ada", ["read", "operate"])
    async with asking(gateway_app(crew.client, tokens=tmp_path / "tokens"), secret) as http:
        paused = await http.post("agents/speaker/pause")
        state = (await http.get("agents/speaker")).json()["state"]
        resumed = await http.post("agents/speaker/resume", json={})
        unknown = await http.post("agents/spaeker/pause")
        told = await events_of(http)

    assert paused.json() == {"act": "pause", "agent": "speaker"}
    assert (state, resumed.status_code) == ("paused", 200)
    assert unknown.status_code == 404
    assert "did you mean 'speaker'" in unknown.json()["detail"]
    assert "agent" not in unknown.json()  # which names the one that gave up
    assert [(event["act"], event["target"], event["by"]) for event in told] == [
        ("pause", "speaker", "ada"),
        ("resume", "speaker", "ada"),
    ]


async def test_an_agent_is_drained(http: httpx.AsyncClient) -> None:
    drained = await http.post("agents/speaker/drain", json={"timeout_s": 5})

    assert drained.json() == {"act": "drain", "agent": "speaker", "in_hand": 0}
    await http.post("agents/speaker/resume")


async def test_what_a_topic_holds_is_handed_to_an_agent_again(redis_url: str) -> None:
    keeping = f"{redis_url}?keep_settled_s=60"
    async with (
        Guild.launch(crew_spec(f"crew-{new_id()}"), bus=keeping) as guild,
        asking(gateway_app(guild.client)) as http,
    ):
        text, path = new_id(), "agents/listener/replay"
        for data in ({"type": "gw.note", "data": {"text": text}}, {"type": "gw.break"}):
            await http.post("topics/notes/messages", json=data)
        await until(lambda: runs[text] == 1)
        counted = (await http.post(path, json={"topic": "notes"})).json()
        none = (
            await http.post(path, json={"topic": "notes", "until": "2020-01-01T00:00:00Z"})
        ).json()
        done = (await http.post(path, json={"topic": "notes", "really": True})).json()
        await until(lambda: runs[text] == 2)
        unknown = await http.post("agents/nobody/replay", json={"topic": "notes"})
        no_zone = await http.post(path, json={"topic": "notes", "since": "2030-01-01T00:00:00"})
        told = await events_of(http)

    expected = {"agent": "listener", "handed_on": {"gw.note": 1}, "passed_over": {"gw.break": 1}}
    assert counted == {**expected, "really": False}
    assert (none["handed_on"], none["passed_over"]) == ({}, {})
    assert done == {**expected, "really": True}
    assert (unknown.status_code, no_zone.status_code) == (404, 422)
    assert [(event["act"], event["by"]) for event in told] == [("replay", "local")]


async def test_an_agent_that_was_taken_out_of_the_spec_is_forgotten(redis_url: str) -> None:
    spec = crew_spec(f"crew-{new_id()}")
    without = spec.model_copy(update={"agents": spec.agents[:2]})
    async with Guild.launch(spec, bus=redis_url):
        pass
    async with (
        Guild.launch(without, bus=redis_url) as guild,
        asking(gateway_app(guild.client)) as http,
    ):
        await http.post("topics/notes/messages", json={"type": "gw.break"})
        counted = await http.post("agents/listener/forget", json={"quiet_s": 0.1})
        done = await http.post("agents/listener/forget", json={"really": True, "quiet_s": 0.1})
        again = await http.post("agents/listener/forget", json={"really": True})
        in_use = await http.post("agents/speaker/forget", json={"really": True})

    assert (counted.json()["waiting"], counted.json()["really"]) == (1, False)
    assert (done.json()["topics"], done.json()["really"]) == (["notes"], True)
    assert (again.status_code, in_use.status_code) == (404, 409)


async def given_up(http: httpx.AsyncClient, why: str) -> str:
    """The id of a message that its agent gave up."""
    failed = await http.post(
        "topics/breaks/requests", json={"type": "gw.break", "data": {"why": why}}
    )
    assert failed.status_code == 502
    problem = failed.json()
    assert (problem["error"], problem["agent"]) == ("RequestFailedError", "breaker")
    assert problem["cause"] == "ValueError"
    return str(problem["dead_letter_id"])


@pytest.mark.parametrize(("letter", "named"), [("0" * 32, True), ("", False)])
def test_a_failure_names_a_dead_letter_only_where_there_is_one(letter: str, named: bool) -> None:
    refused = RequestFailedError("NotApprovedError", "no", agent="buyer", dead_letter_id=letter)

    problem = problem_of(refused)

    assert ("dead letter" in problem.remedy) is named
    assert (problem.dead_letter_id is not None) is named


async def test_dead_letters_in_memory_are_paged_by_their_ids_as_well() -> None:
    async with (
        Guild.launch(crew_spec("crew"), bus="memory://") as guild,
        asking(gateway_app(guild.client)) as http,
    ):
        first, second = await given_up(http, "first"), await given_up(http, "second")
        (before,) = (await http.get("dead-letters", params={"count": 1})).json()
        (behind,) = (await http.get("dead-letters", params={"after": before["id"]})).json()

    assert [before["message_id"], behind["message_id"]] == [first, second]


async def test_dead_letters_are_shown_requeued_and_dropped(http: httpx.AsyncClient) -> None:
    first, second = await given_up(http, "first"), await given_up(http, "second")

    listed = (await http.get("dead-letters", params={"agent": "breaker"})).json()
    behind = (await http.get("dead-letters", params={"after": listed[0]["id"]})).json()
    beyond = await http.get("dead-letters", params={"after": "9" * 20})
    (group,) = (await http.get("dead-letters/groups", params={"by": "error"})).json()
    detail = (await http.get(f"dead-letters/{first}")).json()
    edited = await http.post(f"dead-letters/{second}/requeue", json={"edit": {"why": "third"}})
    await until_given_up(http, second)
    dropped = await http.post(f"dead-letters/{listed[0]['id']}/drop", json={"reason": "not wanted"})
    again = await http.post(f"dead-letters/{first}/drop", json={"reason": "not wanted"})

    assert [letter["message_id"] for letter in listed] == [first, second]
    assert [letter["id"] for letter in behind] == [listed[1]["id"]]
    assert (beyond.status_code, beyond.json()) == (200, [])
    assert (group["error"], group["letters"]) == ("ValueError", 2)
    assert detail["payload"] == {"why": "first"}
    assert detail["reason"]["attempts"]
    assert edited.json()["message_id"] == second
    assert (await http.get(f"dead-letters/{second}")).json()["payload"] == {"why": "third"}
    assert dropped.status_code == 200
    assert (again.status_code, again.json()["error"]) == (404, "LetterNotFoundError")


async def until_given_up(http: httpx.AsyncClient, message_id: str) -> None:
    while (await http.get(f"dead-letters/{message_id}")).status_code == 404:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_all_that_fit_are_requeued_only_if_that_is_said(http: httpx.AsyncClient) -> None:
    ids = [await given_up(http, f"number {number}") for number in range(3)]

    counted = (await http.post("dead-letters/requeue", json={"agent": "breaker"})).json()
    done = (await http.post("dead-letters/requeue", json={"really": True})).json()

    assert (counted["count"], counted["really"]) == (3, False)
    assert [letter["message_id"] for letter in counted["letters"]] == ids
    assert (done["count"], done["really"]) == (3, True)
    for each in ids:
        await until_given_up(http, each)


async def test_all_that_fit_are_dropped_only_if_that_is_said(http: httpx.AsyncClient) -> None:
    ids = [await given_up(http, f"number {number}") for number in range(3)]
    chosen = {"agent": "breaker", "reason": "a test"}

    other = (
        await http.post("dead-letters/drop", json={**chosen, "type": "x", "really": True})
    ).json()
    counted = (await http.post("dead-letters/drop", json=chosen)).json()
    left = (await http.get("dead-letters")).json()
    done = (await http.post("dead-letters/drop", json={**chosen, "really": True})).json()

    assert other["count"] == 0
    assert (counted["count"], counted["really"]) == (3, False)
    assert [letter["message_id"] for letter in counted["letters"]] == ids
    assert len(left) == 3
    assert (done["count"], done["really"]) == (3, True)
    assert (await http.get("dead-letters")).json() == []


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("drop", {"agent": "breaker", "really": True}, 422),
        ("drop", {"reason": "", "really": True}, 422),
        ("nothing/requeue", {}, 404),
        ("nothing/drop", {"reason": "x"}, 404),
        ("nothing/drop", {"reason": ""}, 422),
        ("nothing/drop", {}, 422),
        ("1-1/requeue", {"edti": {}}, 422),
        ("18446744073709551616-0/requeue", {}, 404),
        ("1-99999999999999999999/drop", {"reason": "x"}, 404),
        ("\u0661-\u0661/requeue", {}, 404),
        ("requeue", {"agnet": "x"}, 422),
    ],
)
async def test_acts_on_letters_that_cannot_be_done_are_refused(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], status: int
) -> None:
    assert (await http.post(f"dead-letters/{path}", json=body)).status_code == status


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b'{"why": "\\ud800"}', '{"why": "\\ud800"}'),
        (b'{"why": NaN}', '{"why": NaN}'),
        (b'{"why": 1e999}', '{"why": 1e999}'),
        (b'{"why": ' + b"[" * 5000, '{"why": ' + "[" * 5000),
        (b'{"why": ' + b"9" * 5000 + b"}", '{"why": ' + "9" * 5000 + "}"),
        (b"\xff\x00", "\ufffd\x00"),
        (b"", ""),
        (b'{"why": ["\xe2\x80\xae<script>"]}', {"why": ["\u202e<script>"]}),
        (b'{"__proto__": {"a": 18446744073709551617}}', {"__proto__": {"a": 2**64 + 1}}),
    ],
    ids=["surrogate", "NaN", "infinity", "deep", "digits", "bytes", "nothing", "markup", "proto"],
)
async def test_whatever_was_given_up_is_shown_as_it_came(
    http: httpx.AsyncClient, crew: Guild, payload: bytes, shown: Any
) -> None:
    """What cannot be opened is not looked at before it is dropped."""
    envelope = seal(Break(), "breaks", by_reference=False)._replace(payload=payload)
    await crew.client.bus.backend.append([envelope])
    await until_given_up(http, envelope.id)

    (listed,) = (await http.get("dead-letters")).json()
    detail = await http.get(f"dead-letters/{listed['id']}")
    passed = await http.get("messages", params={"follow": False})
    found = await http.get(f"conversations/{envelope.id}")
    dropped = await http.post(f"dead-letters/{listed['id']}/drop", json={"reason": "poison"})

    assert (detail.status_code, detail.json()["payload"]) == (200, shown)
    assert [each.status_code for each in (passed, found, dropped)] == [200, 200, 200]


async def test_an_edit_that_does_not_fit_changes_nothing(http: httpx.AsyncClient) -> None:
    letter = await given_up(http, "first")

    refused = await http.post(f"dead-letters/{letter}/requeue", json={"edit": {"why": 7}})

    slip = await http.post(f"dead-letters/{letter}/requeue", json={"edit": {"wyh": "x"}})

    assert (refused.status_code, refused.json()["fields"][0]["field"]) == (422, "why")
    assert slip.json()["fields"] == [
        {"field": "wyh", "problem": "there is no such field; did you mean why?"}
    ]
    assert (await http.get(f"dead-letters/{letter}")).json()["payload"] == {"why": "first"}


async def test_a_conversation_names_what_failed_first(http: httpx.AsyncClient) -> None:
    letter = await given_up(http, "first")

    conversation = (await http.get(f"conversations/{letter}")).json()

    assert conversation["failed_first"] == letter
    assert conversation["steps"][0]["type"] == "gw.break"


async def test_events_of_the_guild_come_as_they_happen(serve: Serve) -> None:
    served = await serve()
    async with served.http() as http, http.stream("GET", "events", headers=EVENTS) as stream:
        await until(lambda: served.streams.open == 1)
        await http.post("agents/listener/pause")
        await http.post("agents/listener/resume")
        told: list[Any] = []
        async for name, _, data in events_from(stream):
            assert name == "event"
            told += [data["event"]["act"]] if data["type"] == "guild.operated" else []
            if len(told) == 2:
                break

    assert told == ["pause", "resume"]


async def test_the_live_view_begins_with_all_and_goes_on_with_what_changes(serve: Serve) -> None:
    served = await serve()
    async with served.http() as http, http.stream("GET", "live", headers=EVENTS) as stream:
        asked = asyncio.create_task(keep_asking(http))
        text, agents, edges, rows = "", {}, {}, []
        async for chunk in stream.aiter_text():
            text += chunk
            for _, _, data in events_in(text.rpartition("\n\n")[0]):
                agents |= data["agents"]
                edges |= data["edges"]
                rows += data["rows"]
                assert len(data["rows"]) <= 50
            told = agents.get("speaker", {})
            if told.get("handled") and told["state"] == "active" and edges and rows:
                break
        asked.cancel()

    assert events_in(text)[0][0] == "snapshot"
    assert {name for name, _, _ in events_in(text.rpartition("\n\n")[0])[1:]} == {"delta"}
    assert told["per_s"] > 0
    assert told["handled_s"]["p95"] >= 0
    assert edges["outside speaker"]["per_s"] > 0
    assert {row["agent"] for row in rows} == {"speaker"}
    await until(lambda: served.streams.open == 0)


async def keep_asking(http: httpx.AsyncClient) -> None:
    while True:
        await http.post("topics/says/requests", json={"type": "gw.say", "data": {"text": "x"}})


async def test_the_watch_ends_soon_after_its_last_reader(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LINGERS_S", 0.1)
    served = await serve()
    async with served.http() as http:
        async with http.stream("GET", "live"), http.stream("GET", "live"):
            await until(lambda: served.streams.open == 2)
            assert hubs_of() == 1
        await until(lambda: served.streams.open == 0)
        await until(lambda: hubs_of() == 0)


async def test_a_watch_that_failed_is_begun_anew_for_those_who_come_later(crew: Guild) -> None:
    """Also while a reader that was there has not heard yet that it failed."""
    broken = True

    def client() -> GuildClient:
        if broken:
            raise LookupError("this host has not begun yet")
        return crew.client

    hub = LiveHub(client)
    async with aclosing(hub.changes()) as first, aclosing(hub.changes()) as second:
        assert (await anext(first))[0] == "snapshot"
        await until(lambda: hubs_of() == 0)
        broken = False
        told = [await anext(second), await anext(second)]
        with pytest.raises(LookupError):
            await anext(first)

    assert [name for name, *_ in told] == ["snapshot", "delta"]
    assert told[1][1].agents["speaker"].state == "active"


def hubs_of() -> int:
    return sum(task.get_name() == "live-hub" for task in asyncio.all_tasks())


APPROVAL = {"what": "Delete everything?", "options": ["yes", "now"], "deadline_s": 60}


async def test_what_a_person_decides_answers_the_one_who_asked(desk: Guild, tmp_path: Path) -> None:
    secret = add_token(tmp_path / "tokens", "ada", ["read", "publish", "approve"])
    service = add_token(tmp_path / "tokens", "service", ["publish"])
    async with asking(gateway_app(desk.client, tokens=tmp_path / "tokens"), secret) as http:
        asked = await http.post(
            "topics/desk/requests",
            json={"type": "guild.approval_request", "data": APPROVAL},
            headers={"Prefer": "respond-async", "Authorization": f"Bearer {service}"},
        )
        place = asked.json()["location"].replace("../../", "")
        while not (open_ones := (await http.get("approvals")).json()):  # noqa: ASYNC110
            await asyncio.sleep(0)
        path = f"approvals/{open_ones[0]['id']}"
        shown = (await http.get(path)).json()
        no_option = await http.post(f"{path}/approve", json={"option": "later"})
        approved = await http.post(f"{path}/approve", json={"option": "now", "reason": "fine"})
        twice = await http.post(f"{path}/reject", json={})
        answer = await http.get(place)
        unknown = await http.post("approvals/none/approve", json={})
        impossible = await http.post(f"approvals/{'x' * 101}/reject", json={})
        features = (await http.get("guild")).json()["features"]

    assert shown["request"]["what"] == "Delete everything?"
    assert shown["request"]["asked_by"] == "service"
    assert (no_option.status_code, no_option.json()["error"]) == (409, "DecisionRefusedError")
    assert (approved.json()["by"], approved.json()["approved"]) == ("ada", True)
    assert (twice.status_code, twice.json()["error"]) == (409, "DecisionRefusedError")
    assert answer.json()["data"]["option"] == "now"
    assert (unknown.status_code, impossible.status_code) == (404, 404)
    assert features == ["chat", "approvals"]


@pytest.mark.parametrize(
    "case",
    [
        ("read publish approve", "", "ada", 409),
        ("read publish approve", "somebody else", "ada", 409),
        ("read publish", "", "ada", 200),
        ("read publish", "grace", "grace", 200),
    ],
)
async def test_a_token_does_not_approve_what_it_asked_for(
    desk: Guild, tmp_path: Path, case: tuple[str, str, str, int]
) -> None:
    scopes, said, asked_by, status = case
    file, data = tmp_path / "tokens", {**APPROVAL, "asked_by": said}
    ada, bob = add_token(file, "ada", scopes.split()), add_token(file, "bob", ["approve"])
    decider = ada if "approve" in scopes else bob
    async with asking(gateway_app(desk.client, tokens=file), ada) as http:
        asked = await http.post(
            "topics/desk/messages", json={"type": "guild.approval_request", "data": data}
        )
        path = f"approvals/{asked.json()['message_id']}"
        while (shown := await http.get(path)).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0)
        decided = await http.post(
            f"{path}/approve",
            json={"option": "now"},
            headers={"Authorization": f"Bearer {decider}"},
        )

    assert shown.json()["request"]["asked_by"] == asked_by
    assert decided.status_code == status


@pytest.mark.parametrize("scopes", ["publish", "publish approve"])
@pytest.mark.parametrize("kind", ["messages", "requests"])
async def test_no_token_has_what_it_asks_for_approved_by_nobody(
    desk: Guild, tmp_path: Path, scopes: str, kind: str
) -> None:
    """With a deadline of a millisecond that would be a way round whoever may approve."""
    file, data = tmp_path / "tokens", {**APPROVAL, "default": "approve", "deadline_s": 0.001}
    asked = {"type": "guild.approval_request", "data": data}
    ada = add_token(file, "ada", scopes.split())
    async with asking(gateway_app(desk.client, tokens=file), ada) as http:
        refused = await http.post(f"topics/desk/{kind}", json=asked)
    async with asking(gateway_app(desk.client)) as http:
        without_tokens = await http.post("topics/desk/requests", json=asked)

    assert (refused.status_code, refused.json()["error"]) == (403, "ReservedError")
    assert without_tokens.json()["data"]["is_default"] is True


async def test_a_token_with_the_name_of_those_without_is_one_like_the_others(
    desk: Guild, tmp_path: Path
) -> None:
    """`local`, good for everything, is what callers are taken for where there are no tokens."""
    file = tmp_path / "tokens"
    local = add_token(file, "local", ["read", "publish", "operate", "approve"])
    async with asking(gateway_app(desk.client, tokens=file), local) as http:
        asked = await http.post(
            "topics/desk/messages", json={"type": "guild.approval_request", "data": APPROVAL}
        )
        path = f"approvals/{asked.json()['message_id']}"
        while (shown := await http.get(path)).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0)
        decided = await http.post(f"{path}/approve", json={"option": "now"})

    assert shown.json()["request"]["asked_by"] == "local"
    assert (decided.status_code, decided.json()["error"]) == (409, "DecisionRefusedError")


async def test_a_key_whose_decision_was_refused_stands_for_that_one(desk: Guild) -> None:
    """The desk has answered it: another decision under the key would get its answer."""
    async with asking(gateway_app(desk.client)) as http:
        asked = await http.post(
            "topics/desk/messages", json={"type": "guild.approval_request", "data": APPROVAL}
        )
        path = f"approvals/{asked.json()['message_id']}"
        while (await http.get(path)).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0)
        key = {"Idempotency-Key": new_id()}
        refused = [await http.post(f"{path}/approve", json={}, headers=key) for _ in range(2)]
        mended = await http.post(f"{path}/approve", json={"option": "now"}, headers=key)
        anew = await http.post(f"{path}/approve", json={"option": "now"})

    assert [answer.json()["error"] for answer in refused] == ["DecisionRefusedError"] * 2
    assert (mended.status_code, mended.json()["error"]) == (422, "KeyReusedError")
    assert (anew.status_code, anew.json()["option"]) == (200, "now")


async def test_a_desk_that_does_not_answer_in_time_is_told_with_where_to_look(
    desk: Guild,
) -> None:
    async with asking(gateway_app(desk.client)) as http:
        asked = await http.post(
            "topics/desk/messages", json={"type": "guild.approval_request", "data": APPROVAL}
        )
        path = f"approvals/{asked.json()['message_id']}"
        while (await http.get(path)).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0)
        await http.post("agents/desk/pause")
        late = await http.post(f"{path}/approve", json={"option": "now", "timeout_s": 0.05})
        await http.post("agents/desk/resume")
        while not (shown := (await http.get(path)).json())["decision"]:  # noqa: ASYNC110
            await asyncio.sleep(0)

    place = urljoin(str(late.url), late.headers["Location"])
    assert (late.status_code, late.json()["error"]) == (504, "RequestTimeoutError")
    assert place == f"{LOCAL}/api/v1/{path}"
    assert shown["decision"]["option"] == "now"


async def test_whoever_asks_and_decides_without_tokens_may_be_two(desk: Guild) -> None:
    async with asking(gateway_app(desk.client)) as http:
        asked = await http.post(
            "topics/desk/messages", json={"type": "guild.approval_request", "data": APPROVAL}
        )
        path = f"approvals/{asked.json()['message_id']}"
        while (await http.get(path)).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0)
        decided = await http.post(f"{path}/approve", json={"option": "now"})

    assert (decided.status_code, decided.json()["by"]) == (200, "local")


OPERATED = {"act": "pause", "target": "x", "by": "the owner"}
FORGED: list[tuple[str, str, dict[str, Any]]] = [
    ("inbox.desk", "guild.decide_approval", {"approved": True, "by": "the owner"}),
    ("desk", "DecideApproval", {"approved": True, "by": "the owner"}),
    ("notes", "guild.approval_decision", {"approved": True, "at": 1}),
    ("guild.events", "guild.operated", OPERATED),
]


@pytest.mark.parametrize("forgery", FORGED, ids=lambda forgery: " ".join(forgery[:2]))
@pytest.mark.parametrize("kind", ["messages", "requests"])
async def test_no_message_speaks_in_the_name_of_another(
    desk: Guild, tmp_path: Path, kind: str, forgery: tuple[str, str, dict[str, Any]]
) -> None:
    """A token that may publish is no way round the one that may approve."""
    secret = add_token(tmp_path / "tokens", "ada", ["read", "publish", "approve"])
    async with asking(gateway_app(desk.client, tokens=tmp_path / "tokens"), secret) as http:
        asked = await http.post(
            "topics/desk/messages", json={"type": "guild.approval_request", "data": APPROVAL}
        )
        path = f"approvals/{asked.json()['message_id']}"
        while (await http.get(path)).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0)
        topic, type_, data = forgery
        named = data if data is OPERATED else {**data, "id": path[10:], "option": "now"}
        forged = await http.post(f"topics/{topic}/{kind}", json={"type": type_, "data": named})
        shown = (await http.get(path)).json()
        told = await events_of(http)

    assert (forged.status_code, forged.json()["error"]) == (403, "ReservedError")
    assert shown["decision"] is None
    assert told == []


async def test_a_decision_that_was_given_up_is_requeued_as_it_is(desk: Guild) -> None:
    """A token that may operate is no way round, either."""
    decision = DecideApproval(id=new_id(), approved=False, by="ada")
    envelope = seal(decision, "inbox.desk", by_reference=False)._replace(payload=b"{")
    await desk.client.bus.backend.append([envelope])
    async with asking(gateway_app(desk.client)) as http:
        other = await given_up(http, "other")
        await until_given_up(http, envelope.id)
        place = f"dead-letters/{envelope.id}/requeue"
        edited = await http.post(place, json={"payload": {"approved": True}})
        as_it_is = await http.post(place, json={})
        mended = await http.post(f"dead-letters/{other}/requeue", json={"edit": {"why": "x"}})

    assert (edited.status_code, edited.json()["error"]) == (403, "ReservedError")
    assert (as_it_is.status_code, mended.status_code) == (200, 200)


async def test_a_guild_without_a_desk_says_so(http: httpx.AsyncClient) -> None:
    answer = await http.get("approvals")

    assert (answer.status_code, answer.json()["error"]) == (404, "NoDeskError")
    assert "approvals.desk" in answer.json()["detail"]


async def test_a_request_that_is_cancelled_is_told_so(http: httpx.AsyncClient) -> None:
    gate = new_id()
    asked = await http.post(
        "topics/says/requests",
        json={"type": "gw.say", "data": {"text": "x", "gate": gate}},
        headers={"Prefer": "respond-async"},
    )
    place = f"requests/{asked.json()['message_id']}"
    following = asyncio.create_task(http.get(place))

    while not following.done():  # who handles it may not have begun yet
        cancelled = await http.post(f"{place}/cancel", json={"reason": "enough"})

    answer = await following
    assert cancelled.status_code == 202
    assert (answer.status_code, answer.json()["error"]) == (409, "RequestCancelledError")
    assert "enough" in answer.json()["detail"]


async def test_no_answer_in_time_tells_where_it_will_be(http: httpx.AsyncClient) -> None:
    gate = new_id()
    asked = {"type": "gw.say", "data": {"text": "x", "gate": gate}, "timeout_s": 0.1}

    late = await http.post("topics/says/requests", json=asked)
    looked = await http.get(
        late.headers["Location"].replace("../../", ""), headers={"Prefer": "respond-async"}
    )

    assert (late.status_code, late.json()["error"]) == (504, "RequestTimeoutError")
    assert late.json()["message_id"] in late.headers["Location"]
    assert looked.status_code == 202
    assert looked.headers["Location"] == late.json()["message_id"]


async def test_what_no_agent_answers_is_refused_at_once(http: httpx.AsyncClient) -> None:
    nobody = await http.post("topics/nowhere/requests", json={"type": "gw.say"})
    silent = await http.post("topics/notes/requests", json={"type": "gw.note"})

    assert (nobody.status_code, nobody.json()["error"]) == (409, "NobodyListensError")
    assert (silent.status_code, silent.json()["error"]) == (409, "NobodyAnswersError")
