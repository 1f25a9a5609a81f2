"""Bodies, parameters and rates: what is refused, how, and that nothing of it is done."""

import asyncio
import gzip
import json
from contextlib import AsyncExitStack, suppress
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from guild.gateway import gateway_app
from guild.gateway.limits import Limits
from guild.runtime import Guild
from messaging.wire.envelope import new_id
from tests.gateway.conftest import LOCAL, Serve, asking, reading, until
from tests.gateway.crew import crew_spec, runs

NOTE: dict[str, Any] = {"type": "gw.note", "data": {}}
NOTES = "topics/notes/messages"
AS_JSON = {"Content-Type": "application/json"}
_JSON_LINES = ["Content-Type: application/json"]


def nested(levels: int) -> bytes:
    deep = b'{"name":' * levels + b'""' + b"}" * levels
    return b'{"type": "gw.tree", "data": {"anything": ' + deep + b"}}"


BAD_BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 422, "InvalidBodyError"),
    "no JSON": (b"{", 400, "BodyNotJsonError"),
    "no object": (b"[]", 422, "InvalidBodyError"),
    "a text": (b'"type"', 422, "InvalidBodyError"),
    "NaN": (b'{"type": "gw.note", "data": NaN}', 400, "BodyNotJsonError"),
    "infinity": (b'{"type": "gw.note", "delay_s": 1e999}', 422, "DelayError"),
    "no UTF-8": (b'{"type": "\xff"}', 400, "BodyNotJsonError"),
    "lone surrogate": (b'{"type": "\\ud800"}', 400, "BodyNotJsonError"),
    "huge number": (b'{"type": "gw.note", "priority": 1' + b"0" * 5000 + b"}", 400, ""),
    "deep": (b"[" * 100_000, 400, "BodyNotJsonError"),
    "a level too deep": (nested(64), 400, "BodyNotJsonError"),
    "unknown field": (b'{"type": "gw.note", "topc": "x"}', 422, "InvalidBodyError"),
    "no type": (b'{"data": {}}', 422, "InvalidBodyError"),
    "unknown type": (b'{"type": "gw.nte"}', 422, "NoSuchMessageError"),
    "priority": (b'{"type": "gw.note", "priority": 128}', 422, "InvalidBodyError"),
    "delay": (b'{"type": "gw.note", "delay_s": -1}', 422, "InvalidBodyError"),
    "endless delay": (b'{"type": "gw.note", "delay_s": 1e300}', 422, "DelayError"),
    "conversation": (b'{"type": "gw.note", "conversation": "mine"}', 422, "InvalidBodyError"),
    "an empty tag": (b'{"type": "gw.note", "tags": [""]}', 422, "InvalidBodyError"),
    "two tags in one": (b'{"type": "gw.note", "tags": ["a,b"]}', 422, "InvalidBodyError"),
    "data": (b'{"type": "gw.note", "data": {"text": 7, "more": 1}}', 422, "InvalidMessageError"),
    "data is a list": (b'{"type": "gw.note", "data": []}', 422, "InvalidMessageError"),
    "a number as text": (b'{"type": "gw.note", "delay_s": "0"}', 422, "InvalidBodyError"),
    "integer of 65 bits": (
        b'{"type": "gw.tree", "data": {"anything": {"a": 99999999999999999999}}}',
        422,
        "InvalidMessageError",
    ),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_body_that_does_not_fit_is_refused_with_what_is_wrong(
    http: httpx.AsyncClient, name: str
) -> None:
    body, status, error = BAD_BODIES[name]

    answer = await http.post(NOTES, content=body, headers=AS_JSON)

    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (status, status)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert error in {"", problem["error"]}
    assert problem["title"]
    assert problem["remedy"]
    assert "notes" not in {topic["topic"] for topic in (await http.get("topics")).json()}


async def test_a_message_as_deep_as_may_be_is_accepted(http: httpx.AsyncClient) -> None:
    answer = await http.post(NOTES, content=nested(61), headers=AS_JSON)

    assert answer.status_code == 202


