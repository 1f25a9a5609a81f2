"""The way of a message through the gateway, and who is let in."""

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from guild.gateway import gateway_app
from guild.gateway.tokens import add_token
from guild.runtime import Guild
from messaging.wire.envelope import new_id
from tests.gateway.conftest import LOCAL, asking, until
from tests.gateway.crew import Study, runs


def events_in(text: str) -> list[tuple[str, str, Any]]:
    """Name, id and data of each event."""
    found = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line and not line.startswith(":")]
        if lines:
            fields = dict(line.split(": ", 1) for line in lines)
            found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


async def test_the_guild_says_what_it_is_and_what_the_caller_may_do(
    http: httpx.AsyncClient, crew: Guild
) -> None:
    told = (await http.get("guild")).json()

    assert told["id"] == crew.spec.id
    assert (told["name"], told["spec"], told["agents"]) == ("The crew", "", 3)
    assert told["caller"] == {"name": "local", "scopes": ["read", "publish", "operate", "approve"]}
    assert told["features"] == ["chat"]


async def test_agents_topics_and_schemas_are_listed(http: httpx.AsyncClient) -> None:
    agents = (await http.get("agents")).json()
    schema = (await http.get("schemas/gw.say")).json()

    assert [agent["agent"] for agent in agents] == ["speaker", "breaker", "listener"]
    assert (await http.get("agents/speaker")).json() == agents[0]
    assert (schema["handled_by"], schema["answers"]) == (["speaker"], ["gw.said"])
    assert "text" in schema["json_schema"]["properties"]
    assert {node["id"] for node in (await http.get("graph")).json()["nodes"]} == {
        "speaker",
        "breaker",
        "listener",
    }


async def test_a_published_message_is_accepted_and_handled(http: httpx.AsyncClient) -> None:
    text = new_id()

    answer = await http.post(
        "topics/notes/messages", json={"type": "gw.note", "data": {"text": text}}
    )

    assert answer.status_code == 202
    sent = answer.json()
    assert sent["message_id"] == sent["conversation"]
    assert (sent["type"], sent["topic"]) == ("gw.note", "notes")
    await until(lambda: runs[text] == 1)


async def test_what_no_agent_takes_there_is_accepted_with_a_warning(
    http: httpx.AsyncClient,
) -> None:
    sent = await http.post("topics/elsewhere/messages", json={"type": "gw.note"})

    assert sent.status_code == 202
    assert "nobody will get it: no agent of" in sent.json()["warning"]


async def test_tags_keep_nothing_from_an_agent_that_acts_without_them_too(
    http: httpx.AsyncClient,
) -> None:
    note: dict[str, Any] = {"type": "gw.note", "tags": ["speaker"]}
    kept = (await http.post("topics/notes/messages", json=note)).json()
    asked: dict[str, Any] = {"type": "gw.say", "tags": ["urgent"]}
    answered = await http.post("topics/says/requests", json=asked)

    assert kept["reception"]["handlers"] == ["listener"]
    assert answered.status_code == 200


async def test_a_request_is_answered_as_json_or_as_events(http: httpx.AsyncClient) -> None:
    asked = {"type": "gw.say", "data": {"text": "hello", "words": 3}}

    plain = await http.post("topics/says/requests", json=asked)
    streamed = await http.post(
        "topics/says/requests", json=asked, headers={"Accept": "text/event-stream"}
    )

    assert plain.status_code == 200
    assert plain.json()["type"] == "gw.said"
    assert plain.json()["data"] == {"text": "hello"}
    events = events_in(streamed.text)
    assert [name for name, _, _ in events] == ["accepted", *["emitted"] * 3, "answer"]
    assert [data["data"]["text"] for _, _, data in events[1:4]] == ["...0", "...1", "...2"]
    assert events[-1][2] == {"type": "gw.said", "data": {"text": "hello"}}
    message_id = events[0][2]["message_id"]
    followed = streamed.headers["Location"]
    assert str(streamed.url.join(followed)).endswith(f"/api/v1/requests/{message_id}")


async def test_a_stream_goes_on_behind_the_last_event_that_came(http: httpx.AsyncClient) -> None:
    asked = {"type": "gw.say", "data": {"text": "hello", "words": 5}}
    wants = {"Accept": "text/event-stream"}
    first = await http.post("topics/says/requests", json=asked, headers=wants)
    accepted, *items, answer = events_in(first.text)
    place = first.headers["Location"].replace("../../", "")

    for number, (_, position, _) in enumerate(items):
        again = await http.get(place, headers={**wants, "Last-Event-ID": position})
        assert events_in(again.text) == [*items[number + 1 :], answer]
    ended = await http.get(place, headers={**wants, "Last-Event-ID": answer[1]})
    assert (ended.status_code, ended.text) == (204, "")
    assert accepted[1] == ""