async def test_fields_are_named_and_their_values_are_not(http: httpx.AsyncClient) -> None:
    data = {"text": ["hunter2"], "hunter": "hunter2"}

    problem = (await http.post(NOTES, json={"type": "gw.note", "data": data})).json()

    assert problem["fields"] == [
        {"field": "text", "problem": "Input should be a valid string"},
        {"field": "hunter", "problem": "there is no such field"},
    ]
    assert "hunter2" not in json.dumps(problem)


async def test_a_slip_in_the_name_of_a_field_is_told_with_the_field_that_was_meant(
    http: httpx.AsyncClient,
) -> None:
    body = {"type": "gw.note", "data": {"txet": "x"}, "dleay_s": 1, "zzz": 1}

    of_the_body = (await http.post(NOTES, json=body)).json()
    of_the_message = (await http.post(NOTES, json={"type": "gw.note", "data": body["data"]})).json()

    assert {each["field"]: each["problem"] for each in of_the_body["fields"]} == {
        "dleay_s": "there is no such field; did you mean delay_s?",
        "zzz": "there is no such field",
    }
    assert "txet: there is no such field; did you mean text?" in of_the_message["detail"]


async def test_a_body_that_says_it_is_something_else_is_refused(http: httpx.AsyncClient) -> None:
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = await http.post(
            NOTES, content=json.dumps(NOTE), headers={"Content-Type": media_type}
        )
        assert answer.status_code == 415
    plain = await http.post(NOTES, content=json.dumps(NOTE))
    packed = await http.post(
        NOTES,
        content=gzip.compress(json.dumps(NOTE).encode()),
        headers={"Content-Encoding": "gzip"},
    )
    assert (packed.status_code, packed.json()["error"]) == (415, "BodyTypeError")
    assert "gzip" in packed.json()["detail"]
    suffixed = {"Content-Type": "application/vnd.x+json; charset=utf-8"}
    assert plain.status_code == 202
    assert (await http.post(NOTES, content=json.dumps(NOTE), headers=suffixed)).status_code == 202


@pytest.mark.parametrize("in_chunks", [False, True], ids=["by its length", "in chunks"])
async def test_a_body_past_the_limit_is_refused(serve: Serve, in_chunks: bool) -> None:
    served = await serve(Limits(body_bytes=1000))
    big = json.dumps({**NOTE, "data": {"text": "x" * 1000}}).encode()

    async def chunks() -> Any:
        for start in range(0, len(big), 100):
            yield big[start : start + 100]

    async with served.http(**AS_JSON) as http:
        answer = await http.post(NOTES, content=chunks() if in_chunks else big)
        small = await http.post(NOTES, json=NOTE)

    assert answer.status_code == 413
    assert answer.json()["error"] == "BodyTooLargeError"
    assert small.status_code == 202


async def test_a_body_that_does_not_come_is_not_waited_for(serve: Serve) -> None:
    served = await serve(Limits(body_s=0.2))
    async with reading(served.port, "POST", NOTES, '{"type": ', length=100) as slow:
        answer = await slow.until("remedy")

    assert " 408 " in answer
    assert "BodyTooSlowError" in answer


async def test_a_request_with_two_ends_is_refused(serve: Serve) -> None:
    """pgjones/hypercorn 279, unbit/uwsgi 2560: what a proxy took for the rest of a body came
    here as a request of its own."""
    served, text = await serve(), new_id()
    note = json.dumps({"type": "gw.note", "data": {"text": text}})
    lines = ["POST /api/v1/topics/notes/messages HTTP/1.1", "Host: localhost", *_JSON_LINES]
    smuggled = "\r\n".join([*lines, f"Content-Length: {len(note)}", "", note])
    head = "\r\n".join([*lines, "Content-Length: 5", "Transfer-Encoding: chunked", "", "0\r\n\r\n"])
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write((head + smuggled).encode())
    answer = (await reader.read()).decode()
    writer.close()

    assert answer.startswith("HTTP/1.1 400 ")
    assert "AmbiguousLengthError" in answer
    assert answer.count("HTTP/1.1") == 1
    assert runs[text] == 0