@pytest.mark.parametrize("given", ["", "0" * 32], ids=["of the message", "given"])
async def test_a_request_is_followed_in_its_conversation(
    http: httpx.AsyncClient, given: str
) -> None:
    study = Study(name=new_id())
    asked = {"type": "gw.study", "data": {"name": study.name}, "conversation": given}
    wants = {"Accept": "text/event-stream"}

    first = await http.post("topics/says/requests", json={**asked, "timeout_s": 50}, headers=wants)
    place = first.headers["Location"].replace("../../", "")
    again = await http.get(place, headers=wants)

    accepted, *events = events_in(first.text)
    assert accepted[2]["conversation"] == (given or study.conversation)
    assert [name for name, _, _ in events] == ["emitted", "answer"]
    assert events_in(again.text) == events
    assert "timeout_s=50" in place


async def test_a_key_that_comes_again_is_the_same_request(http: httpx.AsyncClient) -> None:
    text = new_id()
    asked = {"type": "gw.say", "data": {"text": text}}
    headers = {"Idempotency-Key": f"any text: {text}"}

    answers = [
        await http.post("topics/says/requests", json=asked, headers=headers) for _ in range(3)
    ]

    assert len({answer.json()["message_id"] for answer in answers}) == 1
    assert runs[text] == 1


async def test_one_key_at_the_same_time_is_one_request(http: httpx.AsyncClient) -> None:
    """mhayk/Overpass 16: to look first whether a key was used, and then to store it, is a race."""
    text = new_id()
    asked = {"type": "gw.say", "data": {"text": text, "words": 3}}
    headers = {"Idempotency-Key": text}
    faces = [{"Accept": "application/json"}, {"Accept": "text/event-stream"}]

    answers = await asyncio.gather(
        *(http.post("topics/says/requests", json=asked, headers=headers | f) for f in faces * 8)
    )

    plain = [answer.json() for answer in answers[::2]]
    streamed = [events_in(answer.text) for answer in answers[1::2]]
    assert plain == [plain[0]] * 8
    assert streamed == [streamed[0]] * 8
    assert len(streamed[0]) == 5
    assert runs[text] == 1


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Host", "evil.example"),
        ("Host", "evil.example:80"),
        ("Host", "localhost.evil.example"),
        ("Host", ""),
        ("Host", "["),
        ("Host", "localhost/evil.example"),
        ("Host", "localhost?evil.example"),
        ("Host", "evil.example\\@localhost"),
        ("Host", "evil.example@localhost"),
        ("Host", "localhost:x"),
        ("Host", "127.1"),
        ("Origin", "http://evil.example"),
        ("Origin", "http://localhost:81"),
        ("Origin", "https://"),
        ("Origin", "null"),
        ("Origin", "http://["),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/guild", "/api/v1/openapi.json", "/healthz", "/"])
async def test_other_names_and_origins_are_refused(
    http: httpx.AsyncClient, path: str, header: str, value: str
) -> None:
    """nesquena/hermes-webui 3495, moorcheh-ai/memanto 2021: a page of any site read all of it."""
    answer = await http.get(f"{LOCAL}{path}", headers={header: value})

    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["error"] in {"HostNotAllowedError", "OriginNotAllowedError"}


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("Origin", ["http://localhost", "http://evil.example"]),
        ("Sec-Fetch-Site", ["same-origin", "cross-site"]),
    ],
)
async def test_of_a_header_that_comes_twice_each_counts(
    http: httpx.AsyncClient, header: str, values: list[str]
) -> None:
    answer = await http.get("guild", headers=[(header, value) for value in values])

    assert (answer.status_code, answer.json()["error"]) == (403, "OriginNotAllowedError")


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1:8000", "[::1]:8", "[fe80::1%eth0]:8", "LOCALHOST.", "own", "own:"],
)
async def test_own_names_and_addresses_are_answered(crew: Guild, host: str) -> None:
    async with asking(gateway_app(crew.client, hosts=["own"])) as http:
        answer = await http.get("guild", headers={"Host": host, "Origin": f"http://{host}"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:443", "https://localhost", 200),
        ("localhost:80", "http://localhost", 200),
        ("[::1]:443", "https://[::1]", 200),
        ("localhost:443", "http://localhost", 403),
        ("localhost:80", "https://localhost", 403),
        ("localhost:8443", "https://localhost", 403),
        ("localhost", "https://localhost:8443", 403),
    ],
)
async def test_a_proxy_may_name_the_port_that_a_browser_leaves_out(
    http: httpx.AsyncClient, host: str, origin: str, status: int
) -> None:
    """nginx with `proxy_set_header Host $host:$server_port`, as many examples have it."""
    answer = await http.get("guild", headers={"Host": host, "Origin": origin})

    assert answer.status_code == status


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic x"])
async def test_the_hash_of_nothing_in_the_file_lets_no_stranger_in(
    crew: Guild, tmp_path: Path, authorization: str
) -> None:
    """As `printf %s "$TOKEN" | sha256sum` prints it where the variable is not set."""
    file = tmp_path / "tokens"
    file.write_text(f"ada read,operate sha256:{hashlib.sha256().hexdigest()}\n")
    headers = {"Authorization": authorization} if authorization else {}
    async with asking(gateway_app(crew.client, tokens=file), **headers) as http:
        answer = await http.get("agents")

    assert (answer.status_code, answer.json()["error"]) == (401, "TokenMissingError")