async def test_a_connection_that_sends_nothing_whole_is_closed(serve: Serve) -> None:
    """xorbitsai/inference 5213: a byte now and then held a connection, and all of them at last."""
    served = await serve(silent_s=0.3)
    silent, writer = await asyncio.open_connection("127.0.0.1", served.port)
    half, half_writer = await asyncio.open_connection("127.0.0.1", served.port)
    half_writer.write(b"GET /api/v1/guild HTTP/1.1\r\nHost: local")

    trickled, trickling_writer = await asyncio.open_connection("127.0.0.1", served.port)

    async def trickle() -> None:
        trickling_writer.write(b"GET /api/v1/guild HTTP/1.1\r\nHost: localhost\r\nX: ")
        while not trickling_writer.transport.is_closing():
            trickling_writer.write(b"x")
            await asyncio.sleep(0.02)

    trickling = asyncio.create_task(trickle())
    reads = (silent.read(), half.read(), trickled.read())
    ends = await asyncio.gather(*reads, return_exceptions=True)
    trickling.cancel()

    for end in ends:
        assert end == b"" or isinstance(end, ConnectionError)
    for each in (writer, half_writer, trickling_writer):
        each.close()
    async with served.http() as http, http.stream("GET", "messages"):
        await until(lambda: served.streams.open == 1)


async def test_a_connection_is_kept_for_the_next_request_for_longer_than_proxies_keep_theirs(
    serve: Serve,
) -> None:
    """vllm-project/vllm 18472, kserve/kserve 5446: what came as the server gave up was a 502."""
    served = await serve(silent_s=0.05)
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    kept, writer = await asyncio.open_connection("127.0.0.1", served.port)
    answers = []
    for _ in range(3):
        writer.write(request)
        answers.append(await kept.readuntil(b"ok\n"))
        silent, silent_writer = await asyncio.open_connection("127.0.0.1", served.port)
        with suppress(ConnectionError):
            assert await silent.read() == b""
        silent_writer.close()
    writer.write(request[:20])
    with suppress(ConnectionError):
        assert await kept.read() == b""
    writer.close()

    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)
    assert served.server.config.timeout_keep_alive > 60


async def test_more_requests_than_a_caller_may_send_are_refused(crew: Guild) -> None:
    async with asking(gateway_app(crew.client, limits=Limits(rate_per_s=0.1, burst=2))) as http:
        answers = [await http.get("guild") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["error"] == "TooManyRequestsError"
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 10


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("dead-letters?agnet=x", "agnet: there is no such field; did you mean agent?"),
        ("dead-letters?count=0", "count: Input should be greater than or equal to 1"),
        ("dead-letters?count=x", "count: Input should be a valid integer"),
        ("dead-letters?count=1&count=2", "count: it is given twice"),
        ("dead-letters?after=x", "after: String should match pattern"),
        ("dead-letters/groups?by=topic", "by: any of type, error, agent"),
        ("messages?since=2030-01-01T00:00:00", "since: Input should have timezone info"),
        ("messages?follow=maybe", "follow: Input should be a valid boolean"),
        ("requests/mine", "message_id: a message id is 32 lower-case hex digits"),
        ("requests/" + "0" * 32 + "?timeout_s=0", "timeout_s: Input should be greater than 0"),
        ("requests/" + "0" * 32 + "?timeout_s=1e9", "timeout_s: at most 3600 s are waited for"),
        ("requests/" + "0" * 32 + "?timeout_s=inf", "timeout_s: at most 3600 s are waited for"),
        ("agents?type=x", "type: there is no such one"),
    ],
)
@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
async def test_a_parameter_that_does_not_fit_is_named(
    http: httpx.AsyncClient, path: str, problem: str, accept: str
) -> None:
    answer = await http.get(path, headers={"Accept": accept})

    assert answer.status_code == 422
    assert answer.json()["error"] == "InvalidParameterError"
    assert problem in answer.json()["detail"]