@pytest.mark.parametrize(
    ("wishes", "status"),
    [
        (["respond-async"], 202),
        (["wait=10, Respond-Async; x"], 202),
        (["wait=10", "respond-async"], 202),
        (['note="respond-async"'], 200),
        ([""], 200),
    ],
)
async def test_whoever_prefers_to_come_back_is_not_kept(
    http: httpx.AsyncClient, wishes: list[str], status: int
) -> None:
    answer = await http.post(
        "topics/says/requests",
        json={"type": "gw.say"},
        headers=[("Prefer", wish) for wish in wishes],
    )

    assert answer.status_code == status


async def test_a_web_socket_is_closed_and_not_left_to_the_server_of_a_host(crew: Guild) -> None:
    """Which would call it a failure of the app, in the host's log, for each that is tried."""
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/api/v1/live", "headers": [(b"host", b"localhost")]}
    await gateway_app(crew.client)(scope, receive, send)

    assert sent == [{"type": "websocket.close"}]


async def test_a_token_is_good_for_its_scopes_and_for_nothing_else(
    crew: Guild, tmp_path: Path
) -> None:
    file = tmp_path / "tokens"
    reader, writer = add_token(file, "reader", ["read"]), add_token(file, "writer", ["publish"])
    app = gateway_app(crew.client, tokens=file)
    note = {"type": "gw.note"}

    async with asking(app) as http:
        stranger = await http.get("guild")
        wrong = await http.get("guild", headers={"Authorization": f"Bearer {reader}x"})
        other_scheme = await http.get("guild", headers={"Authorization": f"Basic {reader}"})
        both = [("Authorization", f"Bearer {each}") for each in (reader, writer)]
        two = await http.get("guild", headers=both)
        document = await http.get("openapi.json")
    async with asking(app, reader) as http:
        reads = await http.get("guild")
        reader_publishes = await http.post("topics/notes/messages", json=note)
        reader_pauses = await http.post("agents/speaker/pause")
    async with asking(app, writer) as http:
        publishes = await http.post("topics/notes/messages", json=note)
        writer_reads = await http.get("guild")

    for refused in (stranger, wrong, other_scheme, two, document):
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    for none in (stranger, other_scheme, document):
        assert none.json()["error"] == "TokenMissingError"
    for unknown in (wrong, two):
        assert unknown.json()["error"] == "TokenUnknownError"
        assert "not known here" in unknown.json()["detail"]
        assert "invalid_token" in unknown.headers["WWW-Authenticate"]
    assert reads.json()["caller"] == {"name": "reader", "scopes": ["read"]}
    assert publishes.status_code == 202
    for refused in (reader_publishes, reader_pauses, writer_reads):
        assert refused.status_code == 403
        assert refused.json()["error"] == "ScopeMissingError"
        assert 'error="insufficient_scope", scope="' in refused.headers["WWW-Authenticate"]


async def test_a_message_that_holds_itself_has_a_schema(http: httpx.AsyncClient) -> None:
    schema = (await http.get("schemas/Tree")).json()["json_schema"]

    assert schema["$defs"]["Tree"]["properties"]["branches"]["items"] == {"$ref": "#/$defs/Tree"}