@pytest.mark.parametrize("path", ["dead-letters/requeue?agent=breaker", "agents/speaker/pause?x="])
async def test_a_choice_in_the_place_of_another_is_refused_and_chooses_not_all(
    http: httpx.AsyncClient, path: str
) -> None:
    """apache/airflow 17961: where nothing fitted what was asked for, all was taken."""
    answer = await http.post(path, json={"really": True})
    agents = (await http.get("agents")).json()

    assert (answer.status_code, answer.json()["error"]) == (422, "InvalidParameterError")
    assert {agent["state"] for agent in agents} == {"active"}


@pytest.mark.parametrize("really", [0, 1, "true", "yes"])
async def test_only_true_is_true(http: httpx.AsyncClient, really: object) -> None:
    answer = await http.post("dead-letters/requeue", json={"really": really})

    assert (answer.status_code, answer.json()["error"]) == (422, "InvalidBodyError")
    assert answer.json()["fields"][0]["field"] == "really"


@pytest.mark.parametrize(
    ("accept", "events"),
    [
        ("text/event-stream", True),
        ("application/json, text/event-stream", True),
        ("Text/Event-Stream; q=0.5, */*;q=0.1", True),
        ("text/event-stream;q=0.9, application/json;q=0.5", True),
        ("text/event-stream;q=0, application/json", False),
        ("application/json, text/event-stream;q=0.5", False),
        ("application/json; profile=text/event-stream", False),
        ("*/*", False),
        ("text/*", False),
        (", ;q=, text/event-stream;q=odd", True),
    ],
)
async def test_the_face_that_is_wanted_more_is_shown(
    http: httpx.AsyncClient, accept: str, events: bool
) -> None:
    """modelcontextprotocol/python-sdk 3154: what a client refused by `q=0` was sent."""
    answer = await http.post(
        "topics/says/requests", json={"type": "gw.say"}, headers={"Accept": accept}
    )

    assert answer.headers["Content-Type"].startswith("text/event-stream") is events


@pytest.mark.parametrize("topic", ["a..b", "_reply.x", "a.*", "a b", "%3Cb%3E", "x" * 300])
async def test_what_is_no_topic_is_refused(http: httpx.AsyncClient, topic: str) -> None:
    for kind in ("messages", "requests"):
        body = NOTE if kind == "messages" else {"type": "gw.say"}
        answer = await http.post(f"topics/{topic}/{kind}", json=body)

        assert answer.status_code in {400, 409}
        assert answer.json()["error"] in {"TopicError", "NobodyListensError"}


async def test_paths_and_methods_that_are_none_are_told_apart(http: httpx.AsyncClient) -> None:
    nowhere = await http.get("gild")
    wrong = await http.delete("agents/speaker/pause")
    odd = await http.get("gi%3Fld%23")

    assert (nowhere.status_code, nowhere.json()["error"]) == (404, "NoSuchPathError")
    assert (wrong.status_code, wrong.json()["error"]) == (405, "MethodNotAllowedError")
    assert wrong.headers["Allow"] == "POST"
    assert "'/api/v1/gi?ld#'" in odd.json()["detail"]


async def test_a_method_that_is_none_is_told_what_the_path_itself_takes(
    http: httpx.AsyncClient,
) -> None:
    """Where the path is one of those that a letter's id could be."""
    answer = await http.options("dead-letters/requeue")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["agents/", "agents/speaker/pause/", "topics/notes/messages/"])
async def test_a_slash_too_many_is_told_and_leads_to_no_other_server(
    http: httpx.AsyncClient, path: str
) -> None:
    """mher/flower 1312: an address that was made here is not one that a proxy's client can use."""
    for method in ("GET", "POST"):
        answer = await http.request(method, path)

        assert (answer.status_code, answer.json()["error"]) == (404, "NoSuchPathError")
        assert "Location" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "healthz"), ("GET", "api/v1/guild"), ("POST", "api/v1/agents/speaker/pause")],
)
async def test_a_line_break_behind_a_path_leads_past_no_rule_of_a_proxy(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    """nginx, with `location = /metrics {deny all;}`, lets `/metrics%0A` through."""
    answer = await http.request(method, f"{LOCAL}/{path}%0A")
    agents = (await http.get("agents")).json()

    assert (answer.status_code, answer.json()["error"]) == (404, "NoSuchPathError")
    assert {agent["state"] for agent in agents} == {"active"}


HOSTILE = "<script>alert(1)</script>\u202e\u2066evil\u0000\u2028"


async def test_markup_and_writing_direction_come_back_as_they_are_and_as_data(
    http: httpx.AsyncClient,
) -> None:
    """Parallels/rq-dashboard 526, mher/flower 607: what a job was called ran in the browser."""
    said = await http.post(
        "topics/says/requests", json={"type": "gw.say", "data": {"text": HOSTILE}}
    )
    asked = {"type": HOSTILE, "data": {}}
    refused = await http.post(NOTES, json=asked)
    nowhere = await http.get(f"agents/{quote(HOSTILE)}")
    streamed = await http.post(
        "topics/says/requests",
        json={"type": "gw.say", "data": {"text": HOSTILE}},
        headers={"Accept": "text/event-stream"},
    )

    assert said.json()["data"]["text"] == HOSTILE
    assert json.loads(streamed.text.rpartition("data: ")[2])["data"]["text"] == HOSTILE
    for answer in (said, refused, nowhere, streamed):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Type"].split(";")[0] in {
            "application/json",
            "application/problem+json",
            "text/event-stream",
        }
    for answer in (refused, nowhere):
        assert "\u202e" not in answer.json()["detail"]


async def test_no_header_of_a_request_reaches_the_answer_of_another(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.get("guild", headers={"Origin": "http://localhost"})

    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "set-cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("key", ["", " "])
async def test_a_key_that_is_empty_is_refused_and_not_taken_for_none(
    http: httpx.AsyncClient, key: str
) -> None:
    """As of a variable that is not set: each message would be sent anew."""
    text = new_id()
    answer = await http.post(
        NOTES,
        json={"type": "gw.note", "data": {"text": text}},
        headers={"Idempotency-Key": key},
    )

    assert (answer.status_code, answer.json()["error"]) == (422, "InvalidParameterError")
    assert runs[text] == 0


async def test_a_key_with_another_message_is_refused(http: httpx.AsyncClient) -> None:
    """ietf-wg-httpapi/idempotency 2: a client took the first answer for that of its second."""
    key = {"Idempotency-Key": "one"}
    wrong = await http.post(NOTES, json={"type": "gw.note", "data": {"text": 7}}, headers=key)
    first = await http.post(NOTES, json=NOTE, headers=key)
    again = await http.post(NOTES, json=NOTE, headers=key)
    other = await http.post(NOTES, json={"type": "gw.note", "data": {"text": "other"}}, headers=key)
    too_long = await http.post(NOTES, json=NOTE, headers={"Idempotency-Key": "x" * 501})

    twice = await http.post(
        NOTES, json=NOTE, headers=[("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    )

    assert wrong.json()["error"] == "InvalidMessageError"
    assert twice.json()["message_id"] != first.json()["message_id"]
    assert first.json()["message_id"] == again.json()["message_id"]
    assert (other.status_code, other.json()["error"]) == (422, "KeyReusedError")
    assert too_long.status_code == 422


@pytest.mark.parametrize("bus", ["redis", "memory"])
async def test_a_key_with_another_message_is_refused_by_every_gateway(
    crew: Guild, bus: str
) -> None:
    """NOFireAI/ravel 1653: another message under the key was dropped, and its client told that it
    was stored. Here a load balancer sends it to another gateway than the first."""
    async with AsyncExitStack() as stack:
        guild = crew
        if bus == "memory":
            guild = await stack.enter_async_context(
                Guild.launch(crew_spec("keys"), bus="memory://")
            )
        elsewhere = Starlette(routes=[Mount("/x", gateway_app(guild.client))])
        one = await stack.enter_async_context(asking(gateway_app(guild.client)))
        other = await stack.enter_async_context(asking(elsewhere))
        other.base_url = f"{LOCAL}/x/api/v1/"
        key, text = {"Idempotency-Key": new_id()}, new_id()
        note = {"type": "gw.note", "data": {"text": text}}
        first = await one.post(NOTES, json=note, headers=key)
        again = await other.post(NOTES, json=note, headers=key)
        another = await other.post(NOTES, json=NOTE, headers=key)
        as_request = await other.post("topics/notes/requests", json=note, headers=key)
        await until(lambda: runs[text] == 1)

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["message_id"] == again.json()["message_id"]
    for refused in (another, as_request):
        assert (refused.status_code, refused.json()["error"]) == (422, "KeyReusedError")
        assert refused.json()["message_id"] == first.json()["message_id"]


async def test_of_two_messages_at_once_under_one_key_one_is_sent_whichever_gateway_gets_it(
    crew: Guild,
) -> None:
    """jcagarcia/grape-idempotency 4: the second of two that came at once overwrote the first."""
    async with (
        asking(gateway_app(crew.client)) as one,
        asking(gateway_app(crew.client)) as other,
    ):
        sent, refused = list[str](), list[str]()
        for _ in range(20):
            key, texts = {"Idempotency-Key": new_id()}, [new_id(), new_id()]
            answers = await asyncio.gather(
                *[
                    http.post(NOTES, json={"type": "gw.note", "data": {"text": text}}, headers=key)
                    for http, text in zip((one, other), texts, strict=True)
                ]
            )
            assert sorted(answer.status_code for answer in answers) == [202, 422]
            for answer, text in zip(answers, texts, strict=True):
                (sent if answer.status_code == 202 else refused).append(text)
        await until(lambda: all(runs[text] == 1 for text in sent))

    assert not any(runs[text] for text in refused)


async def test_a_key_whose_message_was_refused_is_free_again_at_every_gateway(
    crew: Guild,
) -> None:
    key = {"Idempotency-Key": new_id()}
    async with (
        asking(gateway_app(crew.client)) as one,
        asking(gateway_app(crew.client)) as other,
    ):
        refused = await one.post("topics/a..b/messages", json=NOTE, headers=key)
        mended = await other.post(NOTES, json=NOTE, headers=key)
        again = await one.post(NOTES, json=NOTE, headers=key)

    assert [refused.status_code, mended.status_code, again.status_code] == [400, 202, 202]


async def test_of_several_messages_at_once_under_one_key_one_is_sent(
    http: httpx.AsyncClient,
) -> None:
    """Each of the others would take the receipt of the first for its own, and be lost."""
    key, texts = {"Idempotency-Key": new_id()}, [new_id() for _ in range(5)]
    bodies = [{"type": "gw.note", "data": {"text": text}} for text in texts]
    answers = await asyncio.gather(
        *[http.post(NOTES, json=body, headers=key) for body in (*bodies, *bodies)]
    )
    (sent,) = {
        text for text, answer in zip(texts * 2, answers, strict=True) if answer.status_code == 202
    }
    await until(lambda: runs[sent] == 1)

    assert sorted(answer.status_code for answer in answers) == [*[202] * 2, *[422] * 8]
    assert sum(runs[text] for text in texts) == 1
    assert {answer.json()["message_id"] for answer in answers} == {answers[0].json()["message_id"]}
